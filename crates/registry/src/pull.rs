//! Brings an image from a registry to a layout on disk.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sha2::Digest as _;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::session::{Manifest, PULL, Session};
use crate::{Digest, Error, Login, Reference, Registry};

/// One blob, of whatever size.
const BLOB_LIMIT: Duration = Duration::from_hours(1);
/// A download that moves nothing for this long is given up.
const STALL_LIMIT: Duration = Duration::from_mins(1);
const MAX_LAYERS: usize = 512;
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// What is on disk now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Of the one image in the layout: what was asked for, or of an index of several the one for this machine.
    pub image: Digest,
    /// The manifest, the config and every layer together, in bytes.
    pub size: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    media_type: Option<String>,
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
pub(crate) struct Blob {
    pub digest: String,
    pub size: u64,
}

impl Registry {
    /// Writes the image of this digest to `directory` as an OCI layout. Every part is verified; where a manifest names
    /// other places for a layer, they are not asked.
    pub async fn pull_layout(
        &self,
        repository: &Reference,
        digest: &Digest,
        directory: &Path,
        login: Option<&Login>,
    ) -> Result<Pulled, Error> {
        let registry = repository.registry();
        let mut session = Session::open(self, repository, login, PULL).await?;
        let (manifest, image) = one(&mut session, repository, digest).await?;
        let io = |error: std::io::Error| Error::io("write the image", &error);
        let blobs = directory.join("blobs").join("sha256");
        tokio::fs::create_dir_all(&blobs).await.map_err(io)?;
        let mut size = u64::try_from(manifest.content.len()).unwrap_or(u64::MAX);
        for blob in image.layers.iter().chain([&image.config]) {
            let digest = Digest::parse(&blob.digest)?;
            let mut file = tokio::fs::File::create(blobs.join(digest.hex())).await.map_err(io)?;
            download(&mut session, registry, &digest, blob.size, &mut file).await?;
            size = size.saturating_add(blob.size);
        }
        tokio::fs::write(blobs.join(manifest.digest.hex()), &manifest.content).await.map_err(io)?;
        let media_type = image.media_type.unwrap_or(manifest.media_type);
        let entry = serde_json::json!({
            "mediaType": media_type,
            "digest": manifest.digest.as_str(),
            "size": manifest.content.len(),
        });
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
        tokio::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).await.map_err(io)?;
        tokio::fs::write(directory.join("index.json"), index).await.map_err(io)?;
        Ok(Pulled { image: manifest.digest, size })
    }

    /// The config of the image that [`Registry::pull_layout`] takes, of what the registry has now.
    pub async fn config(
        &self,
        repository: &Reference,
        digest: &Digest,
        login: Option<&Login>,
    ) -> Result<Digest, Error> {
        let mut session = Session::open(self, repository, login, PULL).await?;
        let (_, image) = one(&mut session, repository, digest).await?;
        Digest::parse(&image.config.digest)
    }
}

/// The manifest of one image: the one asked for, or of an index the one for this machine.
async fn one(session: &mut Session<'_>, repository: &Reference, digest: &Digest) -> Result<(Manifest, Image), Error> {
    let registry = repository.registry();
    let mut found = manifest(session, repository, digest).await?;
    if INDEXES.contains(&found.media_type.as_str()) {
        let index: Index = json(registry, &found.content)?;
        let chosen = choose(&index.manifests, architecture())
            .ok_or_else(|| wrong(registry, "its index has no image for Linux"))?;
        let chosen = Digest::parse(&chosen.digest)?;
        tracing::info!("{digest} is an index of {}; taking {chosen}", index.manifests.len());
        found = manifest(session, repository, &chosen).await?;
    }
    let image: Image = json(registry, &found.content)?;
    if image.layers.len() > MAX_LAYERS {
        return Err(wrong(registry, &format!("its image has more than {MAX_LAYERS} layers")));
    }
    Ok((found, image))
}

pub(crate) async fn manifest(
    session: &mut Session<'_>,
    repository: &Reference,
    digest: &Digest,
) -> Result<Manifest, Error> {
    let found = session.manifest(digest.as_str()).await?;
    found.ok_or_else(|| Error::NotFound {
        registry: repository.registry().to_owned(),
        what: format!("{}@{digest}", repository.repository()),
    })
}

/// Writes a blob of exactly this size and digest.
pub(crate) async fn download(
    session: &mut Session<'_>,
    registry: &str,
    digest: &Digest,
    size: u64,
    into: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::io("write what is downloaded", &error);
    let mut answer = session.blob(digest, BLOB_LIMIT).await?;
    let (mut hash, mut length) = (sha2::Sha256::new(), 0_u64);
    loop {
        let piece = tokio::time::timeout(STALL_LIMIT, answer.chunk()).await;
        let piece = piece.map_err(|_| crate::push::stalled(registry))?;
        let Some(piece) = piece.map_err(|error| crate::error::of_request(registry, &error))? else { break };
        length = length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if length > size {
            return Err(wrong(registry, "a blob is longer than its manifest says"));
        }
        hash.update(&piece);
        into.write_all(&piece).await.map_err(io)?;
    }
    into.flush().await.map_err(io)?;
    if length == size && Digest::from_hash(&hash.finalize()) == *digest {
        Ok(())
    } else {
        Err(wrong(registry, "the content of a blob is not what its digest says"))
    }
}

pub(crate) fn json<'a, T: Deserialize<'a>>(registry: &str, text: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| wrong(registry, &format!("a manifest cannot be read: {error}")))
}

pub(crate) fn wrong(registry: &str, why: &str) -> Error {
    Error::ServerError { registry: registry.to_owned(), why: why.to_owned() }
}

/// This machine's, as Go and hence OCI calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The image for this machine; without one, any for Linux. An attestation is listed beside images, for no platform.
fn choose<'a>(entries: &'a [Entry], architecture: &str) -> Option<&'a Entry> {
    let linux = || {
        entries.iter().filter_map(|entry| {
            let platform = entry.platform.as_ref()?;
            (platform.os == "linux").then_some((entry, platform.architecture.as_str()))
        })
    };
    let ours = linux().find(|(_, theirs)| *theirs == architecture);
    ours.or_else(|| linux().find(|(_, theirs)| *theirs == "amd64")).or_else(|| linux().next()).map(|(entry, _)| entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_for_this_machine_is_chosen() {
        let entry = |digest: &str, platform: Option<(&str, &str)>| Entry {
            digest: digest.to_owned(),
            platform: platform
                .map(|(os, architecture)| Platform { os: os.to_owned(), architecture: architecture.to_owned() }),
        };
        let several = [
            entry("none", None),
            entry("unknown", Some(("unknown", "unknown"))),
            entry("windows", Some(("windows", "amd64"))),
            entry("s390x", Some(("linux", "s390x"))),
            entry("arm64", Some(("linux", "arm64"))),
            entry("amd64", Some(("linux", "amd64"))),
        ];
        let chosen = |entries, architecture| choose(entries, architecture).map(|entry| entry.digest.as_str());
        assert_eq!(chosen(&several, "arm64"), Some("arm64"));
        assert_eq!(chosen(&several, "riscv64"), Some("amd64"));
        assert_eq!(chosen(&several[..4], "amd64"), Some("s390x"));
        assert_eq!(chosen(&several[..3], "amd64"), None);
    }
}
