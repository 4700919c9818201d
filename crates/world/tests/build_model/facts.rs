//! What steps and properties need to know of a truth.

use switchyard_api::build::{Class, Memory};
use switchyard_decide::build::Step;
use switchyard_world::build::{Cluster, Outcome, Pod, Served};

use crate::interned::{Id, Table};

/// A step and an attempt, as small as they go.
pub type Name = (u8, u8);

#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// No step has two Jobs that go on.
    pub alone: bool,
    /// No step has more Jobs than retries allow.
    pub few: bool,
    /// No step was tried again whose pod told how it ended, the node's fault aside.
    pub wise: bool,
    /// Nothing was written much more often than anything happened.
    pub bounded: bool,
    /// Something ran for the second time, and well.
    pub retried: bool,
    pub version: u32,
    /// Which memory it is.
    pub memory: Id,
    /// Something was begun.
    pub begun: bool,
    /// Every check passed by its pod's word.
    pub checked: bool,
    /// The registry serves what was pushed.
    pub as_pushed: bool,
    /// An image counts as served.
    pub counted: bool,
    pub finished: bool,
    pub good: bool,
    pub skipped: bool,
    pub failed: Option<Class>,
}

impl Facts {
    pub fn of(cluster: &Cluster, memories: &Table<Memory>) -> Self {
        let steps: Vec<Step> = cluster.order.steps().collect();
        let memory = &cluster.build.memory;
        let count = |step: &Step| cluster.jobs.keys().filter(|(s, _)| s == step).count();
        let told = |step: &Step, attempt: i32| match cluster.pods.get(&(step.clone(), attempt)) {
            Some(Pod::Ended(Outcome::Passed | Outcome::Broke | Outcome::Unchanged)) => true,
            Some(Pod::Ended(Outcome::Evicted) | Pod::Pending | Pod::Stuck(_) | Pod::Running) | None => false,
        };
        let allowed = usize::try_from(cluster.order.retries + 1).unwrap();
        let version = cluster.build.version.as_str().parse().unwrap();
        let passed = Some(&Pod::Ended(Outcome::Passed));
        Self {
            alone: steps.iter().all(|s| cluster.unfinished(s).count() <= 1),
            few: steps.iter().all(|s| count(s) <= allowed),
            wise: !cluster.jobs.keys().any(|(s, n)| *n > 1 && told(s, n - 1)),
            bounded: version < 40,
            retried: cluster.jobs.keys().any(|key| key.1 > 1 && cluster.pods.get(key) == passed),
            version,
            memory: memories.id(memory),
            begun: cluster.build.marked_started || !cluster.jobs.is_empty(),
            checked: cluster.order.checks().all(|check| cluster.said(&check, Outcome::Passed)),
            as_pushed: cluster.registry.values().any(|s| *s == Served::AsPushed),
            counted: !memory.served.is_empty(),
            finished: memory.finished.is_some(),
            good: memory.finished.is_some() && memory.failure.is_none() && !memory.skipped,
            skipped: memory.finished.is_some() && memory.skipped,
            failed: memory.failure.as_ref().map(|f| f.class),
        }
    }
}
