//! Where a Build stands.

use switchyard_api::{Timestamp, build::Memory};

use super::observed::Observed;

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Seen for the first time: remembered before anything runs.
    Starting,
    Checking,
    Building,
    /// Everything is pushed; the registry is asked.
    Verifying,
    Succeeded,
    Failed,
}

pub fn stage(seen: &Observed, memory: &Memory) -> (&'static str, Stage) {
    let pushed = seen.order.images.iter().all(|i| memory.pushed.contains_key(&i.name));
    let passed = seen.order.checks.iter().all(|c| memory.passed.contains(c));
    match (memory.finished, &memory.failure) {
        (Some(_), None) => ("finished is finished", Stage::Succeeded),
        (Some(_), Some(_)) => ("finished is finished, also when it failed", Stage::Failed),
        (None, _) if seen.memory.started.is_none() => ("a start is remembered before anything runs", Stage::Starting),
        (None, _) if !passed => ("images wait for the checks", Stage::Checking),
        (None, _) if !pushed => ("every image has a Job of its own", Stage::Building),
        (None, _) => ("a digest counts once the registry serves it", Stage::Verifying),
    }
}

/// When the same facts would decide otherwise: the timeout, and the end of a pause between attempts.
pub fn deadline(stage: &Stage, seen: &Observed, memory: &Memory) -> Option<Timestamp> {
    match stage {
        Stage::Succeeded | Stage::Failed => None,
        Stage::Starting | Stage::Checking | Stage::Building | Stage::Verifying => {
            let timeout = memory.started.map(|t| t.plus(seen.order.timeout));
            let pauses = memory.attempts.values().filter_map(|a| a.not_before).filter(|t| *t > seen.now);
            pauses.chain(timeout).min()
        }
    }
}
