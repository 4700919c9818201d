//! One Rollout with its live Service, its revisions and their pods.
//!
//! The parts of a [`Cluster`] are what a controller watches separately. A view whose parts are of different ages is a
//! [`Cluster`] too, so [`Cluster::see`] serves both for the truth and for what a lagging cache holds of it.

mod by_itself;
mod effect;
mod rest;
mod see;
mod settle;

use std::collections::BTreeMap;

pub use settle::{Round, Settled, Write};
use switchyard_api::{
    Revision, Timestamp,
    command::CommandState,
    rollout::{Memory, ReleaseRef},
};
use switchyard_decide::{
    Answer, Mistake, Version,
    rollout::{self as decide, Foreign, JobKey, JobState, Offer, Order, Question, Record, Selects},
};

use crate::after;

/// Everything a Rollout's controller reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub now: Timestamp,
    pub setting: Setting,
    pub rollout: Rollout,
    pub service: Option<Service>,
    /// The last version of a live Service that was deleted: one that is made again comes after it.
    pub gone: Option<Version>,
    pub preview: Option<Preview>,
    /// By uid. What was answered stays, as it does in a cluster.
    pub commands: BTreeMap<String, Command>,
    /// What the operator's probes have found out.
    pub answers: BTreeMap<Question, Answer>,
    pub children: BTreeMap<Revision, Child>,
    pub endpoints: Endpoints,
}

/// What stays as it is while the controller works.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// `namespace/name` of the Rollout.
    pub name: String,
    pub uid: String,
    /// When the operator began to look.
    pub started: Timestamp,
    /// By `namespace/name` of the Pipeline.
    pub offers: BTreeMap<String, Offer>,
}

/// The Rollout itself: its spec, and the memory in its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rollout {
    pub version: Version,
    pub order: Result<Order, Mistake>,
    pub memory: Memory,
    /// The status says that a pause is in force.
    pub says_paused: bool,
}

/// The live Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    pub version: Version,
    /// Why it is not this Rollout's to write.
    pub foreign: Option<Foreign>,
    pub record: Option<Record>,
    pub selects: Selects,
}

/// The preview Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Preview {
    pub version: Version,
    pub foreign: Option<Foreign>,
    pub selects: Selects,
}

/// A person's order, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    pub order: decide::Command,
    pub answer: Option<CommandState>,
}

/// A revision's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Child {
    pub deployment: Option<Deployment>,
    /// Its headless Service exists.
    pub exposed: bool,
    /// Who they belong to if not to this Rollout, in words.
    pub conflict: Option<String>,
    /// Jobs of its checks.
    pub jobs: BTreeMap<JobKey, JobState>,
    /// A Service of somebody else selects its pods.
    pub selected_elsewhere: bool,
    /// How many versions this name has had: one that is made again starts after the last.
    pub versions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deployment {
    pub version: Version,
    pub created: Timestamp,
    pub claim: Option<Version>,
    pub replicas: i32,
    pub releases: Vec<ReleaseRef>,
}

/// What runs, and what the slices of the Services say of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoints {
    pub pods: BTreeMap<Revision, Pods>,
    /// Whose pods the live Service's slices list: what its selector meant when the slice controller last looked.
    pub listed: Selects,
}

/// Ready pods of a revision, as its own slices list them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pods {
    pub ready: i32,
    /// The claim under which they became ready. Their controllers have seen the Deployment up to there.
    pub under: Option<Version>,
}

impl Cluster {
    /// A Rollout that was just created, at `now`.
    pub fn new(setting: Setting, order: Order, now: Timestamp) -> Self {
        Self {
            now,
            setting,
            rollout: Rollout {
                version: Version::new("1"),
                order: Ok(order),
                memory: Memory::default(),
                says_paused: false,
            },
            service: None,
            gone: None,
            preview: None,
            commands: BTreeMap::new(),
            answers: BTreeMap::new(),
            children: BTreeMap::new(),
            endpoints: Endpoints { pods: BTreeMap::new(), listed: Selects::Nobody },
        }
    }

    pub fn deployment(&self, revision: Revision) -> Option<&Deployment> {
        self.children.get(&revision).and_then(|c| c.deployment.as_ref())
    }
    pub fn ready(&self, revision: Revision) -> i32 {
        self.endpoints.pods.get(&revision).map_or(0, |p| p.ready)
    }
    /// Pods of this revision are wanted.
    pub fn is_up(&self, revision: Revision) -> bool {
        self.deployment(revision).is_some_and(|d| d.replicas > 0)
    }
    pub fn selects(&self) -> Selects {
        self.service.as_ref().map_or(Selects::Nobody, |s| s.selects.clone())
    }

    /// The spec has a preview. One that it had once stays, and is nobody's.
    pub fn previews(&self) -> bool {
        self.rollout.order.as_ref().map_or(self.preview.is_some(), |o| o.preview.is_some())
    }

    /// Somebody changes the spec.
    pub fn edit(&mut self, order: Result<Order, Mistake>) {
        self.rollout.order = order;
        self.rollout.version = after(&self.rollout.version);
    }
    /// A person orders something.
    pub fn command(&mut self, order: decide::Command) {
        self.commands.insert(order.uid.clone(), Command { order, answer: None });
    }
    /// Somebody removes the record; the selector stays.
    pub fn lose_record(&mut self) {
        if let Some(service) = &mut self.service {
            service.record = None;
            service.version = after(&service.version);
        }
    }
    /// Somebody writes a selector.
    pub fn tamper(&mut self, selects: Selects) {
        if let Some(service) = &mut self.service {
            service.selects = selects;
            service.version = after(&service.version);
        }
    }
}
