//! What happens next: what the operator would do, what one would do that is long deposed, what nobody would, and what
//! befalls a cluster.

use std::collections::BTreeMap;

use fastrand::Rng;
use switchyard_api::{Duration, Revision, check::Moment, rollout::Memory, template};
use switchyard_decide::{
    Answer, Kind as _, Measured, Refusal, Version,
    rollout::{Action, CommandOrder, Foreign, JobKey, Order, Record, Rollout, Selects},
};
use switchyard_world::rollout::{Cluster, Deployment, Service};

use super::versions::NEVER;

/// A write of the operator, or what others do.
#[derive(Clone, Debug)]
pub enum Step {
    Act(Action),
    Report {
        at: Version,
        memory: Box<Memory>,
    },
    /// The spec wants this template, with so many pods, and with or without the preview that it began with.
    Edit {
        template: usize,
        replicas: i32,
        previewed: bool,
    },
    /// The live Service's slices list pods of this revision.
    List(Option<Revision>),
    LoseRecord,
    Tamper,
    /// Somebody's own Service selects pods of this revision.
    SelectElsewhere(Revision),
    /// Somebody else's objects have the names of this revision's.
    Squat(Revision),
    /// Or of the live Service.
    SquatService,
    /// Time for every patience to end.
    Wait,
    /// A person orders it.
    Order(CommandOrder),
}

/// A selector that is not ours.
pub const FOREIGN: &str = "app=other";
pub const ANOTHER: &str = "another";
/// The name of the check, of both moments, where there is one.
pub const CHECK: &str = "smoke";

pub struct Teller {
    pub random: Rng,
    /// One for each template.
    orders: Vec<Order>,
    /// As it was before each step.
    past: Vec<Cluster>,
}

impl Teller {
    pub fn new(random: Rng, orders: Vec<Order>) -> Self {
        Self { random, orders, past: vec![] }
    }

    /// The next step of an operator that nothing disturbs, or else any.
    pub fn next(&mut self, world: &Cluster, undisturbed: bool) -> Step {
        self.past.push(world.clone());
        if undisturbed {
            return self.decided(&world.clone(), world);
        }
        match self.random.u8(0..100) {
            0..30 => self.decided(&world.clone(), world),
            30..50 => {
                let then = self.past[self.random.usize(0..self.past.len())].clone();
                self.decided(&then, world)
            }
            50..80 => Step::Act(self.made_up(world)),
            _ => self.befalls(world),
        }
    }

    /// What is decided on the cluster as it is here, with all pods ready or none.
    fn decided(&mut self, then: &Cluster, world: &Cluster) -> Step {
        let mut then = then.clone();
        if self.random.u8(0..4) > 0 {
            for order in &self.orders.clone() {
                then.pods_become_ready(revision(order));
                then.jobs_end(revision(order), self.random.u8(0..4) > 0);
            }
        }
        then.now = world.now;
        for question in Rollout::decide(&then.see()).ask.into_keys() {
            let value = Measured::Checked { passed: self.random.u8(0..4) > 0, said: "measured".to_owned() };
            then.answers.insert(question, Answer::Known { at: then.now, value });
        }
        let seen = then.see();
        let decision = Rollout::decide(&seen);
        let memory = decision.status.memory;
        if memory != seen.memory && memory != world.rollout.memory {
            return Step::Report { at: then.rollout.version, memory: Box::new(memory) };
        }
        match self.random.choice(&decision.actions) {
            Some(action) => Step::Act(action.clone()),
            None => self.befalls(world),
        }
    }

    fn revision(&mut self) -> Revision {
        revision(&self.orders[self.random.usize(0..self.orders.len())])
    }
    /// Mostly one that has a Deployment.
    fn deployed(&mut self, world: &Cluster) -> Revision {
        let there: Vec<Revision> =
            world.children.iter().filter(|(_, c)| c.deployment.is_some()).map(|(r, _)| *r).collect();
        match self.random.choice(there) {
            Some(revision) if self.random.u8(0..5) > 0 => revision,
            _ => self.revision(),
        }
    }
    fn maybe_revision(&mut self) -> Option<Revision> {
        self.random.bool().then(|| self.revision())
    }

