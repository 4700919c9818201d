//! Clients whose every call ends in bounded time.
//!
//! # Guarantees
//! - A call ends within [`CALL`], whatever the network does: the answer, or an error.
//! - A connection whose other side is gone is closed within [`SILENCE`], so a cut leaves no dead connection in the pool
//!   for the next call to find.
//! - A read is sent again at most twice; a write never is (see [`crate::retry`]).
//!
//! # Caveats
//! - A write that timed out may have happened. It is conditional, so deciding anew is safe.
//! - A proxy that keeps the connection alive and forwards nothing defeats keepalives; for watches the limit is then the
//!   watch timeout of [`crate::caches`].

use std::{path::Path, time::Duration};

use http::{HeaderValue, header::USER_AGENT};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt},
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tower::{BoxError, ServiceBuilder, ServiceExt, buffer::BufferLayer, retry::RetryLayer};

use crate::{
    calls::{Calls, Limits},
    retry::ReadsOnly,
};

/// The longest a call may take, retries included.
pub const CALL: Duration = Duration::from_secs(30);
/// The longest a connection stays open over which nothing comes back: keepalives after 15 s, then three, 5 s apart.
pub const SILENCE: Duration = Duration::from_secs(30);

const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVES: u32 = 3;
/// Short, so that after a cut that nobody reports no call finds a connection from before it in the pool.
const IDLE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(10);
/// Longer than a watch lasts, so it ends only what is dead.
const READ: Duration = Duration::from_secs(75);
const AT_ONCE: usize = 64;
const QUEUE: usize = 1024;
const AGENT: &str = concat!("switchyard/", env!("CARGO_PKG_VERSION"));

/// There is no way to reach a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Unconfigured {
    #[error("read kubeconfig {path}: {source}")]
    Kubeconfig { path: String, source: Box<KubeconfigError> },
    #[error("read the service account of this pod: {0}")]
    InCluster(#[source] Box<InClusterError>),
}

/// The kubeconfig at `path`, or without one the service account of this pod.
pub async fn config(path: Option<&Path>) -> Result<Config, Unconfigured> {
    let Some(path) = path else {
        return Config::incluster().map_err(|error| Unconfigured::InCluster(Box::new(error)));
    };
    let named = |source| Unconfigured::Kubeconfig { path: path.display().to_string(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(named)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(named)
}

/// The client for reads, writes and watches.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.read_timeout = Some(READ);
    // Counted from the request, not from when the pooled connection went idle.
    config.reset_reader_on_write = true;
    build(config)
}

/// The client for pod logs: a log may be silent for as long as its container is.
pub fn log_client(mut config: Config) -> kube::Result<Client> {
    config.read_timeout = None;
    build(config)
}

fn build(mut config: Config) -> kube::Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(CALL);
    config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));

    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE_AFTER));
    tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEPALIVES));
    // Keepalives are not sent while data waits for an acknowledgement; this ends that case.
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SILENCE));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let http: Http<_, Body> =
        Http::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);

    let retry = ReadsOnly::new().map_err(|error| kube::Error::Service(error.into()))?;
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(retry))
        .layer(BufferLayer::new(QUEUE))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(http.map_err(BoxError::from));
    let service = Calls::new(service, Limits { call: CALL, at_once: AT_ONCE });
    Ok(Client::new(service, config.default_namespace))
}
