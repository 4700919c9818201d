//! What the pods of a Build's steps have in common.

use serde_json::{Map, Value, json};
use switchyard_api::{
    Build, Duration,
    build::{PodSettings, SecretRef},
    names,
};

use crate::{Settings, build::Step, label_value, owned_by, uid};

/// The user that clones, and the group that owns what it shares.
pub const WORKER: i64 = 65532;
/// Where the source is. Never `/workspace` or another path that images use: Kaniko unpacks base images over `/` and
/// leaves out every mount point.
pub const SOURCE: &str = "/src";
/// Where Kaniko leaves the image, as an OCI layout.
pub const LAYOUT: &str = "/out";
/// Where our own containers leave notes for each other. In no container that runs what a user wrote.
pub const STEPS: &str = "/steps";
const GIT_CREDENTIAL: &str = "/credentials/git";

/// The mode of a credential's file: it belongs to root, who is not who clones, and is in no other container.
const READABLE: i32 = 0o444;

/// How long a finished Job is kept, in seconds, for whoever looks at its pod. Its result is in the Build by then.
const KEPT_SECONDS: i64 = 3600;

/// An argument that Kubernetes passes on as it stands: of `$(NAME)` it would make the value of a variable, and of `$$`
/// one `$`.
pub fn literal(argument: &str) -> String {
    argument.replace('$', "$$")
}

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
            "activeDeadlineSeconds": deadline(build.spec.recipe.timeout),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    })
}

/// The timeout as a backstop, in whole seconds that Kubernetes accepts.
fn deadline(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX).clamp(1, i64::from(i32::MAX))
}

/// The pod of a step: nothing of the cluster in it, no token and no addresses of Services.
pub fn pod(
    build: &Build,
    settings: &Settings,
    sharing: Sharing,
    init_containers: &[Value],
    container: &Value,
    volumes: &[Value],
) -> Value {
    let recipe = &build.spec.recipe;
    let PodSettings { node_selector, tolerations, annotations: _, resources: _ } = &recipe.pod;
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
        "initContainers": init_containers,
        "containers": [container],
        "volumes": volumes,
    });
    set_unless_empty(&mut pod, "imagePullSecrets", json!(pull_secrets));
    set_unless_empty(&mut pod, "nodeSelector", json!(node_selector));
    set_unless_empty(&mut pod, "tolerations", json!(tolerations));
    pod
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

/// A container of ours: no capability, nothing to write but its volumes.
pub fn worker(name: &str, settings: &Settings, user: i64, command: &Value, args: &[String], mounts: &[Value]) -> Value {
    json!({
        "name": name,
        "image": settings.worker_image,
        "command": command,
        "args": args,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsNonRoot": user != 0,
            "runAsUser": user,
            "runAsGroup": WORKER,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "volumeMounts": mounts,
    })
}

/// The container that fetches the source; the only one that sees the Git credential.
pub fn clone(build: &Build, settings: &Settings, sharing: Sharing) -> Value {
    let git = &build.spec.source.git;
    let mut args = vec!["clone".to_owned(), "--url".to_owned(), literal(&git.url)];
    args.extend(["--commit".to_owned(), git.commit.to_string()]);
    if let Some(branch) = &git.branch {
        args.extend(["--branch".to_owned(), literal(branch)]);
    }
    args.extend(["--into".to_owned(), SOURCE.to_owned()]);
    let mut mounts = vec![mount("src", SOURCE), mount("steps", STEPS), mount("tmp", "/tmp")];
    if git.secret_ref.is_some() {
        args.extend(["--credentials".to_owned(), GIT_CREDENTIAL.to_owned()]);
        mounts.push(read_only("git-credential", GIT_CREDENTIAL));
    }
    if let Some(version) = &build.spec.recipe.version {
        args.extend(["--tag-prefix".to_owned(), literal(&version.conventional_commits.tag_prefix)]);
    }
    args.extend(["--steps".to_owned(), STEPS.to_owned()]);
    let command = match sharing {
        Sharing::Read => json!(["switchyard-worker"]),
        Sharing::Write => {
            json!(["/bin/sh", "-c", r#"umask 002 && exec switchyard-worker "$@""#, "sh"])
        }
    };
    worker("clone", settings, WORKER, &command, &args, &mounts)
}

/// What the containers after `clone` may do with the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Read it, with the modes that Git gave: Kaniko copies them into the image. (So no `fsGroup` here, which would give
    /// every folder the setgid bit.)
    Read,
    /// Write into it too, whatever user they run as: every file belongs to the group that all containers of a pod
    /// share, and the group may write.
    Write,
}

/// The volumes that [`clone`] mounts.
pub fn clone_volumes(build: &Build) -> Vec<Value> {
    let mut volumes = vec![scratch("src"), scratch("steps"), scratch("tmp")];
    if let Some(secret) = &build.spec.source.git.secret_ref {
        volumes.push(json!({"name": "git-credential", "secret": {"secretName": secret.name, "defaultMode": READABLE}}));
    }
    volumes
}

/// A volume with a registry credential, under the file name that its reader wants.
pub fn registry_credential(volume: &str, secret: &SecretRef, file: &str) -> Value {
    json!({
        "name": volume,
        "secret": {
            "secretName": secret.name,
            "defaultMode": READABLE,
            "items": [{"key": ".dockerconfigjson", "path": file}],
        },
    })
}

pub fn scratch(volume: &str) -> Value {
    json!({"name": volume, "emptyDir": {}})
}

pub fn mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path})
}

pub fn read_only(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "readOnly": true})
}
