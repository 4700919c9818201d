//! Stands between a client and the API server, numbers the client's writes, and lets something go wrong at one of them.
//!
//! # Guarantees
//! - `kill-before@N`: write N never reaches the API server. `kill-after@N`: it did, whole, and the client never learns
//!   of it.
//! - Once a kill struck, nothing more of that process is passed on, until [`Proxy::reopen`].
//! - `late@N`: nothing of the client is passed on any more, and write N arrives when [`Proxy::release`] is called.
//! - It knows nothing of what it carries: any client of any API server could stand behind it.
//!
//! # Caveats
//! - A write that another task of the client had under way at that moment may have arrived, as in any crash.
//! - HTTP/1.1; a connection that is upgraded (exec, port-forward) is not carried.

mod answers;
mod course;
mod ends;
mod plan;
mod watches;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
pub use course::Write;
use course::{Course, Fate};
use ends::Sender;
pub use ends::{Front, Upstream};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
pub use plan::{Fault, Plan};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use watches::{Watches, is_watch};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, BoxError>;

/// The proxy. It ends with this value.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    front: Front,
    upstream: Upstream,
    kill: Box<dyn Fn() + Send + Sync>,
    course: Mutex<Course>,
    watches: Watches,
    released: Notify,
}

impl Proxy {
    /// Listens on `listen` (port 0: any), and calls `kill` when that is due. `kill` must have ended the process, or
    /// made its end certain, when it returns.
    pub async fn start(
        listen: SocketAddr,
        front: Front,
        upstream: Upstream,
        kill: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            front,
            upstream,
            kill: Box::new(kill),
            course: Mutex::default(),
            watches: Watches::default(),
            released: Notify::new(),
        });
        let task = tokio::spawn(accept(listener, state.clone()));
        Ok(Self { address, state, task })
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.state.front.scheme(), self.address)
    }

    /// Begins to count anew.
    pub fn plan(&self, plan: Plan) {
        *self.course() = Course::of(plan);
    }

    pub fn plan_of(&self) -> Plan {
        self.course().plan
    }

    /// For the next process, whose writes are counted on.
    pub fn reopen(&self) {
        self.course().closed = false;
    }

    /// Lets the write that is held on to the API server.
    pub fn release(&self) {
        self.state.released.notify_one();
    }

    /// The write at which the fault struck, once it has.
    pub fn struck(&self) -> Option<Write> {
        // As it is by now: a write that was held has its answer later.
        let course = self.course();
        let number = course.struck.as_ref()?.number;
        course.writes.get(number - 1).cloned()
    }

    pub fn writes(&self) -> Vec<Write> {
        self.course().writes.clone()
    }

    fn course(&self) -> std::sync::MutexGuard<'_, Course> {
        self.state.course.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn meet<B>(&self, request: &Request<B>) -> Fate {
        let mut course = self.course.lock().unwrap();
        let fate = course.meet(request.method(), request.uri().path());
        if fate == Fate::Kill {
            // Still under the lock, so that no other request of the dead finds the door open.
            (self.kill)();
        }
        fate
    }

    fn strike(&self, number: usize, fault: Fault) {
        let mut course = self.course.lock().unwrap();
        course.strike(number, fault);
        match fault {
            Fault::KillBefore | Fault::KillAfter => (self.kill)(),
            Fault::WatchCut => self.watches.cut(),
            Fault::WatchStall => self.watches.stall(),
            Fault::WatchGone => self.watches.expire(),
            Fault::Conflict
            | Fault::Busy
            | Fault::Broken
            | Fault::Lost
            | Fault::Late
            | Fault::Latest
            | Fault::Rival => {}
        }
    }

    fn answered<B>(&self, number: usize, answer: &Response<B>) {
        self.course.lock().unwrap().answered(number, answer.status());
    }

    fn unconditional(&self) -> bool {
        self.course.lock().unwrap().plan.unconditional
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(welcome(stream, state.clone()));
    }
}

async fn welcome(stream: TcpStream, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    match state.front.acceptor().cloned() {
        None => serve(stream, state).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, state).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let sender = Arc::new(tokio::sync::Mutex::new(None));
    let service = service_fn(move |request| one(state.clone(), sender.clone(), request));
    // A request that is refused ends the connection: to its client it looks like a cut.
    let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Shared = Arc<tokio::sync::Mutex<Option<Sender>>>;

async fn one(state: Arc<State>, sender: Shared, request: Request<Incoming>) -> Result<Response<Body>> {
    let watches = is_watch(&request);
    if watches && state.watches.is_too_old(&request) {
        return Ok(answers::too_old());
    }
    let fate = state.meet(&request);
    let (number, then) = match fate {
        Fate::Refuse | Fate::Kill => bail!("refused"),
        Fate::Answer(status) => return Ok(answers::refusal(status)),
        Fate::Hold(number) => {
            let request = whole(&state, request, true).await?;
            tokio::spawn(later(state, number, request));
            bail!("held");
        }
        Fate::Pass(number) => (number, None),
        Fate::Then(number, fault) => (Some(number), Some(fault)),
    };
    let request = whole(&state, request, number.is_some()).await?;
    let mut sender = sender.lock().await;
    // One connection to the server for each of the client's, so that a cut on one side is one on the other.
    if sender.as_ref().is_none_or(Sender::is_closed) {
        *sender = Some(state.upstream.connect().await?);
    }
    let upstream = sender.as_mut().context("just connected")?;
    upstream.ready().await?;
    let answer = upstream.send_request(request).await?;
    if watches {
        return Ok(answer.map(|body| state.watches.hold(body).boxed()));
    }
    let Some(number) = number else { return Ok(answer.map(|body| body.map_err(Into::into).boxed())) };
    state.answered(number, &answer);
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    if let Some(fault) = then {
        state.strike(number, fault);
        if matches!(fault, Fault::KillAfter | Fault::Lost) {
            bail!("the answer is lost");
        }
    }
    Ok(Response::from_parts(parts, Full::new(body).map_err(|never| match never {}).boxed()))
}

/// The request with all of its body.
async fn whole(state: &State, request: Request<Incoming>, is_write: bool) -> Result<Request<Full<Bytes>>> {
    let (mut parts, body) = request.into_parts();
    let mut body = body.collect().await?.to_bytes();
    if is_write && state.unconditional() {
        body = answers::unconditional(&parts.method, parts.headers.get(CONTENT_TYPE), &body);
    }
    // Said anew, of the body as it is.
    parts.headers.remove(TRANSFER_ENCODING);
    if parts.headers.remove(CONTENT_LENGTH).is_some() {
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// A write that was on its way for longer than its sender lived.
async fn later(state: Arc<State>, number: usize, request: Request<Full<Bytes>>) -> Result<()> {
    state.released.notified().await;
    let mut upstream = state.upstream.connect().await?;
    let answer = upstream.send_request(request).await?;
    state.answered(number, &answer);
    answer.into_body().collect().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
