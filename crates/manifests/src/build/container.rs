//! A container of a build pod, and the volumes that it mounts.

use serde_json::{Value, json};
use switchyard_api::build::{SecretKeyRef, SecretRef};

use crate::Settings;

/// The user of our own containers, and the group that owns what they share.
pub const WORKER: i64 = 65532;

/// The mode of a credential's file: it belongs to root, who is not who reads it, and is in no other container.
const READABLE: i32 = 0o444;
/// The key and the file name of a registry credential (Secrets of type kubernetes.io/dockerconfigjson).
pub const DOCKER_CONFIG_JSON: &str = ".dockerconfigjson";

/// An argument that Kubernetes passes on as it stands: of `$(NAME)` it would make the value of a variable, and of `$$`
/// one `$`.
pub fn literal(argument: &str) -> String {
    argument.replace('$', "$$")
}

/// `--name=value`: so that a value which begins with a dash is one all the same.
pub fn option(name: &str, value: &str) -> String {
    format!("{name}={}", literal(value))
}

/// Leaves out what would be null, or an empty list or object.
pub fn set_unless_empty(parent: &mut Value, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if let (false, Some(parent)) = (empty, parent.as_object_mut()) {
        parent.insert(key.to_owned(), value);
    }
}

/// Something of a pod that containers mount.
#[derive(Clone, Debug)]
pub struct Volume {
    name: &'static str,
    source: Value,
}

impl Volume {
    /// Empty at first, on the node's disk.
    pub fn scratch(name: &'static str) -> Self {
        Self { name, source: json!({"emptyDir": {}}) }
    }

    /// Empty at first, never on a disk. For credentials: one is a few hundred bytes.
    pub fn memory(name: &'static str) -> Self {
        Self { name, source: json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}) }
    }

    /// Every key of a Secret, as a file each.
    pub fn secret(name: &'static str, secret: &SecretRef) -> Self {
        Self { name, source: json!({"secret": {"secretName": secret.name, "defaultMode": READABLE}}) }
    }

    /// One key of a Secret.
    pub fn key(name: &'static str, key: &SecretKeyRef, file: &str) -> Self {
        let items = json!([{"key": key.key, "path": file}]);
        Self { name, source: json!({"secret": {"secretName": key.name, "defaultMode": READABLE, "items": items}}) }
    }

    /// A registry credential, under the file name that its reader wants.
    pub fn registry(name: &'static str, secret: &SecretRef, file: &str) -> Self {
        Self::key(name, &SecretKeyRef { name: secret.name.clone(), key: DOCKER_CONFIG_JSON.to_owned() }, file)
    }

    /// Several registry credentials, numbered: `0.json` is the first.
    pub fn registries(name: &'static str, secrets: &[&SecretRef]) -> Self {
        let source = |(index, secret): (usize, &&SecretRef)| {
            let items = json!([{"key": DOCKER_CONFIG_JSON, "path": format!("{index}.json")}]);
            json!({"secret": {"name": secret.name, "items": items}})
        };
        let sources: Vec<Value> = secrets.iter().enumerate().map(source).collect();
        Self { name, source: json!({"projected": {"defaultMode": READABLE, "sources": sources}}) }
    }

    /// As in a pod.
    pub fn body(&self) -> Value {
        let mut body = self.source.clone();
        set_unless_empty(&mut body, "name", json!(self.name));
        body
    }
}

/// A container and what it mounts. A pod has no volume that none of its containers asked for.
#[derive(Clone, Debug)]
pub struct Container {
    body: Value,
    mounts: Vec<Value>,
    volumes: Vec<Value>,
}

impl Container {
    /// Of somebody else's image: of its log the last lines are its message.
    pub fn new(name: &str, image: &str) -> Self {
        let body = json!({"name": name, "image": image, "terminationMessagePolicy": "FallbackToLogsOnError"});
        Self { body, mounts: vec![], volumes: vec![] }
    }

    /// Of our own: no capability, nothing to write but its volumes. It leaves a report as its message.
    pub fn worker(name: &str, settings: &Settings, args: &[String]) -> Self {
        Self::new(name, &settings.worker_image)
            .with("command", json!(["switchyard-worker"]))
            .with("args", json!(args))
            .confined(WORKER)
            .with("resources", json!({"requests": {"cpu": "50m", "memory": "64Mi"}}))
    }

    /// Runs as this user with none of root's capabilities, over a root that it cannot write.
    pub fn confined(self, user: i64) -> Self {
        self.with(
            "securityContext",
            json!({
                "runAsNonRoot": user != 0,
                "runAsUser": user,
                "runAsGroup": WORKER,
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            }),
        )
    }

    /// Sets a field, unless its value is empty.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        set_unless_empty(&mut self.body, field, value);
        self
    }

    /// Adds to its environment.
    pub fn environment(mut self, variables: &Value) -> Self {
        let more = variables.as_array().into_iter().flatten().cloned();
        let all: Vec<Value> =
            self.body.get("env").and_then(Value::as_array).into_iter().flatten().cloned().chain(more).collect();
        set_unless_empty(&mut self.body, "env", Value::Array(all));
        self
    }

    /// Mounts a volume to write into.
    pub fn writes(mut self, volume: &Volume, path: &str) -> Self {
        self.mounts.push(json!({"name": volume.name, "mountPath": path}));
        self.volumes.push(volume.body());
        self
    }

    /// Mounts a volume to read from.
    pub fn reads(mut self, volume: &Volume, path: &str) -> Self {
        self.mounts.push(json!({"name": volume.name, "mountPath": path, "readOnly": true}));
        self.volumes.push(volume.body());
        self
    }

    /// Mounts one file of a volume, which has to be there by then.
    pub fn reads_file(mut self, volume: &Volume, file: &str, path: &str) -> Self {
        self.mounts.push(json!({"name": volume.name, "mountPath": path, "subPath": file, "readOnly": true}));
        self.volumes.push(volume.body());
        self
    }

    /// As in a pod.
    pub fn body(&self) -> Value {
        let mut body = self.body.clone();
        set_unless_empty(&mut body, "volumeMounts", json!(self.mounts));
        body
    }

    pub fn volumes(&self) -> &[Value] {
        &self.volumes
    }
}
