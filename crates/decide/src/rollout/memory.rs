//! Facts become memory: here and nowhere else.

use switchyard_api::{
    Duration, Revision, Timestamp,
    check::Moment,
    condition::reason,
    rollout::{Failed, HistoryEntry, Mark, Memory, Outcome, Progress, ReleaseRef, Restored, Taken, Unlisted},
};

use super::{
    checks::{self, Verdict},
    commands,
    goal::{described, full, gated, goal, may_select, need, undecided, wanted},
    observed::{Observed, Selects, Service},
    order::Order,
};

/// How long an unconfirmed live revision may have too few ready pods before traffic goes back.
pub const UNREADY_LIMIT: Duration = Duration::from_secs(30);
/// A selector changed by others is put right this often in [`RESTORE_WINDOW`]; then the operator backs off.
pub const RESTORE_LIMIT: usize = 3;
pub const RESTORE_WINDOW: Duration = Duration::from_mins(10);
/// Given-up revisions that are remembered beyond their Deployments.
const REMEMBERED: usize = 10;
/// How many revisions the history tells of.
const HISTORY: usize = 10;

pub fn remember(seen: &Observed) -> Memory {
    let mut memory = seen.memory.clone();
    take(seen, &mut memory);
    commands::obey(seen, &mut memory);
    checks::count(seen, &mut memory);
    verdict(seen, &mut memory);
    progress(seen, &mut memory);
    good(seen, &mut memory);
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

/// A verdict counts only for what is live while nothing else is wanted: otherwise, when a later one was rejected, a
/// Service seen late would let earlier ones be confirmed in turn, for ever.
fn verdict(seen: &Observed, memory: &mut Memory) {
    let Some(revision) = undecided(seen, memory) else {
        memory.unready_since = None;
        return;
    };
    let enough = need(seen, revision);
    let subject = checks::subject(seen, memory).filter(|s| s.revision == revision && s.moment == Moment::Live);
    match subject.map(|s| checks::verdict(seen, memory, &s)) {
        Some(Verdict::Failed(reason, message)) => {
            memory.unready_since = None;
            return fail(seen, memory, revision, reason, message, None);
        }
        Some(Verdict::Passed) => return confirm(seen, memory, revision),
        Some(Verdict::Open(_)) | None => {}
    }
    if seen.ready(revision) >= enough || seen.order.as_ref().is_ok_and(|o| o.replicas == 0) {
        memory.unready_since = None;
        return;
    }
    let since = *memory.unready_since.get_or_insert(seen.now);
    if seen.now.since(since) >= UNREADY_LIMIT {
        let message =
            format!("{} of {enough} pods were ready for {UNREADY_LIMIT} after the switch", seen.ready(revision));
        fail(seen, memory, revision, reason::LOST_READINESS, message, None);
        memory.unready_since = None;
    }
}

fn confirm(seen: &Observed, memory: &mut Memory, revision: Revision) {
    let by = [&memory.held, &memory.promoted].into_iter().flatten().find(|p| p.revision == revision);
    let by = by.map(|p| p.by.clone());
    tell(seen, memory, revision, Outcome::Promoted, by);
    memory.confirmed = Some(Mark { revision, time: seen.now });
    memory.promoted = memory.promoted.take().filter(|p| p.revision != revision);
    memory.progress = None;
    memory.good_since = None;
    memory.unready_since = None;
}

/// Adds to the history.
fn tell(seen: &Observed, memory: &mut Memory, revision: Revision, outcome: Outcome, by: Option<String>) {
    let releases = releases(seen, memory, revision);
    memory.history.insert(0, HistoryEntry { revision, outcome, time: seen.now, by, releases });
    memory.history.truncate(HISTORY);
}

/// Counts more ready pods and results of checks as progress, and gives up what made none for the deadline. It counts
/// while the revision is the goal, has no place yet, and nobody but its pods and its checks keeps it from one; whatever
/// interrupts that starts it anew.
fn progress(seen: &Observed, memory: &mut Memory) {
    superseded(seen, memory);
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
    if let Some((_, Verdict::Failed(reason, message))) = checks::standing(seen, memory) {
        return fail(seen, memory, wanted, reason, message, None);
    }
    let ready = seen.ready(wanted);
    match &mut memory.progress {
        Some(p) if p.revision == wanted && ready <= p.ready => {
            let late = seen.now.since(p.time.max(seen.started)) >= order.progress_deadline;
            let confirmed = memory.confirmed.is_some_and(|c| c.revision == wanted);
            if late
                && !confirmed
                && let Some(message) = lack(seen, memory, wanted, order)
            {
                fail(seen, memory, wanted, reason::PROGRESS_DEADLINE_EXCEEDED, message, None);
            }
        }
        progress => *progress = Some(Progress { revision: wanted, ready, time: seen.now }),
    }
}

/// What the revision owes: ready pods, or answers to its checks. A Job that runs has a time limit of its own, and
/// waiting for a person or a delay is nobody's fault.
fn lack(seen: &Observed, memory: &Memory, revision: Revision, order: &Order) -> Option<String> {
    let deadline = order.progress_deadline;
    if let Some((subject, Verdict::Open(sentences))) = checks::standing(seen, memory) {
        let runs = checks::job_runs(seen, memory, &subject);
        return (!runs).then(|| format!("for {deadline} it waited for {}", sentences.join("; ")));
    }
    (!may_select(seen, revision) || !full(seen, revision)).then(|| {
        let problem = only_ready_problem(seen, revision);
        let (ready, replicas) = (seen.ready(revision), order.replicas);
        format!("{ready} of {replicas} pods became ready, and no more for {deadline}{problem}")
    })
}

/// What was on its way, and no longer is.
fn superseded(seen: &Observed, memory: &mut Memory) {
    let Some(before) = memory.progress.map(|p| p.revision) else { return };
    let next = described(seen, memory);
    if next.is_some_and(|n| n != before) && !memory.failed.contains_key(&before) && memory.held.is_none() {
        tell(seen, memory, before, Outcome::Superseded, None);
        memory.progress = None;
    }
}

/// Since when the candidate has been good enough to go live, where that is to last for some time.
fn good(seen: &Observed, memory: &mut Memory) {
    let Ok(order) = &seen.order else { return };
    if order.promote_after.is_zero() {
        memory.good_since = None;
        return;
    }
    let candidate = gated(seen, memory).filter(|r| seen.record().candidate == Some(*r));
    let good = candidate.filter(|r| {
        let checked = checks::standing(seen, memory).map(|(_, verdict)| verdict);
        checked == Some(Verdict::Passed) && full(seen, *r) && may_select(seen, *r)
    });
    match good {
        Some(revision) if memory.good_since.is_some_and(|m| m.revision == revision) => {}
        Some(revision) => memory.good_since = Some(Mark { revision, time: seen.now }),
        None => memory.good_since = None,
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

/// Gives a revision up: remembered here, and then fenced off in the live Service's record.
pub fn fail(
    seen: &Observed,
    memory: &mut Memory,
    revision: Revision,
    reason: &str,
    message: String,
    by: Option<&String>,
) {
    let outcome = if seen.record().live == Some(revision) { Outcome::RolledBack } else { Outcome::Aborted };
    tell(seen, memory, revision, outcome, by.cloned());
    let releases = releases(seen, memory, revision);
    memory.progress = None;
    memory.good_since = None;
    memory.promoted = memory.promoted.take().filter(|p| p.revision != revision);
    memory.failed.insert(revision, Failed { reason: reason.to_owned(), message, time: seen.now, releases });
}

/// The releases a revision carries: for the one that the spec describes what was taken last (two releases may have the same digests),
/// for any other what was written on its Deployment.
pub fn releases(seen: &Observed, memory: &Memory, revision: Revision) -> Vec<ReleaseRef> {
    if described(seen, memory) == Some(revision) {
        return memory.taken.values().map(|t| t.release.clone()).collect();
    }
    seen.deployment(revision).map(|d| d.releases.clone()).unwrap_or_default()
}

/// Given up for good once the live Service's record is seen to fence it off: that it is absent from a Service seen
/// late proves nothing.
fn acknowledge(seen: &Observed, memory: &mut Memory) {
    let record = seen.record();
    let fenced: Vec<Revision> =
        memory.failed.keys().filter(|r| record.voids(**r, memory.attempt(**r))).copied().collect();
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
    let wanted = described(seen, memory);
    let held = memory.held.as_ref().map(|h| h.revision);
    let there = |r: &Revision| seen.deployment(*r).is_some() || wanted == Some(*r) || held == Some(*r);
    memory.attempts.retain(|r, _| there(r));
    let mut gone: Vec<(Timestamp, Revision)> = memory
        .failed
        .iter()
        .filter(|(r, _)| !there(r) && memory.rejected.contains(r))
        .map(|(r, f)| (f.time, *r))
        .collect();
    gone.sort_unstable();
    let surplus = gone.len().saturating_sub(REMEMBERED);
    for (_, revision) in gone.into_iter().take(surplus) {
        memory.failed.remove(&revision);
        memory.rejected.remove(&revision);
    }
}
