//! Requests about one repository, each with the proof of who we are.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::ask::{MANIFESTS, MAX_MANIFEST, capped, success};
use crate::error::of_request;
use crate::{Digest, Error, Login, Reference, Registry};

/// What a token is asked for.
pub(crate) const PULL: &str = "pull";
pub(crate) const PUSH: &str = "pull,push";

/// A manifest may take long to be stored: some registries look at every layer first.
const MANIFEST_LIMIT: Duration = Duration::from_mins(5);

/// One repository, and who we are there.
pub(crate) struct Session<'a> {
    registry: &'a Registry,
    image: &'a Reference,
    login: Option<&'a Login>,
    actions: &'static str,
    authorization: Option<HeaderValue>,
}

/// A manifest as it was served.
pub(crate) struct Manifest {
    pub digest: Digest,
    pub media_type: String,
    pub content: Vec<u8>,
}

impl<'a> Session<'a> {
    /// A login that the registry refuses is an error here, before anything is sent.
    pub(crate) async fn open(
        registry: &'a Registry,
        image: &'a Reference,
        login: Option<&'a Login>,
        actions: &'static str,
    ) -> Result<Self, Error> {
        let authorization = match login {
            Some(login) => registry.prove(image, login, actions).await?,
            None => None,
        };
        Ok(Self { registry, image, login, actions, authorization })
    }

    /// What is served under a tag or digest; None where there is nothing. A digest is checked.
    pub(crate) async fn manifest(&mut self, name: &str) -> Result<Option<Manifest>, Error> {
        let (registry, what) = (self.image.registry(), self.what(name));
        let url = self.url(&format!("manifests/{name}"));
        let answer = self.send(|client| client.request(Method::GET, &url).header(ACCEPT, MANIFESTS)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = success(registry, &what, answer).await.map_err(|error| self.denied(error))?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let media_type = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let content = capped(registry, answer, MAX_MANIFEST).await?;
        let digest = Digest::of(&content);
        if name.starts_with("sha256:") && digest.as_str() != name {
            return Err(Error::Mismatch {
                registry: registry.to_owned(),
                what,
                served: digest.to_string(),
                pushed: name.to_owned(),
            });
        }
        Ok(Some(Manifest { digest, media_type, content }))
    }

    /// Sets a manifest. Whether the registry says that it keeps the manifest's subject in mind.
    pub(crate) async fn put_manifest(&mut self, name: &str, media_type: &str, content: &[u8]) -> Result<bool, Error> {
        let (registry, what) = (self.image.registry(), self.what(name));
        let url = self.url(&format!("manifests/{name}"));
        let (media_type, body) = (media_type.to_owned(), bytes::Bytes::copy_from_slice(content));
        let answer = self.send(|client| {
            let request = client.request(Method::PUT, &url).header(CONTENT_TYPE, &media_type);
            request.body(body.clone()).timeout(MANIFEST_LIMIT)
        });
        let answer = success(registry, &what, answer.await?).await.map_err(|error| self.denied(error))?;
        Ok(answer.headers().contains_key("oci-subject"))
    }

    /// The content of a blob, still to be read; `limit` is for all of it.
    pub(crate) async fn blob(&mut self, digest: &Digest, limit: Duration) -> Result<Response, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let answer = self.send(|client| client.request(Method::GET, &url).timeout(limit)).await?;
        success(self.image.registry(), &self.what(digest.as_str()), answer).await.map_err(|error| self.denied(error))
    }

    /// Sends, and once more with a fresh proof where the registry asks for one: a token is good for minutes.
    async fn send(&mut self, request: impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Error> {
        let answer = self.once(&request).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let proof = self.registry.answer_challenge(self.image, answer.headers(), self.login, self.actions).await?;
        if proof.is_none() {
            return Ok(answer);
        }
        self.authorization = proof;
        self.once(&request).await
    }

    async fn once(&self, request: &impl Fn(&reqwest::Client) -> RequestBuilder) -> Result<Response, Error> {
        let mut request = request(&self.registry.client);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| of_request(self.image.registry(), &error))
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.registry.origin(self.image), self.image.repository())
    }

    fn what(&self, name: &str) -> String {
        let mark = if name.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{mark}{name}", self.image.repository())
    }

    fn denied(&self, error: Error) -> Error {
        known_but_denied(error, self.login)
    }
}

/// Docker Hub answers 401 where others answer 403: the login was accepted, and the token does not allow this.
pub(crate) fn known_but_denied(error: Error, login: Option<&Login>) -> Error {
    if let (Error::Unauthorized { registry, .. }, Some(_)) = (&error, login) {
        let (registry, why) = (registry.clone(), "this login may not do that there".to_owned());
        return Error::Denied { registry, what: "the repository".to_owned(), why };
    }
    error
}
