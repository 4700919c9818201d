//! What must never be, what must always be possible, and what has to be reached for that to mean anything.

use stateright::Property;
use switchyard_decide::rollout::Selects;
use switchyard_world::rollout::Cluster;

use crate::{
    model::{Bounds, State},
    parts::{FOREIGN, NAMES, NONE, Name, Parts},
    protocol::Protocol,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names(u8);
impl Names {
    pub fn has(self, name: Name) -> bool {
        name < 8 && self.0 & (1 << name) != 0
    }
    pub fn add(&mut self, name: Name) {
        self.0 |= 1 << name;
    }
    pub fn remove(&mut self, name: Name) {
        self.0 &= !(1 << name);
    }
    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    fn of(wanted: impl Fn(Name) -> bool) -> Self {
        NAMES.into_iter().filter(|n| wanted(*n)).fold(Self::default(), |mut all, n| {
            all.add(n);
            all
        })
    }
}

/// What the properties need to know of a truth.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub wanted: Name,
    /// None under an invalid spec.
    pub replicas: Option<u8>,
    pub there: bool,
    pub recorded: bool,
    pub live: Name,
    pub selects: Name,
    pub listed: Name,
    /// Pods are wanted; one is ready; all are, under the last claim.
    pub up: Names,
    pub serving: Names,
    pub current: Names,
    confirmed: Name,
    failed: Names,
    rejected: Names,
    /// Nothing was written much more often than anything happened.
    bounded: bool,
}

impl Facts {
    pub fn of(cluster: &Cluster, parts: &Parts) -> Self {
        let memory = &cluster.rollout.memory;
        let name = |r| parts.name(r);
        let selects = |s: &Selects| match s {
            Selects::Nobody => NONE,
            Selects::Revision(r) => name(*r),
            Selects::Foreign(_) => FOREIGN,
        };
        let record = cluster.service.as_ref().and_then(|s| s.record.as_ref());
        let writes = |v: &switchyard_decide::Version| v.as_str().parse::<u32>().unwrap();
        let seen = cluster.see();
        let up = |n: Name| cluster.is_up(parts.revision(n));
        let serving = |n: Name| up(n) && cluster.ready(parts.revision(n)) > 0;
        let full = |n: Name| {
            cluster.deployment(parts.revision(n)).is_some_and(|d| d.replicas == cluster.ready(parts.revision(n)))
        };
        Self {
            wanted: cluster.rollout.order.as_ref().map_or(NONE, |o| o.wanted(memory).map_or(NONE, name)),
            replicas: cluster.rollout.order.as_ref().ok().map(|o| u8::try_from(o.replicas).unwrap()),
            there: cluster.service.is_some(),
            recorded: record.is_some(),
            live: record.and_then(|r| r.live).map_or(NONE, name),
            selects: selects(&cluster.selects()),
            listed: selects(&cluster.endpoints.listed),
            up: Names::of(up),
            serving: Names::of(serving),
            current: Names::of(|n| full(n) && seen.deployment(parts.revision(n)).is_some_and(|d| d.current)),
            confirmed: memory.confirmed.map_or(NONE, |c| name(c.revision)),
            failed: Names::of(|n| memory.failed.contains_key(&parts.revision(n))),
            rejected: Names::of(|n| memory.rejected.contains(&parts.revision(n))),
            bounded: cluster.service.as_ref().is_none_or(|s| writes(&s.version) < 30)
                && writes(&cluster.rollout.version) < 40
                && cluster.children.values().all(|c| c.versions < 20),
        }
    }
}

/// What a state alone does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// The live Service had a ready endpoint once.
    served: bool,
    /// The spec wanted no pods once: a write that was decided then may land later, and takes them.
    rested: bool,
    /// Lost their readiness by no act of ours, and did not get it back yet.
    pub hurt: Names,
    /// The record was lost, and no revision was selected since.
    pub erased: bool,
    confirmed: Names,
    rejected: Names,
    broke_word: bool,
    promoted_by_loss: bool,
    promoted_unproven: bool,
    pub vetoed: bool,
    rolled_back: bool,
    restored: bool,
    put_right: bool,
}

