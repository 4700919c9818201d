//! What each write does, and when it is refused.

use switchyard_api::{Revision, rollout::Memory};
use switchyard_decide::{
    Refusal, Version,
    rollout::{Action, JobState, Record, Selects},
};

use super::{Child, Cluster, Deployment, Preview, Service};
use crate::{absent, after, fresh};

impl Cluster {
    /// The status write of what is to be remembered, conditional on the version that the decision saw.
    pub fn report(&mut self, at: &Version, memory: &Memory) -> Result<(), Refusal> {
        fresh(at, &self.rollout.version)?;
        self.rollout.memory.clone_from(memory);
        self.rollout.version = after(&self.rollout.version);
        Ok(())
    }

    /// The status write that says whether a pause is in force, where there is nothing to remember.
    pub fn tell(&mut self, at: &Version, paused: bool) -> Result<(), Refusal> {
        fresh(at, &self.rollout.version)?;
        self.rollout.says_paused = paused;
        self.rollout.version = after(&self.rollout.version);
        Ok(())
    }

    /// The look and then the write, with nothing in between.
    pub fn effect(&mut self, action: &Action) -> Result<(), Refusal> {
        self.look(action)?;
        self.write(action)
    }

    /// What is looked at right before the write, of other objects than the one that is written.
    pub fn look(&self, action: &Action) -> Result<(), Refusal> {
        let unless = |stale: bool| if stale { Err(Refusal::Stale) } else { Ok(()) };
        match action {
            // Ports come from the revision's own Service.
            Action::Record { select: Some(Selects::Revision(to)), .. } => {
                let referred = self.rollout.order.as_ref().is_ok_and(|o| o.referred);
                let live = self.service.as_ref().and_then(|s| s.record.as_ref()?.live);
                let exposed = self.children.get(to).is_some_and(|c| c.exposed);
                unless(!referred && live != Some(*to) && !exposed)
            }
            Action::Claim { revision, replicas: 0, .. } | Action::Scale { revision, replicas: 0, .. } => {
                let asked = self.rollout.order.as_ref().is_ok_and(|o| o.replicas == 0);
                unless(!asked || self.deployment(*revision).is_none())
            }
            Action::Retire { revision, .. } => {
                unless(self.deployment(*revision).is_none())?;
                let denied = || Err(Refusal::Denied(format!("another Service selects pods of {revision}")));
                if self.children.get(revision).is_some_and(|c| c.selected_elsewhere) {
                    return denied();
                }
                let named = Selects::Revision(*revision);
                unless(self.selects() == named)?;
                let shown = self.preview.as_ref().is_some_and(|p| p.selects == named);
                if shown && !self.previews() {
                    return denied();
                }
                unless(shown || self.endpoints.listed == named)
            }
            // Its pod is made of the Deployment's template.
            Action::Check { revision, .. } => unless(self.deployment(*revision).is_none()),
            Action::Delete { revision, at: None } => unless(self.deployment(*revision).is_some()),
            Action::CreatePreview | Action::Preview { .. } => unless(!self.previews()),
            Action::CreateService
            | Action::Record { .. }
            | Action::Deploy { .. }
            | Action::Expose { .. }
            | Action::Claim { .. }
            | Action::Scale { .. }
            | Action::Delete { at: Some(_), .. }
            | Action::Answer { .. } => Ok(()),
        }
    }

