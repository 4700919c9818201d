//! The status that people and programs read, derived from memory and facts. Nothing here is read back.

use std::cmp::max;

use switchyard_api::{
    Revision,
    check::Moment,
    condition::{self, Condition, State, reason},
    names,
    rollout::{Memory, Outcome, Phase, RejectedStatus, RevisionStatus, RolloutStatus, Unlisted},
};

use super::{
    checks,
    goal::{described, goal, need},
    memory::{only_ready_problem, releases},
    observed::Observed,
    stage::{Stage, paused, stands_in_the_way, wanted_or_why},
};
use crate::{Event, words};

pub fn describe(stage: &Stage, seen: &Observed, memory: Memory) -> RolloutStatus {
    let record = seen.record();
    let live = record.live.map(|r| revision_status(seen, &memory, r));
    let next = next(stage, seen, &memory).map(|r| revision_status(seen, &memory, r));
    let mut status = RolloutStatus {
        phase: Some(phase(stage, seen, &memory)),
        waiting_for: waiting_for(stage, seen, &memory),
        version: live.as_ref().and_then(version),
        pods: live.as_ref().map(|l| format!("{}/{}", l.ready, l.wanted)),
        replicas: live.as_ref().map_or(0, |l| l.wanted),
        ready_replicas: live.as_ref().map_or(0, |l| l.ready),
        selector: live.as_ref().map(|l| selector(seen, l.revision)).unwrap_or_default(),
        rejected: rejected(&memory),
        checks: checks::describe(seen, &memory),
        history: memory.history.clone(),
        conditions: conditions(stage, seen, &memory),
        live,
        next,
        ..RolloutStatus::default()
    };
    status.memory = memory;
    status
}

fn selector(seen: &Observed, revision: Revision) -> String {
    let name = seen.name.rsplit('/').next().unwrap_or_default();
    format!("{}={name},{}={revision}", names::LABEL_ROLLOUT, names::LABEL_REVISION)
}

fn revision_status(seen: &Observed, memory: &Memory, revision: Revision) -> RevisionStatus {
    let confirmed = memory.confirmed.filter(|c| c.revision == revision);
    RevisionStatus {
        revision,
        releases: releases(seen, memory, revision),
        ready: seen.ready(revision),
        wanted: seen.deployment(revision).map_or(0, |d| d.replicas),
        since: confirmed.map(|c| c.time),
        confirmed: confirmed.is_some(),
    }
}

/// The version of the release a revision carries, or its commit.
fn version(revision: &RevisionStatus) -> Option<String> {
    revision.releases.first().map(|r| r.version.clone().unwrap_or_else(|| r.commit.short().to_owned()))
}

/// On its way to live: the goal, unless it is there.
fn next(stage: &Stage, seen: &Observed, memory: &Memory) -> Option<Revision> {
    match stage {
        Stage::Deploying(r)
        | Stage::Checking(r, Moment::Preview, _)
        | Stage::Soaking(r, _)
        | Stage::AwaitingPromotion(r)
        | Stage::Paused(r)
        | Stage::Switching(r)
        | Stage::RollingBack(r)
        | Stage::Stranded(r) => Some(*r),
        Stage::Starting => described(seen, memory),
        Stage::Blocked { .. }
        | Stage::Restoring
        | Stage::Contended(_)
        | Stage::Mistaken(_)
        | Stage::Awaiting(..)
        | Stage::Checking(_, Moment::Live, _)
        | Stage::Confirming(_)
        | Stage::Keeping(_)
        | Stage::Settled(_) => None,
    }
}

