//! The status that people and programs read.

use switchyard_api::{
    condition::{self, Condition, State, reason},
    pipeline::{EnvironmentMemory, EnvironmentState, EnvironmentStatus, Memory, PipelineStatus, SourceStatus},
};

use super::{
    Stage,
    observed::{EnvironmentOrder, Observed},
};
use crate::{Event, Unreachable, words};

pub fn describe(stage: &Stage, seen: &Observed, memory: Memory) -> PipelineStatus {
    let environments: Vec<_> = seen.order.environments.iter().map(|e| environment(seen, &memory, e)).collect();
    let newest = memory.candidates.last();
    PipelineStatus {
        version: newest.and_then(|c| c.version.clone()),
        short_commit: memory.head.as_ref().map(|h| h.commit.short().to_owned()),
        summary: Some(environments.iter().map(|e| summary(&memory, e)).collect::<Vec<_>>().join(", ")),
        source: memory.head.as_ref().map(|h| SourceStatus {
            reference: h.branch.clone(),
            commit: h.commit.clone(),
            seen_time: h.seen,
        }),
        releases: memory.environments.values().filter_map(|e| e.release.clone()).collect(),
        waiting_for: waiting(stage, seen, &memory, &environments),
        conditions: conditions(stage, seen, &memory, &environments),
        environments,
        memory,
        ..PipelineStatus::default()
    }
}

fn environment(seen: &Observed, memory: &Memory, order: &EnvironmentOrder) -> EnvironmentStatus {
    let none = EnvironmentMemory::default();
    let known = memory.environments.get(&order.name).unwrap_or(&none);
    let state = match &known.release {
        None => EnvironmentState::Empty,
        Some(r) if known.rejected.contains(&r.build) => EnvironmentState::Rejected,
        Some(r) if known.live.as_ref() == Some(&r.build) => EnvironmentState::Live,
        Some(_) => EnvironmentState::Releasing,
    };
    let version = |build: &String| {
        let found = memory.candidates.iter().find(|c| c.build == *build);
        found.map(|c| c.version.clone().unwrap_or_else(|| c.commit.short().to_owned()))
    };
    EnvironmentStatus {
        name: order.name.clone(),
        wanted: known.release.as_ref().map(|r| r.build.clone()),
        live: known.live.clone(),
        live_version: known.live.as_ref().and_then(version),
        rejected: known.rejected.iter().cloned().collect(),
        waiting_for: environment_waits(seen, memory, order, known, state),
        state,
    }
}

fn environment_waits(
    seen: &Observed,
    memory: &Memory,
    order: &EnvironmentOrder,
    known: &EnvironmentMemory,
    state: EnvironmentState,
) -> Option<String> {
    let trouble = |name: &String| match seen.rollouts.get(name) {
        None => Some(format!("Rollout {name}, which does not exist")),
        Some(r) if !r.names_us => Some(format!("Rollout {name} to name this Pipeline in images.pipelineRef")),
        Some(r) => {
            let done = known.release.as_ref().is_some_and(|x| r.live == Some(x.sequence) && r.healthy);
            (!done).then(|| format!("Rollout {name}: {}", r.message.as_deref().unwrap_or("the release to be taken")))
        }
    };
    let sentence = match state {
        EnvironmentState::Live => None,
        EnvironmentState::Releasing | EnvironmentState::Rejected => order.rollouts.iter().find_map(trouble),
        EnvironmentState::Empty if memory.candidates.is_empty() => Some("a build that succeeds".to_owned()),
        EnvironmentState::Empty => Some(format!("the build to do well in {}", order.after.join(" and "))),
    };
    sentence.map(|s| words::capped(&s, 1024))
}

fn summary(memory: &Memory, e: &EnvironmentStatus) -> String {
    let live = e.live_version.clone().unwrap_or_else(|| "-".to_owned());
    let wanted = e.wanted.as_ref().and_then(|b| memory.candidates.iter().find(|c| c.build == *b));
    let wanted = wanted.map(|c| c.version.clone().unwrap_or_else(|| c.commit.short().to_owned())).unwrap_or_default();
    match e.state {
        EnvironmentState::Empty | EnvironmentState::Live => format!("{} {live}", e.name),
        EnvironmentState::Releasing => format!("{} {live} -> {wanted}", e.name),
        EnvironmentState::Rejected => format!("{} {live} ({wanted} rejected)", e.name),
    }
}

fn waiting(stage: &Stage, seen: &Observed, memory: &Memory, environments: &[EnvironmentStatus]) -> Vec<String> {
    let mut sentences = vec![];
    sentences.extend(seen.refused.as_ref().and_then(|(_, refusal)| words::refusal(refusal)));
    match stage {
        Stage::Suspended => sentences.push("somebody to set spec.suspend to false".to_owned()),
        Stage::Unreachable(why) => sentences.push(why.message().to_owned()),
        Stage::Looking => sentences.push(format!("the first answer of {}", seen.order.url)),
        Stage::Building | Stage::Promoting | Stage::Settled => {}
    }
    if let Some(built) = &memory.built {
        match &built.ended {
            None => {
                let what = seen.builds.get(&built.build).and_then(|b| b.waiting.clone());
                sentences.push(format!("Build {}{}", built.build, what.map(|w| format!(": {w}")).unwrap_or_default()));
            }
            Some(ended) if !ended.succeeded && !ended.skipped => {
                let why = ended.message.clone().unwrap_or_default();
                sentences.push(format!("a new commit: Build {} failed, {why}", built.build));
            }
            Some(_) => {}
        }
    }
    let waits = environments.iter().filter(|e| e.state != EnvironmentState::Empty || !memory.candidates.is_empty());
    sentences.extend(waits.filter_map(|e| e.waiting_for.as_ref().map(|w| format!("{}: {w}", e.name))));
    sentences.iter().map(|s| words::capped(s, 1024)).collect()
}