    /// One conditional write on one object.
    pub fn write(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::CreateService => self.create_service(),
            Action::Record { at, next, select } => self.patch_service(at, next, select.as_ref()),
            Action::Deploy { revision, releases, .. } => {
                let created = self.now;
                let child = self.ours(*revision)?;
                absent(child.deployment.is_some())?;
                child.versions = child.versions.saturating_add(1);
                let version = Version::new(child.versions.to_string());
                let releases = releases.clone();
                child.deployment = Some(Deployment { version, created, claim: None, replicas: 0, releases });
                Ok(())
            }
            Action::Expose { revision, .. } => {
                let child = self.ours(*revision)?;
                absent(child.exposed)?;
                child.exposed = true;
                Ok(())
            }
            Action::Claim { revision, at, claim, replicas } => self.change(*revision, at, |d| {
                d.claim = Some(claim.clone());
                d.replicas = *replicas;
            }),
            Action::Scale { revision, at, replicas } => self.change(*revision, at, |d| d.replicas = *replicas),
            Action::Retire { revision, at } => self.change(*revision, at, |d| d.replicas = 0),
            Action::Delete { revision, at: Some(at) } => {
                self.change(*revision, at, |d| d.replicas = 0)?;
                self.take(*revision, |child| child.deployment = None)
            }
            Action::Delete { revision, at: None } => {
                let exposed = self.children.get(revision).is_some_and(|c| c.exposed);
                if exposed { self.take(*revision, |child| child.exposed = false) } else { Err(Refusal::Stale) }
            }
            Action::CreatePreview => {
                if let Some(other) = self.preview.as_ref().and_then(|p| p.foreign.as_ref()) {
                    return Err(Refusal::Invalid(other.message().to_owned()));
                }
                absent(self.preview.is_some())?;
                self.preview = Some(Preview { version: Version::new("1"), foreign: None, selects: Selects::Nobody });
                Ok(())
            }
            Action::Preview { at, select } => {
                let preview = self.preview.as_mut().ok_or(Refusal::Stale)?;
                ours(Some(select))?;
                fresh(at, &preview.version)?;
                if preview.selects != *select {
                    preview.selects = select.clone();
                    preview.version = after(&preview.version);
                }
                Ok(())
            }
            Action::Check { revision, job } => {
                let child = self.children.entry(*revision).or_default();
                absent(child.jobs.contains_key(job))?;
                child.jobs.insert(job.clone(), JobState::Running(None));
                Ok(())
            }
            Action::Answer { uid, at, state, .. } => {
                let command = self.commands.get_mut(uid).ok_or(Refusal::Stale)?;
                fresh(at, &command.order.version)?;
                absent(command.answer.is_some())?;
                command.order.version = after(&command.order.version);
                command.answer = Some(*state);
                Ok(())
            }
        }
    }

    fn create_service(&mut self) -> Result<(), Refusal> {
        if let Some(other) = self.service.as_ref().and_then(|s| s.foreign.as_ref()) {
            return Err(Refusal::Invalid(other.message().to_owned()));
        }
        absent(self.service.is_some())?;
        let record = Some(Record { owner: self.setting.uid.clone(), ..Record::default() });
        let version = self.gone.take().map_or_else(|| Version::new("1"), |last| after(&last));
        self.service = Some(Service { version, foreign: None, record, selects: Selects::Nobody });
        Ok(())
    }

    fn patch_service(&mut self, at: &Version, next: &Record, select: Option<&Selects>) -> Result<(), Refusal> {
        let service = self.service.as_mut().ok_or(Refusal::Stale)?;
        ours(select)?;
        fresh(at, &service.version)?;
        let (record, selects) = (Some(next.clone()), select.unwrap_or(&service.selects).clone());
        // What changes nothing makes no version.
        if (&service.record, &service.selects) != (&record, &selects) {
            (service.record, service.selects) = (record, selects);
            service.version = after(&service.version);
        }
        Ok(())
    }

    /// A write on a Deployment. Pods that are too many are gone at once, which is the worst they can do.
    fn change(
        &mut self,
        revision: Revision,
        at: &Version,
        change: impl FnOnce(&mut Deployment),
    ) -> Result<(), Refusal> {
        let child = self.children.get_mut(&revision).ok_or(Refusal::Stale)?;
        let Child { deployment, versions, .. } = child;
        let deployment = deployment.as_mut().filter(|d| d.version == *at).ok_or(Refusal::Stale)?;
        let before = deployment.clone();
        change(deployment);
        if *deployment == before {
            return Ok(()); // what changes nothing makes no version
        }
        *versions = versions.saturating_add(1);
        deployment.version = Version::new(versions.to_string());
        let wanted = deployment.replicas;
        if let Some(pods) = self.endpoints.pods.get_mut(&revision) {
            pods.ready = pods.ready.min(wanted);
        }
        if wanted == 0 {
            self.endpoints.pods.remove(&revision);
        }
        Ok(())
    }

    fn ours(&mut self, revision: Revision) -> Result<&mut Child, Refusal> {
        let child = self.children.entry(revision).or_default();
        match &child.conflict {
            Some(other) => Err(Refusal::Invalid(other.clone())),
            None => Ok(child),
        }
    }

    /// One of a revision's objects goes. With the last one goes whose they are.
    fn take(&mut self, revision: Revision, take: impl FnOnce(&mut Child)) -> Result<(), Refusal> {
        let child = self.children.get_mut(&revision).ok_or(Refusal::Stale)?;
        take(child);
        if child.deployment.is_none() && !child.exposed {
            child.conflict = None;
        }
        Ok(())
    }
}

fn ours(select: Option<&Selects>) -> Result<(), Refusal> {
    match select {
        Some(Selects::Foreign(selector)) => Err(Refusal::Invalid(format!("{selector} is no selector of ours"))),
        Some(Selects::Revision(_) | Selects::Nobody) | None => Ok(()),
    }
}
