//! The operator, built, put into an image and installed by its charts, as a user does it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use switchyard_api::names::hex;
use tokio::fs;

use crate::{
    app::PULL,
    ground::{Ground, SYSTEM, root},
    process::{feed, run},
};

const BINARIES: [&str; 2] = ["switchyard-operator", "switchyard-worker"];
/// Of the image in the cluster's registry.
const NAME: &str = "switchyard";

/// Where `cargo build --release` leaves the operator and the worker. (Whoever starts us builds them: cargo within cargo
/// hands its environment down, and some build scripts then begin anew.)
pub fn binary(name: &str) -> PathBuf {
    root().join("target/release").join(name)
}

/// The operator's image in the cluster's registry, `host/name:tag`; made only if there is none of these binaries yet.
pub async fn image(ground: &Ground) -> Result<String> {
    let tag = tag().await?;
    let reference = format!("{}/{NAME}:{tag}", ground.setting("REGISTRY"));
    if is_in_registry(ground, &tag).await? {
        return Ok(reference);
    }
    let context = root().join("target/e2e/image");
    fs::create_dir_all(&context).await?;
    for name in BINARIES {
        fs::copy(binary(name), context.join(name)).await.with_context(|| format!("copy {name}"))?;
    }
    let mut build = ground.tool("build-image")?;
    build.arg(&context).arg(root().join("Dockerfile")).arg(format!("{NAME}:{tag}"));
    build.args(["--build-arg", &format!("BASE={}", ground.setting("IMAGE_BASE_GIT"))]);
    build.args(["--build-arg", "BINARIES=."]);
    run(&mut build).await.context("build the operator's image")?;
    Ok(reference)
}

/// What the image is made of, in 12 characters.
async fn tag() -> Result<String> {
    let mut hash = Sha256::new();
    for path in BINARIES.map(binary).into_iter().chain([root().join("Dockerfile")]) {
        let bytes = fs::read(&path).await.with_context(|| format!("read {}", path.display()))?;
        hash.update(Sha256::digest(&bytes));
    }
    Ok(hex(&hash.finalize(), 12))
}

async fn is_in_registry(ground: &Ground, tag: &str) -> Result<bool> {
    let url = format!("http://{}/v2/{NAME}/manifests/{tag}", ground.setting("REGISTRY_ADDRESS"));
    let mut curl = ground.command("curl");
    curl.args(["--silent", "--head", "--max-time", "10", "--noproxy", "*", "--config", "-"]);
    curl.args(["--header", "Accept: application/vnd.oci.image.manifest.v1+json"]);
    curl.args(["--header", "Accept: application/vnd.docker.distribution.manifest.v2+json"]);
    curl.args(["--output", "/dev/null", "--write-out", "%{http_code}", &url]);
    // Through its standard input: arguments are for everybody to read.
    let (user, password) = (ground.setting("REGISTRY_PUSH_USER"), ground.setting("REGISTRY_PUSH_PASSWORD"));
    match feed(&mut curl, &format!("user = \"{user}:{password}\"\n")).await?.as_str() {
        "200" => Ok(true),
        "404" => Ok(false),
        other => bail!("the registry answers {other} to {url}"),
    }
}

/// Installs CRDs and operator in the test cluster, or upgrades them, and waits until the operator is ready.
pub async fn install(ground: &Ground) -> Result<()> {
    let image = image(ground).await?;
    let (repository, tag) = image.rsplit_once(':').context("an image has a tag")?;
    let authfile = std::fs::read_to_string(ground.setting("REGISTRY_PULL_AUTHFILE"))?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PULL, "namespace": SYSTEM},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": authfile}});
    ground.apply(&namespace.to_string()).await?;
    ground.apply(&secret.to_string()).await?;
    let values = json!({
        "image": {"repository": repository, "tag": tag},
        "kanikoImage": ground.setting("IMAGE_KANIKO"),
        "imagePullSecrets": [{"name": PULL}],
        "insecureRegistries": [ground.setting("REGISTRY")],
    });
    charts(ground, &values).await
}

/// Installs both charts with these values, on whichever cluster.
pub async fn charts(ground: &Ground, values: &serde_json::Value) -> Result<()> {
    for chart in ["switchyard-crds", "switchyard"] {
        let path = root().join("charts").join(chart);
        let mut helm = ground.helm(&["upgrade", "--install", chart]);
        helm.arg(path).args(["--namespace", SYSTEM, "--create-namespace"]);
        if ground.is_ours() {
            // CRDs that were applied by hand in the test cluster are the chart's from now on.
            helm.arg("--take-ownership");
        }
        if chart == "switchyard" {
            helm.args(["--values", "-", "--wait", "--timeout", "3m"]);
        }
        let input = if chart == "switchyard" { values.to_string() } else { String::new() };
        if let Err(error) = feed(&mut helm, &input).await {
            let pods = ground.kubectl(&["-n", SYSTEM, "describe", "pods"]);
            let logs = ground.kubectl(&["-n", SYSTEM, "logs", "deployment/switchyard", "--tail=30"]);
            let mut said = String::new();
            for mut command in [pods, logs] {
                said.push_str(&crate::process::tail(&run(&mut command).await.unwrap_or_default(), 30));
                said.push('\n');
            }
            bail!("{error}\n{said}");
        }
    }
    // A test that was cut short may have left it without a replica.
    run(&mut ground.kubectl(&["-n", SYSTEM, "scale", "deployment/switchyard", "--replicas=1"])).await?;
    let rolled = ["-n", SYSTEM, "rollout", "status", "deployment/switchyard", "--timeout=120s"];
    run(&mut ground.kubectl(&rolled)).await.context("the operator does not become ready").map(drop)
}
