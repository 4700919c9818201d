//! What a Rollout owns: for each revision a Deployment and a headless Service, and the one live Service.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use switchyard_api::{
    Revision, Rollout, names,
    rollout::{DeletionPolicy, PreStop, ReleaseRef, ServicePort, ServiceTemplate},
    template,
};

use crate::{object, owned_by, uid};

/// How long a container without a preStop hook of its own goes on serving after its endpoint was taken away: the time
/// that takes to reach every node.
pub const PRE_STOP_SECONDS: i64 = 5;
/// What Kubernetes takes where a pod does not say.
const DEFAULT_GRACE_PERIOD_SECONDS: i64 = 30;

/// A revision's Deployment. It is created once, without pods, and its template never written again.
///
/// - `images`, by container, replace what the template says.
/// - Its own progress deadline is off (2147483647 s means so), since the Rollout's counts.
/// - An edit of its template by someone else would roll it: with `maxUnavailable: 0` that takes no pod away before
///   another is ready.
pub fn deployment(
    rollout: &Rollout,
    revision: Revision,
    images: &BTreeMap<String, String>,
    releases: &[ReleaseRef],
) -> Value {
    let selector = selector(name(rollout), Some(revision));
    let mut metadata = metadata(rollout, &revision_name(rollout, revision));
    add(&mut metadata, "labels", [(names::LABEL_REVISION, revision.as_str())]);
    add(&mut metadata, "annotations", [(names::ANNOTATION_RELEASE, json!(releases).to_string())]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 0,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": i32::MAX,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "selector": {"matchLabels": selector},
            "template": pod_template(rollout, &selector, images),
        },
    })
}

/// The Service from whose endpoint slices a revision's readiness is read, whether or not it is live: headless, named as
/// the revision's Deployment, with the ports of the live one.
///
/// `ports` are those of the live Service where that exists already, and the Rollout's own otherwise.
pub fn revision_service(rollout: &Rollout, revision: Revision, ports: &[Value]) -> Value {
    let mut metadata = metadata(rollout, &revision_name(rollout, revision));
    let labels = [(names::LABEL_REVISION, revision.as_str()), (names::LABEL_ROLE, names::ROLE_REVISION)];
    add(&mut metadata, "labels", labels);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": false,
            "selector": selector(name(rollout), Some(revision)),
            "ports": ports,
        },
    })
}

/// The live Service as it is first created: it selects nobody, and its record says so. Later only a switch writes it.
pub fn live_service(rollout: &Rollout, service: &ServiceTemplate, record_json: &str) -> Value {
    let mut body = switched_service(rollout, service, name(rollout), names::ROLE_LIVE);
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        add(metadata, "annotations", [(names::ANNOTATION_SWITCH, record_json)]);
    }
    body
}

/// The preview Service as it is first created: it selects nobody.
pub fn preview_service(rollout: &Rollout, service: &ServiceTemplate, service_name: &str) -> Value {
    switched_service(rollout, service, service_name, names::ROLE_PREVIEW)
}

/// A Service of the user's making whose selector is ours.
fn switched_service(rollout: &Rollout, service: &ServiceTemplate, service_name: &str, role: &str) -> Value {
    let mut metadata = metadata(rollout, service_name);
    prepend(&mut metadata, "labels", &service.metadata.labels);
    prepend(&mut metadata, "annotations", &service.metadata.annotations);
    add(&mut metadata, "labels", [(names::LABEL_ROLE, role)]);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": service.spec.kind.as_deref().unwrap_or("ClusterIP"),
            "selector": selector(name(rollout), None),
            "ports": ports(&service.spec.ports),
        },
    })
}