fn phase(stage: &Stage, seen: &Observed, memory: &Memory) -> Phase {
    match stage {
        Stage::Starting | Stage::Awaiting(..) if seen.record().live.is_none() => Phase::Pending,
        Stage::Deploying(r) if memory.confirmed.is_some_and(|c| c.revision == *r) => Phase::RollingBack,
        Stage::Checking(..) => Phase::Checking,
        Stage::Paused(_) if withdrawn(seen) => Phase::Paused,
        Stage::Starting | Stage::Deploying(_) | Stage::Soaking(..) | Stage::AwaitingPromotion(_) => Phase::Deploying,
        Stage::Switching(_) | Stage::Restoring => Phase::Switching,
        Stage::RollingBack(_) => Phase::RollingBack,
        Stage::Confirming(_) => Phase::Confirming,
        Stage::Blocked { .. } | Stage::Contended(_) | Stage::Stranded(_) => Phase::Degraded,
        Stage::Mistaken(_) | Stage::Awaiting(..) | Stage::Paused(_) | Stage::Keeping(_) | Stage::Settled(_) => {
            if serves(seen) { Phase::Healthy } else { Phase::Degraded }
        }
    }
}

/// No candidate stands, so no switch decided before can land any more.
fn withdrawn(seen: &Observed) -> bool {
    seen.record().candidate.is_none()
}

/// What is live has the pods it needs, or none are wanted.
fn serves(seen: &Observed) -> bool {
    let resting = seen.order.as_ref().is_ok_and(|o| o.replicas == 0);
    seen.record().live.is_some_and(|r| resting || seen.ready(r) >= need(seen, r))
}

fn ready_sentence(seen: &Observed, revision: Revision) -> String {
    let replicas = seen.order.as_ref().map_or_else(|_| need(seen, revision), |o| o.replicas.max(1));
    let problem = only_ready_problem(seen, revision);
    let ready = seen.ready(revision);
    if ready >= replicas && seen.deployment(revision).is_some_and(|d| !d.current) {
        return format!("older pods of {revision} to be gone: {ready} new ones are ready");
    }
    format!("{replicas} ready pods of {revision}: {ready} so far{problem}")
}

fn waiting_for(stage: &Stage, seen: &Observed, memory: &Memory) -> Vec<String> {
    let mut sentences = match stage {
        Stage::Blocked { message, .. } => vec![message.clone()],
        Stage::Starting => vec!["the live Service to be created".to_owned()],
        Stage::Restoring => {
            vec![format!("the selector of Service {} to be put right: somebody changed it", seen.service_name)]
        }
        Stage::Contended(until) => {
            vec![format!(
                "somebody to stop changing the selector of Service {}; next try at {until}",
                seen.service_name
            )]
        }
        Stage::Mistaken(_) => vec![],
        Stage::Awaiting(_, what) => vec![what.clone()],
        Stage::Paused(_) if !withdrawn(seen) => vec!["the candidate to be withdrawn".to_owned()],
        Stage::Paused(r) => vec![format!("spec.paused to be false: {r} does not go live before")],
        Stage::Deploying(r) => vec![ready_sentence(seen, *r)],
        Stage::Checking(_, _, sentences) => sentences.clone(),
        Stage::Soaking(r, until) => {
            vec![format!("{until}: {r} is ready and checked, and is to stay so until then (promoteAfter)")]
        }
        Stage::AwaitingPromotion(r) => {
            vec![format!("a Command of type Promote for revision {r}: it is ready and checked")]
        }
        Stage::Switching(r) | Stage::RollingBack(r) => vec![format!("the live Service to select {r}")],
        Stage::Stranded(r) => vec![format!("pods of {r} to serve, to go back to it: {} are ready", seen.ready(*r))],
        Stage::Confirming(r) => vec![format!(
            "the live Service's endpoints to be those of {r} alone: {} listed, {} ready",
            seen.listed(*r),
            seen.ready(*r)
        )],
        Stage::Keeping(_) | Stage::Settled(_) => {
            let mut sentences = settled_sentences(seen, memory);
            sentences.extend(kept(seen, memory));
            sentences
        }
    };
    sentences.extend(preview_sentence(seen));
    if let Err(mistake) = &seen.order {
        sentences.push(format!("the spec to be corrected: {mistake}"));
    }
    if let Some(sentence) = seen.refused.as_ref().and_then(|(_, refusal)| words::refusal(refusal)) {
        sentences.insert(0, sentence);
    }
    sentences.iter().map(|s| words::capped(s, 1024)).collect()
}

