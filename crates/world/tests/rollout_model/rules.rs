//! What a model goes by: the product as it is, or a mutant of it.
//!
//! A mutant is a world that forgets a precondition, a driver that works in another order, or eyes that see something
//! else than there is. The product itself knows nothing of mutants.

use switchyard_api::rollout::{Memory, Phase};
use switchyard_decide::{
    Decision, Kind as _, Version,
    rollout::{Action, Observed, Rollout},
};
use switchyard_world::rollout::{self as world, Cluster};

use crate::facts::Facts;

/// One conditional write under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "kept once each, interned")]
pub enum Write {
    Report {
        at: Version,
        memory: Memory,
    },
    /// Nothing to be remembered, and the status says of a pause something else than before.
    Tell {
        at: Version,
        paused: bool,
    },
    /// No write: what is read live right before this one.
    Look(Action),
    Act(Action),
}

#[derive(Clone, Copy)]
pub struct Rules {
    /// The driver: the writes of one round, in order.
    pub plan: fn(&Observed, &world::Rollout) -> Vec<Write>,
    /// The API server: whether a write lands.
    pub land: fn(&mut Cluster, &Write) -> bool,
    /// What a round reads past its caches, by what they hold.
    pub reads: fn(&Facts) -> Live,
    /// Before a revision loses its pods, the Services that could select it are read live.
    pub looks: bool,
    /// A veto ends the round. Not for mutants: they are to show what the rule itself is for.
    pub heeds_permit: bool,
}

/// Read live at the start of a round: the Service first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    pub service: bool,
    pub rollout: bool,
}

pub const SOUND: Rules = Rules { plan, land, reads: loss_reads_live, looks: false, heeds_permit: true };

/// Without a live revision in the record, the Rollout is read past the cache, after the Service.
pub fn loss_reads_live(seen: &Facts) -> Live {
    Live { service: false, rollout: seen.live == 0 }
}
/// Also while a candidate stands; and while something is withheld, the Service too.
pub fn care_reads_live(seen: &Facts) -> Live {
    let withheld = seen.paused || seen.held != 0;
    Live { service: withheld, rollout: withheld || seen.live == 0 || seen.candidate != 0 }
}

pub fn report(seen: &Observed, at: Version, decision: &Decision<Rollout>) -> Option<Write> {
    let memory = decision.status.memory.clone();
    (memory != seen.memory).then_some(Write::Report { at, memory })
}
pub fn tell(was: &world::Rollout, decision: &Decision<Rollout>) -> Option<Write> {
    let paused = decision.status.phase == Some(Phase::Paused);
    (paused != was.says_paused).then(|| Write::Tell { at: was.version.clone(), paused })
}

pub fn acts(decision: Decision<Rollout>) -> impl Iterator<Item = Write> {
    decision.actions.into_iter().map(Write::Act)
}

/// As the driver does: what is to be remembered is written alone, and what is told before anything is done.
pub fn plan(seen: &Observed, was: &world::Rollout) -> Vec<Write> {
    let decision = Rollout::decide(seen);
    match report(seen, was.version.clone(), &decision) {
        Some(report) => vec![report],
        None => tell(was, &decision).into_iter().chain(acts(decision)).collect(),
    }
}

/// The write alone; a look before it may have happened at any time earlier.
pub fn land(cluster: &mut Cluster, write: &Write) -> bool {
    match write {
        Write::Report { at, memory } => cluster.report(at, memory).is_ok(),
        Write::Tell { at, paused } => cluster.tell(at, *paused).is_ok(),
        Write::Look(action) => cluster.look(action).is_ok(),
        Write::Act(action) => cluster.write(action).is_ok(),
    }
}
