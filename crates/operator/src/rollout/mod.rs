//! Rollout: what is seen of one, and what is done to it.

mod apply;
mod facts;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use switchyard_api::{Pipeline, Revision, Rollout, Timestamp, names, rollout::RolloutStatus};
use switchyard_cluster::writer::Writer;
use switchyard_decide::rollout::{self, Observed, Order, Seen};

use crate::{
    caches::{Caches, Key, named_pipelines, own},
    driver::{Blind, Hands, Known},
};

pub struct RolloutHands {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
    pub started: Timestamp,
}

/// The objects of one Rollout, from the caches or read live.
pub struct Children {
    pub deployments: Vec<Arc<Deployment>>,
    pub services: Vec<Arc<Service>>,
    pub slices: Vec<Arc<EndpointSlice>>,
    pub pods: Vec<Arc<Pod>>,
    pub pipelines: BTreeMap<String, Arc<Pipeline>>,
    /// Read only where a switch depends on them.
    pub replica_sets: Option<Vec<ReplicaSet>>,
}

impl Hands for RolloutHands {
    type Kind = rollout::Rollout;
    type Object = Rollout;

    fn status(object: &Rollout) -> RolloutStatus {
        object.status.clone().unwrap_or_default()
    }

    fn object(&self, key: &Key) -> Option<Result<Arc<Rollout>, String>> {
        let guarded = self.caches.rollouts.get(&key.0, &key.1)?;
        Some(guarded.0.as_ref().map(|o| Arc::new(o.clone())).map_err(|e| e.error.clone()))
    }

    async fn fresh(&self, cached: Arc<Rollout>) -> Result<Option<Arc<Rollout>>, Blind> {
        if !self.delicate(&cached) {
            return Ok(Some(cached));
        }
        let (namespace, name) = own(cached.as_ref());
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), &namespace);
        Ok(api.get_opt(&name).await?.map(Arc::new))
    }

    async fn observe(&self, object: &Rollout, known: Known<rollout::Rollout>) -> Result<Observed, Blind> {
        let children = if self.delicate(object) { self.live(object).await? } else { self.cached(object) };
        Ok(self.facts(object, known, &children))
    }

    async fn apply(
        &self,
        object: &Rollout,
        seen: &Observed,
        action: &rollout::Action,
    ) -> Result<Vec<switchyard_cluster::target::Written>, switchyard_decide::Refusal> {
        apply::apply(self, object, seen, action).await
    }
}

impl RolloutHands {
    /// While a candidate stands, or the record is lost, an old view could switch to what is no longer wanted.
    fn delicate(&self, rollout: &Rollout) -> bool {
        let (namespace, name) = own(rollout);
        let Some(service) = self.caches.services.get(&namespace, &name) else { return false };
        facts::record(&service).is_none_or(|r| r.candidate.is_some())
    }

    fn cached(&self, rollout: &Rollout) -> Children {
        let (namespace, name) = own(rollout);
        let labelled = |labels: &BTreeMap<String, String>| labels.get(names::LABEL_ROLLOUT) == Some(&name);
        let pipelines = named_pipelines(rollout).into_iter().filter_map(|key| {
            let found = self.caches.pipelines.get(&key.0, &key.1)?;
            Some((format!("{}/{}", key.0, key.1), Arc::new(found.0.clone().ok()?)))
        });
        Children {
            deployments: self.caches.deployments.within(&namespace, |o| labelled(o.labels())),
            services: self.caches.services.within(&namespace, |o| labelled(o.labels())),
            slices: self.caches.slices.within(&namespace, |o| labelled(o.labels())),
            pods: self.caches.pods.within(&namespace, |o| labelled(o.labels())),
            pipelines: pipelines.collect(),
            replica_sets: None,
        }
    }

    /// Past every cache. The Service last: what is read before it can only be older than its version.
    async fn live(&self, rollout: &Rollout) -> Result<Children, Blind> {
        let (namespace, name) = own(rollout);
        let params = ListParams::default().labels(&format!("{}={name}", names::LABEL_ROLLOUT));
        let mut pipelines = BTreeMap::new();
        for (namespace, name) in named_pipelines(rollout) {
            let api: Api<Pipeline> = Api::namespaced(self.client.clone(), &namespace);
            if let Some(found) = api.get_opt(&name).await? {
                pipelines.insert(format!("{namespace}/{name}"), Arc::new(found));
            }
        }
        let services = self.list(&namespace, &params).await?;
        let deployments = self.list(&namespace, &params).await?;
        let replica_sets: Vec<Arc<ReplicaSet>> = self.list(&namespace, &params).await?;
        let slices = self.list(&namespace, &params).await?;
        let pods = self.list(&namespace, &params).await?;
        let replica_sets = Some(replica_sets.into_iter().map(|r| r.as_ref().clone()).collect());
        Ok(Children { deployments, services, slices, pods, pipelines, replica_sets })
    }

    async fn list<K>(&self, namespace: &str, params: &ListParams) -> Result<Vec<Arc<K>>, Blind>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.list(params).await?.items.into_iter().map(Arc::new).collect())
    }

    fn facts(&self, rollout: &Rollout, known: Known<rollout::Rollout>, children: &Children) -> Observed {
        let (namespace, name) = own(rollout);
        let full = format!("{namespace}/{name}");
        let uid = rollout.uid().unwrap_or_default();
        let offers =
            children.pipelines.iter().map(|(key, p)| (key.clone(), facts::offer(p, &namespace, &name))).collect();
        let service = children.services.iter().find(|s| s.name_any() == name);
        let revisions: BTreeSet<Revision> = children
            .deployments
            .iter()
            .map(|d| d.labels())
            .chain(children.services.iter().map(|s| s.labels()))
            .filter_map(|labels| labels.get(names::LABEL_REVISION)?.parse().ok())
            .collect();
        let seen: BTreeMap<Revision, Seen> =
            revisions.into_iter().map(|r| (r, facts::revision(rollout, r, &uid, children))).collect();
        Observed {
            now: known.now,
            started: self.started,
            name: full,
            order: Order::parse(&rollout.spec, &namespace),
            memory: Self::status(rollout).memory,
            offers,
            revisions: seen,
            service: service.map(|s| facts::service(s, &uid, &name, children)),
            refused: known.refused,
            uid,
        }
    }
}
