//! What should exist, for each stage.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_api::build::{Failure, Memory};

use super::{
    Action, Stage,
    commands::answers,
    observed::{BuildResult, Observed, Step},
    status::open,
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub mark_started: bool,
    /// Step attempts that are to have a Job.
    pub run: BTreeSet<(Step, i32)>,
    /// Jobs of attempts before these are to end; of steps that are not here, all.
    pub keep: BTreeMap<Step, i32>,
    pub answers: Vec<Action>,
    pub result: Option<BuildResult>,
}

pub fn layout(stage: &Stage, seen: &Observed, memory: &Memory) -> Layout {
    match stage {
        Stage::Starting => Layout { keep: attempts(seen, memory), ..Layout::default() },
        Stage::Checking | Stage::Building | Stage::Verifying => Layout {
            mark_started: true,
            run: open(seen, memory)
                .into_iter()
                .filter(|s| due(seen, memory, s))
                .map(|s| (s.clone(), Observed::attempt(memory, &s)))
                .collect(),
            keep: attempts(seen, memory),
            ..Layout::default()
        },
        Stage::Succeeded | Stage::Skipped | Stage::Failed | Stage::Cancelled => {
            Layout { answers: answers(seen, memory), result: result(memory), ..Layout::default() }
        }
    }
}

/// The attempt that each step is at.
fn attempts(seen: &Observed, memory: &Memory) -> BTreeMap<Step, i32> {
    seen.order.steps().map(|step| (step.clone(), Observed::attempt(memory, &step))).collect()
}

/// Its turn has come: its pause is over, and no Job of an earlier attempt is left.
fn due(seen: &Observed, memory: &Memory, step: &Step) -> bool {
    let attempt = memory.attempts.get(&step.to_string());
    let rested = attempt.and_then(|a| a.not_before).is_none_or(|t| t <= seen.now);
    rested && !seen.lingers(memory, step)
}

fn result(memory: &Memory) -> Option<BuildResult> {
    Some(BuildResult {
        started: memory.started,
        finished: memory.finished?,
        version: memory.version.clone(),
        images: memory.pushed.values().filter(|i| memory.served.contains(&i.name)).cloned().collect(),
        scans: memory.scans.values().cloned().collect(),
        skipped: memory.skipped,
        failure: memory.failure.clone().map(|f| Failure { log: None, ..f }),
    })
}
