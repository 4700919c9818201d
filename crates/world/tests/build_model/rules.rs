//! What a model goes by: the product as it is, or a mutant of it.
//!
//! A mutant is a world that forgets a precondition, a driver that works in another order, or eyes that see something
//! else than there is. The product itself knows nothing of mutants.

use switchyard_api::build::Memory;
use switchyard_decide::{
    Decision, Kind as _, Version,
    build::{Action, Build, Observed},
};
use switchyard_world::build::Cluster;

/// One conditional write under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "kept once each, interned")]
pub enum Write {
    Report {
        at: Version,
        memory: Memory,
    },
    /// No write: what is read live right before this one.
    Look(Action),
    Act(Action),
}
impl Write {
    pub fn is_run(&self) -> bool {
        matches!(self, Self::Act(Action::Run { .. }))
    }
}

#[derive(Clone, Copy)]
pub struct Rules {
    /// The driver: the writes of one round, in order.
    pub plan: fn(&Observed) -> Vec<Write>,
    /// The API server: whether a write lands.
    pub land: fn(&mut Cluster, &Write) -> bool,
    /// Where a Job has ended and its pod is not known, pods are read live.
    pub reads_pods: bool,
    /// Before a further attempt the Jobs of those before it are read live.
    pub looks: bool,
    /// A veto ends the round. Not for mutants: they are to show what the rule itself is for.
    pub heeds_permit: bool,
}

pub const SOUND: Rules = Rules { plan, land, reads_pods: true, looks: true, heeds_permit: true };

pub fn report(seen: &Observed, decision: &Decision<Build>) -> Option<Write> {
    let memory = decision.status.memory.clone();
    (memory != seen.memory).then(|| Write::Report { at: seen.version.clone(), memory })
}
pub fn acts(decision: Decision<Build>) -> impl Iterator<Item = Write> {
    decision.actions.into_iter().map(Write::Act)
}

/// As the driver does: what is to be remembered is written alone.
pub fn plan(seen: &Observed) -> Vec<Write> {
    let decision = Build::decide(seen);
    match report(seen, &decision) {
        Some(report) => vec![report],
        None => acts(decision).collect(),
    }
}

/// The write alone; a look before it may have happened at any time earlier.
pub fn land(cluster: &mut Cluster, write: &Write) -> bool {
    match write {
        Write::Report { at, memory } => cluster.report(at, memory).is_ok(),
        Write::Look(action) => cluster.look(action).is_ok(),
        Write::Act(action) => cluster.write(action).is_ok(),
    }
}
