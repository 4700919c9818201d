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

/// Programs of ours in an image of the cluster's registry.
pub struct Image {
    pub name: &'static str,
    /// As `cargo build --release` leaves them. (Whoever starts us builds them: cargo within cargo hands its environment
    /// down, and some build scripts then begin anew.)
    pub binaries: &'static [&'static str],
    /// In the checkout; takes BASE, and BINARIES, the folder of the context that they lie in.
    pub dockerfile: &'static str,
}

const OPERATOR: Image =
    Image { name: "switchyard", binaries: &["switchyard-operator", "switchyard-worker"], dockerfile: "Dockerfile" };

/// Where `cargo build --release` leaves a program.
pub fn binary(name: &str) -> PathBuf {
    root().join("target/release").join(name)
}

/// The operator's image in the cluster's registry, `host/name:tag`.
pub async fn image(ground: &Ground) -> Result<String> {
    OPERATOR.publish(ground).await
}

impl Image {
    /// Its reference, `host/name:tag`. It is made only if there is none of these programs yet.
    pub async fn publish(&self, ground: &Ground) -> Result<String> {
        let name = self.name;
        let tag = self.tag().await?;
        let reference = format!("{}/{name}:{tag}", ground.setting("REGISTRY"));
        if self.is_in_registry(ground, &tag).await? {
            return Ok(reference);
        }
        let context = root().join("target/e2e/image").join(name);
        fs::create_dir_all(&context).await?;
        for binary_name in self.binaries {
            let path = binary(binary_name);
            fs::copy(&path, context.join(binary_name)).await.with_context(|| format!("copy {}", path.display()))?;
        }
        let mut build = ground.tool("build-image")?;
        build.arg(&context).arg(root().join(self.dockerfile)).arg(format!("{name}:{tag}"));
        build.args(["--build-arg", &format!("BASE={}", ground.setting("IMAGE_BASE_GIT"))]);
        build.args(["--build-arg", "BINARIES=."]);
        run(&mut build).await.with_context(|| format!("build the image {name}"))?;
        Ok(reference)
    }

    /// What the image is made of, in 12 characters.
    async fn tag(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for path in self.binaries.iter().map(|name| binary(name)).chain([root().join(self.dockerfile)]) {
            let bytes = fs::read(&path).await.with_context(|| format!("read {}", path.display()))?;
            hash.update(Sha256::digest(&bytes));
        }
        Ok(hex(&hash.finalize(), 12))
    }

    async fn is_in_registry(&self, ground: &Ground, tag: &str) -> Result<bool> {
        let url = format!("http://{}/v2/{}/manifests/{tag}", ground.setting("REGISTRY_ADDRESS"), self.name);
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
        // Tests of failures push by way of a registry of their own.
        "insecureRegistries": [ground.setting("REGISTRY"), crate::registry_proxy::address(ground)],
        "sonarScannerImage": crate::sonarqube::scanner(ground),
        "trivy": {"image": ground.setting("IMAGE_TRIVY"), "dbRepository": ground.setting("TRIVY_DB")},
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
