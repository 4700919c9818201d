//! The world counts versions from one, the API server as it likes: which is which.

use std::collections::{BTreeMap, HashMap};

use switchyard_api::{Revision, rollout::Memory};
use switchyard_decide::{
    Version,
    rollout::{Action, Record},
};
use switchyard_world::rollout::Cluster;

/// What is written under a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    Rollout,
    Service,
    Preview,
    Deployment(Revision),
    /// By its uid.
    Command(String),
}

/// In the world, a version that no object ever has.
pub const NEVER: &str = "0";
/// And on the API server, where this is an object of long before any of ours.
const REALLY_NEVER: &str = "1";

/// The versions of all objects that there are.
pub type Current = BTreeMap<Object, Version>;

pub fn of_the_world(world: &Cluster) -> Current {
    let deployments = world.children.iter().filter_map(|(revision, child)| {
        let deployment = child.deployment.as_ref()?;
        Some((Object::Deployment(*revision), deployment.version.clone()))
    });
    let service = world.service.iter().map(|s| (Object::Service, s.version.clone()));
    let preview = world.preview.iter().map(|p| (Object::Preview, p.version.clone()));
    let commands = world.commands.iter().map(|(uid, c)| (Object::Command(uid.clone()), c.order.version.clone()));
    let rollout = (Object::Rollout, world.rollout.version.clone());
    deployments.chain(service).chain(preview).chain(commands).chain([rollout]).collect()
}

/// Pairs of versions, the world's first.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    known: HashMap<(Object, Version), Version>,
    now: Current,
}

impl Versions {
    /// After a step. That somebody else wrote, as the controllers of Kubernetes do all the time, makes a new version of
    /// an old one of the world: it is still the same to the world.
    pub fn learn(&mut self, world: &Cluster, real: &Current) {
        self.now = of_the_world(world);
        for (object, version) in &self.now {
            if let Some(real) = real.get(object) {
                self.known.insert((object.clone(), version.clone()), real.clone());
            }
        }
    }

    pub fn real(&self, object: Object, world: &Version) -> Version {
        self.known.get(&(object, world.clone())).cloned().unwrap_or_else(|| Version::new(REALLY_NEVER))
    }

    /// What stands in a record, a claim or a memory is a version of the Service. One that was never seen is itself.
    fn worlds(&self, real: &Version) -> Version {
        let is = |((object, _), known): &(&(Object, Version), &Version)| *object == Object::Service && *known == real;
        let found = self.known.iter().find(is).map(|((_, world), _)| world.clone());
        found.unwrap_or_else(|| if real.as_str() == REALLY_NEVER { Version::new(NEVER) } else { real.clone() })
    }

    /// What an action is conditional on, and what it writes, in the API server's versions.
    pub fn action(&self, action: &Action) -> Action {
        let service = |version: &Version| self.real(Object::Service, version);
        let deployment = |revision: &Revision, version: &Version| self.real(Object::Deployment(*revision), version);
        let mut action = action.clone();
        match &mut action {
            Action::CreateService | Action::CreatePreview | Action::Deploy { .. } | Action::Expose { .. } => {}
            Action::Record { at, next, select: _ } => {
                *at = service(at);
                in_record(next, service);
            }
            Action::Claim { revision, at, claim, replicas: _ } => {
                *at = deployment(revision, at);
                *claim = service(claim);
            }
            Action::Scale { revision, at, .. } | Action::Retire { revision, at } => *at = deployment(revision, at),
            Action::Delete { revision, at } => *at = at.as_ref().map(|at| deployment(revision, at)),
            Action::Preview { at, select: _ } => *at = self.real(Object::Preview, at),
            Action::Check { revision: _, job } => job.under = service(&job.under),
            Action::Answer { uid, at, .. } => *at = self.real(Object::Command(uid.clone()), at),
        }
        action
    }

    pub fn real_memory(&self, memory: &Memory) -> Memory {
        in_memory(memory, |version| self.real(Object::Service, version))
    }
    pub fn worlds_memory(&self, memory: &Memory) -> Memory {
        in_memory(memory, |version| self.worlds(version))
    }
    pub fn worlds_record(&self, record: &Record) -> Record {
        let mut record = record.clone();
        in_record(&mut record, |version| self.worlds(version));
        record
    }
    /// A claim, or what a check is under.
    pub fn worlds_nomination(&self, version: &Version) -> Version {
        self.worlds(version)
    }
}

fn in_record(record: &mut Record, translate: impl Fn(&Version) -> Version) {
    for version in [&mut record.since, &mut record.moved].into_iter().flatten() {
        *version = translate(version);
    }
}

fn in_memory(memory: &Memory, translate: impl Fn(&Version) -> Version) -> Memory {
    let mut memory = memory.clone();
    let text = |version: &String| translate(&Version::new(version)).as_str().to_owned();
    for unlisted in memory.unlisted.values_mut() {
        unlisted.moved = unlisted.moved.as_ref().map(&text);
    }
    for restored in &mut memory.restored {
        restored.version = text(&restored.version);
    }
    if let Some(checked) = &mut memory.checked {
        checked.under = text(&checked.under);
    }
    memory
}
