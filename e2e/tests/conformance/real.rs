//! The same on a real API server, by the operator's own hands.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment, authentication::v1::SelfSubjectReview, core::v1::Service, discovery::v1::EndpointSlice,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use switchyard_api::{Command, Revision, Rollout, Timestamp, names, rollout::RolloutStatus};
use switchyard_cluster::{
    caches::{Scope, synced},
    client,
    target::{Seen, Target},
    writer::Writer,
};
use switchyard_decide::{
    Refusal, Version,
    rollout::{self as decide, Action, CommandOrder, Observed, Order},
};
use switchyard_e2e::{ground::SYSTEM, place::Place, process};
use switchyard_operator::{
    caches::{Caches, pump},
    driver::{Hands as _, Known},
    rollout::RolloutHands,
};
use tokio::time::Instant;

use super::{
    steps::{ANOTHER, CHECK, Step},
    versions::{Current, Object},
};

/// The caches see a change within this, or something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// The operator's hands in a namespace, with the rights of the installed one.
pub async fn hands(place: &Place) -> RolloutHands {
    let ground = &place.ground;
    let token = ["-n", SYSTEM, "create", "token", "switchyard", "--duration=2h"];
    let token = process::run(&mut ground.kubectl(&token)).await.unwrap();
    let folder = switchyard_e2e::ground::root().join("target/e2e/conformance");
    std::fs::create_dir_all(&folder).unwrap();
    let cluster = json!({"server": ground.setting("API_SERVER"), "certificate-authority": ground.setting("CA")});
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}]});
    let path = folder.join(format!("{}.json", place.namespace));
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let client = client::client(client::config(Some(&path)).await.unwrap()).unwrap();
    let (caches, stream) = Caches::new(&client, &Scope::Namespaces([place.namespace.clone()].into()));
    tokio::spawn(pump(stream, |_| std::future::ready(()), |error| eprintln!("a watch failed: {error}")));
    synced(caches.ready(), PATIENCE).await.unwrap();
    let writer = Writer::new(client.clone(), "switchyard-rollout");
    RolloutHands { client, caches, writer, started: Timestamp::default() }
}

/// One Rollout, on the API server.
pub struct Real {
    place: Place,
    hands: Arc<RolloutHands>,
    pub name: String,
    pub uid: String,
}

/// Pods that are wanted, and that no node takes.
pub fn template(number: usize) -> Value {
    json!({"spec": {
        "nodeSelector": {"example.com/nowhere": "true"},
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "web", "image": format!("example.com/shop:{number}"),
            "readinessProbe": {"httpGet": {"path": "/", "port": 80}}}],
    }})
}

/// What kind of Rollout it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Plain,
    /// With a preview, and Jobs that check before and after the switch.
    Previewed,
    /// The same, but a Prometheus is asked instead.
    Measured,
    /// Its Service was there before it, and was taken over.
    Referred,
}
pub const SHAPES: [Shape; 4] = [Shape::Plain, Shape::Previewed, Shape::Measured, Shape::Referred];

/// The preview of one that has it.
fn preview() -> Value {
    json!({"service": {"spec": {"ports": [{"name": "http", "port": 80}]}}, "replicas": 1})
}

pub fn rollout(name: &str, shape: Shape) -> Rollout {
    let service = json!({"spec": {"ports": [{"name": "http", "port": 80}]}});
    let mut rollout = json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
        "spec": {"replicas": 1, "template": template(0), "service": service,
            "strategy": {"blueGreen": {"drain": {"duration": "30s", "preStop": "None"}}}}});
    let check = match shape {
        Shape::Plain | Shape::Referred => None,
        Shape::Previewed => Some(json!({"name": CHECK, "job": {"fromContainer": "web", "command": ["true"]}})),
        Shape::Measured => Some(json!({"name": CHECK, "prometheus": {"address": "http://example.com:9090",
            "query": "up", "successCondition": "value > 0", "count": 2, "failureLimit": 1}})),
    };
    if shape == Shape::Referred {
        rollout["spec"].as_object_mut().unwrap().remove("service");
        rollout["spec"]["serviceRef"] = json!({"name": name});
    }
    if let Some(check) = check {
        let checks = json!([check]);
        rollout["spec"]["preview"] = preview();
        rollout["spec"]["checks"] = json!({"preview": checks, "live": checks});
        rollout["spec"]["strategy"]["blueGreen"]["promotion"] = json!("Manual");
    }
    serde_json::from_value(rollout).unwrap()
}

