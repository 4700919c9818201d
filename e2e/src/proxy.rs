//! Stands between the operator and the API server, numbers the operator's writes, and kills it at one of them.
//!
//! # Guarantees
//! - `before:N`: write N never reaches the API server. `after:N`: it did, whole, and the operator never learns of it.
//! - Once a fault struck, nothing more of that process is passed on, until [`Proxy::reopen`].
//! - It knows nothing of what it carries: any client of any API server could stand behind it.
//!
//! # Caveats
//! - A write that another task of the operator had under way at that moment may have arrived, as in any crash.

use std::{
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, client::conn::http1 as client,
    server::conn::http1 as server, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;

/// When the operator dies. Writes count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Never,
    Before(usize),
    After(usize),
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Before(n) => write!(f, "before:{n}"),
            Self::After(n) => write!(f, "after:{n}"),
        }
    }
}

impl FromStr for Plan {
    type Err = anyhow::Error;
    fn from_str(s: &str) -> Result<Self> {
        let number = |n: &str| n.parse().with_context(|| format!("the number in {s:?}"));
        match s.split_once(':') {
            None if s == "never" => Ok(Self::Never),
            Some(("before", n)) => Ok(Self::Before(number(n)?)),
            Some(("after", n)) => Ok(Self::After(number(n)?)),
            _ => bail!("{s:?} is not never, before:N or after:N"),
        }
    }
}

/// A write, as it went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub number: usize,
    pub method: Method,
    pub path: String,
    /// The answer's; none if there was none.
    pub status: Option<StatusCode>,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {} {}", self.number, self.method, self.path)?;
        match self.status {
            Some(status) => write!(f, " -> {}", status.as_u16()),
            None => f.write_str(" -> no answer"),
        }
    }
}