/// Which pods a Service of the Rollout means: those of one revision, or none at all.
pub fn selector(rollout_name: &str, revision: Option<Revision>) -> BTreeMap<String, String> {
    let revision = revision.map_or_else(|| names::NOBODY.to_owned(), |r| r.to_string());
    [(names::LABEL_ROLLOUT, rollout_name.to_owned()), (names::LABEL_REVISION, revision)]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// The name of a revision's Deployment and of its Service.
pub fn revision_name(rollout: &Rollout, revision: Revision) -> String {
    names::child(&[name(rollout), revision.as_str()])
}

pub(crate) fn name(rollout: &Rollout) -> &str {
    rollout.metadata.name.as_deref().unwrap_or_default()
}

pub fn ports(ports: &[ServicePort]) -> Vec<Value> {
    ports.iter().map(ServicePort::as_written).collect()
}

/// What every child has. With `deletionPolicy: Orphan` it has no owner: neither deleting the Rollout nor removing its
/// CRD takes live traffic down.
fn metadata(rollout: &Rollout, child: &str) -> Map<String, Value> {
    owned_metadata(rollout, child, names::LABEL_ROLLOUT)
}

/// As above, the Rollout named by another label.
pub(crate) fn owned_metadata(rollout: &Rollout, child: &str, label: &str) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(child));
    metadata.insert("namespace".to_owned(), json!(rollout.metadata.namespace));
    let labels = [
        (label, name(rollout).to_owned()),
        (names::LABEL_OWNER_UID, uid(&rollout.metadata)),
        (names::LABEL_MANAGED_BY, names::MANAGED_BY.to_owned()),
    ];
    add(&mut metadata, "labels", labels);
    match rollout.spec.deletion_policy {
        DeletionPolicy::Delete => {
            metadata.insert("ownerReferences".to_owned(), owned_by("Rollout", &rollout.metadata));
        }
        DeletionPolicy::Orphan => {}
    }
    metadata
}

/// Adds to a map of labels or annotations; what is there under the same key is replaced.
pub(crate) fn add<'a, T: Into<Value>>(
    metadata: &mut Map<String, Value>,
    map: &str,
    pairs: impl IntoIterator<Item = (&'a str, T)>,
) {
    if let Some(map) = object(metadata, map) {
        map.extend(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())));
    }
}

/// Adds the user's labels or annotations; ours are kept.
fn prepend(metadata: &mut Map<String, Value>, map: &str, users: &BTreeMap<String, String>) {
    if let Some(map) = object(metadata, map) {
        for (key, value) in users {
            map.entry(key).or_insert_with(|| json!(value));
        }
    }
}

/// The user's template with images, our labels, and time to drain.
fn pod_template(rollout: &Rollout, selector: &BTreeMap<String, String>, images: &BTreeMap<String, String>) -> Value {
    let mut pods = template::with_images(&rollout.spec.template, images);
    if let Some(metadata) = pods.as_object_mut().and_then(|template| object(template, "metadata")) {
        add(metadata, "labels", selector.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    }
    match rollout.spec.strategy.blue_green.drain.pre_stop {
        PreStop::Inject => {
            if let Some(spec) = pods.pointer_mut("/spec").and_then(Value::as_object_mut) {
                inject_pre_stop(spec);
            }
        }
        PreStop::None => {}
    }
    pods
}

/// Gives containers without a preStop hook one that sleeps (Kubernetes 1.30 and later), and the pod as much more time
/// to end. A container with a hook of its own is left as it is.
fn inject_pre_stop(spec: &mut Map<String, Value>) {
    let mut injected = false;
    for container in spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(lifecycle) = container.as_object_mut().and_then(|container| object(container, "lifecycle")) else {
            continue;
        };
        if !lifecycle.contains_key("preStop") {
            lifecycle.insert("preStop".to_owned(), json!({"sleep": {"seconds": PRE_STOP_SECONDS}}));
            injected = true;
        }
    }
    if injected {
        let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
        let lengthened = grace.unwrap_or(DEFAULT_GRACE_PERIOD_SECONDS).saturating_add(PRE_STOP_SECONDS);
        spec.insert("terminationGracePeriodSeconds".to_owned(), json!(lengthened));
    }
}
