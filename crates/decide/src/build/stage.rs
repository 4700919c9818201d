//! Where a Build stands.

use switchyard_api::{
    Timestamp,
    build::{Class, Memory},
};

use super::{SLOW, observed::Observed, silent};

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Seen for the first time: remembered before anything runs.
    Starting,
    Checking,
    Building,
    /// Everything is pushed; the registry is asked.
    Verifying,
    Succeeded,
    /// Nothing of the wanted paths changed.
    Skipped,
    Failed,
    /// A person ended it.
    Cancelled,
}
impl Stage {
    pub fn is_final(&self) -> bool {
        match self {
            Self::Starting | Self::Checking | Self::Building | Self::Verifying => false,
            Self::Succeeded | Self::Skipped | Self::Failed | Self::Cancelled => true,
        }
    }
}

pub fn stage(seen: &Observed, memory: &Memory) -> (&'static str, Stage) {
    let pushed = seen.order.images.iter().all(|i| memory.pushed.contains_key(&i.name));
    let passed = seen.order.checks.iter().all(|c| memory.passed.contains(&c.name));
    match (memory.finished, &memory.failure) {
        (Some(_), None) if memory.skipped => ("what nobody wants built is not built", Stage::Skipped),
        (Some(_), None) => ("finished is finished", Stage::Succeeded),
        (Some(_), Some(f)) if f.class == Class::Cancelled => ("a person ended it", Stage::Cancelled),
        (Some(_), Some(_)) => ("finished is finished, also when it failed", Stage::Failed),
        (None, _) if seen.memory.started.is_none() => ("a start is remembered before anything runs", Stage::Starting),
        (None, _) if !passed => ("images wait for the checks", Stage::Checking),
        (None, _) if !pushed => ("every image has a Job of its own", Stage::Building),
        (None, _) => ("a digest counts once the registry serves it", Stage::Verifying),
    }
}

/// When the same facts would decide otherwise: the timeout, the end of a pause between attempts, and the time from which
/// a pod is slow to start.
pub fn deadline(stage: &Stage, seen: &Observed, memory: &Memory) -> Option<Timestamp> {
    if stage.is_final() {
        return None;
    }
    let timeout = memory.started.map(|t| t.plus(seen.order.timeout));
    let pauses = memory.attempts.values().filter_map(|a| a.not_before);
    let jobs = seen.order.steps().filter_map(|s| seen.job(memory, &s)).filter(|j| silent(j));
    let slow = jobs.map(|j| j.still_since().plus(SLOW));
    pauses.chain(slow).filter(|t| *t > seen.now).chain(timeout).min()
}