/// Where requests go.
#[derive(Clone)]
pub struct Upstream {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Upstream {
    /// `https://198.18.0.2:6443`, by its authority's certificate in PEM; or a plain address for a test.
    pub fn new(url: &str, authority: &str) -> Result<Self> {
        if let Some(address) = url.strip_prefix("http://") {
            return Ok(Self { address: address.parse().with_context(|| format!("the address in {url}"))?, tls: None });
        }
        let address = url.strip_prefix("https://").with_context(|| format!("{url} is no http(s) URL"))?;
        let address: SocketAddr = address.parse().with_context(|| format!("the address in {url}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.context("read the authority's certificate")?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(address.ip().into());
        Ok(Self { address, tls: Some((TlsConnector::from(Arc::new(config)), name)) })
    }
}

/// The proxy. It ends with this value.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    upstream: Upstream,
    kill: Box<dyn Fn() + Send + Sync>,
    course: Mutex<Course>,
}

struct Course {
    plan: Plan,
    writes: Vec<Write>,
    struck: Option<Write>,
    /// Between the fault and the restart.
    closed: bool,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Pass it on; with its number if it is a write.
    Pass(Option<usize>),
    /// Pass it on, then strike.
    PassAndStrike(usize),
    /// Not passed on.
    Refuse,
}

impl Proxy {
    /// Listens on `listen` (port 0: any), and calls `kill` when the fault is due. `kill` must have ended the process, or
    /// made its end certain, when it returns.
    pub async fn start(
        listen: SocketAddr,
        upstream: Upstream,
        kill: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let address = listener.local_addr()?;
        let course = Course { plan: Plan::Never, writes: Vec::new(), struck: None, closed: false };
        let state = Arc::new(State { upstream, kill: Box::new(kill), course: Mutex::new(course) });
        let task = tokio::spawn(accept(listener, state.clone()));
        Ok(Self { address, state, task })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Begins to count anew.
    pub fn plan(&self, plan: Plan) {
        let mut course = self.state.course.lock().unwrap();
        *course = Course { plan, writes: Vec::new(), struck: None, closed: false };
    }

    /// For the next process, whose writes are counted on.
    pub fn reopen(&self) {
        self.state.course.lock().unwrap().closed = false;
    }

    /// The write at which the fault struck, once it has.
    pub fn struck(&self) -> Option<Write> {
        self.state.course.lock().unwrap().struck.clone()
    }

    pub fn writes(&self) -> Vec<Write> {
        self.state.course.lock().unwrap().writes.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Leases and events are written by the clock and for people; reviews only ask.
fn is_write(method: &Method, path: &str) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let collection = |name: &str| path.split('/').any(|part| part == name);
    let apart = ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"];
    !reads && !collection("leases") && !collection("events") && !apart.iter().any(|prefix| path.starts_with(prefix))
}

impl State {
    /// Numbers the request, and strikes if that is due before it.
    fn meet(&self, method: &Method, path: &str) -> Fate {
        let mut course = self.course.lock().unwrap();
        if course.closed {
            return Fate::Refuse;
        }
        if !is_write(method, path) {
            return Fate::Pass(None);
        }
        let number = course.writes.len() + 1;
        course.writes.push(Write { number, method: method.clone(), path: path.to_owned(), status: None });
        let pending = course.struck.is_none();
        match course.plan {
            Plan::Before(n) if pending && n == number => {
                self.strike(&mut course, number);
                Fate::Refuse
            }
            Plan::After(n) if pending && n == number => Fate::PassAndStrike(number),
            Plan::Never | Plan::Before(_) | Plan::After(_) => Fate::Pass(Some(number)),
        }
    }

    fn strike(&self, course: &mut Course, number: usize) {
        course.closed = true;
        course.struck = Some(course.writes[number - 1].clone());
        (self.kill)();
    }

    fn answered(&self, number: usize, status: StatusCode) {
        // Counting may have begun anew since.
        if let Some(write) = self.course.lock().unwrap().writes.get_mut(number - 1) {
            write.status = Some(status);
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let sender = Arc::new(tokio::sync::Mutex::new(None));
            let service = service_fn(move |request| one(state.clone(), sender.clone(), request));
            // A request that is refused ends the connection: to its client it looks like a cut.
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Sender = Arc<tokio::sync::Mutex<Option<client::SendRequest<Incoming>>>>;
type Body = BoxBody<Bytes, hyper::Error>;

async fn one(state: Arc<State>, sender: Sender, request: Request<Incoming>) -> Result<Response<Body>> {
    let fate = state.meet(request.method(), request.uri().path());
    let number = match fate {
        Fate::Refuse => bail!("refused"),
        Fate::Pass(number) => number,
        Fate::PassAndStrike(number) => Some(number),
    };
    let mut sender = sender.lock().await;
    // One connection to the server for each of the client's, so that a cut on one side is one on the other.
    if sender.as_ref().is_none_or(client::SendRequest::is_closed) {
        *sender = Some(connect(&state.upstream).await?);
    }
    let upstream = sender.as_mut().context("just connected")?;
    upstream.ready().await?;
    let answer = upstream.send_request(request).await?;
    if let Some(number) = number {
        state.answered(number, answer.status());
    }
    if let Fate::PassAndStrike(number) = fate {
        let (parts, body) = answer.into_parts();
        let _whole: Response<Full<Bytes>> = Response::from_parts(parts, Full::new(body.collect().await?.to_bytes()));
        state.strike(&mut state.course.lock().unwrap(), number);
        bail!("struck");
    }
    Ok(answer.map(http_body_util::BodyExt::boxed))
}

async fn connect(upstream: &Upstream) -> Result<client::SendRequest<Incoming>> {
    let stream =
        TcpStream::connect(upstream.address).await.with_context(|| format!("connect to {}", upstream.address))?;
    stream.set_nodelay(true)?;
    match &upstream.tls {
        None => shake(stream).await,
        Some((connector, name)) => shake(connector.connect(name.clone(), stream).await?).await,
    }
}

async fn shake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<client::SendRequest<Incoming>> {
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests;
