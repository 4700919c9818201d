//! One action, one write.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Service, ServicePort},
    discovery::v1::EndpointSlice,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use switchyard_api::{Command, CommandStatus, Revision, Rollout, check::Moment, names};
use switchyard_cluster::{
    ops::Ops,
    refusal::refusal,
    target::{Seen, Target, Written},
    writer::Created,
};
use switchyard_decide::{
    Refusal, Version,
    rollout::{Action, JobKey, Observed, Record, Selects},
};
use switchyard_manifests::{check, rollout as bodies};

use super::{RolloutHands, services};
use crate::caches::own;

pub async fn apply(
    hands: &RolloutHands,
    rollout: &Rollout,
    seen: &Observed,
    action: &Action,
) -> Result<Vec<Written>, Refusal> {
    let hand = Hand { hands, rollout, namespace: own(rollout).0 };
    match action {
        Action::CreateService => {
            let record = Record { owner: seen.uid.clone(), ..Record::default() };
            let service = rollout.spec.service.as_ref().ok_or(Refusal::Stale)?;
            let body = bodies::live_service(rollout, service, &text(&record)?);
            hand.create(&Target::named::<Service>(&hand.namespace, rollout.live_service()), &body).await
        }
        Action::Record { at, next, select } => hand.record(at, next, select.as_ref()).await,
        Action::Deploy { revision, fingerprint, images, releases } => {
            still_means(seen, fingerprint)?;
            hand.create(&hand.deployment(*revision), &bodies::deployment(rollout, *revision, images, releases)).await
        }
        Action::Expose { revision, fingerprint } => {
            still_means(seen, fingerprint)?;
            let name = bodies::revision_name(rollout, *revision);
            let target = Target::named::<Service>(&hand.namespace, &name);
            let ports = hand.revision_ports().await?;
            hand.create(&target, &bodies::revision_service(rollout, *revision, &ports)).await
        }
        Action::Claim { revision, at, claim, replicas } => {
            let meta = hand.deployment_meta(*revision)?;
            hand.none_still_asked(*replicas).await?;
            let ops = Ops::new()
                .annotate(&meta, [(names::ANNOTATION_CLAIM, Some(claim.as_str().to_owned()))])
                .set(&["spec", "replicas"], *replicas);
            let seen = Seen { uid: meta.uid.clone().unwrap_or_default(), version: at.clone() };
            Ok(vec![hands.writer.patch(&hand.deployment(*revision), &seen, ops).await?])
        }
        Action::Scale { revision, at, replicas } => {
            hand.none_still_asked(*replicas).await?;
            hand.scale(*revision, at, *replicas).await
        }
        Action::Retire { revision, at } => {
            hand.unused(*revision).await?;
            hand.scale(*revision, at, 0).await
        }
        Action::Delete { revision, at: Some(at) } => hand.delete(*revision, at).await,
        Action::Delete { revision, at: None } => hand.delete_service(*revision).await,
        Action::CreatePreview => {
            let service = rollout.spec.preview.as_ref().and_then(|p| p.service.as_ref()).ok_or(Refusal::Stale)?;
            let name = rollout.preview_service().unwrap_or_default();
            let body = bodies::preview_service(rollout, service, &name);
            hand.create(&Target::named::<Service>(&hand.namespace, &name), &body).await
        }
        Action::Preview { at, select } => hand.preview(at, select).await,
        Action::Check { revision, job } => hand.check(*revision, job).await,
        Action::Answer { command, uid, at, state, message } => {
            let status = CommandStatus { state: *state, message: message.clone(), handled_time: Some(seen.now) };
            let status = serde_json::to_value(status).map_err(|e| Refusal::Invalid(e.to_string()))?;
            let seen = Seen { uid: uid.clone(), version: at.clone() };
            let target = Target::named::<Command>(&hand.namespace, command);
            Ok(vec![hands.writer.apply_status(&target, &seen, &status).await?])
        }
    }
}

struct Hand<'a> {
    hands: &'a RolloutHands,
    rollout: &'a Rollout,
    namespace: String,
}

