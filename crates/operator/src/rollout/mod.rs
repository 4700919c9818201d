//! Rollout: what is seen of one, and what is done to it.

mod apply;
mod checks;
mod facts;
mod services;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    batch::v1::Job,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use switchyard_api::{
    Command, Pipeline, Revision, Rollout, Timestamp, names,
    rollout::{Phase, RolloutStatus},
};
use switchyard_cluster::{caches::Guarded, writer::Writer};
use switchyard_decide::rollout::{self, Observed, Order, Seen};

use crate::{
    caches::{Caches, Key, named_pipelines, own},
    commands,
    driver::{Blind, Hands, Known},
};

pub struct RolloutHands {
    pub client: Client,
    pub caches: Caches,
    pub writer: Writer,
    pub started: Timestamp,
}

/// The objects of one Rollout, from the caches or read live.
#[derive(Default)]
pub struct Children {
    pub deployments: Vec<Arc<Deployment>>,
    pub services: Vec<Arc<Service>>,
    pub slices: Vec<Arc<EndpointSlice>>,
    pub pods: Vec<Arc<Pod>>,
    pub pipelines: BTreeMap<String, Arc<Pipeline>>,
    /// Read only where a switch depends on them.
    pub replica_sets: Option<Vec<ReplicaSet>>,
    pub check_jobs: Vec<Arc<Job>>,
    pub check_pods: Vec<Arc<Pod>>,
    pub commands: Vec<Arc<Guarded<Command>>>,
}

impl Hands for RolloutHands {
    type Kind = rollout::Rollout;
    type Object = Rollout;
    /// Services, where the caches will not do.
    type Sight = Option<Vec<Arc<Service>>>;

    fn status(object: &Rollout) -> RolloutStatus {
        object.status.clone().unwrap_or_default()
    }

    fn object(&self, key: &Key) -> Option<Result<Arc<Rollout>, InvalidObject>> {
        let guarded = self.caches.rollouts.get(&key.0, &key.1)?;
        Some(guarded.0.as_ref().map(|o| Arc::new(o.clone())).map_err(Clone::clone))
    }

