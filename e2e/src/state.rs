//! What is there in the end, without what differs between two runs of the same story: times, uids, versions.

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Service};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};
use switchyard_api::{
    Build, Pipeline, Rollout,
    names::{ANNOTATION_STEP, ANNOTATION_SWITCH},
};

use crate::place::Place;

/// Members that no two runs share.
const PASSING: [&str; 18] = [
    "lastTransitionTime",
    "observedGeneration",
    "since",
    "moved",
    "time",
    "seen",
    "seenTime",
    "startTime",
    "finishTime",
    "started",
    "finished",
    "duration",
    "pod",
    "notBefore",
    "unlisted",
    "pipelineUid",
    "uid",
    "owner",
];

/// Of everything that is ours in this namespace.
pub async fn of(place: &Place) -> Value {
    let mut state = Map::new();
    let mut keep = |kind: &str, name: String, value: Value| {
        state.insert(format!("{kind} {name}"), without_passing(value, &place.namespace));
    };
    for rollout in place.list::<Rollout>("").await {
        keep("Rollout", rollout.name_any(), json!(rollout.status));
    }
    for pipeline in place.list::<Pipeline>("").await {
        keep("Pipeline", pipeline.name_any(), json!(pipeline.status));
    }
    for build in place.list::<Build>("").await {
        keep("Build", build.name_any(), json!(build.status));
    }
    for job in place.list::<Job>("").await {
        let step = job.annotations().get(ANNOTATION_STEP);
        keep("Job", job.name_any(), json!({"step": step, "succeeded": job.status.and_then(|s| s.succeeded)}));
    }
    for deployment in place.list::<Deployment>("").await {
        let name = deployment.name_any();
        let spec = deployment.spec.unwrap_or_default();
        let ready = deployment.status.and_then(|s| s.ready_replicas);
        keep("Deployment", name, json!({"replicas": spec.replicas, "ready": ready, "template": spec.template}));
    }
    for service in place.list::<Service>("").await {
        let record = service.annotations().get(ANNOTATION_SWITCH).cloned();
        let record: Option<Value> = record.and_then(|text| serde_json::from_str(&text).ok());
        let name = service.name_any();
        let spec = service.spec.unwrap_or_default();
        keep("Service", name, json!({"record": record, "selector": spec.selector, "ports": spec.ports}));
    }
    Value::Object(state)
}

fn without_passing(value: Value, namespace: &str) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, value)| !PASSING.contains(&key.as_str()) && !value.is_null())
            .map(|(key, value)| (key.replace(namespace, "NAMESPACE"), without_passing(value, namespace)))
            .filter(|(key, _)| !key.ends_with("/owner-uid"))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| without_passing(item, namespace)).collect(),
        Value::String(text) => Value::String(text.replace(namespace, "NAMESPACE")),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

/// Where two states differ, a line each.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{key}"), &of(a), &of(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{i}"), a, b, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: expected {a}, found {b}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names_of_the_place_do_not_matter_and_all_else_does() {
        let state = |namespace: &str, since: &str, live: &str| {
            without_passing(
                json!({"record": {"live": live, "since": since}, "pipeline": format!("{namespace}/shop")}),
                namespace,
            )
        };
        assert_eq!(differences(&state("a-1", "5", "blue"), &state("b-2", "6", "blue")), [""; 0]);
        let found = differences(&state("a-1", "5", "blue"), &state("a-1", "5", "green"));
        assert_eq!(found, [r#"/record/live: expected "blue", found "green""#]);
        assert_eq!(differences(&json!({"a": 1}), &json!({"a": 1, "b": [1]})), ["/b: expected null, found [1]"]);
    }
}
