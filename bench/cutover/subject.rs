//! What is switched: the same application, by a Rollout or by hand.

use serde_json::{Value, json};
use switchyard_api::{GROUP, VERSION, names::LABEL_REVISION};
use switchyard_e2e::app::PULL;

use crate::settings::{ANSWER, DRAIN, REPLICAS, SCALE_DOWN_DELAY};

/// Of the Rollout and the live Service.
pub const NAME: &str = "shop";

/// What a user writes. Nothing in it delays the end: whatever patience there is, a controller brings.
fn template(image: &str, release: u32) -> Value {
    json!({
        "spec": {
            "imagePullSecrets": [{"name": PULL}],
            "terminationGracePeriodSeconds": 10,
            "containers": [{
                "name": "page", "image": image,
                "env": [
                    {"name": "RELEASE", "value": release.to_string()},
                    {"name": "DELAY_MS", "value": ANSWER.as_millis().to_string()},
                    // What an answer names itself by.
                    {"name": "REVISION", "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.labels['{LABEL_REVISION}']")}}},
                ],
                "ports": [{"name": "http", "containerPort": 8080}],
                // A share of the processor, or whatever runs beside it starves it.
                "resources": {"requests": {"cpu": "100m"}},
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
            }],
        },
    })
}

fn ports() -> Value {
    json!([{"name": "http", "port": 80, "targetPort": "http"}])
}

pub fn rollout(image: &str, release: u32) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": REPLICAS,
            "template": template(image, release),
            "service": {"spec": {"ports": ports()}},
            "strategy": {"blueGreen": {
                "scaleDownDelay": format!("{}s", SCALE_DOWN_DELAY.as_secs()),
                "drain": {"duration": format!("{}s", DRAIN.as_secs())},
            }},
            "progressDeadline": "2m",
            "revisionHistoryLimit": 3,
        },
    })
}

/// The same by hand: a Deployment whose pods wear the label that the Service selects by.
pub fn deployment(image: &str, release: u32) -> Value {
    let revision = revision(release);
    let labels = json!({LABEL_REVISION: revision});
    let mut template = template(image, release);
    template["metadata"] = json!({"labels": labels});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("{NAME}-{revision}")},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template},
    })
}

/// What a release made by hand is called.
pub fn revision(release: u32) -> String {
    format!("r{release}")
}

/// The Service of one release, by whose slices its readiness can be read.
pub fn headless(release: u32) -> Value {
    let mut service = live(release);
    service["metadata"]["name"] = json!(format!("{NAME}-{}", revision(release)));
    service["spec"]["clusterIP"] = json!("None");
    service
}

/// The Service that clients use.
pub fn live(release: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {LABEL_REVISION: revision(release)}, "ports": ports()},
    })
}
