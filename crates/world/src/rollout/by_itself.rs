//! What Kubernetes does without us, and what can befall it.

use switchyard_api::{Revision, rollout::Memory};
use switchyard_decide::{
    Version,
    rollout::{JobKey, JobState},
};

use super::{Cluster, Pods};
use crate::after;

impl Cluster {
    /// All pods of a revision become ready, under the claim that its Deployment has now. Whether that changed
    /// anything.
    pub fn pods_become_ready(&mut self, revision: Revision) -> bool {
        let wanted = self.deployment(revision).map_or(0, |d| d.replicas);
        self.some_become_ready(revision, wanted)
    }

    /// So many of them.
    pub fn some_become_ready(&mut self, revision: Revision, ready: i32) -> bool {
        let Some(child) = self.children.get(&revision).filter(|c| c.exposed) else { return false };
        let Some(deployment) = child.deployment.as_ref().filter(|d| d.replicas > 0) else { return false };
        let pods = Pods { ready: deployment.replicas.min(ready), under: deployment.claim.clone() };
        self.endpoints.pods.insert(revision, pods.clone()) != Some(pods)
    }

    /// The Jobs of a revision's checks end.
    pub fn jobs_end(&mut self, revision: Revision, passed: bool) {
        let Some(child) = self.children.get_mut(&revision) else { return };
        for state in child.jobs.values_mut().filter(|s| matches!(s, JobState::Running(_))) {
            *state = if passed { JobState::Passed } else { JobState::Failed("exit code 1".to_owned()) };
        }
    }

    /// One Job ends.
    pub fn job_ends(&mut self, revision: Revision, job: &JobKey, passed: bool) {
        let state = self.children.get_mut(&revision).and_then(|c| c.jobs.get_mut(job));
        if let Some(state) = state.filter(|s| matches!(s, JobState::Running(_))) {
            *state = if passed { JobState::Passed } else { JobState::Failed("exit code 1".to_owned()) };
        }
    }

    /// One pod of a revision fails its readiness probe.
    pub fn pod_fails(&mut self, revision: Revision) {
        if let Some(pods) = self.endpoints.pods.get_mut(&revision) {
            pods.ready = pods.ready.saturating_sub(1).max(0);
        }
    }

    /// Pods of a revision fail their readiness probe.
    pub fn pods_fail(&mut self, revision: Revision) {
        if let Some(pods) = self.endpoints.pods.get_mut(&revision) {
            pods.ready = 0;
        }
    }

    /// The slice controller catches up with the live Service's selector.
    pub fn slices_follow(&mut self) {
        self.endpoints.listed = self.selects();
    }

    /// Somebody scales a revision's Deployment. Pods that are too many are gone at once.
    pub fn scale(&mut self, revision: Revision, replicas: i32) {
        let Some(child) = self.children.get_mut(&revision) else { return };
        let Some(deployment) = &mut child.deployment else { return };
        child.versions = child.versions.saturating_add(1);
        deployment.version = Version::new(child.versions.to_string());
        deployment.replicas = replicas;
        if let Some(pods) = self.endpoints.pods.get_mut(&revision) {
            pods.ready = pods.ready.min(replicas);
        }
        if replicas == 0 {
            self.endpoints.pods.remove(&revision);
        }
    }

    /// Somebody deletes the live Service; its slices go with it.
    pub fn lose_service(&mut self) {
        if let Some(service) = self.service.take() {
            self.gone = Some(service.version);
            self.slices_follow();
        }
    }

    /// Somebody empties the status.
    pub fn lose_status(&mut self) {
        self.rollout.memory = Memory::default();
        self.rollout.says_paused = false;
        self.rollout.version = after(&self.rollout.version);
    }
}
