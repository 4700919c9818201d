//! A server on this machine that remembers what it was sent: who asked, and with which credential.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response,
    header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::ground::Ground;

/// What it answers to everything.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Wants a password, and then has nothing.
    WantsPassword,
    /// Sends elsewhere.
    Redirects(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub path: String,
    pub authorization: Option<String>,
}

/// The server. It ends with this value.
pub struct Listener {
    /// As pods reach it.
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    pub async fn start(ground: &Ground, manner: Manner) -> Result<Self> {
        Self::at(ground, 0, manner).await
    }

    /// On a port of this machine; 0: any.
    pub async fn at(ground: &Ground, port: u16, manner: Manner) -> Result<Self> {
        let listen: SocketAddr =
            format!("{}:{port}", ground.setting("HOST_ADDRESS")).parse().context("this machine")?;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let kept = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, manner) = (kept.clone(), manner.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let answer = answer(&request, &manner, &kept);
                        async move { answer }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { url, heard, task })
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The credentials among it.
    pub fn credentials(&self) -> Vec<String> {
        self.heard().into_iter().filter_map(|heard| heard.authorization).collect()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer<B>(request: &hyper::Request<B>, manner: &Manner, heard: &Mutex<Vec<Heard>>) -> Result<Response<Full<Bytes>>> {
    let path = request.uri().to_string();
    let authorization = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let known = authorization.is_some();
    heard.lock().unwrap().push(Heard { path: path.clone(), authorization });
    let builder = Response::builder();
    let builder = match manner {
        Manner::WantsPassword if known => builder.status(404),
        Manner::WantsPassword => builder.status(401).header(WWW_AUTHENTICATE, "Basic realm=\"git\""),
        Manner::Redirects(to) => builder.status(302).header(LOCATION, format!("{to}{path}")),
    };
    Ok(builder.body(Full::default())?)
}
