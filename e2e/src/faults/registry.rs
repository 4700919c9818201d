//! The control plane's registry, and the one image in it. How it answers is real; what it serves was pushed by this, since
//! a played pod pushes nothing.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use switchyard_api::names::hex;

use super::builds::TAG;
use crate::process::{self, run};

/// An index of no images: whole without a single blob.
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const KIND: &str = "application/vnd.oci.image.index.v1+json";

pub struct Registry {
    /// `ADDRESS:PORT`, as in an image's name.
    pub host: String,
}

impl Registry {
    /// The one on this port of the loopback, with the image in it.
    pub async fn with_the_image(port: u16) -> Result<Self> {
        let registry = Self { host: format!("127.0.0.1:{port}") };
        let content = format!("Content-Type: {KIND}");
        registry
            .ask(&["--request", "PUT", "--header", &content, "--data", MANIFEST])
            .await
            .context("push the image")?;
        let served = registry.served().await?;
        ensure!(served == digest_of(MANIFEST), "the registry serves {served}, and was given something else");
        Ok(registry)
    }

    pub fn repository(&self) -> String {
        format!("{}/shop", self.host)
    }

    /// The digest of what it serves now: of the bytes themselves, not what it says of them.
    pub async fn served(&self) -> Result<String> {
        let accept = format!("Accept: {KIND}");
        Ok(digest_of(&self.ask(&["--header", &accept]).await.context("ask the registry")?))
    }

    async fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut curl = process::command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*"]).args(arguments);
        run(curl.arg(format!("http://{}/v2/shop/manifests/{TAG}", self.host))).await
    }
}

fn digest_of(manifest: &str) -> String {
    format!("sha256:{}", hex(&Sha256::digest(manifest.as_bytes()), 64))
}
