//! The cluster's registry behind a proxy that answers some requests itself, as a test tells it to: what registries refuse,
//! and how they fail. Everything else goes through, so what is pushed by way of it is in the registry.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1 as client,
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::ground::Ground;

/// Where it listens, on this machine: the operator is told once, when it is installed, that this one speaks plain HTTP.
const PORT: u16 = 5001;

type Body = BoxBody<Bytes, hyper::Error>;
type Sender = client::SendRequest<Incoming>;

/// `host:port`, as it stands in the names of images.
pub fn address(ground: &Ground) -> String {
    format!("{}:{PORT}", ground.setting("HOST_ADDRESS"))
}

/// A kind of request, in one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To take a layer or a config.
    ToUpload,
    /// To let a tag point at a manifest.
    ToTag,
    /// Which manifest a tag points at.
    ForTag,
}

impl Asked {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let tag = path.rsplit_once("/manifests/").is_some_and(|(_, reference)| !reference.starts_with("sha256:"));
        match method.as_str() {
            "POST" if path.contains("/blobs/uploads/") => Some(Self::ToUpload),
            "PUT" if tag => Some(Self::ToTag),
            "GET" | "HEAD" if tag => Some(Self::ForTag),
            _ => None,
        }
    }
}

/// What is said instead of what the registry would say.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status, and an error in the form of the distribution specification.
    Refusal(u16, &'static str, &'static str),
    /// Another digest than that of what was pushed.
    OtherDigest,
}

impl Answer {
    fn response(&self) -> Response<Body> {
        let builder = Response::builder();
        let (builder, text) = match self {
            Self::Refusal(status, code, message) => {
                let body = json!({"errors": [{"code": code, "message": message}]}).to_string();
                let builder = builder.status(*status).header(CONTENT_TYPE, "application/json");
                (if *status == 429 { builder.header(RETRY_AFTER, "1") } else { builder }, body)
            }
            Self::OtherDigest => {
                let kind = "application/vnd.oci.image.manifest.v1+json";
                let digest = format!("sha256:{}", "0".repeat(64));
                (builder.status(200).header(CONTENT_TYPE, kind).header("docker-content-digest", digest), String::new())
            }
        };
        builder.body(whole(text)).expect("an answer of ours is one")
    }
}

/// When it says so: in this repository, asked this, not the first `after` times, and then as often as `times`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub repository: String,
    pub asked: Asked,
    pub answer: Answer,
    pub after: usize,
    pub times: usize,
}

/// The proxy. It ends with this value.
pub struct RegistryProxy {
    told: Arc<Told>,
    task: tokio::task::JoinHandle<()>,
}

struct Told {
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    given: Mutex<Vec<String>>,
}

impl RegistryProxy {
    pub async fn start(ground: &Ground, rules: Vec<Rule>) -> Result<Self> {
        let upstream = ground.setting("REGISTRY_ADDRESS").parse().context("the registry's address")?;
        let address = address(ground);
        let listener = TcpListener::bind(&address).await.with_context(|| format!("listen on {address}"))?;
        let told = Arc::new(Told { upstream, rules: Mutex::new(rules), given: Mutex::default() });
        let for_all = told.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, for_all.clone()));
            }
        });
        Ok(Self { told, task })
    }

    /// What it answered itself, a line each.
    pub fn given(&self) -> Vec<String> {
        self.told.given.lock().unwrap().clone()
    }
}

impl Drop for RegistryProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Told {
    fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        let asked = Asked::of(method, path)?;
        let mut rules = self.rules.lock().unwrap();
        let mine = |rule: &&mut Rule| rule.asked == asked && path.starts_with(&format!("/v2/{}/", rule.repository));
        let rule = rules.iter_mut().find(mine)?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times = rule.times.checked_sub(1)?;
        self.given.lock().unwrap().push(format!("{method} {path}: {:?}", rule.answer));
        Some(rule.answer.response())
    }
}

async fn serve(stream: TcpStream, told: Arc<Told>) {
    let sender: Arc<tokio::sync::Mutex<Option<Sender>>> = Arc::default();
    let service = service_fn(move |request| one(told.clone(), sender.clone(), request));
    let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Headers go through as they are, `Host` too: what the registry says about where to go on names this proxy.
async fn one(
    told: Arc<Told>,
    sender: Arc<tokio::sync::Mutex<Option<Sender>>>,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    if let Some(answer) = told.answer(request.method(), request.uri().path()) {
        request.into_body().collect().await?;
        return Ok(answer);
    }
    let mut sender = sender.lock().await;
    if sender.as_ref().is_none_or(Sender::is_closed) {
        let stream = TcpStream::connect(told.upstream).await.context("connect to the registry")?;
        let (new, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        *sender = Some(new);
    }
    let upstream = sender.as_mut().context("just connected")?;
    upstream.ready().await?;
    let answer = upstream.send_request(request).await?;
    Ok(answer.map(BodyExt::boxed))
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let rows = [
            ("POST", "/v2/a/b/blobs/uploads/", Some(Asked::ToUpload)),
            ("PUT", "/v2/a/b/manifests/main-7f3a91c", Some(Asked::ToTag)),
            ("PUT", "/v2/a/b/manifests/sha256:00", None),
            ("HEAD", "/v2/a/b/manifests/1.0.0", Some(Asked::ForTag)),
            ("GET", "/v2/", None),
        ];
        for (method, path, asked) in rows {
            assert_eq!(Asked::of(&method.parse().unwrap(), path), asked, "{method} {path}");
        }
    }

    #[test]
    fn a_rule_passes_some_answers_some_and_is_done() {
        let rule = Rule {
            repository: "e2e/shop".to_owned(),
            asked: Asked::ToTag,
            answer: Answer::Refusal(503, "UNAVAILABLE", "come back later"),
            after: 1,
            times: 2,
        };
        let upstream = SocketAddr::from(([127, 0, 0, 1], 1));
        let told = Told { upstream, rules: Mutex::new(vec![rule]), given: Mutex::default() };
        let ask = |path: &str| told.answer(&Method::PUT, path).map(|r| r.status());
        assert_eq!(ask("/v2/e2e/other/manifests/1"), None);
        let answers: Vec<_> = (0..4).map(|_| ask("/v2/e2e/shop/manifests/1")).collect();
        let refused = Some(hyper::StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answers, [None, refused, refused, None]);
        assert_eq!(told.given.lock().unwrap().len(), 2);
    }
}