    /// Mostly the one there is, or the one before it, or none that ever was.
    fn version(&mut self, now: Option<&Version>) -> Version {
        let now: u64 = now.map_or(0, |v| v.as_str().parse().unwrap());
        match self.random.u8(0..10) {
            0..7 => Version::new(now.to_string()),
            7..9 => Version::new(now.saturating_sub(1).to_string()),
            _ => Version::new(NEVER),
        }
    }

    fn made_up(&mut self, world: &Cluster) -> Action {
        let order = self.orders[self.random.usize(0..self.orders.len())].clone();
        let (new, fingerprint) = (revision(&order), order.fingerprint);
        let revision = self.deployed(world);
        let at = self.version(world.deployment(revision).map(|d| &d.version));
        let of_service = world.service.as_ref().map(|s| &s.version);
        let replicas = self.random.i32(0..3);
        if order.preview.is_some() && self.random.u8(0..5) == 0 {
            let by_job = order.checks.preview.iter().any(|c| c.job.is_some());
            return self.about_previews(world, revision, by_job);
        }
        let foreign = world.service.as_ref().is_some_and(|s| s.foreign.is_some());
        match self.random.u8(0..20) {
            0 => Action::CreateService,
            // A Service of somebody else is vetoed before; whose it then is would be told by nothing.
            1..6 if !foreign => self.record(world),
            6..8 => Action::Deploy { revision: new, fingerprint, images: BTreeMap::new(), releases: vec![] },
            8..10 => Action::Expose { revision: new, fingerprint },
            10..13 => Action::Claim { revision, at, claim: self.version(of_service), replicas },
            13..15 => Action::Scale { revision, at, replicas },
            15..18 => self.retire(world),
            18 => Action::Delete { revision, at: Some(at) },
            _ => Action::Delete { revision, at: None },
        }
    }

    /// Often of one whose pods a stranger selects or the live Service does, if there is one.
    fn retire(&mut self, world: &Cluster) -> Action {
        let elsewhere = world.children.iter().find(|(_, c)| c.selected_elsewhere && c.deployment.is_some());
        let revision = match (self.random.u8(0..3), elsewhere, world.selects()) {
            (0, Some((revision, _)), _) => *revision,
            (1, _, Selects::Revision(revision)) => revision,
            _ => self.deployed(world),
        };
        let at = self.version(world.deployment(revision).map(|d| &d.version));
        Action::Retire { revision, at }
    }

    fn about_previews(&mut self, world: &Cluster, revision: Revision, by_job: bool) -> Action {
        match self.random.u8(0..5) {
            0 => Action::CreatePreview,
            3 | 4 if by_job => {
                let under = self.version(world.service.as_ref().map(|s| &s.version));
                let moment = *self.random.choice(&[Moment::Preview, Moment::Live]).unwrap();
                Action::Check { revision, job: JobKey { moment, name: CHECK.to_owned(), under } }
            }
            _ => {
                let at = self.version(world.preview.as_ref().map(|p| &p.version));
                Action::Preview { at, select: self.selects() }
            }
        }
    }

    fn selects(&mut self) -> Selects {
        match self.random.u8(0..6) {
            0..4 => Selects::Revision(self.revision()),
            4 => Selects::Nobody,
            _ => Selects::Foreign(FOREIGN.to_owned()),
        }
    }

    fn record(&mut self, world: &Cluster) -> Action {
        let of_service = world.service.as_ref().map(|s| &s.version);
        let next = Record {
            owner: world.setting.uid.clone(),
            live: self.maybe_revision(),
            fallback: self.maybe_revision(),
            candidate: self.maybe_revision(),
            since: self.random.bool().then(|| self.version(of_service)),
            moved: self.random.bool().then(|| self.version(of_service)),
            void: self.maybe_revision().map(|r| (r, self.random.u32(1..3))).into_iter().collect(),
        };
        let select = (self.random.u8(0..5) > 1).then(|| self.selects());
        Action::Record { at: self.version(of_service), next, select }
    }