impl Real {
    pub async fn create(place: &Place, hands: &Arc<RolloutHands>, rollout: &Rollout) -> Self {
        let created = place.api().create(&PostParams::default(), rollout).await.unwrap();
        let (place, hands) = (place.clone(), Arc::clone(hands));
        let real = Self { place, hands, name: created.name_any(), uid: created.uid().unwrap() };
        if created.spec.service_ref.is_some() {
            let mut labels = real.labels(&real.uid);
            labels[names::LABEL_ROLE] = json!(names::ROLE_LIVE);
            let record = json!({"owner": real.uid}).to_string();
            let metadata =
                json!({"name": real.name, "labels": labels, "annotations": {names::ANNOTATION_SWITCH: record}});
            let spec = json!({"ports": [{"name": "http", "port": 80}]});
            real.put::<Service>(json!({"metadata": metadata, "spec": spec})).await;
        }
        real.caught_up().await;
        real
    }

    pub async fn remove(&self) {
        let _ = self.place.api::<Service>().delete(&self.name, &DeleteParams::default()).await;
        let _ = self.place.api::<Rollout>().delete(&self.name, &DeleteParams::background()).await;
    }

    async fn rollout(&self) -> Rollout {
        self.place.api().get(&self.name).await.unwrap()
    }
    async fn ours<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let params = ListParams::default().labels(&format!("{}={}", names::LABEL_ROLLOUT, self.name));
        self.place.api::<K>().list(&params).await.unwrap().items
    }

    pub async fn versions(&self) -> Current {
        let version = |meta: &kube::core::ObjectMeta| Version::new(meta.resource_version.clone().unwrap());
        let mut current: Current = [(Object::Rollout, version(&self.rollout().await.metadata))].into();
        for deployment in self.ours::<Deployment>().await {
            let revision = deployment.labels().get(names::LABEL_REVISION).unwrap().parse().unwrap();
            current.insert(Object::Deployment(revision), version(&deployment.metadata));
        }
        for service in self.ours::<Service>().await {
            let object = match service.labels().get(names::LABEL_ROLE).map(String::as_str) {
                Some(names::ROLE_PREVIEW) => Object::Preview,
                _ if service.name_any() == self.name => Object::Service,
                _ => continue,
            };
            current.insert(object, version(&service.metadata));
        }
        let commands = self.place.list::<Command>("").await;
        let ours = commands.iter().filter(|c| c.spec.target_ref.uid == self.uid);
        current.extend(ours.map(|c| (Object::Command(c.uid().unwrap()), version(&c.metadata))));
        current
    }

    /// Past the caches, as where a switch depends on it.
    pub async fn see(&self) -> Observed {
        let services = self.ours::<Service>().await.into_iter().map(Arc::new).collect();
        let rollout = self.rollout().await;
        self.hands.observe(&rollout, Some(services), known()).await.unwrap()
    }

    /// Until the caches have what is there: who writes takes the shape of an object from them.
    pub async fn caught_up(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let named = |names: &mut Vec<(String, Seen)>| names.sort_by(|a, b| a.0.cmp(&b.0));
            let (caches, namespace) = (&self.hands.caches, &self.place.namespace);
            let labelled = |labels: &BTreeMap<String, String>| labels.get(names::LABEL_ROLLOUT) == Some(&self.name);
            let mut there = all(&self.ours::<Service>().await);
            there.extend(all(&self.ours::<Deployment>().await));
            there.extend(all(&[self.rollout().await]));
            let services = caches.services.within(namespace, |o| labelled(o.labels()));
            let deployments = caches.deployments.within(namespace, |o| labelled(o.labels()));
            let mut held: Vec<(String, Seen)> =
                services.iter().map(|o| (format!("Service {}", o.name_any()), Seen::of(o.as_ref()))).collect();
            held.extend(deployments.iter().map(|o| (format!("Deployment {}", o.name_any()), Seen::of(o.as_ref()))));
            held.extend(caches.rollouts.seen(namespace, &self.name).map(|s| (format!("Rollout {}", self.name), s)));
            named(&mut there);
            named(&mut held);
            if there == held {
                return;
            }
            assert!(Instant::now() < deadline, "the caches stay behind:\n{there:?}\n{held:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The step, in versions of the API server.
    pub async fn take(&self, step: &Step, orders: &[Order]) -> Result<(), Refusal> {
        let merge = PatchParams::default();
        match step {
            Step::Act(action) => return self.act(action, orders).await,
            Step::Report { at, memory } => {
                let rollout = self.rollout().await;
                let seen = Seen { uid: self.uid.clone(), version: at.clone() };
                let status = RolloutStatus { memory: (**memory).clone(), ..RolloutStatus::default() };
                let status = serde_json::to_value(status).unwrap();
                return self.hands.writer.apply_status(&Target::of(&rollout), &seen, &status).await.map(drop);
            }
            Step::Edit { template: number, replicas, previewed } => {
                let preview = previewed.then(preview);
                let spec = json!({"spec": {"replicas": replicas, "template": template(*number), "preview": preview}});
                self.place.api::<Rollout>().patch(&self.name, &merge, &Patch::Merge(spec)).await.unwrap();
            }
            Step::List(revision) => self.list(*revision).await,
            Step::LoseRecord => {
                let none = json!({"metadata": {"annotations": {names::ANNOTATION_SWITCH: null}}});
                self.place.api::<Service>().patch(&self.name, &merge, &Patch::Merge(none)).await.unwrap();
            }
            Step::Tamper => {
                // Another value each time: what changes nothing makes no version.
                let gone = json!({names::LABEL_ROLLOUT: null, names::LABEL_REVISION: null, "app": "other"});
                let mut patch = json!({"spec": {"selector": gone}});
                patch["metadata"]["annotations"]["example.com/time"] = json!(format!("{:?}", Instant::now()));
                self.place.api::<Service>().patch(&self.name, &merge, &Patch::Merge(patch)).await.unwrap();
            }
            Step::SelectElsewhere(revision) => {
                let selector = json!({names::LABEL_ROLLOUT: self.name, names::LABEL_REVISION: revision});
                self.put::<Service>(json!({"metadata": {"name": format!("of-others-{}-{revision}", self.name)},
                    "spec": {"clusterIP": "None", "selector": selector}}))
                    .await;
            }
            Step::Squat(revision) => self.squat(*revision).await,
            Step::SquatService => {
                self.put::<Service>(json!({"metadata": {"name": self.name, "labels": self.labels(ANOTHER)},
                    "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]}}))
                    .await;
            }
            Step::Wait | Step::Order(_) => {}
        }
        Ok(())
    }

    /// A Command of ours, as the world takes it.
    pub async fn order(&self, order: CommandOrder) -> decide::Command {
        let client = &self.place.ground.client;
        let review = Api::all(client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = review.unwrap().status.unwrap().user_info.unwrap().username.unwrap();
        let (kind, revision) = match order {
            CommandOrder::Promote(revision) => ("Promote", Some(revision)),
            CommandOrder::Abort(revision) => ("Abort", Some(revision)),
            CommandOrder::Retry(revision) => ("Retry", Some(revision)),
            CommandOrder::RollbackTo(revision) => ("RollbackTo", Some(revision)),
            CommandOrder::Resume => ("Resume", None),
        };
        let target = json!({"kind": "Rollout", "name": self.name, "uid": self.uid});
        let mut spec = json!({"user": user, "type": kind, "targetRef": target});
        if let Some(revision) = revision {
            spec["revision"] = json!(revision);
        }
        let body = json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Command", "spec": spec,
            "metadata": {"generateName": format!("{}-", self.name)}});
        let body: Command = serde_json::from_value(body).unwrap();
        let made: Command = self.place.api().create(&PostParams::default(), &body).await.unwrap();
        let version = Version::new("1");
        decide::Command { uid: made.uid().unwrap(), name: made.name_any(), version, order, user, reason: None }
    }

    /// By hands that hold the Rollout that the decision was made on.
    async fn act(&self, action: &Action, orders: &[Order]) -> Result<(), Refusal> {
        let mut rollout = self.rollout().await;
        let fingerprint = match action {
            Action::Deploy { fingerprint, .. } | Action::Expose { fingerprint, .. } => Some(fingerprint),
            Action::CreateService
            | Action::Record { .. }
            | Action::Claim { .. }
            | Action::Scale { .. }
            | Action::Retire { .. }
            | Action::Delete { .. }
            | Action::CreatePreview
            | Action::Preview { .. }
            | Action::Check { .. }
            | Action::Answer { .. } => None,
        };
        if let Some(number) = fingerprint.and_then(|f| orders.iter().position(|o| o.fingerprint == *f)) {
            rollout.spec.template = template(number);
        }
        let seen = self.hands.observe(&rollout, None, known()).await.unwrap();
        self.hands.apply(&rollout, &seen, action).await.map(drop)
    }

    fn labels(&self, owner: &str) -> Value {
        json!({names::LABEL_ROLLOUT: self.name, names::LABEL_OWNER_UID: owner})
    }

    async fn put<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api: Api<K> = self.place.api();
        let object: K = serde_json::from_value(object).unwrap();
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What the slice controller would write: it leaves alone what it does not manage.
    async fn list(&self, revision: Option<Revision>) {
        let endpoints = revision.map(|revision| {
            let name = format!("{}-x", names::child(&[&self.name, revision.as_str()]));
            json!({"addresses": ["198.18.127.250"], "conditions": {"ready": false},
                "targetRef": {"kind": "Pod", "namespace": self.place.namespace, "name": name, "uid": "none"}})
        });
        let name = format!("{}-by-hand", self.name);
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": self.name,
                "endpointslice.kubernetes.io/managed-by": "conformance"}},
            "endpoints": endpoints.into_iter().collect::<Vec<_>>(), "ports": [{"name": "http", "port": 80}]});
        let apply = PatchParams::apply("conformance").force();
        self.place.api::<EndpointSlice>().patch(&name, &apply, &Patch::Apply(slice)).await.unwrap();
    }

    async fn squat(&self, revision: Revision) {
        let mut labels = self.labels(ANOTHER);
        labels[names::LABEL_REVISION] = json!(revision);
        let metadata = json!({"name": names::child(&[&self.name, revision.as_str()]), "labels": labels});
        let app = json!({"app": metadata["name"]});
        let mut pods = template(0);
        pods["metadata"] = json!({"labels": {"app": metadata["name"],
            names::LABEL_ROLLOUT: self.name, names::LABEL_REVISION: revision}});
        self.put::<Deployment>(json!({"metadata": metadata,
            "spec": {"replicas": 0, "selector": {"matchLabels": app}, "template": pods}}))
            .await;
        let spec = json!({"clusterIP": "None", "selector": app, "ports": [{"name": "http", "port": 80}]});
        self.put::<Service>(json!({"metadata": metadata, "spec": spec})).await;
    }
}

fn all<K: Resource<DynamicType = ()>>(objects: &[K]) -> Vec<(String, Seen)> {
    objects.iter().map(|o| (format!("{} {}", K::kind(&()), o.name_any()), Seen::of(o))).collect()
}

fn known() -> Known<switchyard_decide::rollout::Rollout> {
    Known { now: Timestamp::default(), answers: BTreeMap::new(), refused: None }
}
