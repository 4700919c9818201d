//! What Kubernetes does without us, and what can befall it.

use switchyard_api::Revision;
use switchyard_decide::rollout::JobState;

use super::{Cluster, Pods};

impl Cluster {
    /// All pods of a revision become ready, under the claim that its Deployment has now. Whether that changed
    /// anything.
    pub fn pods_become_ready(&mut self, revision: Revision) -> bool {
        let Some(child) = self.children.get(&revision).filter(|c| c.exposed) else { return false };
        let Some(deployment) = child.deployment.as_ref().filter(|d| d.replicas > 0) else { return false };
        let pods = Pods { ready: deployment.replicas, under: deployment.claim.clone() };
        self.endpoints.pods.insert(revision, pods.clone()) != Some(pods)
    }

    /// The Jobs of a revision's checks end.
    pub fn jobs_end(&mut self, revision: Revision, passed: bool) {
        let Some(child) = self.children.get_mut(&revision) else { return };
        for state in child.jobs.values_mut().filter(|s| matches!(s, JobState::Running(_))) {
            *state = if passed { JobState::Passed } else { JobState::Failed("exit code 1".to_owned()) };
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
}
