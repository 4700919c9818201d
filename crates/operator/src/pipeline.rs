//! Pipeline: what is seen of one, and what is done to it.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Preconditions},
    core::error_boundary::InvalidObject,
};
use switchyard_api::{
    Build, Pipeline, Rollout, Timestamp, condition, names,
    pipeline::{Ended, PipelineStatus},
};
use switchyard_cluster::{
    refusal::refusal,
    target::{Target, Written},
    writer::{Created, Writer},
};
use switchyard_decide::{
    Refusal,
    pipeline::{self, Action, BuildSeen, Observed, Order, RolloutSeen},
};
use switchyard_manifests::pipeline as bodies;

use crate::{
    caches::{Caches, Key, named_pipelines, own},
    driver::{Blind, Hands, Known},
};

pub struct PipelineHands {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
}

impl Hands for PipelineHands {
    type Kind = pipeline::Pipeline;
    type Object = Pipeline;
    type Sight = ();

    fn status(object: &Pipeline) -> PipelineStatus {
        object.status.clone().unwrap_or_default()
    }

    fn object(&self, key: &Key) -> Option<Result<Arc<Pipeline>, InvalidObject>> {
        let guarded = self.caches.pipelines.get(&key.0, &key.1)?;
        Some(guarded.0.as_ref().map(|o| Arc::new(o.clone())).map_err(Clone::clone))
    }

    async fn fresh(&self, cached: Arc<Pipeline>) -> Result<Option<(Arc<Pipeline>, ())>, Blind> {
        Ok(Some((cached, ())))
    }

    async fn observe(&self, object: &Pipeline, (): (), known: Known<pipeline::Pipeline>) -> Result<Observed, Blind> {
        let key = own(object);
        let order = Order::parse(&object.spec, &key.0);
        let labelled = |b: &switchyard_cluster::caches::Guarded<Build>| {
            kube::Resource::meta(b).labels.as_ref().and_then(|l| l.get(names::LABEL_PIPELINE)) == Some(&key.1)
        };
        let builds = self.caches.builds.within(&key.0, labelled);
        let builds = builds.iter().filter_map(|b| b.0.as_ref().ok()).map(|b| (b.name_any(), build(b, object)));
        let mut rollouts = BTreeMap::new();
        for name in order.environments.iter().flat_map(|e| &e.rollouts) {
            let found = name.split_once('/').and_then(|(namespace, name)| self.caches.rollouts.get(namespace, name));
            if let Some(found) = found.as_ref().and_then(|f| f.0.as_ref().ok()) {
                rollouts.insert(name.clone(), rollout(found, object, &key));
            }
        }
        Ok(Observed {
            now: known.now,
            name: format!("{}/{}", key.0, key.1),
            order,
            memory: Self::status(object).memory,
            builds: builds.collect(),
            rollouts,
            answers: known.answers,
            refused: known.refused,
        })
    }

    async fn apply(&self, object: &Pipeline, _: &Observed, action: &Action) -> Result<Vec<Written>, Refusal> {
        let namespace = object.namespace().unwrap_or_default();
        match action {
            Action::CreateBuild { name, commit, branch, base } => {
                let body = bodies::build(object, name, commit, branch, base.as_ref());
                match self.writer.create(&body).await? {
                    Created::New(written) => Ok(vec![written]),
                    Created::Existing(there)
                        if there.labels().get(names::LABEL_OWNER_UID) == object.metadata.uid.as_ref() =>
                    {
                        Err(Refusal::Stale) // ours, made by a round that did not live to see it
                    }
                    Created::Existing(there) => {
                        let target = Target::of(there.as_ref());
                        Err(Refusal::Invalid(format!("{target} exists and is not this Pipeline's: delete it")))
                    }
                }
            }
            Action::DeleteBuild { name, uid } => {
                let builds: Api<Build> = Api::namespaced(self.client.clone(), &namespace);
                let only = Preconditions { uid: Some(uid.clone()), resource_version: None };
                match builds.delete(name, &DeleteParams::background().preconditions(only)).await {
                    Ok(_) => Ok(vec![]),
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(vec![]),
                    Err(error) => Err(refusal(&error)),
                }
            }
        }
    }
}

fn build(build: &Build, pipeline: &Pipeline) -> BuildSeen {
    let status = build.status.clone().unwrap_or_default();
    let owner = build.labels().get(names::LABEL_OWNER_UID);
    let ended = status.memory.finished.map(|_| Ended {
        succeeded: status.failure.is_none() && !status.memory.skipped,
        skipped: status.memory.skipped,
        message: status.failure.as_ref().map(|f| format!("{}: {}", f.reason, f.message)),
    });
    BuildSeen {
        uid: build.uid().unwrap_or_default(),
        created: build.creation_timestamp().map_or_else(Timestamp::default, |t| t.0.into()),
        commit: build.spec.source.git.as_ref().map(|git| git.commit.clone()),
        conflict: (owner != pipeline.metadata.uid.as_ref()).then(|| "belongs to somebody else: delete it".to_owned()),
        ended,
        version: status.version,
        images: status.images,
        waiting: status.waiting_for.first().cloned(),
    }
}

fn rollout(rollout: &Rollout, pipeline: &Pipeline, key: &Key) -> RolloutSeen {
    let status = rollout.status.clone().unwrap_or_default();
    let ours = format!("{}/{}", key.0, key.1);
    let uid = pipeline.uid().unwrap_or_default();
    let sequence = |releases: &[switchyard_api::rollout::ReleaseRef]| {
        releases.iter().filter(|r| r.pipeline == ours && r.pipeline_uid == uid).map(|r| r.sequence).max()
    };
    let ready = status.conditions.iter().any(|c| c.kind == condition::READY && c.status == condition::State::True);
    let current = status.observed_generation == rollout.metadata.generation.unwrap_or(0);
    let waiting = status.waiting_for.first().cloned();
    RolloutSeen {
        names_us: named_pipelines(rollout).contains(key),
        taken: status.memory.taken.get(&ours).filter(|t| t.release.pipeline_uid == uid).map(|t| t.release.sequence),
        live: status.live.as_ref().and_then(|l| sequence(&l.releases)),
        healthy: current && ready && status.live.as_ref().is_some_and(|l| l.confirmed),
        rejected: status.rejected.iter().filter_map(|r| sequence(&r.releases)).collect(),
        message: waiting,
    }
}
