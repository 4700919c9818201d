//! Pipeline: from a push to every environment. One Build for each head that is seen; a good Build is released to one
//! environment after the other, each once the ones before it run it well.

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
    CommitId, Timestamp, condition,
    pipeline::{Memory, PipelineStatus},
};

pub use observed::{BuildSeen, EnvironmentOrder, Observed, Order, RolloutSeen};
pub use stage::Stage;

use crate::{Cadence, Decision, Event, Kind, Veto};

/// Which commit is the branch at?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    Head { url: String, branch: Option<String>, secret: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    CreateBuild {
        name: String,
        commit: CommitId,
        branch: String,
        /// The last commit that was built well, where only some paths are wanted.
        base: Option<CommitId>,
    },
    /// Beyond the retention limits.
    DeleteBuild { name: String, uid: String },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Pipeline;

impl Kind for Pipeline {
    type Observed = Observed;
    type Memory = Memory;
    type Status = PipelineStatus;
    type Action = Action;
    type Question = Question;

    const NAME: &'static str = "pipeline";

    fn decide(seen: &Observed) -> Decision<Self> {
        let memory = memory::remember(seen);
        let (rule, stage) = stage::stage(seen, &memory);
        let layout = layout::layout(seen, &memory);
        Decision {
            rule,
            actions: diff::diff(seen, &layout),
            ask: BTreeMap::from([(seen.order.question(), Cadence::Every(seen.order.interval))]),
            check_again: None,
            status: status::describe(&stage, seen, memory),
        }
    }
    fn memory(status: &PipelineStatus) -> &Memory {
        &status.memory
    }
    fn events(before: &PipelineStatus, after: &PipelineStatus) -> Vec<Event> {
        status::events(before, after)
    }
    fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
        permit::permit(seen, action)
    }
    fn carry(before: &PipelineStatus, after: &mut PipelineStatus, generation: i64, now: Timestamp) {
        after.observed_generation = generation;
        condition::carry(&before.conditions, &mut after.conditions, generation, now);
    }
}