impl History {
    pub fn new(facts: Facts) -> Self {
        let mut history = Self {
            served: facts.serving.has(facts.selects),
            rested: false,
            hurt: Names::default(),
            erased: false,
            confirmed: Names::default(),
            rejected: Names::default(),
            broke_word: false,
            promoted_by_loss: false,
            promoted_unproven: false,
            vetoed: false,
            rolled_back: false,
            restored: false,
            put_right: false,
        };
        history.learn(facts);
        history
    }
    pub fn learn(&mut self, facts: Facts) {
        self.rejected = self.rejected.or(facts.rejected);
        if facts.confirmed != NONE {
            self.confirmed.add(facts.confirmed);
        }
    }
    /// The spec wants no pods.
    pub fn rests(&mut self, resting: bool) {
        self.rested |= resting;
    }
    /// The selector was written, by us.
    pub fn selected(&mut self, to: Name, before: Facts) {
        if before.live == to {
            self.put_right |= before.selects != to;
            return;
        }
        self.served = true;
        self.broke_word |= before.rejected.has(to);
        self.rolled_back |= before.confirmed == to && before.live != NONE && before.failed.has(before.live);
        self.promoted_by_loss |= self.erased && before.confirmed != to;
        self.promoted_unproven |= self.erased && !self.confirmed.has(to);
        self.restored |= self.erased;
        self.erased = false;
    }
}

pub const SERVES: &str = "the selector names what serves";
pub const LISTED: &str = "no slice lists a retired revision";
pub const WORD: &str = "no Select after an acknowledged rejection";
pub const REJECTED: &str = "a rejected revision is not confirmed";
pub const LOSS: &str = "a lost record brings back what is confirmed";
pub const PROVEN: &str = "a lost record brings back what was confirmed once";
pub const FINITE: &str = "a bounded number of faults causes a bounded number of writes";
pub const SETTLES: &str = "fair rounds settle on the goal";
pub const PERMIT: &str = "permit never vetoes what decide proposes, whatever the age of what it saw";

pub fn all(bounds: Bounds) -> Vec<Property<Protocol>> {
    let mut all: Vec<Property<Protocol>> = vec![
        Property::always(SERVES, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            let up = |n| facts.serving.has(n) || (facts.up.has(n) && s.history.hurt.has(n));
            !s.history.served || s.history.rested || facts.selects == FOREIGN || up(facts.selects)
        }),
        Property::always(LISTED, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            s.history.rested || facts.listed == NONE || facts.listed == FOREIGN || facts.up.has(facts.listed)
        }),
        Property::always(WORD, |_: &Protocol, s: &State| !s.history.broke_word),
        Property::always(REJECTED, |p: &Protocol, s: &State| !s.history.rejected.has(p.facts(s.truth).confirmed)),
        Property::always(PROVEN, |_: &Protocol, s: &State| !s.history.promoted_unproven),
        Property::always(FINITE, |p: &Protocol, s: &State| p.facts(s.truth).bounded),
        Property::always(PERMIT, |_: &Protocol, s: &State| !s.history.vetoed),
        Property::always(SETTLES, Protocol::settles),
    ];
    // A dead operator's confirmation and a lost record can together bring back an older confirmed revision.
    if bounds.crashes == 0 && bounds.deposed == 0 {
        all.push(Property::always(LOSS, |_: &Protocol, s: &State| !s.history.promoted_by_loss));
    }
    reached(bounds, &mut all);
    all
}

fn reached(bounds: Bounds, all: &mut Vec<Property<Protocol>>) {
    let mut when = |possible: bool, property: Property<Protocol>| {
        if possible {
            all.push(property);
        }
    };
    when(
        bounds.edits > 0,
        Property::sometimes("2 is confirmed and 1 retired", |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            facts.confirmed == 2 && facts.live == 2 && !facts.up.has(1) && s.history.confirmed.has(1)
        }),
    );
    when(
        bounds.ticks > 0,
        Property::sometimes("a revision is given up for good and has no pods", |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            NAMES.into_iter().any(|n| facts.rejected.has(n) && !facts.up.has(n))
        }),
    );
    when(
        bounds.ticks > 0 && bounds.edits > 0,
        Property::sometimes("traffic goes back", |_: &Protocol, s: &State| s.history.rolled_back),
    );
    when(
        bounds.erased > 0,
        Property::sometimes("a lost record is restored", |_: &Protocol, s: &State| s.history.restored),
    );
    when(
        bounds.tampered > 0,
        Property::sometimes("a selector is put right", |_: &Protocol, s: &State| s.history.put_right),
    );
}