fn settled_sentences(seen: &Observed, memory: &Memory) -> Vec<String> {
    if let Some(held) = &memory.held {
        let why = held.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        return vec![format!("a Command of type Resume: {} went back to {}{why}", held.by, held.revision)];
    }
    let given_up = described(seen, memory).and_then(|w| memory.failed.get(&w).map(|f| (w, f)));
    if let Some((revision, failed)) = given_up {
        return vec![format!(
            "a new template or release, or a Command of type Retry: {revision} was given up, {}",
            failed.message
        )];
    }
    if let Err((_, Stage::Awaiting(_, what))) = wanted_or_why(seen, memory) {
        return vec![what];
    }
    if let Some(r) = seen.record().live.filter(|_| !serves(seen)) {
        return vec![ready_sentence(seen, r)];
    }
    vec![]
}

/// Until when each revision that is on its way out keeps its pods, and by which setting. What is remembered decides the
/// words, and the clock does not: a word that time alone changed would be a write more.
fn kept(seen: &Observed, memory: &Memory) -> Vec<String> {
    let Ok(order) = &seen.order else { return vec![] };
    let goal = goal(seen, memory);
    let spared = described(seen, memory).filter(|_| paused(seen, memory));
    let leaves = |r: &Revision| goal != Some(*r) && spared != Some(*r);
    let was_confirmed = |r: Revision| memory.history.iter().any(|h| h.revision == r && h.outcome == Outcome::Promoted);
    let sentence = |r: &Revision, unlisted: &Unlisted| {
        let drained = (unlisted.time.plus(order.drain), "drain.duration");
        let way_back = seen.record().fallback == Some(*r) || was_confirmed(*r);
        let kept = memory.confirmed.filter(|_| way_back);
        let kept = kept.map(|c| (c.time.plus(order.scale_down_delay), "scaleDownDelay"));
        let failed = memory.failed.get(r);
        let looked_at = failed.map(|f| (f.time.plus(order.abort_scale_down_delay), "abortScaleDownDelay"));
        let (until, setting) = [kept.filter(|_| failed.is_none()), looked_at].into_iter().flatten().fold(drained, max);
        format!("{until}: {r} keeps its pods until then ({setting})")
    };
    memory.unlisted.iter().filter(|(r, _)| leaves(r)).map(|(r, u)| sentence(r, u)).collect()
}

/// What keeps the preview from showing anything.
fn preview_sentence(seen: &Observed) -> Option<String> {
    let order = seen.order.as_ref().ok()?.preview.as_ref()?;
    let name = &order.service;
    match &seen.preview {
        Some(preview) => preview.foreign.as_ref().map(|foreign| format!("Service {name} {}", foreign.message())),
        None => order.referred.then(|| format!("Service {name} to exist: spec.preview.serviceRef names it")),
    }
}

fn rejected(memory: &Memory) -> Vec<RejectedStatus> {
    let mut rejected: Vec<_> = memory
        .failed
        .iter()
        .map(|(revision, f)| RejectedStatus {
            revision: *revision,
            reason: f.reason.clone(),
            message: f.message.clone(),
            time: f.time,
            releases: f.releases.clone(),
        })
        .collect();
    rejected.sort_by_key(|r| std::cmp::Reverse((r.time, r.revision)));
    rejected
}

fn conditions(stage: &Stage, seen: &Observed, memory: &Memory) -> Vec<Condition> {
    let live = seen.record().live;
    let ready = match live {
        Some(r) if serves(seen) => Condition::new(
            condition::READY,
            true,
            reason::HEALTHY,
            format!("{r} serves with {} ready pods", seen.ready(r)),
        ),
        Some(r) => Condition::new(
            condition::READY,
            false,
            reason::DEGRADED,
            format!("{} of {} pods of {r} are ready{}", seen.ready(r), need(seen, r), only_ready_problem(seen, r)),
        ),
        None => Condition::new(condition::READY, false, reason::NOT_LIVE, "no revision is live yet"),
    };
    let (moving, why, message) = progress(stage, seen, memory);
    let stalled = stalled(stage, seen, memory);
    let is_stalled = stalled.status == State::True;
    vec![
        ready,
        Condition::new(condition::PROGRESSING, moving, why, message.clone()),
        Condition::new(condition::RECONCILING, moving && !is_stalled, why, message),
        stalled,
    ]
}

