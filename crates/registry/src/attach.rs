//! What belongs to an image and is kept beside it: OCI referrers (distribution spec 1.1).
//!
//! A registry that knows them answers a manifest that has a subject with `OCI-Subject`, and lists it from then on. For
//! one that does not, the spec has clients keep the list: an index under the tag `sha256-…`, after the subject's digest.
//! Two writers can take each other's line away there, so each looks again whether its own is still there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

use crate::artifact::{Uploads, manifest_of};
use crate::pull::{manifest, wrong};
use crate::session::{PUSH, Session};
use crate::{Digest, Error, Login, Reference, Registry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// How often our line is put into the list before it is given up.
const TRIES: usize = 5;
/// More than this is no list of ours.
const MAX_LISTED: usize = 1000;

/// One file that belongs to an image.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// What others look for it by.
    pub artifact_type: &'a str,
    pub media_type: &'a str,
    /// The name that it gets when somebody downloads it.
    pub title: &'a str,
    pub path: &'a Path,
}

/// The list under the fallback tag. What is not ours in it stays as it is.
#[derive(Deserialize, Serialize)]
struct Index {
    manifests: Vec<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Registry {
    /// Attaches files to the image of this digest, which the registry has; returns the digests of their manifests. The
    /// same file attached twice is attached once.
    pub async fn attach(
        &self,
        repository: &Reference,
        subject: &Digest,
        attachments: &[Attachment<'_>],
        login: Option<&Login>,
    ) -> Result<Vec<Digest>, Error> {
        let mut session = Session::open(self, repository, login, PUSH).await?;
        let image = manifest(&mut session, repository, subject).await?;
        let described = json!({"mediaType": image.media_type, "digest": subject.as_str(), "size": image.content.len()});
        let uploads = Uploads::open(self, repository, login).await?;
        let (mut digests, mut unlisted) = (Vec::new(), Vec::new());
        for attachment in attachments {
            let Attachment { artifact_type, media_type, title, path } = *attachment;
            let file = uploads.file(path).await?;
            let layer = file.descriptor(media_type, Some(title));
            let content = manifest_of(artifact_type, &layer, Some(&described));
            let digest = Digest::of(&content);
            if !session.put_manifest(digest.as_str(), MANIFEST, &content).await? {
                unlisted.push(json!({
                    "mediaType": MANIFEST,
                    "digest": digest.as_str(),
                    "size": content.len(),
                    "artifactType": artifact_type,
                }));
            }
            digests.push(digest);
        }
        if !unlisted.is_empty() {
            list(&mut session, repository, subject, &unlisted).await?;
        }
        Ok(digests)
    }
}

/// Puts lines into the list of a registry that keeps none itself.
async fn list(
    session: &mut Session<'_>,
    repository: &Reference,
    subject: &Digest,
    lines: &[Value],
) -> Result<(), Error> {
    let registry = repository.registry();
    let tag = format!("sha256-{}", subject.hex());
    for _ in 0..TRIES {
        let mut index = match session.manifest(&tag).await? {
            Some(found) => crate::pull::json(registry, &found.content)?,
            None => empty(),
        };
        let missing: Vec<&Value> = lines.iter().filter(|line| !holds(&index, line)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        index.manifests.extend(missing.into_iter().cloned());
        if index.manifests.len() > MAX_LISTED {
            return Err(wrong(registry, &format!("{tag} lists more than {MAX_LISTED} manifests")));
        }
        let content = serde_json::to_vec(&index).map_err(|error| wrong(registry, &error.to_string()))?;
        session.put_manifest(&tag, INDEX, &content).await?;
    }
    Err(wrong(registry, &format!("{tag} loses what is put into it: something else writes it")))
}

fn empty() -> Index {
    let rest = [("schemaVersion".to_owned(), json!(2)), ("mediaType".to_owned(), json!(INDEX))];
    Index { manifests: Vec::new(), rest: rest.into_iter().collect() }
}

fn holds(index: &Index, line: &Value) -> bool {
    index.manifests.iter().any(|found| found.get("digest") == line.get("digest"))
}
