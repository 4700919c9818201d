//! One file in a registry that is no image: what a check left for those that come after it.

use std::path::Path;

use oci_distribution::client::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::pull::{Blob, download, json, manifest, wrong};
use crate::push::{Content, Part, upload_unless_there};
use crate::session::{PULL, PUSH, Session};
use crate::{Digest, Error, Login, Reference, Registry};

/// What the kept artifacts of a check are.
pub const ARTIFACT_TYPE: &str = "application/vnd.switchyard.artifacts.v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The OCI spec's own word for "no config".
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const NOTHING: &[u8] = b"{}";

/// What is in the registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Of its manifest; there is no tag.
    pub digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    artifact_type: Option<String>,
    layers: Vec<Blob>,
}

impl Registry {
    /// Pushes a `.tar.gz` as an artifact without a tag: only its digest names it, so nothing is moved or found by
    /// chance, and a registry may clean it up in time. The same file has the same digest.
    pub async fn push_artifact(
        &self,
        archive: &Path,
        repository: &Reference,
        login: Option<&Login>,
    ) -> Result<Saved, Error> {
        let mut session = Session::open(self, repository, login, PUSH).await?;
        let uploads = Uploads::open(self, repository, login).await?;
        let layer = uploads.file(archive).await?;
        let manifest = manifest_of(ARTIFACT_TYPE, &layer.descriptor(LAYER, None), None);
        let digest = Digest::of(&manifest);
        session.put_manifest(digest.as_str(), MANIFEST, &manifest).await?;
        self::manifest(&mut session, repository, &digest).await?;
        Ok(Saved { digest })
    }

    /// Brings back what [`Registry::push_artifact`] pushed, at most `cap` bytes of it.
    pub async fn pull_artifact(
        &self,
        repository: &Reference,
        digest: &Digest,
        cap: u64,
        into: &mut (impl AsyncWrite + Unpin),
        login: Option<&Login>,
    ) -> Result<(), Error> {
        let registry = repository.registry();
        let mut session = Session::open(self, repository, login, PULL).await?;
        let manifest = manifest(&mut session, repository, digest).await?;
        let artifact: Artifact = json(registry, &manifest.content)?;
        let ([layer], Some(ARTIFACT_TYPE)) = (&artifact.layers[..], artifact.artifact_type.as_deref()) else {
            return Err(wrong(registry, &format!("{digest} is nothing that a check left")));
        };
        if layer.size > cap {
            return Err(Error::TooLarge { registry: registry.to_owned(), what: digest.to_string(), cap });
        }
        download(&mut session, registry, &Digest::parse(&layer.digest)?, layer.size, into).await
    }
}

/// What is uploaded to one repository, with one connection.
pub(crate) struct Uploads<'a> {
    client: Client,
    repository: &'a Reference,
    login: Option<&'a Login>,
}

impl<'a> Uploads<'a> {
    /// The empty config, which every manifest of ours has, is there from then on.
    pub(crate) async fn open(
        registry: &Registry,
        repository: &'a Reference,
        login: Option<&'a Login>,
    ) -> Result<Self, Error> {
        let uploads = Self { client: registry.uploader(repository, login).await?, repository, login };
        let digest = Digest::of(NOTHING);
        let part = Part { digest: &digest, size: 2, content: Content::Memory(NOTHING) };
        upload_unless_there(&uploads.client, repository, &part, login).await?;
        Ok(uploads)
    }

    /// Hashes and uploads a file.
    pub(crate) async fn file(&self, path: &Path) -> Result<Uploaded, Error> {
        let uploaded = hash(path).await?;
        let part = Part { digest: &uploaded.digest, size: uploaded.size, content: Content::File(path) };
        upload_unless_there(&self.client, self.repository, &part, self.login).await?;
        Ok(uploaded)
    }
}

/// A manifest around one blob, with the empty config. No time stands in it, so that a second try makes the same.
pub(crate) fn manifest_of(artifact_type: &str, layer: &Value, subject: Option<&Value>) -> Vec<u8> {
    let mut manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": {"mediaType": EMPTY, "digest": Digest::of(NOTHING).as_str(), "size": 2, "data": "e30="},
        "layers": [layer],
    });
    if let (Some(subject), Some(fields)) = (subject, manifest.as_object_mut()) {
        fields.insert("subject".to_owned(), subject.clone());
    }
    manifest.to_string().into_bytes()
}

/// A file that is in the registry.
pub(crate) struct Uploaded {
    pub digest: Digest,
    pub size: u64,
}

impl Uploaded {
    pub(crate) fn descriptor(&self, media_type: &str, title: Option<&str>) -> Value {
        let mut descriptor =
            serde_json::json!({"mediaType": media_type, "digest": self.digest.as_str(), "size": self.size});
        if let (Some(title), Some(fields)) = (title, descriptor.as_object_mut()) {
            let annotations = serde_json::json!({"org.opencontainers.image.title": title});
            fields.insert("annotations".to_owned(), annotations);
        }
        descriptor
    }
}

async fn hash(path: &Path) -> Result<Uploaded, Error> {
    use sha2::Digest as _;
    let io = |error: std::io::Error| Error::io("read what is uploaded", &error);
    let mut file = tokio::fs::File::open(path).await.map_err(io)?;
    let (mut hash, mut buffer, mut size) = (sha2::Sha256::new(), vec![0; 128 * 1024], 0_u64);
    loop {
        let length = file.read(&mut buffer).await.map_err(io)?;
        match buffer.get(..length) {
            None | Some([]) => break,
            Some(piece) => hash.update(piece),
        }
        size = size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
    }
    Ok(Uploaded { digest: Digest::from_hash(&hash.finalize()), size })
}
