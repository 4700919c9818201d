//! What a model goes by: the product as it is, or a mutant of it.
//!
//! A mutant is a world that forgets a precondition, a driver that works in another order, or eyes that see something
//! else than there is. The product itself knows nothing of mutants.

use switchyard_api::rollout::Memory;
use switchyard_decide::{
    Decision, Kind as _, Version,
    rollout::{Action, Observed, Rollout},
};
use switchyard_world::rollout::Cluster;

/// One conditional write under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "kept once each, interned")]
pub enum Write {
    Report { at: Version, memory: Memory },
    Act(Action),
}

#[derive(Clone, Copy)]
pub struct Rules {
    /// The driver: the writes of one round, in order.
    pub plan: fn(&Observed, Version) -> Vec<Write>,
    /// The API server: whether a write lands.
    pub land: fn(&mut Cluster, &Write) -> bool,
    /// Without a live revision in the record, the Rollout is read past the cache, after the Service.
    pub loss_reads_live: bool,
    /// A veto ends the round. Not for mutants: they are to show what the rule itself is for.
    pub heeds_permit: bool,
}

pub const SOUND: Rules = Rules { plan, land, loss_reads_live: true, heeds_permit: true };

pub fn report(seen: &Observed, at: Version, decision: &Decision<Rollout>) -> Option<Write> {
    let memory = decision.status.memory.clone();
    (memory != seen.memory).then_some(Write::Report { at, memory })
}

pub fn acts(decision: Decision<Rollout>) -> impl Iterator<Item = Write> {
    decision.actions.into_iter().map(Write::Act)
}

/// As the driver does: what is to be remembered is written alone.
pub fn plan(seen: &Observed, at: Version) -> Vec<Write> {
    let decision = Rollout::decide(seen);
    match report(seen, at, &decision) {
        Some(report) => vec![report],
        None => acts(decision).collect(),
    }
}

/// The write alone, without the look before it: that may have happened at any time earlier.
pub fn land(cluster: &mut Cluster, write: &Write) -> bool {
    match write {
        Write::Report { at, memory } => cluster.report(at, memory).is_ok(),
        Write::Act(action) => cluster.write(action).is_ok(),
    }
}
