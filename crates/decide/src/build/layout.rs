//! What should exist, for each stage.

use std::collections::BTreeSet;

use switchyard_api::build::Memory;

use super::{
    Stage,
    observed::{BuildResult, Observed, Step},
};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub mark_started: bool,
    /// Step attempts that are to have a Job.
    pub run: BTreeSet<(Step, i32)>,
    /// Unfinished Jobs are to go.
    pub stop: bool,
    pub result: Option<BuildResult>,
}

pub fn layout(stage: &Stage, seen: &Observed, memory: &Memory) -> Layout {
    let due = |step: &Step| {
        let attempt = memory.attempts.get(&step.to_string());
        attempt.and_then(|a| a.not_before).is_none_or(|t| t <= seen.now)
    };
    let jobs =
        |steps: Vec<Step>| steps.into_iter().filter(due).map(|s| (s.clone(), Observed::attempt(memory, &s))).collect();
    let running = |run| Layout { mark_started: true, run, ..Layout::default() };
    match stage {
        Stage::Starting => Layout::default(),
        Stage::Checking => running(jobs(
            seen.order.checks().filter(|s| matches!(s, Step::Check(n) if !memory.passed.contains(n))).collect(),
        )),
        Stage::Building => running(jobs(
            seen.order.images().filter(|s| matches!(s, Step::Image(n) if !memory.pushed.contains_key(n))).collect(),
        )),
        Stage::Verifying => running(BTreeSet::new()),
        Stage::Succeeded | Stage::Failed => Layout {
            stop: true,
            result: memory.finished.map(|finished| BuildResult {
                started: memory.started,
                finished,
                version: memory.version.clone(),
                images: memory.pushed.values().filter(|i| memory.served.contains(&i.name)).cloned().collect(),
                failure: memory.failure.clone().map(|f| switchyard_api::build::Failure { log: None, ..f }),
            }),
            ..Layout::default()
        },
    }
}
