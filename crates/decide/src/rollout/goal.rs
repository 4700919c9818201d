//! What a Rollout is after, and what may be said of a revision. Questions of facts and memory, each one sentence.

use switchyard_api::{Revision, rollout::Memory};

use super::observed::{Observed, Record, Selects};

/// What the spec and the releases taken come to.
pub fn described(seen: &Observed, memory: &Memory) -> Option<Revision> {
    seen.order.as_ref().ok()?.wanted(memory).ok()
}

/// What may be gone for: what a person went back to; while the spec says pause, what is live; otherwise what the
/// spec describes.
pub fn wanted(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let order = seen.order.as_ref().ok()?;
    match &memory.held {
        Some(held) => Some(held.revision),
        None if order.paused => seen.record().live,
        None => described(seen, memory),
    }
}

/// Whether this try of a revision is on its way to be given up, or was.
pub fn bad(memory: &Memory, record: &Record, revision: Revision) -> bool {
    memory.failed.contains_key(&revision)
        || memory.rejected.contains(&revision)
        || record.voids(revision, memory.attempt(revision))
}

/// The wanted revision, unless it was given up; otherwise the confirmed one; otherwise none. Where nothing is wanted
/// (a mistake in the spec, no release, no replicas), what is live stays. A lost record makes way for the confirmed
/// one alone.
pub fn goal(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let record = seen.record();
    // A fallback was confirmed once: where the status was lost, the record still knows it.
    let good = memory.confirmed.map(|c| c.revision).or(record.fallback).filter(|r| !bad(memory, &record, *r));
    let resting = seen.order.as_ref().is_ok_and(|o| o.replicas == 0);
    let wanted = wanted(seen, memory).filter(|_| !resting);
    let lost = record.live.is_none() && (good.is_some() || seen.lost());
    match wanted {
        _ if lost => good,
        None => record.live.filter(|r| !bad(memory, &record, *r)).or(good),
        Some(wanted) if bad(memory, &record, wanted) => good,
        Some(wanted) => Some(wanted),
    }
}

/// The goal, where it has yet to prove itself: checks, a delay and a person's word stand between it and the traffic.
/// What was confirmed, or what a person went back to, needs none of them.
pub fn gated(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let proven = |r: Revision| {
        memory.confirmed.is_some_and(|c| c.revision == r) || memory.held.as_ref().is_some_and(|h| h.revision == r)
    };
    goal(seen, memory).filter(|r| !proven(*r))
}

/// Live and wanted, and neither confirmed nor given up: it may be confirmed.
pub fn on_trial(seen: &Observed, memory: &Memory) -> Option<Revision> {
    undecided(seen, memory).filter(|r| wanted(seen, memory) == Some(*r))
}

/// Live while nothing else is wanted (an invalid spec wants nothing), and neither confirmed nor given up: it may be
/// given up.
pub fn undecided(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let record = seen.record();
    let live = record.live.filter(|r| wanted(seen, memory).is_none_or(|w| w == *r))?;
    let decided = memory.confirmed.is_some_and(|c| c.revision == live) || bad(memory, &record, live);
    (!decided).then_some(live)
}

/// The live slices list this revision's pods and nothing else.
pub fn only_listed(seen: &Observed, revision: Revision) -> bool {
    let Some(service) = &seen.service else { return false };
    service.selects == Selects::Revision(revision)
        && service.strangers == 0
        && service.listed.iter().all(|(r, n)| *r == revision || *n == 0)
}

/// Ready endpoints that are enough: what is wanted now or what the revision was scaled to, whichever is less; never
/// none.
pub fn need(seen: &Observed, revision: Revision) -> i32 {
    let has = seen.deployment(revision).map_or(0, |d| d.replicas);
    seen.order.as_ref().map_or(has, |o| o.replicas.min(has)).max(1)
}

/// Pods of the candidate are its nomination's own: the claim is the nomination's, its controllers have seen it, and no
/// pod from before is still going away.
pub fn claimed(seen: &Observed, revision: Revision) -> bool {
    let record = seen.record();
    let Some(deployment) = seen.deployment(revision) else { return false };
    record.candidate == Some(revision)
        && record.since.is_some()
        && deployment.claim == record.since
        && deployment.current
        && deployment.replicas > 0
}

/// The candidate became ready under its nomination, with as many pods as it was scaled to.
pub fn may_select(seen: &Observed, revision: Revision) -> bool {
    claimed(seen, revision) && seen.ready(revision) >= need(seen, revision)
}

/// It has all its pods: no fewer than the spec says, where the spec lets it begin with fewer.
pub fn full(seen: &Observed, revision: Revision) -> bool {
    let Ok(order) = &seen.order else { return true };
    let begins = order.preview.as_ref().is_some_and(|p| p.replicas.is_some());
    !begins || seen.deployment(revision).is_some_and(|d| d.replicas >= order.replicas)
}
