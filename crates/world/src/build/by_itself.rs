//! What Kubernetes, registries and people do without us.

use switchyard_api::build::Memory;
use switchyard_decide::build::{self as decide, Problem};

use super::{Cluster, Command, JobEnd, Key, Outcome, Pod, Served};
use crate::after;

impl Cluster {
    /// A pod of a Job that goes on, which has not ended.
    fn open(&mut self, key: &Key) -> Option<&mut Pod> {
        let runs = self.jobs.get(key).is_some_and(|job| job.end.is_none());
        self.pods.get_mut(key).filter(|pod| runs && !matches!(pod, Pod::Ended(_)))
    }
    pub fn pod_starts(&mut self, key: &Key) {
        if let Some(pod) = self.open(key) {
            *pod = Pod::Running;
        }
    }
    pub fn pod_sticks(&mut self, key: &Key, problem: &Problem) {
        if let Some(pod) = self.open(key) {
            *pod = Pod::Stuck(problem.clone());
        }
    }
    pub fn pod_ends(&mut self, key: &Key, outcome: Outcome) {
        if let Some(pod) = self.open(key) {
            *pod = Pod::Ended(outcome);
        }
    }
    /// Somebody deletes the pod, or its node is gone for good.
    pub fn pod_goes(&mut self, key: &Key) {
        self.pods.remove(key);
    }

    /// The Job controller catches up: a Job ends with its pod, or takes the pod away because it was told to end.
    pub fn job_follows(&mut self, key: &Key) {
        let Some(job) = self.jobs.get_mut(key).filter(|job| job.end.is_none()) else { return };
        match self.pods.get(key) {
            Some(Pod::Ended(Outcome::Passed)) => job.end = Some(JobEnd::Complete),
            Some(Pod::Pending | Pod::Stuck(_) | Pod::Running) if job.stopped => {
                job.end = Some(JobEnd::DeadlineExceeded);
                self.pods.remove(key);
            }
            Some(Pod::Pending | Pod::Stuck(_) | Pod::Running) => {}
            None if job.stopped => job.end = Some(JobEnd::DeadlineExceeded),
            Some(Pod::Ended(_)) | None => job.end = Some(JobEnd::BackoffLimitExceeded),
        }
    }

    pub fn registry_serves(&mut self, image: &str, served: Served) {
        self.registry.insert(image.to_owned(), served);
    }

    /// A person orders something.
    pub fn command(&mut self, order: decide::Command) {
        self.commands.insert(order.uid.clone(), Command { order, answer: None });
    }

    /// Somebody empties the status.
    pub fn lose_status(&mut self) {
        self.build.memory = Memory::default();
        self.build.version = after(&self.build.version);
    }
}
