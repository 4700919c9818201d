//! An image on disk, as an OCI image layout. It was written beside a stranger's Dockerfile: nothing in it is believed
//! before its digest and size were checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::Digest as _;
use tokio::io::AsyncReadExt;

use crate::{Digest, Error};

const MAX_INDEX: u64 = 1024 * 1024;
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
const MAX_LAYERS: usize = 512;
/// What is a manifest of one image, for one platform.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// One image, every part of it verified when it was opened.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The image's digest: that of its manifest, byte for byte.
    pub digest: Digest,
    /// The manifest, the config and every layer together, in bytes.
    pub size: u64,
    /// Of its config: what programs that know no registry call the image's id.
    pub config: Digest,
    pub(crate) manifest: Vec<u8>,
    pub(crate) media_type: &'static str,
    /// The config last, so that a registry never knows a config without its layers.
    pub(crate) blobs: Vec<Blob>,
}

#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub path: PathBuf,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Layout {
    /// Reads `index.json`, the one image it names, and every blob of that image.
    pub async fn open(directory: &Path) -> Result<Self, Error> {
        let index = read(&directory.join("index.json"), MAX_INDEX, "index.json").await?;
        let index: Index = json(&index, "index.json")?;
        let [image] = &index.manifests[..] else {
            return Err(Error::BadLayout(format!("index.json names {} images instead of one", index.manifests.len())));
        };
        let digest = digest(image)?;
        let manifest = read(&blob(directory, &digest), MAX_MANIFEST, "the manifest").await?;
        if Digest::of(&manifest) != digest || length(&manifest) != image.size {
            return Err(Error::BadLayout(format!("the manifest is not {digest} of {} bytes", image.size)));
        }
        let parsed: Manifest = json(&manifest, "the manifest")?;
        let said = parsed.media_type.as_deref().unwrap_or(&image.media_type);
        let media_type = IMAGES.into_iter().find(|known| *known == said).ok_or_else(|| {
            let said: String = said.chars().take(80).collect();
            Error::BadLayout(format!("{said:?} is no image for one platform"))
        })?;
        if parsed.layers.len() > MAX_LAYERS {
            return Err(Error::BadLayout(format!("{} layers, more than {MAX_LAYERS}", parsed.layers.len())));
        }
        let mut blobs = BTreeMap::new();
        for (order, part) in parsed.layers.iter().chain([&parsed.config]).enumerate() {
            let digest = self::digest(part)?;
            let path = blob(directory, &digest);
            blobs.entry(digest.clone()).or_insert((order, Blob { digest, size: part.size, path }));
        }
        let mut blobs: Vec<(usize, Blob)> = blobs.into_values().collect();
        blobs.sort_by_key(|(order, _)| *order);
        let blobs: Vec<Blob> = blobs.into_iter().map(|(_, blob)| blob).collect();
        for blob in &blobs {
            verify(blob).await?;
        }
        let size = blobs.iter().fold(length(&manifest), |sum, blob| sum.saturating_add(blob.size));
        let config = self::digest(&parsed.config)?;
        Ok(Self { digest, size, config, manifest, media_type, blobs })
    }
}

fn blob(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs").join("sha256").join(digest.hex())
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Error> {
    Digest::parse(&descriptor.digest).map_err(|_| Error::BadLayout("a part of it has no sha256 digest".to_owned()))
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8], what: &str) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| Error::BadLayout(format!("{what} cannot be read: {error}")))
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
}

/// A plain file's size; a link would lead out of the layout, a pipe would never end.
async fn plain(path: &Path, what: &str) -> Result<u64, Error> {
    let metadata = tokio::fs::symlink_metadata(path)
        .await
        .map_err(|error| Error::BadLayout(format!("{what} cannot be opened: {error}")))?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(Error::BadLayout(format!("{what} is no plain file"))) }
}

async fn read(path: &Path, cap: u64, what: &str) -> Result<Vec<u8>, Error> {
    let size = plain(path, what).await?;
    if size > cap {
        return Err(Error::BadLayout(format!("{what} has {size} bytes, more than {cap}")));
    }
    tokio::fs::read(path).await.map_err(|error| Error::BadLayout(format!("{what} cannot be read: {error}")))
}

async fn verify(blob: &Blob) -> Result<(), Error> {
    let what = blob.digest.to_string();
    let size = plain(&blob.path, &what).await?;
    if size != blob.size {
        return Err(Error::BadLayout(format!("{what} has {size} bytes instead of {}", blob.size)));
    }
    let io = |error: std::io::Error| Error::BadLayout(format!("{what} cannot be read: {error}"));
    let mut file = tokio::fs::File::open(&blob.path).await.map_err(io)?;
    let (mut hash, mut buffer) = (sha2::Sha256::new(), vec![0; 256 * 1024]);
    loop {
        let length = file.read(&mut buffer).await.map_err(io)?;
        match buffer.get(..length) {
            None | Some([]) => break,
            Some(piece) => hash.update(piece),
        }
    }
    if Digest::from_hash(&hash.finalize()) == blob.digest {
        Ok(())
    } else {
        Err(Error::BadLayout(format!("the content of {what} is not what its name says")))
    }
}