fn conditions(stage: &Stage, seen: &Observed, memory: &Memory, environments: &[EnvironmentStatus]) -> Vec<Condition> {
    let told = || waiting(stage, seen, memory, environments).join("; ");
    let ready = match (stage, &memory.head) {
        (Stage::Unreachable(why @ Unreachable::Secret(m)), _) => {
            let _ = why;
            Condition::new(condition::READY, false, reason::SECRET_NOT_READABLE, m)
        }
        (Stage::Unreachable(why), _) => {
            Condition::new(condition::READY, false, reason::SOURCE_UNREACHABLE, why.message())
        }
        (_, Some(head)) => {
            let message = format!("{} is at {}", head.branch, head.commit.short());
            let reason = if *stage == Stage::Suspended { reason::SUSPENDED } else { reason::SUCCEEDED };
            Condition::new(condition::READY, true, reason, message)
        }
        (_, None) => {
            Condition::new(condition::READY, State::Unknown, reason::NOT_OBSERVED, "the source was not asked yet")
        }
    };
    let (built, why, message) = match memory.built.as_ref().map(|b| (b, &b.ended)) {
        None => (State::Unknown, reason::NOT_OBSERVED, "no commit was seen yet".to_owned()),
        Some((b, None)) => (State::False, reason::BUILDING, format!("Build {} is running", b.build)),
        Some((b, Some(e))) if e.succeeded => (State::True, reason::SUCCEEDED, format!("Build {} succeeded", b.build)),
        Some((b, Some(e))) if e.skipped => {
            (State::True, "Skipped", format!("Build {}: nothing of source.git.paths changed", b.build))
        }
        Some((b, Some(e))) => (
            State::False,
            reason::BUILD_FAILED,
            format!("Build {}: {}", b.build, e.message.clone().unwrap_or_default()),
        ),
    };
    let newest = memory.candidates.last().map(|c| &c.build);
    let everywhere = newest.is_some() && environments.iter().all(|e| e.live.as_ref() == newest);
    let rejected = environments.iter().any(|e| e.state == EnvironmentState::Rejected);
    let promoted = match (everywhere, rejected) {
        (true, _) => {
            Condition::new(condition::PROMOTED, true, reason::SUCCEEDED, "every environment runs the newest good build")
        }
        (false, true) => Condition::new(condition::PROMOTED, false, reason::REJECTED, told()),
        (false, false) => Condition::new(condition::PROMOTED, false, reason::PROMOTING, told()),
    };
    let (moving, moving_reason) = match stage {
        Stage::Looking => (true, reason::PROGRESSING),
        Stage::Unreachable(_) => (true, reason::SOURCE_UNREACHABLE),
        Stage::Building => (true, reason::BUILDING),
        Stage::Promoting => (true, reason::PROMOTING),
        Stage::Suspended => (false, reason::SUSPENDED),
        Stage::Settled => (false, reason::SUCCEEDED),
    };
    let stalled = match seen.refused.as_ref().and_then(|(_, refusal)| words::refusal(refusal)) {
        Some(sentence) => Condition::new(condition::STALLED, true, reason::REFUSED, sentence),
        None => Condition::new(condition::STALLED, false, reason::PROGRESSING, "nothing stands in the way"),
    };
    let reconciling = moving && stalled.status != State::True;
    vec![
        ready,
        Condition::new(condition::BUILT, built, why, words::capped(&message, 2048)),
        promoted,
        Condition::new(condition::RECONCILING, reconciling, moving_reason, if moving { told() } else { String::new() }),
        stalled,
    ]
}

pub fn events(before: &PipelineStatus, after: &PipelineStatus) -> Vec<Event> {
    let mut events = vec![];
    let (old, new) = (&before.memory, &after.memory);
    if let Some(head) = new.head.as_ref().filter(|h| old.head.as_ref().map(|o| &o.commit) != Some(&h.commit)) {
        events.push(Event::normal("CommitSeen", format!("{} is at {}", head.branch, head.commit.short())));
    }
    if let Some(built) = new.built.as_ref().filter(|b| old.built.as_ref() != Some(b)) {
        match &built.ended {
            None => events.push(Event::normal("BuildStarted", format!("Build {}", built.build))),
            Some(e) if e.succeeded => events.push(Event::normal("BuildSucceeded", format!("Build {}", built.build))),
            Some(e) if e.skipped => events.push(Event::normal("BuildSkipped", format!("Build {}", built.build))),
            Some(e) => {
                let why = e.message.clone().unwrap_or_default();
                events.push(Event::warning("BuildFailed", format!("Build {}: {why}", built.build)));
            }
        }
    }
    for (name, environment) in &new.environments {
        let was = old.environments.get(name);
        let release = environment.release.as_ref().filter(|r| was.and_then(|w| w.release.as_ref()) != Some(r));
        if let Some(r) = release {
            events.push(Event::normal("Released", format!("{} to {name}, as number {}", r.build, r.sequence)));
        }
        if let Some(live) = environment.live.as_ref().filter(|l| was.and_then(|w| w.live.as_ref()) != Some(l)) {
            events.push(Event::normal("Live", format!("{live} in {name}")));
        }
        for build in environment.rejected.iter().filter(|b| was.is_none_or(|w| !w.rejected.contains(*b))) {
            events.push(Event::warning("Rejected", format!("{build} in {name}")));
        }
    }
    events
}
