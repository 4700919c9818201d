//! The bodies of everything that Switchyard creates: Deployments, Services, Jobs and Builds. Pure: values in, values
//! out, no IO.
//!
//! Bodies are JSON, not structs. What a user wrote (a pod template, a container's `env`, tolerations) goes into them as
//! it stands: a struct would drop fields of a newer Kubernetes and would make every function here fallible, while the
//! apiserver tells the user better than we could what is wrong. That our own part of a body is spelled right is shown
//! by the tests, which read each body into the struct of its kind and find nothing lost.

pub mod build;
pub mod check;
pub mod pipeline;
pub mod rollout;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};
use switchyard_api::{GROUP, VERSION, build::Scan, names};

/// What the installation says about every build pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Holds `switchyard-worker`, Git and a shell.
    pub worker_image: String,
    /// Kaniko's executor.
    pub kaniko_image: String,
    pub trivy_image: String,
    /// Where Trivy's database is, with its tag. Default: where Trivy itself looks.
    pub trivy_db_repository: Option<String>,
    /// The same of its index of Java archives, which it wants when it sees one.
    pub trivy_java_db_repository: Option<String>,
    /// Of Builds that do not say how they are scanned. None: those are not.
    pub default_scan: Option<Scan>,
    /// Has `sonar-scanner` in its path.
    pub sonar_scanner_image: String,
    /// Registries, as `host` or `host:port`, that are spoken to in plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Secrets in the Build's namespace by which nodes pull the images above.
    pub image_pull_secrets: Vec<String>,
}

/// The reference that lets the garbage collector remove a child with its owner.
///
/// Without `blockOwnerDeletion`: where OwnerReferencesPermissionEnforcement is on, as on OpenShift, setting it takes a
/// right on the owner's finalizers, and nothing here needs an owner's deletion to wait.
fn owned_by(kind: &str, owner: &ObjectMeta) -> Value {
    json!([{
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": kind,
        "name": owner.name.clone().unwrap_or_default(),
        "uid": uid(owner),
        "controller": true,
    }])
}

fn uid(owner: &ObjectMeta) -> String {
    owner.uid.clone().unwrap_or_default()
}

/// `name` as the value of a label: the same, unless it is longer than a label may be.
fn label_value(name: &str) -> String {
    names::child(&[name])
}

/// The object at `key`, put there if nothing is.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    parent.entry(key).or_insert_with(|| json!({})).as_object_mut()
}
