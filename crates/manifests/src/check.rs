//! The Job of a Rollout's check: a command in a container of the revision's own.

use serde_json::{Map, Value, json};
use switchyard_api::{
    Revision, Rollout,
    check::{JobCheck, Moment},
    names,
};

use crate::rollout::{add, owned_metadata, revision_name};

/// Which run of a check it is.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    pub revision: Revision,
    pub moment: Moment,
    pub check: &'a str,
    /// The nomination or the switch that it checks.
    pub under: &'a str,
}

/// What of a container is for serving, and out of place in one that runs a command and ends.
const SERVING: [&str; 6] = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports", "restartPolicy"];
/// What of a pod does not matter to it.
const NOT_TAKEN: [&str; 6] = [
    "initContainers",
    "ephemeralContainers",
    "readinessGates",
    "terminationGracePeriodSeconds",
    "hostname",
    "subdomain",
];

/// How long one that ended is kept, for its logs: its result was counted within a moment.
const KEPT_SECONDS: u64 = 24 * 60 * 60;

/// None: the template has no such container.
///
/// - `template` is the pod template of the revision's own Deployment: the Rollout's may have moved on.
/// - Neither the job nor its pod has a label of the template, so no Service and no budget takes it for one that serves.
/// - A pod that an eviction or a preemption ended is replaced, and is no failure.
pub fn job(rollout: &Rollout, template: &Value, run: Run<'_>, check: &JobCheck) -> Option<Value> {
    let spec = template.get("spec")?.as_object()?;
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| spec.get(list)?.as_array());
    let mut containers = lists.flatten().filter_map(Value::as_object);
    let wanted = Some(check.from_container.as_str());
    let mut container = containers.find(|c| c.get("name").and_then(Value::as_str) == wanted)?.clone();
    container.retain(|key, _| !SERVING.contains(&key.as_str()));
    if !check.command.is_empty() {
        container.insert("command".to_owned(), json!(check.command));
        container.remove("args");
    }
    if !check.args.is_empty() {
        container.insert("args".to_owned(), json!(check.args));
    }
    let mut pod: Map<String, Value> = spec
        .iter()
        .filter(|(key, _)| !NOT_TAKEN.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    pod.insert("containers".to_owned(), json!([container]));
    pod.insert("restartPolicy".to_owned(), json!("Never"));

    let mut metadata = owned_metadata(rollout, &job_name(rollout, run), names::LABEL_CHECK);
    add(&mut metadata, "labels", [(names::LABEL_CHECK_REVISION, run.revision.as_str())]);
    let labels = metadata.get("labels").cloned().unwrap_or_default();
    let key = json!({"moment": run.moment, "name": run.check, "under": run.under}).to_string();
    add(&mut metadata, "annotations", [(names::ANNOTATION_CHECK, key)]);
    Some(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": check.retries,
            "activeDeadlineSeconds": check.timeout.as_secs(),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}],
            },
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }))
}

pub fn job_name(rollout: &Rollout, run: Run<'_>) -> String {
    let revision = revision_name(rollout, run.revision);
    names::child(&[&revision, run.moment.as_str(), run.check, run.under])
}
