//! Build: what is seen of one, and what is done to it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    batch::v1::Job as K8sJob,
    core::v1::{ContainerStatus, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Preconditions},
    core::error_boundary::InvalidObject,
};
use switchyard_api::{Build, build::BuildStatus, names};
use switchyard_cluster::{
    ops::Ops,
    refusal::refusal,
    target::{Seen, Target, Written},
    writer::{Created, Writer},
};
use switchyard_decide::{
    Refusal, Version,
    build::{self, Action, Container, Job, Observed, Order, Step},
};
use switchyard_manifests::{Settings, build as bodies};

use crate::{
    caches::{Caches, Key, own},
    driver::{Blind, Hands, Known},
    pods,
};

pub struct BuildHands {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
    pub settings: Settings,
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

    async fn fresh(&self, cached: Arc<Build>) -> Result<Option<(Arc<Build>, ())>, Blind> {
        Ok(Some((cached, ())))
    }

    async fn observe(&self, object: &Build, (): (), known: Known<build::Build>) -> Result<Observed, Blind> {
        let (namespace, name) = own(object);
        let order = Order::parse(&object.spec);
        let memory = Self::status(object).memory;
        let mut jobs = BTreeMap::new();
        for step in order.checks().chain(order.images()) {
            for attempt in 1..=Observed::attempt(&memory, &step) {
                if let Some(job) = self.caches.jobs.get(&namespace, &job_name(&name, &step, attempt)) {
                    jobs.insert((step.clone(), attempt), self.job(&job, object));
                }
            }
        }
        let annotations = object.annotations();
        Ok(Observed {
            now: known.now,
            version: Version::new(object.resource_version().unwrap_or_default()),
            name: format!("{namespace}/{name}"),
            order,
            memory,
            marked_started: annotations.contains_key(names::ANNOTATION_STARTED),
            marked_result: annotations.get(names::ANNOTATION_RESULT).and_then(|t| serde_json::from_str(t).ok()),
            jobs,
            answers: known.answers,
            refused: known.refused,
        })
    }

    async fn apply(&self, object: &Build, _: &Observed, action: &Action) -> Result<Vec<Written>, Refusal> {
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
                Ok(vec![self.writer.patch(&Target::of(object), &seen, ops).await?])
            }
            Action::Run { step, attempt } => self.run(object, step, *attempt).await,
            Action::Stop { step, attempt, uid } => self.stop(&namespace, &job_name(&name, step, *attempt), uid).await,
        }
    }
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

impl BuildHands {
    async fn run(&self, build: &Build, step: &Step, attempt: i32) -> Result<Vec<Written>, Refusal> {
        let (namespace, name) = own(build);
        let recipe = &build.spec.recipe;
        let body = match step {
            Step::Check(check) => {
                let check = recipe.checks.iter().find(|c| c.name == *check).ok_or(Refusal::Stale)?;
                bodies::check_job(build, check, attempt, &self.settings)
            }
            Step::Image(image) => {
                let image = recipe.images.iter().find(|i| i.name == *image).ok_or(Refusal::Stale)?;
                bodies::image_job(build, image, attempt, &self.settings)
            }
        };
        let target = Target::named::<K8sJob>(&namespace, &job_name(&name, step, attempt));
        match self.writer.create_body(&target, &body).await? {
            Created::New(written) => Ok(vec![written]),
            Created::Existing(there) if there.labels().get(names::LABEL_OWNER_UID) == build.metadata.uid.as_ref() => {
                Err(Refusal::Stale) // ours, made by a round that did not live to see it
            }
            Created::Existing(_) => Err(Refusal::Invalid(format!(
                "{target} exists and is not this Build's: delete it, or make a new Build"
            ))),
        }
    }

    async fn stop(&self, namespace: &str, name: &str, uid: &str) -> Result<Vec<Written>, Refusal> {
        let jobs: Api<K8sJob> = Api::namespaced(self.client.clone(), namespace);
        let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        match jobs.delete(name, &DeleteParams::background().preconditions(only)).await {
            Ok(_) => Ok(vec![]),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(vec![]),
            Err(error) => Err(refusal(&error)),
        }
    }

    fn job(&self, job: &K8sJob, build: &Build) -> Job {
        let owner = job.labels().get(names::LABEL_OWNER_UID);
        let conflict = (owner != build.metadata.uid.as_ref())
            .then(|| format!("Job {} belongs to somebody else: delete it, or make a new Build", job.name_any()));
        let namespace = build.namespace().unwrap_or_default();
        let of_job = |p: &Pod| p.owner_references().iter().any(|r| Some(&r.uid) == job.metadata.uid.as_ref());
        // A pod that went away is replaced by the Job controller: the newest counts.
        let pod = self
            .caches
            .build_pods
            .within(&namespace, of_job)
            .into_iter()
            .max_by_key(|p| p.creation_timestamp().map(|t| t.0));
        let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
        let ended = |kind: &str| conditions.clone().find(|c| c.type_ == kind && c.status == "True");
        let words = |c: &k8s_openapi::api::batch::v1::JobCondition| {
            [c.reason.clone(), c.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
        };
        Job {
            uid: job.uid().unwrap_or_default(),
            conflict,
            succeeded: ended("Complete").is_some(),
            failed: ended("Failed").map(words),
            pod: pod.as_ref().map(|p| p.name_any()),
            pod_ended: pod.as_ref().is_none_or(|p| pods::has_ended(p)),
            lost: pod.as_ref().and_then(|p| pods::lost(p)),
            problem: pod.as_ref().and_then(|p| pods::cannot_start(p)).or_else(|| not_created(job)),
            containers: pod.as_ref().map(|p| containers(p)).unwrap_or_default(),
        }
    }
}

/// A Job without a pod says why only in Events; quota and admission are all that stops its controller.
fn not_created(job: &K8sJob) -> Option<String> {
    let suspended = job.spec.as_ref().and_then(|s| s.suspend).unwrap_or(false);
    suspended.then(|| "the Job is suspended".to_owned())
}

/// In the order they run: init containers one after the other, then the rest.
fn containers(pod: &Pod) -> Vec<Container> {
    let status = pod.status.as_ref();
    let of = |list: Option<&Vec<ContainerStatus>>, spec: Vec<&String>| {
        let list = list.cloned().unwrap_or_default();
        let found = spec.into_iter().filter_map(|name| list.iter().find(|c| c.name == *name));
        found.map(container).collect::<Vec<_>>()
    };
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten().map(|c| &c.name).collect();
    let main = spec.map(|s| s.containers.iter().map(|c| &c.name).collect()).unwrap_or_default();
    let mut all = of(status.and_then(|s| s.init_container_statuses.as_ref()), init);
    all.extend(of(status.and_then(|s| s.container_statuses.as_ref()), main));
    all
}

fn container(status: &ContainerStatus) -> Container {
    let state = status.state.as_ref();
    let ended = state.and_then(|s| s.terminated.as_ref()).map(|t| build::ContainerEnd {
        exit_code: t.exit_code,
        reason: t.reason.clone().unwrap_or_default(),
        message: t.message.clone().unwrap_or_default(),
    });
    Container { name: status.name.clone(), running: state.is_some_and(|s| s.running.is_some()), ended }
}