fn progress(stage: &Stage, seen: &Observed, memory: &Memory) -> (bool, &'static str, String) {
    let told = || waiting_for(stage, seen, memory).join("; ");
    match stage {
        Stage::Blocked { reason, message } => (false, reason, message.clone()),
        Stage::Starting | Stage::Deploying(_) => (true, reason::DEPLOYING, told()),
        Stage::Switching(_) | Stage::Restoring => (true, reason::SWITCHING, told()),
        Stage::RollingBack(_) | Stage::Stranded(_) => (true, reason::ROLLING_BACK, told()),
        Stage::Confirming(_) => (true, reason::CONFIRMING, told()),
        Stage::Contended(_) => (true, reason::SELECTOR_CONTENDED, told()),
        Stage::Mistaken(mistake) => (false, reason::INVALID_SPEC, mistake.to_string()),
        Stage::Awaiting(reason, what) => (false, reason, what.clone()),
        Stage::Paused(_) => (!withdrawn(seen), reason::PAUSED, told()),
        Stage::Checking(..) => (true, reason::CHECKING, told()),
        Stage::Soaking(..) => (true, reason::SOAKING, told()),
        Stage::AwaitingPromotion(_) => (false, reason::AWAITING_PROMOTION, told()),
        Stage::Keeping(_) | Stage::Settled(_) if !serves(seen) => (true, reason::DEGRADED, told()),
        Stage::Keeping(_) | Stage::Settled(_) if memory.held.is_some() => (false, reason::HELD, told()),
        Stage::Keeping(r) | Stage::Settled(r) => (false, reason::HEALTHY, format!("{r} is live")),
    }
}

fn stalled(stage: &Stage, seen: &Observed, memory: &Memory) -> Condition {
    let because = |reason: &str, message: String| Condition::new(condition::STALLED, true, reason, message);
    let given_up = described(seen, memory).and_then(|w| memory.failed.get(&w).map(|f| (w, f)));
    let given_up = given_up.filter(|_| memory.held.is_none());
    let refused = seen.refused.as_ref().and_then(|(_, refusal)| words::refusal(refusal));
    if let Err(mistake) = &seen.order {
        return because(reason::INVALID_SPEC, mistake.to_string());
    }
    match (stage, given_up, refused) {
        (Stage::Blocked { reason, message }, _, _) => because(reason, message.clone()),
        (_, Some((revision, failed)), _) => {
            because(&failed.reason, format!("{revision} was given up: {}", failed.message))
        }
        (_, None, Some(sentence)) => because(reason::REFUSED, sentence),
        (_, None, None) if let Some(foreign) = seen.preview.as_ref().and_then(|p| p.foreign.as_ref()) => {
            because(stands_in_the_way(foreign), preview_sentence(seen).unwrap_or_default())
        }
        (_, None, None) => Condition::new(condition::STALLED, false, reason::PROGRESSING, "nothing stands in the way"),
    }
}

pub fn events(before: &RolloutStatus, after: &RolloutStatus) -> Vec<Event> {
    let mut events = vec![];
    let live = |s: &RolloutStatus| s.live.as_ref().map(|l| l.revision);
    let named = |r: &RevisionStatus| match version(r) {
        Some(version) => format!("{} ({version})", r.revision),
        None => r.revision.to_string(),
    };
    if let Some(now) = after.live.as_ref().filter(|_| live(before) != live(after)) {
        let from = live(before).map(|r| format!(", from {r}")).unwrap_or_default();
        events.push(Event::normal("Switched", format!("traffic goes to {}{from}", named(now))));
    }
    if let Some(now) = after.live.as_ref().filter(|l| l.confirmed)
        && before.memory.confirmed.map(|c| c.revision) != Some(now.revision)
    {
        events.push(Event::normal("Confirmed", format!("{} serves and is confirmed", named(now))));
    }
    for rejected in &after.rejected {
        if !before.memory.failed.contains_key(&rejected.revision) {
            events
                .push(Event::warning("Rejected", format!("{} was given up: {}", rejected.revision, rejected.message)));
        }
    }
    events
}
