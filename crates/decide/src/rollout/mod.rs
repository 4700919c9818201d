//! Rollout: a digest to live traffic, by the switch protocol.
//!
//! No write on Kubernetes covers two objects, and a Lease does not fence: a leader that lost it may still have writes
//! under way. So the switch is built of single conditional writes, ordered so that any late one fails. The order is
//! `remember` -> `stage` -> `layout` -> `diff`; see `docs/switch.md` for the rules and what each prevents.

mod checks;
mod commands;
mod diff;
mod goal;
mod layout;
mod memory;
pub mod observed;
mod order;
mod permit;
mod stage;
mod status;
#[cfg(test)]
mod tests;

pub use checks::{CheckId, Question};
pub use goal::{goal, on_trial};
pub use layout::Layout;
pub use observed::{
    Address, Command, CommandOrder, Deployment, Foreign, JobKey, JobState, Observed, Offer, OfferedRelease, Port,
    Preview, Record, Seen, Selects, Service,
};
pub use order::{ImageSlot, Order, PreviewOrder};
use serde::{Deserialize, Serialize};
pub use stage::Stage;
use std::collections::BTreeMap;
use switchyard_api::{
    Revision, Timestamp,
    command::CommandState,
    condition,
    rollout::{Memory, ReleaseRef, RolloutStatus},
};

use crate::{Decision, Event, Kind, Version, Veto};

/// One write on one object. Each holds the version that the decision saw, so that a late one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// The live Service, selecting nobody, with an empty record.
    CreateService,
    /// One patch of the live Service: record, and with `select` also selector and ports.
    Record {
        at: Version,
        next: Record,
        select: Option<Selects>,
    },
    /// A revision's Deployment, without pods.
    Deploy {
        revision: Revision,
        fingerprint: String,
        images: BTreeMap<String, String>,
        releases: Vec<ReleaseRef>,
    },
    /// A revision's headless Service, whose slices tell its readiness.
    Expose {
        revision: Revision,
        fingerprint: String,
    },
    /// The nomination written on the Deployment together with its pods: any Retire decided before now fails.
    Claim {
        revision: Revision,
        at: Version,
        claim: Version,
        replicas: i32,
    },
    Scale {
        revision: Revision,
        at: Version,
        replicas: i32,
    },
    /// No pods any more. Refused unless a live read shows that no Service selects and no slice lists them.
    Retire {
        revision: Revision,
        at: Version,
    },
    /// Of a revision beyond the history limit the Deployment; with `at: None`, when that is gone, its headless Service.
    Delete {
        revision: Revision,
        at: Option<Version>,
    },
    /// The preview Service, selecting nobody.
    CreatePreview,
    /// One patch of the preview Service: selector and, where it is ours, ports.
    Preview {
        at: Version,
        select: Selects,
    },
    /// The Job of a check.
    Check {
        revision: Revision,
        job: JobKey,
    },
    /// What became of a Command, in its status.
    Answer {
        command: String,
        uid: String,
        at: Version,
        state: CommandState,
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rollout;

impl Kind for Rollout {
    type Observed = Observed;
    type Memory = Memory;
    type Status = RolloutStatus;
    type Action = Action;
    type Question = Question;

    const NAME: &'static str = "rollout";

    fn decide(seen: &Observed) -> Decision<Self> {
        let memory = memory::remember(seen);
        let (rule, stage) = stage::stage(seen, &memory);
        let layout = layout::layout(&stage, seen, &memory);
        Decision {
            rule,
            actions: diff::diff(seen, &memory, &layout),
            ask: checks::ask(seen, &memory),
            check_again: stage::deadline(seen, &memory),
            status: status::describe(&stage, seen, memory),
        }
    }
    fn memory(status: &RolloutStatus) -> &Memory {
        &status.memory
    }
    fn events(before: &RolloutStatus, after: &RolloutStatus) -> Vec<Event> {
        status::events(before, after)
    }
    fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
        permit::permit(seen, action)
    }
    fn carry(before: &RolloutStatus, after: &mut RolloutStatus, generation: i64, now: Timestamp) {
        after.observed_generation = generation;
        condition::carry(&before.conditions, &mut after.conditions, generation, now);
    }
}
