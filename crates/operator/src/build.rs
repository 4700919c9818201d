//! Build: what is seen of one, and what is done to it.

mod ask;
mod facts;
mod stuck;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{batch::v1::Job as K8sJob, core::v1::Pod};
use kube::{Api, Client, ResourceExt, core::error_boundary::InvalidObject};
use serde_json::Value;
use switchyard_api::{Build, Command, build::BuildStatus, command::CommandStatus, names};
use switchyard_cluster::{
    ops::Ops,
    refusal::refusal,
    target::{Seen, Target, Written},
    writer::{Created, Writer},
};
use switchyard_decide::{
    Refusal, Version,
    build::{self, Action, BuildResult, Job, Observed, Order, Step},
};
use switchyard_manifests::{Settings, build as bodies};

pub use self::ask::AskForBuilds;
use crate::{
    caches::{Caches, Key, own},
    commands,
    driver::{Blind, Hands, Known},
    telemetry::Metrics,
};

pub struct BuildHands {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
    pub settings: Settings,
    /// Where the log of a container is once its pod is gone.
    pub log_url: Option<String>,
    pub metrics: Arc<Metrics>,
}

impl Hands for BuildHands {
    type Kind = build::Build;
    type Object = Build;
    type Sight = ();

    fn status(object: &Build) -> BuildStatus {
        object.status.clone().unwrap_or_default()
    }

    fn object(&self, key: &Key) -> Option<Result<Arc<Build>, InvalidObject>> {
        let guarded = self.caches.builds.get(&key.0, &key.1)?;
        Some(guarded.0.as_ref().map(|o| Arc::new(o.clone())).map_err(Clone::clone))
    }

    /// Read live while one of its annotations is still to be written: that patch carries its version, and a cache whose
    /// watch has gone silent would show the one before it again and again.
    async fn fresh(&self, cached: Arc<Build>) -> Result<Option<(Arc<Build>, ())>, Blind> {
        if !is_to_be_marked(&cached) {
            return Ok(Some((cached, ())));
        }
        let (namespace, name) = own(cached.as_ref());
        let api: Api<Build> = Api::namespaced(self.client.clone(), &namespace);
        Ok(api.get_opt(&name).await?.map(|build| (Arc::new(build), ())))
    }

    async fn observe(&self, object: &Build, (): (), known: Known<build::Build>) -> Result<Observed, Blind> {
        let (namespace, name) = own(object);
        let scans = self.settings.default_scan.is_some();
        // The API server refuses what cannot be parsed.
        let order = Order::parse(&object.spec, scans, self.log_url.as_deref()).map_err(|e| Blind(e.to_string()))?;
        let mut jobs = BTreeMap::new();
        for step in order.steps() {
            for attempt in 1..=order.retries.saturating_add(1) {
                if let Some(job) = self.caches.jobs.get(&namespace, &job_name(&name, &step, attempt)) {
                    jobs.insert((step.clone(), attempt), self.job(&job, object));
                }
            }
        }
        let commands = self.caches.commands.within(&namespace, |_| true);
        let uid = object.uid().unwrap_or_default();
        let annotations = object.annotations();
        Ok(Observed {
            now: known.now,
            version: Version::new(object.resource_version().unwrap_or_default()),
            name: format!("{namespace}/{name}"),
            order,
            memory: Self::status(object).memory,
            marked_started: annotations.contains_key(names::ANNOTATION_STARTED),
            marked_result: annotations.get(names::ANNOTATION_RESULT).and_then(|t| serde_json::from_str(t).ok()),
            jobs,
            commands: commands::of(&uid, &commands).into_iter().filter_map(facts::command).collect(),
            answers: known.answers,
            refused: known.refused,
        })
    }

    async fn apply(&self, object: &Build, seen: &Observed, action: &Action) -> Result<Vec<Written>, Refusal> {
        let (namespace, name) = own(object);
        let mark = |key: &'static str, text: String, at: &Version| {
            let seen = Seen { uid: object.uid().unwrap_or_default(), version: at.clone() };
            (seen, Ops::new().annotate(&object.metadata, [(key, Some(text))]))
        };
        match action {
            Action::MarkStarted { at, time } => {
                let (seen, ops) = mark(names::ANNOTATION_STARTED, time.to_string(), at);
                Ok(vec![self.writer.patch(&Target::of(object), &seen, ops).await?])
            }
            Action::MarkResult { at, result } => {
                let text = serde_json::to_string(result).map_err(|e| Refusal::Invalid(e.to_string()))?;
                let (seen, ops) = mark(names::ANNOTATION_RESULT, text, at);
                let written = self.writer.patch(&Target::of(object), &seen, ops).await?;
                self.metrics.build_finished(outcome(result));
                Ok(vec![written])
            }
            Action::Run { step, attempt } => self.run(object, step, *attempt).await,
            Action::Stop { step, attempt, uid } => self.stop(&namespace, &job_name(&name, step, *attempt), uid).await,
            Action::Answer { command, uid, at, state, message } => {
                let status = CommandStatus { state: *state, message: message.clone(), handled_time: Some(seen.now) };
                let status = serde_json::to_value(status).map_err(|e| Refusal::Invalid(e.to_string()))?;
                let seen = Seen { uid: uid.clone(), version: at.clone() };
                Ok(vec![
                    self.writer.apply_status(&Target::named::<Command>(&namespace, command), &seen, &status).await?,
                ])
            }
        }
    }
}