    /// An existing Service without record and selector is one that was never ours, not one that lost them: whether the
    /// selector that selects nobody is ours or was never there is nothing that the world tells apart.
    fn may_lose_record(&self, world: &Cluster) -> bool {
        let referred = self.orders.iter().any(|o| o.referred);
        let service = world.service.as_ref().filter(|s| s.record.is_some());
        service.is_some_and(|s| !referred || s.selects != Selects::Nobody)
    }

    fn befalls(&mut self, world: &Cluster) -> Step {
        let revision = self.revision();
        match self.random.u8(0..20) {
            0..5 => {
                let (template, replicas) = (self.random.usize(0..self.orders.len()), self.random.i32(0..3));
                let previewed = self.orders[template].preview.is_some() && self.random.u8(0..3) > 0;
                let order = edited(&self.orders[template], replicas, previewed);
                let edit = Step::Edit { template, replicas, previewed };
                if world.rollout.order == Ok(order) { Step::Wait } else { edit }
            }
            5..9 => Step::List(self.maybe_revision()),
            9 | 10 if self.may_lose_record(world) => Step::LoseRecord,
            11 | 12 if world.service.is_some() => Step::Tamper,
            13 | 14 => Step::SelectElsewhere(self.deployed(world)),
            15 if is_free(world, revision) => Step::Squat(revision),
            16 if world.service.is_none() => Step::SquatService,
            17 | 18 => Step::Order(match self.random.u8(0..5) {
                0 => CommandOrder::Promote(revision),
                1 => CommandOrder::Abort(revision),
                2 => CommandOrder::Retry(revision),
                3 => CommandOrder::RollbackTo(revision),
                _ => CommandOrder::Resume,
            }),
            _ => Step::Wait,
        }
    }
}

/// The order after such an edit.
fn edited(order: &Order, replicas: i32, previewed: bool) -> Order {
    Order { replicas, preview: order.preview.clone().filter(|_| previewed), ..order.clone() }
}

fn is_free(world: &Cluster, revision: Revision) -> bool {
    world.children.get(&revision).is_none_or(|c| c.deployment.is_none() && !c.exposed)
}

pub fn revision(order: &Order) -> Revision {
    template::revision(&order.fingerprint, &BTreeMap::new())
}

/// What the step does to the world.
pub fn on_world(world: &mut Cluster, step: &Step, orders: &[Order]) -> Result<(), Refusal> {
    match step {
        Step::Act(action) => return world.effect(action),
        Step::Report { at, memory } => return world.report(at, memory),
        Step::Edit { template, replicas, previewed } => {
            world.edit(Ok(edited(&orders[*template], *replicas, *previewed)));
        }
        Step::List(listed) => world.endpoints.listed = Selects::from(*listed),
        Step::LoseRecord => world.lose_record(),
        Step::Tamper => world.tamper(Selects::Foreign(FOREIGN.to_owned())),
        Step::SelectElsewhere(revision) => {
            world.children.entry(*revision).or_default().selected_elsewhere = true;
        }
        Step::Squat(revision) => {
            let created = world.now;
            let child = world.children.entry(*revision).or_default();
            child.versions += 1;
            let version = Version::new(child.versions.to_string());
            child.deployment = Some(Deployment { version, created, claim: None, replicas: 0, releases: vec![] });
            (child.exposed, child.conflict) = (true, Some(ANOTHER.to_owned()));
        }
        Step::SquatService => {
            let foreign = Some(Foreign::Owned(ANOTHER.to_owned()));
            let selects = Selects::Foreign(FOREIGN.to_owned());
            world.service = Some(Service { version: Version::new("1"), foreign, record: None, selects });
        }
        Step::Wait => world.now = world.now.plus(Duration::from_mins(20)),
        // Only the API server knows its uid: whoever creates it tells the world.
        Step::Order(_) => {}
    }
    Ok(())
}