impl Hand<'_> {
    fn deployment(&self, revision: Revision) -> Target {
        Target::named::<Deployment>(&self.namespace, &bodies::revision_name(self.rollout, revision))
    }

    async fn create(&self, target: &Target, body: &Value) -> Result<Vec<Written>, Refusal> {
        match self.hands.writer.create_body(target, body).await? {
            Created::New(written) => Ok(vec![written]),
            Created::Existing(there) => {
                let owner = there.labels().get(names::LABEL_OWNER_UID).cloned();
                if owner == self.rollout.uid() {
                    return Err(Refusal::Stale); // ours, made by a round that did not live to see it
                }
                Err(Refusal::Invalid(format!(
                    "{target} exists and is not this Rollout's: delete it, or choose another name"
                )))
            }
        }
    }

    /// Shape comes from the cache; what must still hold is the version that the decision saw.
    fn deployment_meta(&self, revision: Revision) -> Result<kube::core::ObjectMeta, Refusal> {
        let name = bodies::revision_name(self.rollout, revision);
        let found = self.hands.caches.deployments.get(&self.namespace, &name);
        found.map(|d| d.metadata.clone()).ok_or(Refusal::Stale)
    }

    async fn scale(&self, revision: Revision, at: &Version, replicas: i32) -> Result<Vec<Written>, Refusal> {
        let uid = self.deployment_meta(revision)?.uid.unwrap_or_default();
        let seen = Seen { uid, version: at.clone() };
        let replicas = u32::try_from(replicas).unwrap_or(0);
        let mut written = self.hands.writer.scale(&self.deployment(revision), &seen, replicas).await?;
        written.target = self.deployment(revision);
        Ok(vec![written])
    }

    /// Past the cache, for no pods at all: the spec still asks for that. A leader that was deposed while it did for a
    /// moment would otherwise take away what serves.
    async fn none_still_asked(&self, replicas: i32) -> Result<(), Refusal> {
        if replicas > 0 {
            return Ok(());
        }
        let rollouts: Api<Rollout> = Api::namespaced(self.hands.client.clone(), &self.namespace);
        let now = rollouts.get_opt(&self.rollout.name_any()).await.map_err(|e| refusal(&e))?;
        let asked = now.is_some_and(|r| r.uid() == self.rollout.uid() && r.spec.replicas == 0);
        if asked { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// From the cache; one that exists already (`serviceRef`) may not be in it before our first write.
    async fn service(&self, name: &str, referred: bool) -> Result<Arc<Service>, Refusal> {
        match self.hands.caches.services.get(&self.namespace, name) {
            Some(cached) => Ok(cached),
            None if referred => {
                let services: Api<Service> = Api::namespaced(self.hands.client.clone(), &self.namespace);
                let found = services.get_opt(name).await.map_err(|e| refusal(&e))?;
                found.map(Arc::new).ok_or(Refusal::Stale)
            }
            None => Err(Refusal::Stale),
        }
    }

    /// A revision answers at the ports that the live Service has, or will have.
    async fn revision_ports(&self) -> Result<Vec<Value>, Refusal> {
        let Some(existing) = &self.rollout.spec.service_ref else {
            return Ok(bodies::ports(self.rollout.spec.ports()));
        };
        let service = self.service(&existing.name, true).await?;
        let ports = service.spec.as_ref().and_then(|s| s.ports.clone()).unwrap_or_default();
        let plain = ports.into_iter().map(|port| json!(ServicePort { node_port: None, ..port }));
        Ok(plain.collect())
    }

    async fn record(&self, at: &Version, next: &Record, select: Option<&Selects>) -> Result<Vec<Written>, Refusal> {
        let name = self.rollout.live_service();
        let referred = self.rollout.spec.service_ref.is_some();
        let service = self.service(name, referred).await?;
        let mut ops = Ops::new().annotate(&service.metadata, [(names::ANNOTATION_SWITCH, Some(text(next)?))]);
        if referred {
            ops = self.ours(ops, &service, names::ROLE_LIVE);
        }
        if let Some(select) = select {
            let revision = selected(select)?;
            ops = ops.set(&["spec", "selector"], json!(bodies::selector(&self.rollout.name_any(), revision)));
            if let Some(revision) = revision.filter(|_| !referred)
                && let Some(ports) = self.ports(revision, &service)?
            {
                ops = ops.set(&["spec", "ports"], ports);
            }
        }
        let seen = Seen { uid: service.uid().unwrap_or_default(), version: at.clone() };
        let target = Target::named::<Service>(&self.namespace, name);
        Ok(vec![self.hands.writer.patch(&target, &seen, ops).await?])
    }

    /// The labels by which an existing Service and its slices are watched, where they are not there yet.
    fn ours(&self, ops: Ops, service: &Service, role: &str) -> Ops {
        let labels = [
            (names::LABEL_ROLLOUT, self.rollout.name_any()),
            (names::LABEL_OWNER_UID, self.rollout.uid().unwrap_or_default()),
            (names::LABEL_ROLE, role.to_owned()),
        ];
        let missing = labels.into_iter().filter(|(key, value)| service.labels().get(*key) != Some(value));
        let missing: Vec<_> = missing.map(|(key, value)| (key, Some(value))).collect();
        if missing.is_empty() { ops } else { ops.label(&service.metadata, missing) }
    }

    async fn preview(&self, at: &Version, select: &Selects) -> Result<Vec<Written>, Refusal> {
        let order = self.rollout.spec.preview.as_ref().ok_or(Refusal::Stale)?;
        let (name, referred) = (self.rollout.preview_service().unwrap_or_default(), order.service_ref.is_some());
        let service = self.service(&name, referred).await?;
        let selector = bodies::selector(&self.rollout.name_any(), selected(select)?);
        let mut ops = Ops::new().set(&["spec", "selector"], json!(selector));
        if referred {
            ops = self.ours(ops, &service, names::ROLE_PREVIEW);
        }
        let seen = Seen { uid: service.uid().unwrap_or_default(), version: at.clone() };
        let target = Target::named::<Service>(&self.namespace, &name);
        Ok(vec![self.hands.writer.patch(&target, &seen, ops).await?])
    }

    /// The Job of a check, of the template that the revision really has.
    async fn check(&self, revision: Revision, job: &JobKey) -> Result<Vec<Written>, Refusal> {
        let name = bodies::revision_name(self.rollout, revision);
        let deployment = self.hands.caches.deployments.get(&self.namespace, &name).ok_or(Refusal::Stale)?;
        let template = deployment.spec.as_ref().map(|s| json!(s.template)).unwrap_or_default();
        let checks = &self.rollout.spec.checks;
        let list = match job.moment {
            Moment::Preview => &checks.preview,
            Moment::Live => &checks.live,
        };
        let order = list.iter().find(|c| c.name == job.name).and_then(|c| c.job.as_ref()).ok_or(Refusal::Stale)?;
        let run = check::Run { revision, moment: job.moment, check: &job.name, under: job.under.as_str() };
        let body = check::job(self.rollout, &template, run, order).ok_or_else(|| {
            let container = &order.from_container;
            Refusal::Invalid(format!("check {}: {name} has no container {container}", job.name))
        })?;
        self.create(&Target::named::<Job>(&self.namespace, &check::job_name(self.rollout, run)), &body).await
    }

    /// Ports belong to the revision: they stand on its own Service, and go live in the same patch as its selector.
    /// None where they already do, so that a node port stays what it is.
    fn ports(&self, revision: Revision, live: &Service) -> Result<Option<Value>, Refusal> {
        let name = bodies::revision_name(self.rollout, revision);
        let Some(own) = self.hands.caches.services.get(&self.namespace, &name) else {
            // A stranger's selector is put right also where the revision that is live has lost its own Service.
            let is_live = services::record(live).is_some_and(|r| r.live == Some(revision));
            return if is_live { Ok(None) } else { Err(Refusal::Stale) };
        };
        let of = |service: &Service| {
            let mut ports = service.spec.as_ref().and_then(|s| s.ports.clone()).unwrap_or_default();
            for port in &mut ports {
                port.node_port = None;
            }
            ports
        };
        let (wanted, there) = (of(&own), of(live));
        Ok((wanted != there).then(|| json!(wanted)))
    }

    /// Past every cache: nobody's Service selects the revision's pods, and no slice lists them.
    async fn unused(&self, revision: Revision) -> Result<(), Refusal> {
        let everything = ListParams::default();
        let services: Api<Service> = Api::namespaced(self.hands.client.clone(), &self.namespace);
        let own = bodies::revision_name(self.rollout, revision);
        let labels = self.pod_labels(revision)?;
        let services = services.list(&everything).await.map_err(|e| refusal(&e))?;
        let ours = [Some(self.rollout.live_service().to_owned()), self.rollout.preview_service()];
        let ours: Vec<String> = ours.into_iter().flatten().collect();
        for service in services.items.iter().filter(|s| s.name_any() != own) {
            let selector = service.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default();
            let selects = !selector.is_empty() && selector.iter().all(|(k, v)| labels.get(k) == Some(v));
            if selects && ours.contains(&service.name_any()) {
                return Err(Refusal::Stale);
            }
            if selects {
                let other = service.name_any();
                return Err(Refusal::Denied(format!(
                    "Service {other} selects pods of {revision}, which is to lose them"
                )));
            }
        }
        let named = format!("kubernetes.io/service-name in ({})", ours.join(", "));
        let slices: Api<EndpointSlice> = Api::namespaced(self.hands.client.clone(), &self.namespace);
        let slices = slices.list(&ListParams::default().labels(&named)).await.map_err(|e| refusal(&e))?;
        let prefix = format!("{own}-");
        let mut pods =
            slices.items.iter().flat_map(|s| &s.endpoints).filter_map(|e| e.target_ref.as_ref()?.name.as_ref());
        if pods.any(|p| p.starts_with(&prefix)) { Err(Refusal::Stale) } else { Ok(()) }
    }

    fn pod_labels(&self, revision: Revision) -> Result<std::collections::BTreeMap<String, String>, Refusal> {
        let name = bodies::revision_name(self.rollout, revision);
        let deployment = self.hands.caches.deployments.get(&self.namespace, &name).ok_or(Refusal::Stale)?;
        let template = deployment.spec.as_ref().and_then(|s| s.template.metadata.as_ref());
        Ok(template.and_then(|m| m.labels.clone()).unwrap_or_default())
    }

    async fn delete(&self, revision: Revision, at: &Version) -> Result<Vec<Written>, Refusal> {
        let uid = self.deployment_meta(revision)?.uid.unwrap_or_default();
        let seen = Seen { uid, version: at.clone() };
        Ok(vec![self.hands.writer.delete(&self.deployment(revision), &seen).await?])
    }

    /// Past the cache: the Deployment is gone, so its Service tells nobody's readiness.
    async fn delete_service(&self, revision: Revision) -> Result<Vec<Written>, Refusal> {
        let name = bodies::revision_name(self.rollout, revision);
        let service = self.hands.caches.services.get(&self.namespace, &name).ok_or(Refusal::Stale)?;
        let deployments: Api<Deployment> = Api::namespaced(self.hands.client.clone(), &self.namespace);
        if deployments.get_opt(&name).await.map_err(|e| refusal(&e))?.is_some() {
            return Err(Refusal::Stale);
        }
        let target = Target::named::<Service>(&self.namespace, &name);
        Ok(vec![self.hands.writer.delete(&target, &Seen::of(service.as_ref())).await?])
    }
}

/// Of selectors only what is ours is ever written.
fn selected(select: &Selects) -> Result<Option<Revision>, Refusal> {
    match select {
        Selects::Revision(revision) => Ok(Some(*revision)),
        Selects::Nobody => Ok(None),
        Selects::Foreign(_) => Err(Refusal::Invalid("a selector that is not ours".to_owned())),
    }
}

/// The body is built from the object at hand: it must be the one that was decided on.
fn still_means(seen: &Observed, fingerprint: &str) -> Result<(), Refusal> {
    let same = seen.order.as_ref().is_ok_and(|o| o.fingerprint == fingerprint);
    if same { Ok(()) } else { Err(Refusal::Stale) }
}

fn text(record: &Record) -> Result<String, Refusal> {
    serde_json::to_string(record).map_err(|e| Refusal::Invalid(e.to_string()))
}
