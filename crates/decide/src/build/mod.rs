//! Build: a commit to digests. Checks first, side by side; then one Job for each image; then the registry is asked
//! whether it serves what was pushed. Finished is finished: nothing runs again.

mod classify;
mod diff;
mod layout;
mod memory;
mod observed;
mod permit;
mod stage;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchyard_api::{
    Digest, Duration, Timestamp,
    build::{BuildStatus, Memory},
    condition,
};

pub use classify::REASONS;
pub use observed::{BuildResult, Container, ContainerEnd, ImageOrder, Job, Observed, Order, Step};
pub use stage::Stage;

use crate::{Cadence, Decision, Event, Kind, Version, Veto};

/// Does the registry serve this digest under this tag?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    Serves { image: String, repository: String, tag: Option<String>, digest: Digest, secret: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// An annotation that outlives a lost status: this Build was started once.
    MarkStarted { at: Version, time: Timestamp },
    /// One Job. Its name says which step and attempt, so there is never a second.
    Run { step: Step, attempt: i32 },
    /// A Job that nobody waits for any more.
    Stop { step: Step, attempt: i32, uid: String },
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

fn questions(stage: &Stage, seen: &Observed, memory: &Memory) -> BTreeMap<Question, Cadence> {
    if !matches!(stage, Stage::Verifying | Stage::Building) {
        return BTreeMap::new();
    }
    let unserved = memory.pushed.values().filter(|p| !memory.served.contains(&p.name));
    unserved.map(|pushed| (seen.question(pushed), Cadence::Until(ASK_AGAIN))).collect()
}
