//! What the Jobs and pods of a Build's steps have in common.

use serde_json::{Map, Value, json};
use switchyard_api::{Build, Duration, build::PodSettings, names};

use super::{
    Step,
    container::{Container, WORKER, set_unless_empty},
    source::Sharing,
};
use crate::{Settings, label_value, owned_by, uid};

/// How long a finished Job is kept, in seconds, for whoever looks at its pod. Its result is in the Build by then.
const KEPT_SECONDS: i64 = 3600;
/// How long after the Build's timeout Kubernetes ends a Job that nobody has ended: the operator may be down.
const GRACE_SECONDS: u64 = 60;

/// A Job that runs one pod once. A second try is a second Job: only the Build knows which failures deserve one.
pub fn job(build: &Build, step: Step<'_>, attempt: i32, pod: &Value) -> Value {
    let name = build.metadata.name.as_deref().unwrap_or_default();
    let labels = json!({
        names::LABEL_BUILD: label_value(name),
        names::LABEL_OWNER_UID: uid(&build.metadata),
        names::LABEL_MANAGED_BY: names::MANAGED_BY,
    });
    let annotation = format!("{step}/{attempt}");
    let mut annotations: Map<String, Value> =
        build.spec.recipe.pod.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    annotations.insert(names::ANNOTATION_STEP.to_owned(), json!(annotation));
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": step.job_name(name, attempt),
            "namespace": build.metadata.namespace,
            "labels": labels,
            "annotations": {names::ANNOTATION_STEP: annotation},
            "ownerReferences": owned_by("Build", &build.metadata),
        },
        "spec": {
            "backoffLimit": 0,
            // A pod that vanished is replaced only once it is certain to have ended: never two at once.
            "podReplacementPolicy": "Failed",
            // Later than the timeout, which the operator keeps itself and can say what it waited for.
            "activeDeadlineSeconds": seconds(Duration::from_secs(build.spec.recipe.timeout.as_secs().saturating_add(GRACE_SECONDS))),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    })
}

/// In whole seconds that Kubernetes accepts as a deadline.
pub fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).clamp(1, i64::from(i32::MAX))
}

/// The pod of a step: nothing of the cluster in it, no token and no addresses of Services. The last container is the
/// one that the pod is for; those before it run one after the other, but for those that serve it.
pub fn pod(
    build: &Build,
    settings: &Settings,
    sharing: Sharing,
    init_containers: &[Container],
    container: &Container,
) -> Value {
    let recipe = &build.spec.recipe;
    let PodSettings {
        node_selector,
        tolerations,
        priority_class_name,
        runtime_class_name,
        annotations: _,
        resources: _,
    } = &recipe.pod;
    let pull_secrets: Vec<Value> = recipe
        .image_pull_secrets
        .iter()
        .map(|secret| &secret.name)
        .chain(&settings.image_pull_secrets)
        .map(|name| json!({"name": name}))
        .collect();
    let mut security = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    match sharing {
        Sharing::Read => {}
        Sharing::Write => set_unless_empty(&mut security, "fsGroup", json!(WORKER)),
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": security,
        "containers": [container.body()],
    });
    set_unless_empty(&mut pod, "initContainers", init_containers.iter().map(Container::body).collect());
    set_unless_empty(&mut pod, "volumes", volumes(init_containers.iter().chain([container])));
    set_unless_empty(&mut pod, "imagePullSecrets", json!(pull_secrets));
    set_unless_empty(&mut pod, "nodeSelector", json!(node_selector));
    set_unless_empty(&mut pod, "tolerations", json!(tolerations));
    set_unless_empty(&mut pod, "priorityClassName", json!(priority_class_name));
    set_unless_empty(&mut pod, "runtimeClassName", json!(runtime_class_name));
    pod
}

/// What these containers mount, each once.
fn volumes<'a>(containers: impl Iterator<Item = &'a Container>) -> Value {
    let mut all: Vec<Value> = vec![];
    for volume in containers.flat_map(Container::volumes) {
        if !all.contains(volume) {
            all.push(volume.clone());
        }
    }
    Value::Array(all)
}
