//! What should exist, for each stage. Total: it chooses nothing.

use std::collections::BTreeMap;

use switchyard_api::{Revision, rollout::Memory};

use super::{
    observed::{Observed, Record, Selects},
    stage::{Stage, goal, wanted},
};
use crate::Version;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The live Service is to exist.
    pub service: bool,
    /// Its record, and its selector where that is to move.
    pub record: Option<(Record, Option<Selects>)>,
    /// The revision whose objects are to exist, and can be made: the spec describes it.
    pub revision: Option<Revision>,
    /// The nomination to be written on a Deployment with its pods.
    pub claim: Option<(Revision, Version)>,
    /// Pods by revision; what is absent stays as it is.
    pub replicas: BTreeMap<Revision, i32>,
    /// Revisions that are to lose their pods.
    pub retire: Vec<Revision>,
    /// Revisions beyond the history limit, and those of which only the headless Service is left.
    pub delete: Vec<Revision>,
}

pub fn layout(stage: &Stage, seen: &Observed, memory: &Memory) -> Layout {
    let goal = match stage {
        Stage::Blocked { .. } => return Layout::default(),
        Stage::Starting => return Layout { service: true, ..Layout::default() },
        Stage::Contended(_) | Stage::Mistaken(_) | Stage::Awaiting(_) | Stage::Restoring => goal(seen, memory),
        Stage::Deploying(r)
        | Stage::Switching(r)
        | Stage::RollingBack(r)
        | Stage::Stranded(r)
        | Stage::Confirming(r)
        | Stage::Keeping(r, _)
        | Stage::Settled(r) => Some(*r),
    };
    let (record, candidate) = record(stage, seen, memory, goal);
    Layout {
        service: true,
        claim: candidate,
        revision: goal.filter(|g| wanted(seen, memory) == Some(*g)),
        replicas: replicas(seen, memory),
        retire: seen.revisions.keys().copied().filter(|r| goal != Some(*r) && may_retire(seen, memory, *r)).collect(),
        delete: surplus(seen, memory, goal),
        record,
    }
}

type Nomination = Option<(Revision, Version)>;

/// At most one patch of the live Service, and the nomination that stands in the record as it was seen.
fn record(
    stage: &Stage,
    seen: &Observed,
    memory: &Memory,
    goal: Option<Revision>,
) -> (Option<(Record, Option<Selects>)>, Nomination) {
    let Some(service) = &seen.service else { return (None, None) };
    let had = seen.record();
    let mut next = Record { owner: seen.uid.clone(), ..had.clone() };
    let mut select = None;
    next.void.extend(memory.failed.keys().chain(&memory.rejected));
    let standing = had.candidate.filter(|c| goal == Some(*c)).zip(had.since.clone());
    if standing.is_none() {
        (next.candidate, next.since) = (None, None);
    }
    match stage {
        Stage::Switching(to) | Stage::RollingBack(to) => {
            let confirmed = memory.confirmed.map(|c| c.revision);
            next.fallback = confirmed.filter(|c| c != to && (had.live == Some(*c) || had.fallback == Some(*c)));
            next.live = Some(*to);
            next.moved = Some(service.version.clone());
            (next.candidate, next.since) = (None, None);
            select = Some(Selects::Revision(*to));
        }
        Stage::Restoring => {
            next.moved = Some(service.version.clone());
            select = Some(Selects::from(had.live));
        }
        Stage::Deploying(revision) if standing.is_none() && stands(seen, *revision) => {
            (next.candidate, next.since) = (Some(*revision), Some(service.version.clone()));
        }
        Stage::Settled(revision) if memory.confirmed.is_some_and(|c| c.revision == *revision) => next.fallback = None,
        Stage::Blocked { .. }
        | Stage::Starting
        | Stage::Contended(_)
        | Stage::Mistaken(_)
        | Stage::Awaiting(_)
        | Stage::Deploying(_)
        | Stage::Stranded(_)
        | Stage::Confirming(_)
        | Stage::Keeping(..)
        | Stage::Settled(_) => {}
    }
    // A lost record is replaced by a nomination and by nothing less, or it would look like one of a first deployment.
    let changed = (next != had || select.is_some()) && (!seen.lost() || next.candidate.is_some());
    let claim = standing.filter(|_| !changed);
    (changed.then_some((next, select)), claim)
}

/// Both of a revision's objects exist, so it can be nominated.
fn stands(seen: &Observed, revision: Revision) -> bool {
    seen.revisions.get(&revision).is_some_and(|r| r.deployment.is_some() && r.exposed)
}

/// Live follows the spec at once. The way back follows up at once, and down only once what is live is confirmed.
fn replicas(seen: &Observed, memory: &Memory) -> BTreeMap<Revision, i32> {
    let (Ok(order), record) = (&seen.order, seen.record()) else { return BTreeMap::new() };
    let settled = memory.confirmed.map(|c| c.revision) == record.live;
    let live = record.live.map(|r| (r, order.replicas));
    let fallback = record.fallback.and_then(|r| {
        let has = seen.deployment(r)?.replicas;
        Some((r, if settled { order.replicas } else { order.replicas.max(has) }))
    });
    live.into_iter().chain(fallback).collect()
}

/// It is ours; the live Service names a live one; this one has no place; the Service was written after the last claim; no slice
/// lists it; and the drain is over.
pub fn may_retire(seen: &Observed, memory: &Memory, revision: Revision) -> bool {
    let (Some(service), Some(deployment)) = (&seen.service, seen.deployment(revision)) else { return false };
    let record = seen.record();
    let Ok(order) = &seen.order else { return false };
    let drained = memory.unlisted.get(&revision).is_some_and(|u| seen.now.since(u.time) >= order.drain);
    let given_up = memory.rejected.contains(&revision) && !seen.lost();
    let served_by_another = record.live.is_some() || given_up;
    let ours = seen.revisions.get(&revision).is_some_and(|r| r.conflict.is_none());
    deployment.replicas > 0
        && ours
        && served_by_another
        && !record.holds(revision)
        && service.selects != Selects::Revision(revision)
        && deployment.claim.as_ref().is_none_or(|claim| service.version.newer_than(claim))
        && seen.listed(revision) == 0
        && drained
}

/// Without pods and a place: all that have no Deployment any more, and of the others the oldest beyond the limit.
fn surplus(seen: &Observed, memory: &Memory, goal: Option<Revision>) -> Vec<Revision> {
    let (Ok(order), Some(service)) = (&seen.order, &seen.service) else { return vec![] };
    let Some(record) = &service.record else { return vec![] };
    let kept = |r: &Revision| {
        service.selects == Selects::Revision(*r)
            || seen.listed(*r) > 0
            || goal == Some(*r)
            || wanted(seen, memory) == Some(*r)
            || record.holds(*r)
            || memory.confirmed.is_some_and(|c| c.revision == *r)
    };
    let unused = || seen.revisions.iter().filter(|(r, s)| !kept(r) && s.conflict.is_none() && s.ready == 0);
    let mut old: Vec<_> = unused()
        .filter_map(|(r, s)| s.deployment.as_ref().filter(|d| d.replicas == 0).map(|d| (d.created, *r)))
        .collect();
    old.sort_unstable_by(|a, b| b.cmp(a));
    let beyond = old.into_iter().skip(usize::try_from(order.history_limit).unwrap_or(0)).map(|(_, r)| r);
    unused().filter(|(_, s)| s.deployment.is_none() && s.exposed).map(|(r, _)| *r).chain(beyond).collect()
}