    /// The live Service before the Rollout, and both before the rest: what is read after the Service is at least as new
    /// as the version that a switch is conditional on, so a switch never relies on a spec, an intent or a confirmation
    /// that had changed before the Service was as it was seen.
    async fn fresh(&self, cached: Arc<Rollout>) -> Result<Option<(Arc<Rollout>, Self::Sight)>, Blind> {
        if !self.delicate(&cached) {
            return Ok(Some((cached, None)));
        }
        let (namespace, name) = own(cached.as_ref());
        let mut services = self.list(&namespace, &of_rollout(&name)).await?;
        self.refer(&cached, &mut services).await?;
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), &namespace);
        Ok(api.get_opt(&name).await?.map(|rollout| (Arc::new(rollout), Some(services))))
    }

    async fn observe(
        &self,
        object: &Rollout,
        services: Self::Sight,
        known: Known<rollout::Rollout>,
    ) -> Result<Observed, Blind> {
        let children = match services {
            Some(services) => self.live(object, services).await?,
            None => self.cached(object).await?,
        };
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
    /// While a candidate stands, or nothing is live by the record (also: it is lost), an old view could switch to what is
    /// no longer wanted.
    fn delicate(&self, rollout: &Rollout) -> bool {
        let (namespace, _) = own(rollout);
        let Some(service) = self.caches.services.get(&namespace, rollout.live_service()) else { return false };
        // That it is paused is said only of a Service without a candidate, and people rely on it.
        let to_be_paused = rollout.spec.paused
            && rollout.status.as_ref().is_none_or(|s| {
                s.phase != Some(Phase::Paused) || Some(s.observed_generation) != rollout.metadata.generation
            });
        to_be_paused || services::record(&service).is_none_or(|r| r.candidate.is_some() || r.live.is_none())
    }

    /// Only what has our label is watched. A Service that exists already gets it with the first write on it, and one of
    /// somebody else never: both are read live.
    async fn refer(&self, rollout: &Rollout, services: &mut Vec<Arc<Service>>) -> Result<(), Blind> {
        for name in [Some(rollout.live_service().to_owned()), rollout.preview_service()].into_iter().flatten() {
            if services.iter().all(|s| s.name_any() != name) {
                let api: Api<Service> = Api::namespaced(self.client.clone(), &own(rollout).0);
                services.extend(api.get_opt(&name).await?.map(Arc::new));
            }
        }
        Ok(())
    }

    async fn cached(&self, rollout: &Rollout) -> Result<Children, Blind> {
        let (namespace, name) = own(rollout);
        let labelled = |labels: &BTreeMap<String, String>| labels.get(names::LABEL_ROLLOUT) == Some(&name);
        let pipelines = named_pipelines(rollout).into_iter().filter_map(|key| {
            let found = self.caches.pipelines.get(&key.0, &key.1)?;
            Some((format!("{}/{}", key.0, key.1), Arc::new(found.0.clone().ok()?)))
        });
        let checks = |labels: &BTreeMap<String, String>| labels.get(names::LABEL_CHECK) == Some(&name);
        let mut services = self.caches.services.within(&namespace, |o| labelled(o.labels()));
        self.refer(rollout, &mut services).await?;
        Ok(Children {
            deployments: self.caches.deployments.within(&namespace, |o| labelled(o.labels())),
            services,
            slices: self.caches.slices.within(&namespace, |o| labelled(o.labels())),
            pods: self.caches.pods.within(&namespace, |o| labelled(o.labels())),
            pipelines: pipelines.collect(),
            replica_sets: None,
            check_jobs: self.caches.check_jobs.within(&namespace, |o| checks(o.labels())),
            check_pods: self.caches.check_pods.within(&namespace, |o| checks(o.labels())),
            commands: self.caches.commands.within(&namespace, |_| true),
        })
    }

    /// Past every cache: what goes with Services that were read before the Rollout.
    async fn live(&self, rollout: &Rollout, services: Vec<Arc<Service>>) -> Result<Children, Blind> {
        let (namespace, name) = own(rollout);
        let params = of_rollout(&name);
        let mut pipelines = BTreeMap::new();
        for (namespace, name) in named_pipelines(rollout) {
            let api: Api<Guarded<Pipeline>> = Api::namespaced(self.client.clone(), &namespace);
            // One that cannot be read is as good as absent here too, and keeps nobody from switching back.
            let found = api.get_opt(&name).await?;
            if let Some(DeserializeGuard(Ok(found))) = found {
                pipelines.insert(format!("{namespace}/{name}"), Arc::new(found));
            }
        }
        let deployments = self.list(&namespace, &params).await?;
        let replica_sets: Vec<Arc<ReplicaSet>> = self.list(&namespace, &params).await?;
        let slices = self.list(&namespace, &params).await?;
        let pods = self.list(&namespace, &params).await?;
        let replica_sets = Some(replica_sets.into_iter().map(|r| r.as_ref().clone()).collect());
        let checks = ListParams::default().labels(&format!("{}={name}", names::LABEL_CHECK));
        let check_jobs = self.list(&namespace, &checks).await?;
        let check_pods = self.list(&namespace, &checks).await?;
        let commands = self.list(&namespace, &ListParams::default()).await?;
        Ok(Children { deployments, services, slices, pods, pipelines, replica_sets, check_jobs, check_pods, commands })
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
        let find = |name: &str| children.services.iter().find(|s| s.name_any() == name);
        let owner = |referred| services::Owner { uid: &uid, rollout: &name, referred };
        let service = find(rollout.live_service())
            .map(|s| services::live(s, owner(rollout.spec.service_ref.is_some()), children));
        let previews_existing = rollout.spec.preview.as_ref().is_some_and(|p| p.service_ref.is_some());
        let preview =
            rollout.preview_service().and_then(|name| Some(services::preview(find(&name)?, owner(previews_existing))));
        let commands = commands::of(&uid, &children.commands).into_iter().filter_map(facts::command).collect();
        let revisions: BTreeSet<Revision> = children
            .deployments
            .iter()
            .map(|d| d.labels())
            .chain(children.services.iter().map(|s| s.labels()))
            .filter_map(|labels| labels.get(names::LABEL_REVISION)?.parse().ok())
            .collect();
        let seen: BTreeMap<Revision, Seen> =
            revisions.into_iter().map(|r| (r, facts::revision(r, &uid, children))).collect();
        Observed {
            now: known.now,
            started: self.started,
            name: full,
            service_name: rollout.live_service().to_owned(),
            order: Order::parse(rollout, &namespace),
            memory: Self::status(rollout).memory,
            offers,
            revisions: seen,
            service,
            preview,
            commands,
            answers: known.answers,
            refused: known.refused,
            uid,
        }
    }
}

fn of_rollout(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", names::LABEL_ROLLOUT))
}
