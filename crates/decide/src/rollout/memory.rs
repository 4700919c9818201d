//! Facts become memory: here and nowhere else.

use switchyard_api::{
    Duration, Revision, Timestamp,
    condition::reason,
    rollout::{Failed, Mark, Memory, Progress, ReleaseRef, Restored, Taken, Unlisted},
};

use super::{
    observed::{Observed, Selects, Service},
    stage::{goal, may_select, need, on_trial, undecided, wanted},
};

/// How long an unconfirmed live revision may have too few ready pods before traffic goes back.
pub const UNREADY_LIMIT: Duration = Duration::from_secs(30);
/// A selector changed by others is put right this often in [`RESTORE_WINDOW`]; then the operator backs off.
pub const RESTORE_LIMIT: usize = 3;
pub const RESTORE_WINDOW: Duration = Duration::from_mins(10);
/// Given-up revisions that are remembered beyond their Deployments.
const REMEMBERED: usize = 10;

pub fn remember(seen: &Observed) -> Memory {
    let mut memory = seen.memory.clone();
    take(seen, &mut memory);
    verdict(seen, &mut memory);
    progress(seen, &mut memory);
    acknowledge(seen, &mut memory);
    unlisted(seen, &mut memory);
    restore(seen, &mut memory);
    forget(seen, &mut memory);
    memory
}

/// A release counts if its Pipeline names this Rollout back and, within one Pipeline, is newer than the last taken.
fn take(seen: &Observed, memory: &mut Memory) {
    let Ok(order) = &seen.order else { return };
    memory.taken.retain(|pipeline, _| order.images.iter().any(|i| i.pipeline == *pipeline));
    for (name, offer) in &seen.offers {
        let Some(release) = offer.release.as_ref().filter(|_| offer.names_us) else { continue };
        let known = memory.taken.get(name).map(|t| &t.release);
        let newer = known.is_none_or(|k| k.pipeline_uid != offer.uid || release.sequence > k.sequence);
        if newer && order.images.iter().any(|i| i.pipeline == *name) {
            let taken = ReleaseRef {
                pipeline: name.clone(),
                pipeline_uid: offer.uid.clone(),
                sequence: release.sequence,
                build: release.build.clone(),
                version: release.version.clone(),
                commit: release.commit.clone(),
            };
            memory.taken.insert(name.clone(), Taken { release: taken, images: release.images.clone() });
        }
    }
}

/// A verdict counts only for what is live while nothing else is wanted: otherwise, when a later one was rejected, a Service seen late
/// would let earlier ones be confirmed in turn, for ever.
fn verdict(seen: &Observed, memory: &mut Memory) {
    let Some(revision) = undecided(seen, memory) else {
        memory.unready_since = None;
        return;
    };
    let enough = need(seen, revision);
    if on_trial(seen, memory) == Some(revision) && only_listed(seen, revision) && seen.listed(revision) >= enough {
        memory.confirmed = Some(Mark { revision, time: seen.now });
        memory.progress = None;
        memory.unready_since = None;
    } else if seen.ready(revision) >= enough || seen.order.as_ref().is_ok_and(|o| o.replicas == 0) {
        memory.unready_since = None;
    } else {
        let since = *memory.unready_since.get_or_insert(seen.now);
        if seen.now.since(since) >= UNREADY_LIMIT {
            let message =
                format!("{} of {enough} pods were ready for {UNREADY_LIMIT} after the switch", seen.ready(revision));
            fail(seen, memory, revision, reason::LOST_READINESS, message);
            memory.unready_since = None;
        }
    }
}

/// The live slices list this revision's pods and nothing else.
fn only_listed(seen: &Observed, revision: Revision) -> bool {
    let Some(service) = &seen.service else { return false };
    service.selects == Selects::Revision(revision)
        && service.strangers == 0
        && service.listed.iter().all(|(r, n)| *r == revision || *n == 0)
}

/// Counts more ready pods as progress, and gives up what made none for the deadline. It counts while the revision is
/// the goal, has no place yet, and nobody but its pods keeps it from one; whatever interrupts that starts it anew.
fn progress(seen: &Observed, memory: &mut Memory) {
    let goal = goal(seen, memory).filter(|g| wanted(seen, memory) == Some(*g));
    let (Ok(order), Some(wanted)) = (&seen.order, goal) else {
        memory.progress = None;
        return;
    };
    let record = seen.record();
    if record.live == Some(wanted) && memory.confirmed.is_none_or(|c| c.revision != wanted) {
        return; // on trial: the verdict ends it, without a write of its own
    }
    let arrived = record.live == Some(wanted) || record.fallback == Some(wanted);
    if arrived || hindered(seen, memory, wanted) {
        memory.progress = None;
        return;
    }
    let ready = seen.ready(wanted);
    match &mut memory.progress {
        Some(p) if p.revision == wanted && ready <= p.ready => {
            let last = p.time.max(seen.started);
            let confirmed = memory.confirmed.is_some_and(|c| c.revision == wanted);
            if seen.now.since(last) >= order.progress_deadline && !confirmed && !may_select(seen, wanted) {
                let message = format!(
                    "{} of {} pods became ready, and no more for {}{}",
                    ready,
                    order.replicas,
                    order.progress_deadline,
                    only_ready_problem(seen, wanted)
                );
                fail(seen, memory, wanted, reason::PROGRESS_DEADLINE_EXCEEDED, message);
            }
        }
        progress => *progress = Some(Progress { revision: wanted, ready, time: seen.now }),
    }
}

