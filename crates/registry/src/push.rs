//! Takes an image from a layout to a registry, unchanged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oci_distribution::client::{Client, ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use tokio::io::AsyncReadExt;

use crate::error::of_client;
use crate::layout::Layout;
use crate::session::{PUSH, Session, known_but_denied};
use crate::{Digest, Error, Login, Reference, Registry};

/// An upload that moves nothing for this long is given up. Large layers take long to be stored after their last byte.
pub(crate) const STALL_LIMIT: Duration = Duration::from_mins(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const PIECE: usize = 128 * 1024;

/// What is in the registry now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the layout, which the registry was asked for under each tag.
    pub digest: Digest,
    /// The manifest, the config and every layer together, in bytes.
    pub size: u64,
    /// Of these, what the registry did not have yet.
    pub uploaded: u64,
}

impl Registry {
    /// Uploads what is missing of a layout, sets the manifest under its digest and under each tag, and then
    /// asks the registry for each. `repository` is an image name; a tag or digest in it is not used.
    ///
    /// Nothing is tried twice here: a push that ended early can be repeated as a whole, what is there is not sent
    /// again.
    pub async fn push_layout(
        &self,
        layout: &Layout,
        repository: &Reference,
        tags: &[String],
        login: Option<&Login>,
    ) -> Result<Pushed, Error> {
        for tag in tags {
            check_tag(tag)?;
        }
        // oci-client goes on without a login that is refused: this asks before it does.
        let mut session = Session::open(self, repository, login, PUSH).await?;
        let client = self.uploader(repository, login).await?;
        let registry = repository.registry();
        let mut uploaded: u64 = 0;
        for blob in &layout.blobs {
            let part = Part { digest: &blob.digest, size: blob.size, content: Content::File(&blob.path) };
            uploaded = uploaded.saturating_add(upload_unless_there(&client, repository, &part, login).await?);
        }
        let by_digest = layout.digest.to_string();
        for name in std::iter::once(&by_digest).chain(tags) {
            let set = session.put_manifest(name, layout.media_type, &layout.manifest).await;
            match set {
                // Set by an earlier try of this push: some refuse even to be told the same again.
                Err(Error::TagImmutable { .. })
                    if self.resolve(&named(repository, name), login).await.as_ref() == Ok(&layout.digest) => {}
                other => drop(other?),
            }
        }
        for name in std::iter::once(&by_digest).chain(tags) {
            let served = self.resolve(&named(repository, name), login).await?;
            if served != layout.digest {
                return Err(Error::Mismatch {
                    registry: registry.to_owned(),
                    what: format!("{}:{name}", repository.repository()),
                    served: served.to_string(),
                    pushed: by_digest,
                });
            }
        }
        Ok(Pushed { digest: layout.digest.clone(), size: layout.size, uploaded })
    }

    /// A client of its own for this login and registry: oci-client keeps the first login that it sees.
    pub(crate) async fn uploader(&self, repository: &Reference, login: Option<&Login>) -> Result<Client, Error> {
        let config = ClientConfig {
            protocol: if self.is_insecure(repository) {
                ClientProtocol::HttpsExcept(vec![repository.resolve_registry().to_owned()])
            } else {
                ClientProtocol::Https
            },
            // One request a blob, of known length. Its read timeout would count the upload itself: see STALL_LIMIT.
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT_LIMIT),
            user_agent: concat!("switchyard/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| of_client(repository.registry(), "", error))?;
        let login = login.map_or(RegistryAuth::Anonymous, |login| {
            RegistryAuth::Basic(login.username.clone(), login.password.clone())
        });
        client.store_auth_if_needed(repository.resolve_registry(), &login).await;
        Ok(client)
    }
}

/// What is uploaded, and where it is.
pub(crate) struct Part<'a> {
    pub digest: &'a Digest,
    pub size: u64,
    pub content: Content<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    File(&'a Path),
    Memory(&'static [u8]),
}

/// Uploads what the registry does not have; returns how many bytes that were.
pub(crate) async fn upload_unless_there(
    client: &Client,
    repository: &Reference,
    part: &Part<'_>,
    login: Option<&Login>,
) -> Result<u64, Error> {
    let (registry, what) = (repository.registry(), format!("{} {}", repository.repository(), part.digest));
    // Some registries answer with 403 where they could with 404: the upload will tell.
    if matches!(client.blob_exists(repository, part.digest.as_str()).await, Ok(true)) {
        tracing::info!(bytes = part.size, "{} is there", part.digest);
        return Ok(0);
    }
    let start = std::time::Instant::now();
    upload(client, repository, part)
        .await
        .map_err(|error| known_but_denied(of_upload(registry, &what, error), login))?;
    tracing::info!(bytes = part.size, seconds = start.elapsed().as_secs_f32(), "{} uploaded", part.digest);
    Ok(part.size)
}

/// The repository's image of this tag or digest.
pub(crate) fn named(repository: &Reference, name: &str) -> Reference {
    Reference::with_tag(repository.registry().to_owned(), repository.repository().to_owned(), name.to_owned())
}

fn check_tag(tag: &str) -> Result<(), Error> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !tag.is_empty() && tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || ".-".contains(c))
    {
        Ok(())
    } else {
        Err(Error::BadReference { text: tag.chars().take(100).collect(), why: "no valid tag".to_owned() })
    }
}

/// Streams a blob; gives up when nothing moves.
async fn upload(client: &Client, repository: &Reference, part: &Part<'_>) -> Result<(), Option<OciDistributionError>> {
    let path = match part.content {
        Content::File(path) => path,
        Content::Memory(bytes) => {
            let piece = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
            let push = client.push_blob_stream(repository, piece, part.digest.as_str(), Some(part.size));
            return tokio::time::timeout(STALL_LIMIT, push).await.map_err(|_| None)?.map(|_| ()).map_err(Some);
        }
    };
    let moved = Arc::new(AtomicU64::new(0));
    let file = tokio::fs::File::open(path).await.map_err(|error| Some(OciDistributionError::IoError(error)))?;
    let state = (file, part.size, moved.clone());
    let pieces = futures::stream::try_unfold(state, |(mut file, left, moved)| async move {
        // No byte more than was verified.
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = vec![0; want];
        let length = file.read(&mut piece).await?;
        if length == 0 {
            return Ok(None);
        }
        piece.truncate(length);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        moved.fetch_add(length, Ordering::Relaxed);
        Ok::<_, OciDistributionError>(Some((bytes::Bytes::from(piece), (file, left.saturating_sub(length), moved))))
    });
    let push = client.push_blob_stream(repository, pieces, part.digest.as_str(), Some(part.size));
    let stall = async {
        let mut before = moved.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(STALL_LIMIT).await;
            let now = moved.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    };
    tokio::select! {
        pushed = push => pushed.map(|_| ()).map_err(Some),
        () = stall => Err(None),
    }
}

fn of_upload(registry: &str, what: &str, error: Option<OciDistributionError>) -> Error {
    error.map_or_else(|| stalled(registry), |error| of_client(registry, what, error))
}

pub(crate) fn stalled(registry: &str) -> Error {
    let why = format!("nothing moved for {} s", STALL_LIMIT.as_secs());
    Error::Unreachable { registry: registry.to_owned(), why }
}
