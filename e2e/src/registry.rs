//! The cluster's registry, asked from outside for what is there.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{ground::Ground, process::feed};

const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Repositories are named without the registry's host.
pub struct Registry<'a> {
    ground: &'a Ground,
}

impl<'a> Registry<'a> {
    pub fn of(ground: &'a Ground) -> Self {
        Self { ground }
    }

    /// All tags of a repository; none where there is no such repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let Some(list) = self.get(&format!("{repository}/tags/list")).await? else { return Ok(vec![]) };
        Ok(serde_json::from_value::<Option<Vec<String>>>(list["tags"].clone())?.unwrap_or_default())
    }

    /// By tag or digest, if it is there.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Value>> {
        self.get(&format!("{repository}/manifests/{reference}")).await
    }

    /// The descriptors of what refers to this manifest: as the registry lists it, or, where it does not, under the tag
    /// that clients then keep (OCI distribution specification 1.1, "Referrers Tag Schema").
    pub async fn referrers(&self, repository: &str, digest: &str) -> Result<Vec<Value>> {
        let listed = self.get(&format!("{repository}/referrers/{digest}")).await?;
        let index = match listed {
            Some(index) => Some(index),
            None => self.manifest(repository, &digest.replacen(':', "-", 1)).await?,
        };
        Ok(index.and_then(|index| index["manifests"].as_array().cloned()).unwrap_or_default())
    }

    /// The one layer of an artifact, which is JSON.
    pub async fn content(&self, repository: &str, artifact: &Value) -> Result<Value> {
        let digest = artifact["digest"].as_str().context("a descriptor has a digest")?;
        let manifest = self.manifest(repository, digest).await?.with_context(|| format!("{digest} is not there"))?;
        let layers = manifest["layers"].as_array().context("an artifact has layers")?;
        ensure!(layers.len() == 1, "one layer: {manifest}");
        let blob = layers[0]["digest"].as_str().context("a layer has a digest")?;
        self.get(&format!("{repository}/blobs/{blob}")).await?.with_context(|| format!("{blob} is not there"))
    }

    /// JSON at this path below `/v2/`, if it is there.
    async fn get(&self, path: &str) -> Result<Option<Value>> {
        let url = format!("http://{}/v2/{path}", self.ground.setting("REGISTRY_ADDRESS"));
        let mut curl = self.ground.command("curl");
        curl.args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*", "--config", "-"]);
        for kind in MANIFESTS {
            curl.args(["--header", &format!("Accept: {kind}")]);
        }
        curl.args(["--write-out", "\n%{http_code}", &url]);
        // Through its standard input: arguments are for everybody to read.
        let (user, password) =
            (self.ground.setting("REGISTRY_PULL_USER"), self.ground.setting("REGISTRY_PULL_PASSWORD"));
        let said = feed(&mut curl, &format!("user = \"{user}:{password}\"\n")).await?;
        match said.rsplit_once('\n') {
            Some((body, "200")) => Ok(Some(serde_json::from_str(body).with_context(|| format!("read {url}"))?)),
            Some((_, "404")) => Ok(None),
            _ => bail!("the registry answers {said} to {url}"),
        }
    }
}
