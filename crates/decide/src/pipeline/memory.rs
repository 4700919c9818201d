//! Facts become memory: here and nowhere else.

use switchyard_api::{
    names,
    pipeline::{Built, Candidate, Ended, EnvironmentMemory, Head, Memory, Release},
};

use super::observed::{EnvironmentOrder, Observed};
use crate::{Answer, Measured};

/// Good builds that are remembered, beside those an environment refers to.
const CANDIDATES: usize = 10;

pub fn remember(seen: &Observed) -> Memory {
    let mut memory = seen.memory.clone();
    head(seen, &mut memory);
    built(seen, &mut memory);
    let recorded = seen.rollouts.values().filter(|r| r.names_us).filter_map(|r| r.taken).max();
    memory.sequence = memory.sequence.max(recorded.unwrap_or(0));
    memory.environments.retain(|name, _| seen.order.environments.iter().any(|e| e.name == *name));
    for environment in &seen.order.environments {
        landed(seen, &mut memory, environment);
    }
    for environment in &seen.order.environments {
        promote(seen, &mut memory, environment);
    }
    forget(&mut memory);
    memory
}

fn head(seen: &Observed, memory: &mut Memory) {
    let Some(Answer::Known { at, value: Measured::Head { branch, commit } }) = seen.answers.get(&seen.order.question())
    else {
        return;
    };
    if memory.head.as_ref().is_none_or(|h| h.commit != *commit || h.branch != *branch) {
        memory.head = Some(Head { branch: branch.clone(), commit: commit.clone(), seen: *at });
    }
}

/// One Build of each head. A running one is finished first, then the newest head is taken.
fn built(seen: &Observed, memory: &mut Memory) {
    if let Some(built) = memory.built.as_mut().filter(|b| b.ended.is_none())
        && let Some(build) = seen.builds.get(&built.build)
    {
        built.ended = match &build.conflict {
            Some(owner) => {
                let message = Some(format!("Build {} {owner}", built.build));
                Some(Ended { succeeded: false, skipped: false, message })
            }
            None => build.ended.clone(),
        };
        if built.ended.as_ref().is_some_and(|e| e.succeeded) {
            memory.candidates.retain(|c| c.build != built.build);
            memory.candidates.push(Candidate {
                build: built.build.clone(),
                commit: built.commit.clone(),
                version: build.version.clone(),
                images: build.images.clone(),
            });
        }
    }
    let free = memory.built.as_ref().is_none_or(|b| b.ended.is_some());
    let Some(head) = memory.head.as_ref().filter(|_| free && !seen.order.suspend) else { return };
    if memory.built.as_ref().is_none_or(|b| b.commit != head.commit) {
        let pipeline = seen.name.rsplit('/').next().unwrap_or_default();
        // A commit that was a head before (a branch set back) has its Build already.
        let known = memory.candidates.iter().find(|c| c.commit == head.commit);
        memory.built = Some(Built {
            commit: head.commit.clone(),
            branch: head.branch.clone(),
            build: names::child(&[pipeline, head.commit.short(), "1"]),
            ended: known.map(|_| Ended { succeeded: true, skipped: false, message: None }),
        });
        if let Some(known) = known.cloned() {
            memory.candidates.retain(|c| c.build != known.build);
            memory.candidates.push(known);
        }
    }
}

/// What became of an environment's release. Several Rollouts count as one: live when all are, rejected when one is.
fn landed(seen: &Observed, memory: &mut Memory, environment: &EnvironmentOrder) {
    let known = memory.environments.entry(environment.name.clone()).or_default();
    let Some(release) = &known.release else { return };
    let rollouts: Vec<_> =
        environment.rollouts.iter().map(|name| seen.rollouts.get(name).filter(|r| r.names_us)).collect();
    if rollouts.iter().all(|r| r.is_some_and(|r| r.live == Some(release.sequence) && r.healthy)) {
        known.live = Some(release.build.clone());
        known.proved.insert(release.build.clone());
    }
    if rollouts.iter().flatten().any(|r| r.rejected.contains(&release.sequence)) {
        known.rejected.insert(release.build.clone());
    } else {
        known.rejected.remove(&release.build);
    }
}

/// The newest good build that did well in every environment before this one.
fn promote(seen: &Observed, memory: &mut Memory, environment: &EnvironmentOrder) {
    if seen.order.suspend {
        return;
    }
    let none = EnvironmentMemory::default();
    let of = |name: &str| memory.environments.get(name).unwrap_or(&none);
    let here = of(&environment.name);
    let proven = |build: &String| {
        environment.after.iter().all(|a| of(a).proved.contains(build) && !of(a).rejected.contains(build))
    };
    let newest = memory.candidates.iter().rev().find(|c| proven(&c.build) && !here.rejected.contains(&c.build));
    let Some(candidate) = newest.cloned() else { return };
    let place = |build: &str| memory.candidates.iter().position(|c| c.build == build);
    let current = here.release.as_ref().map(|r| r.build.as_str());
    // Only forward: what was given up here leaves the Rollout on what it confirmed before.
    if current == Some(&candidate.build) || current.and_then(place) > place(&candidate.build) {
        return;
    }
    memory.sequence = memory.sequence.saturating_add(1);
    let release = Release {
        environment: environment.name.clone(),
        sequence: memory.sequence,
        build: candidate.build,
        version: candidate.version,
        commit: candidate.commit,
        images: candidate.images,
    };
    memory.environments.entry(environment.name.clone()).or_default().release = Some(release);
}

fn forget(memory: &mut Memory) {
    let used = |build: &str| {
        let environments = memory.environments.values();
        environments
            .into_iter()
            .any(|e| e.live.as_deref() == Some(build) || e.release.as_ref().is_some_and(|r| r.build == build))
    };
    let surplus = memory.candidates.len().saturating_sub(CANDIDATES);
    let old: Vec<String> =
        memory.candidates.iter().take(surplus).map(|c| c.build.clone()).filter(|b| !used(b)).collect();
    memory.candidates.retain(|c| !old.contains(&c.build));
    let candidates: Vec<&String> = memory.candidates.iter().map(|c| &c.build).collect();
    for environment in memory.environments.values_mut() {
        environment.proved.retain(|b| candidates.contains(&b));
        environment.rejected.retain(|b| candidates.contains(&b));
    }
}
