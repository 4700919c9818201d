//! What should exist, for each stage. Total: it chooses nothing.

use std::collections::BTreeMap;

use switchyard_api::{Revision, rollout::Memory};

use super::{
    checks,
    goal::{bad, claimed, described, gated, goal},
    observed::{JobKey, Observed, Record, Selects},
    stage::{Stage, paused},
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
    /// Pods for that claim.
    pub candidate_replicas: Option<i32>,
    /// The preview Service is to exist, and what it is to select.
    pub preview: Option<Selects>,
    /// Jobs of checks.
    pub jobs: Vec<(Revision, JobKey)>,
    /// Pods by revision; what is absent stays as it is.
    pub replicas: BTreeMap<Revision, i32>,
    /// Revisions that are to lose their pods.
    pub retire: Vec<Revision>,
    /// Revisions beyond the history limit, and those of which only the headless Service is left.
    pub delete: Vec<Revision>,
}

pub fn layout(stage: &Stage, seen: &Observed, memory: &Memory) -> Layout {
    let referred = seen.order.as_ref().is_ok_and(|o| o.referred);
    if referred && seen.service.is_none() {
        return Layout::default(); // a revision is made for the ports of the Service
    }
    let goal = match stage {
        Stage::Blocked { .. } => return Layout::default(),
        Stage::Starting => return Layout { service: true, ..Layout::default() },
        Stage::Contended(_) | Stage::Mistaken(_) | Stage::Awaiting(..) | Stage::Restoring | Stage::Paused(_) => {
            goal(seen, memory)
        }
        Stage::Deploying(r)
        | Stage::Checking(r, ..)
        | Stage::Soaking(r, _)
        | Stage::AwaitingPromotion(r)
        | Stage::Switching(r)
        | Stage::RollingBack(r)
        | Stage::Stranded(r)
        | Stage::Confirming(r)
        | Stage::Keeping(r)
        | Stage::Settled(r) => Some(*r),
    };
    let (record, candidate) = record(stage, seen, memory, goal);
    let spared = described(seen, memory).filter(|_| paused(seen, memory));
    let retire = |r: &Revision| goal != Some(*r) && spared != Some(*r) && may_retire(seen, memory, *r);
    let subject = checks::subject(seen, memory);
    let jobs = subject.iter().flat_map(|s| checks::jobs(seen, memory, s).into_iter().map(|job| (s.revision, job)));
    Layout {
        service: !referred,
        candidate_replicas: candidate.as_ref().and_then(|(r, _)| candidate_replicas(seen, memory, *r)),
        claim: candidate,
        preview: preview(seen, memory, goal),
        jobs: jobs.collect(),
        revision: goal.filter(|g| described(seen, memory) == Some(*g)),
        replicas: replicas(seen, memory),
        retire: seen.revisions.keys().copied().filter(retire).collect(),
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
    for revision in memory.failed.keys().chain(&memory.rejected) {
        let voided = next.void.entry(*revision).or_default();
        *voided = memory.attempt(*revision).max(*voided);
    }
    let standing = had.candidate.filter(|c| goal == Some(*c)).zip(had.since.clone());
    if standing.is_none() {
        (next.candidate, next.since) = (None, None);
    }
    match stage {
        Stage::Switching(to) | Stage::RollingBack(to) => {
            let confirmed = memory.confirmed.map(|c| c.revision);
            let serves = |c: &Revision| had.live == Some(*c) || had.fallback == Some(*c);
            next.fallback = confirmed.filter(|c| c != to && serves(c) && !bad(memory, &next, *c));
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
        | Stage::Awaiting(..)
        | Stage::Paused(_)
        | Stage::Checking(..)
        | Stage::Soaking(..)
        | Stage::AwaitingPromotion(_)
        | Stage::Deploying(_)
        | Stage::Stranded(_)
        | Stage::Confirming(_)
        | Stage::Keeping(_)
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

/// Pods of the candidate: as many as the spec says, or as it begins with until its preview checks passed. Under an
/// invalid spec only what was confirmed is nominated, with the pods it has.
fn candidate_replicas(seen: &Observed, memory: &Memory, revision: Revision) -> Option<i32> {
    let has = seen.deployment(revision)?.replicas;
    let Ok(order) = &seen.order else { return Some(has.max(1)) };
    let begins = order.preview.as_ref().and_then(|p| p.replicas).filter(|_| gated(seen, memory) == Some(revision));
    let Some(begins) = begins.map(|n| n.min(order.replicas)) else { return Some(order.replicas) };
    let under_way = claimed(seen, revision) && has > begins;
    let checked = checks::standing(seen, memory).map(|(_, verdict)| verdict);
    Some(if under_way || checked == Some(checks::Verdict::Passed) { order.replicas } else { begins })
}

/// The preview shows the candidate once it serves, and what is live otherwise.
fn preview(seen: &Observed, memory: &Memory, goal: Option<Revision>) -> Option<Selects> {
    seen.order.as_ref().ok()?.preview.as_ref()?;
    let record = seen.record();
    let next = gated(seen, memory).filter(|r| goal == Some(*r) && record.candidate == Some(*r));
    let next = next.filter(|r| claimed(seen, *r) && seen.ready(*r) > 0);
    // A candidate that lost its pods for a moment stays shown: it is what one came to see.
    let shown = seen.preview.as_ref().map(|p| &p.selects);
    let stays = record.candidate.filter(|r| goal == Some(*r) && shown == Some(&Selects::Revision(*r)));
    Some(Selects::from(next.or(stays).or(record.live)))
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
    let failed = memory.failed.get(&revision);
    let looked_at = failed.is_none_or(|f| seen.now.since(f.time) >= order.abort_scale_down_delay);
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
        && seen.preview.as_ref().is_none_or(|p| p.selects != Selects::Revision(revision))
        && drained
        && looked_at
}

/// Without pods and a place: all that have no Deployment any more, and of the others the oldest beyond the limit.
fn surplus(seen: &Observed, memory: &Memory, goal: Option<Revision>) -> Vec<Revision> {
    let (Ok(order), Some(service)) = (&seen.order, &seen.service) else { return vec![] };
    let Some(record) = &service.record else { return vec![] };
    let kept = |r: &Revision| {
        service.selects == Selects::Revision(*r)
            || seen.listed(*r) > 0
            || goal == Some(*r)
            || described(seen, memory) == Some(*r)
            || memory.held.as_ref().is_some_and(|h| h.revision == *r)
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
