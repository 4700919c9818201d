//! What is built, and by whom: a Build, and a Job as a person writes one who has no Switchyard.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};
use switchyard_api::{GROUP, VERSION};
use switchyard_e2e::{
    app::{GIT, PULL, PUSH},
    forge::Repository,
    ground::{Ground, root},
    place::Place,
};

/// Of the example application: what its Dockerfile takes.
const FILES: [&str; 4] = ["Dockerfile", "app.py", "gunicorn.conf.py", "requirements.txt"];
/// What the example names for everyone; here there is one that is reached.
const PUBLIC_BASE: &str = "python:3.12-slim";

/// Clones as a person does who knows which commit they want: the branch, for no server need give out a commit alone.
const CLONE: &str = r#"set -eu
echo "cloning $URL"
git -c credential.helper= -c credential.helper='!f() { echo "username=$GIT_USER"; echo "password=$GIT_PASSWORD"; }; f' \
    clone --quiet --branch main "$URL" /src
git -C /src checkout --quiet "$COMMIT"
echo "cloned $COMMIT""#;

/// Puts a new commit on the branch, so that each round builds what was never built.
pub async fn commit(repository: &Repository<'_>, ground: &Ground, round: u32) -> Result<String> {
    for name in FILES {
        let path = root().join("examples/flask").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let text = text.replace(PUBLIC_BASE, ground.setting("IMAGE_BASE_PYTHON"));
        let text = text.replace("VERSION = \"1\"", &format!("VERSION = \"1.{round}\""));
        repository.write(name, &text).await?;
    }
    repository.push(&format!("feat: round {round}")).await
}

/// Without checks and scan.
pub fn build(place: &Place, name: &str, url: &str, commit: &str, cached: bool) -> Value {
    let repository = |name: &str| format!("{}/{}/{name}", place.ground.setting("REGISTRY"), place.namespace);
    let mut image = json!({
        "name": "web", "repository": repository(if cached { "cached" } else { "built" }), "secretRef": {"name": PUSH},
    });
    if cached {
        image["cache"] = json!({"repository": repository("cache"), "secretRef": {"name": PUSH}});
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Build", "metadata": {"name": name},
        "spec": {
            "source": {"git": {"url": url, "commit": commit, "branch": "main", "secretRef": {"name": GIT}}},
            "images": [image],
            "imagePullSecrets": [{"name": PULL}],
        },
    })
}

/// The same by a bare Job: Git clones, and then the very Kaniko that a Build ran (its image, rights, resources and
/// arguments) pushes by itself, with a credential that the lines of the Dockerfile could read.
pub fn job(place: &Place, name: &str, url: &str, commit: &str, of_build: &Job) -> Result<Value> {
    let pod = of_build.spec.as_ref().and_then(|s| s.template.spec.as_ref()).context("a Job has a pod")?;
    let kaniko = pod.init_containers.iter().flatten().find(|c| c.name == "build");
    let mut kaniko = serde_json::to_value(kaniko.context("the Job of a Build has a container `build`")?)?;
    let arguments = kaniko["args"].as_array().context("Kaniko has arguments")?;
    let keeps = |argument: &&Value| {
        let text = argument.as_str().unwrap_or_default();
        text != "--no-push" && !text.starts_with("--oci-layout-path")
    };
    let mut kept: Vec<Value> = arguments.iter().filter(keeps).cloned().collect();
    ensure!(kept.len() + 2 == arguments.len(), "Kaniko runs with other arguments than this bench knows: {arguments:?}");
    kept.push(json!(format!("--destination={}/{}/bare:{name}", place.ground.setting("REGISTRY"), place.namespace)));
    kaniko["args"] = json!(kept);
    kaniko["volumeMounts"] = json!([
        {"name": "src", "mountPath": "/src", "readOnly": true},
        {"name": "push", "mountPath": "/kaniko/.docker", "readOnly": true},
    ]);
    let from = |key: &str| json!({"secretKeyRef": {"name": GIT, "key": key}});
    let clone = json!({
        "name": "clone", "image": place.ground.setting("IMAGE_BASE_GIT"), "command": ["sh", "-c", CLONE],
        "env": [
            {"name": "URL", "value": url},
            {"name": "COMMIT", "value": commit},
            {"name": "GIT_USER", "valueFrom": from("username")},
            {"name": "GIT_PASSWORD", "valueFrom": from("password")},
        ],
        "volumeMounts": [{"name": "src", "mountPath": "/src"}],
    });
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "imagePullSecrets": [{"name": PULL}],
            "initContainers": [clone],
            "containers": [kaniko],
            "volumes": [
                {"name": "src", "emptyDir": {}},
                {"name": "push", "secret": {"secretName": PUSH, "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}},
            ],
        }}},
    }))
}