/// Somebody else has to act first.
fn hindered(seen: &Observed, memory: &Memory, revision: Revision) -> bool {
    let strange = |s: &Service| s.foreign.is_some();
    seen.service.as_ref().is_none_or(strange)
        || contended_until(seen, memory).is_some()
        || seen.revisions.get(&revision).is_some_and(|r| r.conflict.is_some())
}

/// Why pods of the revision are not ready, to be put behind a sentence.
pub fn only_ready_problem(seen: &Observed, revision: Revision) -> String {
    let problem = seen.revisions.get(&revision).and_then(|r| r.problem.as_ref());
    problem.map(|p| format!(": {p}")).unwrap_or_default()
}

fn fail(seen: &Observed, memory: &mut Memory, revision: Revision, reason: &str, message: String) {
    let releases = releases(seen, memory, revision);
    memory.progress = None;
    memory.failed.insert(revision, Failed { reason: reason.to_owned(), message, time: seen.now, releases });
}

/// The releases a revision carries: for the wanted one what was taken last (two releases may have the same digests),
/// for any other what was written on its Deployment.
pub fn releases(seen: &Observed, memory: &Memory, revision: Revision) -> Vec<ReleaseRef> {
    if wanted(seen, memory) == Some(revision) {
        return memory.taken.values().map(|t| t.release.clone()).collect();
    }
    seen.deployment(revision).map(|d| d.releases.clone()).unwrap_or_default()
}

/// Given up for good once the live Service's record is seen to fence it off: that it is absent from a Service seen
/// late proves nothing.
fn acknowledge(seen: &Observed, memory: &mut Memory) {
    let void = seen.record().void;
    let fenced: Vec<Revision> = memory.failed.keys().filter(|r| void.contains(r)).copied().collect();
    memory.rejected.extend(fenced);
}

/// The drain of a revision counts from the first time that neither the selector nor a slice named it, and anew from
/// every switch: one that this memory has not heard of may have made it live in between.
fn unlisted(seen: &Observed, memory: &mut Memory) {
    let Some(service) = &seen.service else { return };
    let record = seen.record();
    let moved = record.moved.as_ref().map(|v| v.as_str().to_owned());
    memory.unlisted.retain(|r, u| u.moved == moved && seen.deployment(*r).is_some_and(|d| d.replicas > 0));
    for (revision, _) in seen.revisions.iter().filter(|(_, s)| s.deployment.as_ref().is_some_and(|d| d.replicas > 0)) {
        let named = service.selects == Selects::Revision(*revision)
            || seen.listed(*revision) > 0
            || record.live == Some(*revision)
            || goal(seen, memory) == Some(*revision);
        if named {
            memory.unlisted.remove(revision);
        } else {
            memory.unlisted.entry(*revision).or_insert(Unlisted { time: seen.now, moved: moved.clone() });
        }
    }
}

/// Whether a stranger's selector may be put right, remembered before it is.
fn restore(seen: &Observed, memory: &mut Memory) {
    let Some(service) = &seen.service else { return };
    if !disagrees(seen) || memory.restored.iter().any(|r| r.version == service.version.as_str()) {
        return;
    }
    let recent = memory.restored.iter().filter(|r| seen.now.since(r.time) < RESTORE_WINDOW).count();
    if recent < RESTORE_LIMIT {
        memory.restored.push(Restored { version: service.version.as_str().to_owned(), time: seen.now });
        let surplus = memory.restored.len().saturating_sub(RESTORE_LIMIT);
        memory.restored.drain(..surplus);
    }
}

/// The selector is not what the record beside it says: we write them together, so somebody else wrote one. Where the
/// record has nothing live (the first deployment, or a lost one that is being restored) there is nothing to put
/// right: whatever the selector says may well serve, until the goal can.
pub fn disagrees(seen: &Observed) -> bool {
    let live = seen.record().live;
    seen.service.as_ref().is_some_and(|s| s.foreign.is_none() && live.is_some() && s.selects != Selects::from(live))
}

/// When the next restore is allowed again.
pub fn contended_until(seen: &Observed, memory: &Memory) -> Option<Timestamp> {
    let service = seen.service.as_ref()?;
    let allowed = memory.restored.iter().any(|r| r.version == service.version.as_str());
    let first = memory.restored.first()?;
    (disagrees(seen) && !allowed).then(|| first.time.plus(RESTORE_WINDOW))
}

/// Keeps what is still there or wanted, and the last few others.
fn forget(seen: &Observed, memory: &mut Memory) {
    let wanted = wanted(seen, memory);
    let mut gone: Vec<(Timestamp, Revision)> = memory
        .failed
        .iter()
        .filter(|(r, _)| seen.deployment(**r).is_none() && Some(**r) != wanted && memory.rejected.contains(r))
        .map(|(r, f)| (f.time, *r))
        .collect();
    gone.sort_unstable();
    let surplus = gone.len().saturating_sub(REMEMBERED);
    for (_, revision) in gone.into_iter().take(surplus) {
        memory.failed.remove(&revision);
        memory.rejected.remove(&revision);
    }
}