/// It began and does not say so, or it ended and does not say how.
fn is_to_be_marked(build: &Build) -> bool {
    let lacks = |key| !build.annotations().contains_key(key);
    build.status.as_ref().is_some_and(|status| match status.memory.finished {
        None => status.memory.started.is_some() && lacks(names::ANNOTATION_STARTED),
        Some(_) => lacks(names::ANNOTATION_RESULT),
    })
}

fn job_name(build: &str, step: &Step, attempt: i32) -> String {
    body_step(step).job_name(build, attempt)
}

fn body_step(step: &Step) -> bodies::Step<'_> {
    match step {
        Step::Check(name) => bodies::Step::Check(name),
        Step::Image(name) => bodies::Step::Image(name),
    }
}

/// In one word, for a count: the reason of a failure, which is a constant of ours.
fn outcome(result: &BuildResult) -> &str {
    match &result.failure {
        Some(failure) => &failure.reason,
        None if result.skipped => "Skipped",
        None => "Succeeded",
    }
}

impl BuildHands {
    async fn run(&self, build: &Build, step: &Step, attempt: i32) -> Result<Vec<Written>, Refusal> {
        let (namespace, name) = own(build);
        self.none_before(build, step, attempt).await?;
        let body = self.body(build, step, attempt).ok_or(Refusal::Stale)?;
        let target = Target::named::<K8sJob>(&namespace, &job_name(&name, step, attempt));
        match self.writer.create_body(&target, &body).await? {
            Created::New(written) => Ok(vec![written]),
            Created::Existing(there) if there.labels().get(names::LABEL_OWNER_UID) == build.metadata.uid.as_ref() => {
                Err(Refusal::Stale) // ours, made by a round that did not live to see it
            }
            Created::Existing(_) => {
                Err(Refusal::Owned(format!("{target} exists and is not this Build's: delete it, or make a new Build")))
            }
        }
    }

    /// None: the spec has no such step.
    fn body(&self, build: &Build, step: &Step, attempt: i32) -> Option<Value> {
        let recipe = &build.spec.recipe;
        match step {
            Step::Check(name) => {
                let check = recipe.checks.iter().find(|c| c.name == *name)?;
                bodies::check_job(build, check, attempt, &self.settings)
            }
            Step::Image(name) if build.spec.source.registry.as_ref().is_some_and(|i| i.name == *name) => {
                bodies::accept_job(build, attempt, &self.settings)
            }
            Step::Image(name) => {
                let image = recipe.images.iter().find(|i| i.name == *name)?;
                bodies::image_job(build, image, attempt, &self.settings)
            }
        }
    }

    /// Refused, while a Job of an earlier attempt at this step may still run: a cache may not show it yet.
    async fn none_before(&self, build: &Build, step: &Step, attempt: i32) -> Result<(), Refusal> {
        let (namespace, name) = own(build);
        let jobs: Api<K8sJob> = Api::namespaced(self.client.clone(), &namespace);
        for earlier in 1..attempt {
            let found = jobs.get_opt(&job_name(&name, step, earlier)).await.map_err(|error| refusal(&error))?;
            let ours = |job: &K8sJob| job.labels().get(names::LABEL_OWNER_UID) == build.metadata.uid.as_ref();
            if found.is_some_and(|job| ours(&job) && !facts::has_ended(&job)) {
                return Err(Refusal::Stale);
            }
        }
        Ok(())
    }

    /// Its name stays taken, so that a Run which was decided long ago and lands late makes no second one.
    async fn stop(&self, namespace: &str, name: &str, uid: &str) -> Result<Vec<Written>, Refusal> {
        let Some(job) = self.caches.jobs.get(namespace, name).filter(|job| job.metadata.uid.as_deref() == Some(uid))
        else {
            return Err(Refusal::Stale);
        };
        let ops = Ops::new().set(&["spec", "activeDeadlineSeconds"], facts::NOW);
        Ok(vec![self.writer.patch(&Target::of(job.as_ref()), &Seen::of(job.as_ref()), ops).await?])
    }

    fn job(&self, job: &K8sJob, build: &Build) -> Job {
        let namespace = build.namespace().unwrap_or_default();
        let of_job = |p: &Pod| p.owner_references().iter().any(|r| Some(&r.uid) == job.metadata.uid.as_ref());
        // A pod that went away is replaced by the Job controller: the newest counts.
        let pods = self.caches.build_pods.within(&namespace, of_job);
        let pod = pods.into_iter().max_by_key(|p| p.creation_timestamp().map(|t| t.0));
        facts::job(job, pod.as_deref(), build)
    }
}
