//! What steps and properties need to know of a truth.

use switchyard_api::{Revision, check::Moment, rollout::Memory};
use switchyard_decide::{
    Version,
    rollout::{JobState, Record, Selects},
};
use switchyard_world::rollout::Cluster;

use crate::parts::{FOREIGN, Id, NAMES, NONE, Name, Parts, number};

/// A set of revisions.
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
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    pub fn of(wanted: impl Fn(Name) -> bool) -> Self {
        NAMES.into_iter().filter(|n| wanted(*n)).fold(Self::default(), |mut all, n| {
            all.add(n);
            all
        })
    }
}

/// A number for each revision.
pub type Each = [u8; 3];
pub fn each(of: impl Fn(Name) -> u8) -> Each {
    NAMES.map(of)
}
pub fn at(each: Each, name: Name) -> u8 {
    each[usize::from(name) - 1]
}

#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub wanted: Name,
    /// None under an invalid spec.
    pub replicas: Option<u8>,
    pub paused: bool,
    pub says_paused: bool,
    pub there: bool,
    pub recorded: bool,
    pub live: Name,
    pub fallback: Name,
    pub candidate: Name,
    pub selects: Name,
    pub listed: Name,
    /// What the preview Service selects.
    pub shown: Name,
    /// A Deployment is there; pods are wanted; one is ready; all are, under the last claim.
    pub made: Names,
    pub up: Names,
    pub serving: Names,
    pub current: Names,
    pub ready: Each,
    pub scaled: Each,
    pub confirmed: Name,
    pub failed: Names,
    pub rejected: Names,
    pub held: Name,
    /// Which try this is, and the last that the record fences off.
    pub attempts: Each,
    pub void: Each,
    /// The candidate's check passed under its nomination; that of what is live under its switch.
    pub vetted: bool,
    pub proven: bool,
    pub running: Id,
    /// Nothing was written much more often than anything happened.
    pub bounded: bool,
}

impl Facts {
    pub fn of(cluster: &Cluster, parts: &Parts) -> Self {
        let memory = &cluster.rollout.memory;
        let order = cluster.rollout.order.as_ref();
        let name = |r: Option<Revision>| r.map_or(NONE, |r| parts.name(r));
        let selects = |s: &Selects| match s {
            Selects::Nobody => NONE,
            Selects::Revision(r) => parts.name(*r),
            Selects::Foreign(_) => FOREIGN,
        };
        let recorded = cluster.service.as_ref().and_then(|s| s.record.clone());
        let record = recorded.clone().unwrap_or_default();
        let seen = cluster.see();
        let deployment = |n: Name| cluster.deployment(parts.revision(n));
        let ready = |n: Name| cluster.ready(parts.revision(n));
        let up = |n: Name| cluster.is_up(parts.revision(n));
        let full = |n: Name| deployment(n).is_some_and(|d| d.replicas == ready(n));
        let small = |n: i32| u8::try_from(n).unwrap();
        Self {
            wanted: name(order.ok().and_then(|o| o.wanted(memory).ok())),
            replicas: order.ok().map(|o| small(o.replicas)),
            paused: order.is_ok_and(|o| o.paused),
            says_paused: cluster.rollout.says_paused,
            there: cluster.service.is_some(),
            recorded: recorded.is_some(),
            live: name(record.live),
            fallback: name(record.fallback),
            candidate: name(record.candidate),
            selects: selects(&cluster.selects()),
            listed: selects(&cluster.endpoints.listed),
            shown: cluster.preview.as_ref().map_or(NONE, |p| selects(&p.selects)),
            made: Names::of(|n| deployment(n).is_some()),
            up: Names::of(up),
            serving: Names::of(|n| up(n) && ready(n) > 0),
            current: Names::of(|n| full(n) && seen.deployment(parts.revision(n)).is_some_and(|d| d.current)),
            ready: each(|n| small(ready(n))),
            scaled: each(|n| small(deployment(n).map_or(0, |d| d.replicas))),
            confirmed: name(memory.confirmed.map(|c| c.revision)),
            failed: Names::of(|n| memory.failed.contains_key(&parts.revision(n))),
            rejected: Names::of(|n| memory.rejected.contains(&parts.revision(n))),
            held: name(memory.held.as_ref().map(|h| h.revision)),
            attempts: each(|n| u8::try_from(memory.attempt(parts.revision(n))).unwrap()),
            void: each(|n| record.void.get(&parts.revision(n)).map_or(0, |v| u8::try_from(*v).unwrap())),
            vetted: passed(cluster, record.candidate, Moment::Preview, record.since.as_ref()),
            proven: passed(cluster, record.live, Moment::Live, record.moved.as_ref()),
            running: parts.running(cluster),
            bounded: bounded(cluster),
        }
    }
    /// A Command names one of these.
    pub fn known(&self) -> Vec<Name> {
        NAMES.into_iter().filter(|n| self.made.has(*n) || self.wanted == *n).collect()
    }
}

fn passed(cluster: &Cluster, revision: Option<Revision>, moment: Moment, under: Option<&Version>) -> bool {
    let jobs = revision.and_then(|r| cluster.children.get(&r)).map(|c| &c.jobs);
    let its = |(key, state): (&switchyard_decide::rollout::JobKey, &JobState)| {
        key.moment == moment && Some(&key.under) == under && *state == JobState::Passed
    };
    jobs.is_some_and(|jobs| jobs.iter().any(its))
}

fn bounded(cluster: &Cluster) -> bool {
    let service = cluster.service.as_ref().map(|s| &s.version).or(cluster.gone.as_ref());
    service.is_none_or(|v| number(v) < 40)
        && cluster.preview.as_ref().is_none_or(|p| number(&p.version) < 20)
        && number(&cluster.rollout.version) < 50
        && cluster.children.values().all(|c| c.versions < 20 && c.jobs.len() < 10)
}

/// What a memory says, in a few words.
pub fn told(memory: &Memory, record: Option<&Record>) -> String {
    let rejected: Vec<_> = memory.rejected.iter().collect();
    let failed: Vec<_> = memory.failed.keys().collect();
    format!(
        "confirmed {:?} failed {failed:?} rejected {rejected:?} attempts {:?} held {:?} promoted {:?} handled {:?} \
         checked {:?} unlisted {:?} progress {:?} unready {:?} {record:?}",
        memory.confirmed.map(|c| c.revision),
        memory.attempts,
        memory.held.as_ref().map(|h| h.revision),
        memory.promoted.as_ref().map(|p| p.revision),
        memory.handled,
        memory.checked,
        memory.unlisted,
        memory.progress.map(|p| (p.revision, p.ready, p.time)),
        memory.unready_since
    )
}
