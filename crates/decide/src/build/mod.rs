//! Build: a commit to digests. Checks first, side by side or one after the other; then one Job for each image; then the
//! registry is asked whether it serves what was pushed. Finished is finished: nothing runs again.

mod classify;
mod commands;
mod diff;
mod layout;
mod mask;
mod memory;
mod observed;
mod permit;
pub mod reasons;
mod stage;
mod status;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchyard_api::{
    Digest, Duration, Timestamp,
    build::{BuildStatus, Memory},
    command::CommandState,
    condition,
};

pub use observed::{
    BuildResult, CheckOrder, Command, CommandOrder, Container, ContainerEnd, ImageOrder, Job, Observed, Order, Problem,
    Source, Step,
};
pub use reasons::{REASONS, hint};
pub use stage::Stage;

use crate::{Cadence, Decision, Event, Kind, Version, Veto};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// Does the registry serve this digest, under this tag if there is one?
    Serves { image: String, repository: String, tag: Option<String>, digest: Digest, secret: Option<String> },
    /// What do the Events of this Job and of its pod say, since nothing of it starts?
    Why { job: String, uid: String, pod: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// An annotation that outlives a lost status: this Build was started once.
    MarkStarted { at: Version, time: Timestamp },
    /// One Job. Its name says which step and attempt, so there is never a second. Before a further attempt the Jobs of
    /// those before it are read live: while one has not ended this is refused as Stale. A Job of that name that is
    /// somebody else's makes it Owned.
    Run { step: Step, attempt: i32 },
    /// Ends a Job that nobody waits for any more, and keeps it: as long as its name is taken, a Run that was decided
    /// long ago and lands late makes no second one. (`activeDeadlineSeconds: 1`, on exactly this uid; its pods go.)
    Stop { step: Step, attempt: i32, uid: String },
    /// The answer to a Command: its status, once.
    Answer { command: String, uid: String, at: Version, state: CommandState, message: String },
    /// The result as an annotation, for a restore without status.
    MarkResult { at: Version, result: Box<BuildResult> },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Build;

impl Kind for Build {
    type Observed = Observed;
    type Memory = Memory;
    type Status = BuildStatus;
    type Action = Action;
    type Question = Question;

    const NAME: &'static str = "build";

    fn decide(seen: &Observed) -> Decision<Self> {
        let memory = memory::remember(seen);
        let (rule, stage) = stage::stage(seen, &memory);
        let layout = layout::layout(&stage, seen, &memory);
        Decision {
            rule,
            actions: diff::diff(seen, &layout),
            ask: questions(&stage, seen, &memory),
            check_again: stage::deadline(&stage, seen, &memory),
            status: status::describe(&stage, seen, memory),
        }
    }
    fn memory(status: &BuildStatus) -> &Memory {
        &status.memory
    }
    fn events(before: &BuildStatus, after: &BuildStatus) -> Vec<Event> {
        status::events(before, after)
    }
    fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
        permit::permit(seen, action)
    }
    fn carry(before: &BuildStatus, after: &mut BuildStatus, generation: i64, now: Timestamp) {
        after.observed_generation = generation;
        condition::carry(&before.conditions, &mut after.conditions, generation, now);
    }
}

/// How often the registry is asked until it answers.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How often the cluster is asked why a pod does not start.
const WHY_AGAIN: Duration = Duration::from_secs(5);
/// A pod that is slower than this to start its next container is asked about.
const SLOW: Duration = Duration::from_secs(3);

fn questions(stage: &Stage, seen: &Observed, memory: &Memory) -> BTreeMap<Question, Cadence> {
    if stage.is_final() || *stage == Stage::Starting {
        return BTreeMap::new();
    }
    let unserved = memory.pushed.values().filter(|p| !memory.served.contains(&p.name));
    let serves = unserved.map(|pushed| (seen.serves(pushed), Cadence::Until(ASK_AGAIN)));
    let stuck = seen.order.steps().filter_map(|s| seen.job(memory, &s)).filter(|j| silent(j));
    let late = stuck.filter(|j| j.still_since().plus(SLOW) <= seen.now);
    serves.chain(late.map(|job| (Observed::why(job), Cadence::Every(WHY_AGAIN)))).collect()
}

/// Nothing of the Job runs, and its pod does not say why. (The kubelet writes into the status of a pod why a container
/// did not start when it next looks at the pod: where another container ran before, only ten seconds later or more.
/// Its Events are there at once.)
fn silent(job: &Job) -> bool {
    job.is_starting() && job.problem.is_none() && job.conflict.is_none()
}
