//! Three pages for the kubelet and Prometheus: `/healthz`, `/readyz`, `/metrics`.
//!
//! They are for the cluster's own machinery, hold nothing secret, and are bounded: so many connections at once, each of
//! one request, with a few seconds to make it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time};

use crate::telemetry::{self, Metrics};

const CONNECTIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// After an error of `accept`, which is of the machine (no more files), and passes or does not.
const PAUSE: Duration = Duration::from_millis(200);
/// How old the last sign of life of a kind's loop may be. It makes one every few seconds, also when idle, unless all the
/// rounds that may run at once hang: a round is a few calls, each of which ends within 30 s.
pub const HEARTBEAT: Duration = Duration::from_mins(2);

/// What the probes ask.
#[derive(Debug)]
pub struct Health {
    /// By kind, since its loop began to turn. None in a standby: there the process is all that has to live.
    beats: Mutex<BTreeMap<&'static str, Instant>>,
    synced: AtomicBool,
}

impl Health {
    /// Alive, and not ready.
    pub fn new() -> Self {
        Self { beats: Mutex::default(), synced: AtomicBool::new(false) }
    }

    /// The loop of this kind turns.
    pub fn beat(&self, kind: &'static str) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, Instant::now());
    }

    /// Whether every cache is filled. A standby is ready as well: it can take over at once.
    pub fn synced(&self, synced: bool) {
        self.synced.store(synced, Ordering::Relaxed);
    }

    /// Kinds whose loop has not turned for so long.
    fn standing(&self, within: Duration) -> Vec<&'static str> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().filter(|(_, beat)| beat.elapsed() > within).map(|(kind, _)| *kind).collect()
    }

    fn ready(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens the port.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>, metrics: Arc<Metrics>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                time::sleep(PAUSE).await;
                continue;
            }
        };
        let (health, metrics) = (health.clone(), metrics.clone());
        tokio::spawn(async move {
            let page = service_fn(|request: Request<Incoming>| {
                let page = page(request.method(), request.uri().path(), &health, &metrics);
                async move { Ok::<_, Infallible>(page) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), page);
            // Who left or dawdled is not our concern.
            let _ = time::timeout(PATIENCE, connection).await;
            drop(slot);
        });
    }
}

fn page(method: &Method, path: &str, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match path {
        "/healthz" => match health.standing(HEARTBEAT).as_slice() {
            [] => plain(StatusCode::OK, "alive\n"),
            standing => {
                let text = format!("no round of {} has begun for {HEARTBEAT:?}\n", standing.join(", "));
                plain(StatusCode::SERVICE_UNAVAILABLE, &text)
            }
        },
        "/readyz" if health.ready() => plain(StatusCode::OK, "ready\n"),
        "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not every cache is filled\n"),
        "/metrics" => match metrics.text() {
            Ok(text) => typed(StatusCode::OK, telemetry::CONTENT_TYPE, text),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written down\n"),
        },
        _ => plain(StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n"),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    fn status(path: &str, health: &Health) -> u16 {
        page(&Method::GET, path, health, &Metrics::new()).status().as_u16()
    }

    #[test]
    fn ready_means_that_the_caches_are_filled() {
        let health = Health::new();
        assert_eq!(status("/readyz", &health), 503);
        health.synced(true);
        assert_eq!(status("/readyz", &health), 200);
    }

    #[test]
    fn healthy_means_that_every_loop_turns() {
        let health = Health::new();
        assert_eq!(status("/healthz", &health), 200, "a standby has none");
        health.beat("build");
        health.beats.lock().unwrap().insert("rollout", Instant::now().checked_sub(HEARTBEAT * 2).unwrap());
        assert_eq!(health.standing(HEARTBEAT), ["rollout"], "the others' signs of life do not count for it");
        assert_eq!(status("/healthz", &health), 503);
        health.beat("rollout");
        assert_eq!(status("/healthz", &health), 200);
    }

    #[test]
    fn nothing_else_is_served() {
        assert_eq!(status("/", &Health::new()), 404);
        assert_eq!(page(&Method::POST, "/metrics", &Health::new(), &Metrics::new()).status(), 405);
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn pages_are_served_though_others_hold_connections() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new());
        tokio::spawn(serve(listener, Arc::new(Health::new()), metrics));
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = time::timeout(Duration::from_secs(5), get(address, "/metrics")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("openmetrics-text") && answer.contains("switchyard_leader 0"), "{answer}");
    }
}
