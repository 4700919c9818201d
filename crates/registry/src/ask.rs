//! Which digest a tag has.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};

use crate::error::{of_request, of_status};
use crate::{Digest, Error, Login, Reference};

/// One request, from the connection to the last byte of the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// All requests of one question.
const RESOLVE_LIMIT: Duration = Duration::from_mins(1);
/// The distribution spec asks registries to take manifests of 4 MiB.
pub(crate) const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// Of an answer that is an error.
const MAX_ERROR: usize = 16 * 1024;
/// Longer than this no registry is obeyed: the caller asks again when it sees fit.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

pub(crate) const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// Asks registries. It keeps connections and no credential, so one serves a whole process.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) client: reqwest::Client,
    /// `host[:port]` as it stands in an image's name; these are spoken to without TLS.
    pub(crate) insecure: BTreeSet<String>,
}

impl Registry {
    /// `insecure` names the registries that speak plain HTTP; every other is spoken to over TLS.
    pub fn new(insecure: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let redirects = reqwest::redirect::Policy::custom(|attempt| {
            // The client drops the credential at another host; here the rest: no plain text, no endless chase.
            let was_tls = attempt.previous().first().is_some_and(|first| first.scheme() == "https");
            if attempt.previous().len() > 5 || (was_tls && attempt.url().scheme() != "https") {
                attempt.stop()
            } else {
                attempt.follow()
            }
        });
        let client = reqwest::Client::builder()
            .user_agent(concat!("switchyard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .redirect(redirects)
            .build()
            .map_err(|error| of_request("any registry", &error))?;
        Ok(Self { client, insecure: insecure.into_iter().collect() })
    }

    /// The digest that the registry serves for a tag, or for a digest that digest once it is proven to be there.
    ///
    /// A login is used whenever the registry asks for one, and a refused one is [`Error::Unauthorized`] even where
    /// anybody may read.
    pub async fn resolve(&self, image: &Reference, login: Option<&Login>) -> Result<Digest, Error> {
        match tokio::time::timeout(RESOLVE_LIMIT, self.resolve_unlimited(image, login)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Unreachable {
                registry: image.registry().to_owned(),
                why: format!("no answer within {} s", RESOLVE_LIMIT.as_secs()),
            }),
        }
    }

    async fn resolve_unlimited(&self, image: &Reference, login: Option<&Login>) -> Result<Digest, Error> {
        let registry = image.registry();
        let object = image.digest().or(image.tag()).unwrap_or("latest");
        let what = format!("{}:{object}", image.repository());
        let url = format!("{}/v2/{}/manifests/{object}", self.origin(image), image.repository());

        let mut authorization = match login {
            Some(login) => self.prove(image, login, "pull").await?,
            None => None,
        };
        let mut answer = self.send(Method::HEAD, registry, &url, authorization.as_ref()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && authorization.is_none() {
            authorization = self.answer_challenge(image, answer.headers(), login, "pull").await?;
            if authorization.is_some() {
                answer = self.send(Method::HEAD, registry, &url, authorization.as_ref()).await?;
            }
        }
        let served = match (answer.status(), digest_header(answer.headers())) {
            (StatusCode::OK, Some(text)) => Digest::parse(&text).map_err(|_| Error::ServerError {
                registry: registry.to_owned(),
                why: "it names no sha256 digest".to_owned(),
            })?,
            // No digest said, or no HEAD spoken: read the manifest and look.
            (StatusCode::OK, None) | (StatusCode::METHOD_NOT_ALLOWED, _) => {
                let answer = self.send(Method::GET, registry, &url, authorization.as_ref()).await?;
                let answer = success(registry, &what, answer).await?;
                Digest::of(&capped(registry, answer, MAX_MANIFEST).await?)
            }
            _ => {
                success(registry, &what, answer).await?;
                return Err(Error::ServerError { registry: registry.to_owned(), why: "not status 200".to_owned() });
            }
        };
        match image.digest() {
            Some(asked) if asked != served.as_str() => Err(Error::Mismatch {
                registry: registry.to_owned(),
                what,
                served: served.to_string(),
                pushed: asked.to_owned(),
            }),
            _ => Ok(served),
        }
    }

    /// `https://host[:port]`, or `http://` where that is allowed.
    pub(crate) fn origin(&self, image: &Reference) -> String {
        let scheme = if self.is_insecure(image) { "http" } else { "https" };
        format!("{scheme}://{}", image.resolve_registry())
    }

    pub(crate) fn is_insecure(&self, image: &Reference) -> bool {
        self.insecure.contains(image.registry())
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        registry: &str,
        url: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let mut request = self.client.request(method, url).header(ACCEPT, MANIFESTS);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| of_request(registry, &error))
    }

    /// What to send with requests, when the registry asks who we are: checked, not merely composed.
    pub(crate) async fn prove(
        &self,
        image: &Reference,
        login: &Login,
        actions: &str,
    ) -> Result<Option<HeaderValue>, Error> {
        let (registry, url) = (image.registry(), format!("{}/v2/", self.origin(image)));
        let answer = self.send(Method::GET, registry, &url, None).await?;
        if !answer.headers().contains_key(WWW_AUTHENTICATE) {
            return Ok(None);
        }
        let proof = self.answer_challenge(image, answer.headers(), Some(login), actions).await?;
        if proof.as_ref().is_some_and(|proof| proof.as_bytes().starts_with(b"Basic")) {
            let answer = self.send(Method::GET, registry, &url, proof.as_ref()).await?;
            success(registry, "this user", answer).await?;
        }
        Ok(proof)
    }
}

/// The answer if it is a success, else the error it stands for.
pub(crate) async fn success(registry: &str, what: &str, answer: Response) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    let body = capped(registry, answer, MAX_ERROR).await.unwrap_or_default();
    Err(of_status(registry, what, status.as_u16(), retry_after, &String::from_utf8_lossy(&body)))
}

/// A body of at most `cap` bytes.
pub(crate) async fn capped(registry: &str, answer: Response, cap: usize) -> Result<Vec<u8>, Error> {
    let registry = registry.to_owned();
    switchyard_net::read(answer, cap).await.map_err(|error| match error {
        switchyard_net::Error::TooLarge { cap } => {
            Error::ServerError { registry, why: format!("an answer of more than {cap} bytes") }
        }
        other @ (switchyard_net::Error::Address(_)
        | switchyard_net::Error::Forbidden
        | switchyard_net::Error::Time
        | switchyard_net::Error::Network(_)) => Error::Unreachable { registry, why: other.to_string() },
    })
}

fn digest_header(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("docker-content-digest")?.to_str().ok()?.trim().to_owned())
}
