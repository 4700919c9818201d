//! The application that the bench switches: a web server that ends as well-made servers do.
//!
//! Asked to end (SIGTERM), it takes no new connection from that moment on, finishes the answers under way, and says
//! `Connection: close` with each further answer on a connection that was kept. Those that stay silent are closed after
//! [`LINGER`]; an answer that takes longer than [`LONGEST`] is cut.
//!
//! `/` answers after DELAY_MS, `/healthz` at once, `/stream/N` trickles for N milliseconds. Each answer says in
//! `X-Served-By` which revision gave it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

/// How long a kept connection may stay silent before it is closed.
const LINGER: Duration = Duration::from_secs(2);
/// How long an answer may take that was under way at SIGTERM.
const LONGEST: Duration = Duration::from_secs(4);
/// Between two pieces of a stream.
const TRICKLE: Duration = Duration::from_millis(250);
/// The longest stream that can be asked for.
const LONGEST_STREAM: Duration = Duration::from_mins(5);

type Body = UnsyncBoxBody<Bytes, Infallible>;

struct Page {
    revision: HeaderValue,
    delay: Duration,
    leaving: AtomicBool,
    under_way: AtomicUsize,
}

/// An answer under way, until its last byte was handed over.
struct UnderWay(Arc<Page>);

impl UnderWay {
    fn new(page: &Arc<Page>) -> Self {
        page.under_way.fetch_add(1, Ordering::Relaxed);
        Self(page.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let delay = setting("DELAY_MS", "20").parse().context("DELAY_MS")?;
    let page = Arc::new(Page {
        revision: setting("REVISION", "unknown").parse().context("REVISION")?,
        delay: Duration::from_millis(delay),
        leaving: AtomicBool::new(false),
        under_way: AtomicUsize::new(0),
    });
    let port: u16 = setting("PORT", "8080").parse().context("PORT")?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await.context("listen")?;
    let mut asked_to_end = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = asked_to_end.recv() => break,
        };
        // Too many open files, or a client that went away again: nothing to do about either.
        let Ok((connection, _)) = accepted else { continue };
        tokio::spawn(serve(page.clone(), connection));
    }
    drop(listener);
    page.leaving.store(true, Ordering::Relaxed);
    let latest = Instant::now() + LONGEST;
    sleep(LINGER).await;
    while page.under_way.load(Ordering::Relaxed) > 0 && Instant::now() < latest {
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn serve(page: Arc<Page>, connection: TcpStream) {
    // Without it a small answer may wait for the acknowledgement of the one before.
    let _ = connection.set_nodelay(true);
    let answer = service_fn(move |request| {
        let page = page.clone();
        async move { Ok::<_, Infallible>(answer(&page, &request).await) }
    });
    // How a connection ends is the client's business.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}

async fn answer(page: &Arc<Page>, request: &Request<Incoming>) -> Response<Body> {
    let under_way = UnderWay::new(page);
    let path = request.uri().path();
    let (status, body) = match path.strip_prefix("/stream/").map(str::parse) {
        Some(Ok(milliseconds)) => (StatusCode::OK, trickle(Duration::from_millis(milliseconds), under_way)),
        Some(Err(_)) => (StatusCode::BAD_REQUEST, whole("how many milliseconds?\n")),
        None => {
            if path == "/" {
                sleep(page.delay).await;
            }
            (StatusCode::OK, whole("a page\n"))
        }
    };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert("x-served-by", page.revision.clone());
    if page.leaving.load(Ordering::Relaxed) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn whole(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync()
}

fn trickle(length: Duration, under_way: UnderWay) -> Body {
    let end = Instant::now() + length.min(LONGEST_STREAM);
    let pieces = stream::unfold(under_way, move |under_way| async move {
        if Instant::now() >= end {
            return None;
        }
        sleep_until(end.min(Instant::now() + TRICKLE)).await;
        Some((Ok(Frame::data(Bytes::from_static(b".\n"))), under_way))
    });
    StreamBody::new(pieces).boxed_unsync()
}
