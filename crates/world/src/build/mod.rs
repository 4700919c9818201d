//! One Build with its Jobs, their pods, and what the registry serves.
//!
//! The parts of a [`Cluster`] are what a controller watches separately. A view whose parts are of different ages is a
//! [`Cluster`] too, so [`Cluster::see`] serves both for the truth and for what a lagging cache holds of it.

mod by_itself;
mod effect;
mod rest;
mod see;
mod settle;

use std::collections::BTreeMap;

pub use settle::{Fate, Round, Settled, Write};
use switchyard_api::{Timestamp, build::Memory, command::CommandState};
use switchyard_decide::{
    Version,
    build::{self as decide, BuildResult, Order, Problem, Step},
};

/// Everything a Build's controller reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub now: Timestamp,
    /// `namespace/name` of the Build.
    pub name: String,
    /// Its spec, which never changes.
    pub order: Order,
    pub build: Build,
    pub jobs: BTreeMap<Key, Job>,
    /// A Job's pod is there as soon as the Job is; without one, it is gone.
    pub pods: BTreeMap<Key, Pod>,
    /// By uid. What was answered stays, as it does in a cluster.
    pub commands: BTreeMap<String, Command>,
    /// By image, what the registry answers when it is asked for what was pushed.
    pub registry: BTreeMap<String, Served>,
}

/// A step, and which attempt at it.
pub type Key = (Step, i32);

/// The Build itself: the memory in its status, and its annotations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Build {
    pub version: Version,
    pub memory: Memory,
    pub marked_started: bool,
    pub marked_result: Option<BuildResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    pub created: Timestamp,
    /// It was told to end.
    pub stopped: bool,
    pub end: Option<JobEnd>,
}

/// What the Job controller says of a Job that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobEnd {
    Complete,
    BackoffLimitExceeded,
    DeadlineExceeded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pod {
    Pending,
    /// It does not start.
    Stuck(Problem),
    Running,
    Ended(Outcome),
}

/// How a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Passed,
    /// By what it runs: the source's fault.
    Broke,
    /// Nothing that is wanted changed.
    Unchanged,
    /// Its node took it away.
    Evicted,
}

/// What a registry serves where something was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    AsPushed,
    SomethingElse,
}

/// A person's order, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    pub order: decide::Command,
    pub answer: Option<CommandState>,
}

impl Cluster {
    /// A Build that was just created, at `now`.
    pub fn new(name: &str, order: Order, now: Timestamp) -> Self {
        Self {
            now,
            name: name.to_owned(),
            order,
            build: Build {
                version: Version::new("1"),
                memory: Memory::default(),
                marked_started: false,
                marked_result: None,
            },
            jobs: BTreeMap::new(),
            pods: BTreeMap::new(),
            commands: BTreeMap::new(),
            registry: BTreeMap::new(),
        }
    }

    /// Jobs of this step that have not ended.
    pub fn unfinished<'a>(&'a self, step: &'a Step) -> impl Iterator<Item = i32> + 'a {
        self.jobs.iter().filter(move |((s, _), job)| s == step && job.end.is_none()).map(|((_, attempt), _)| *attempt)
    }
    /// What the pod of some attempt at this step said.
    pub fn said(&self, step: &Step, outcome: Outcome) -> bool {
        self.pods.iter().any(|((s, _), pod)| s == step && *pod == Pod::Ended(outcome))
    }
}
