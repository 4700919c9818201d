use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::StreamExt as _;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, StatusCode, body::Frame, client::conn::http1 as client, header::RETRY_AFTER};

use super::*;

/// A server that keeps what it was sent, and answers a watch by one line and then silence.
async fn counting_server() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = kept.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let watches = is_watch(&request);
                    let line = format!("{} {}", request.method(), request.uri().path());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    seen.lock().unwrap().push(format!("{line} {}", String::from_utf8_lossy(&body)));
                    let first = futures::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("line\n")))]);
                    let body: Body = if watches {
                        BodyExt::boxed(StreamBody::new(first.chain(futures::stream::pending())))
                    } else {
                        BodyExt::boxed(Full::new(Bytes::from("done")).map_err(|never: Infallible| match never {}))
                    };
                    Ok::<_, Infallible>(Response::new(body))
                }
            });
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, seen)
}

struct Bench {
    proxy: Proxy,
    seen: Arc<Mutex<Vec<String>>>,
    kills: Arc<AtomicUsize>,
}

async fn bench(plan: Plan) -> Bench {
    let (address, seen) = counting_server().await;
    let kills = Arc::new(AtomicUsize::new(0));
    let counted = kills.clone();
    let upstream = Upstream::new(&format!("http://{address}"), "").unwrap();
    let kill = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), Front::PLAIN, upstream, kill).await.unwrap();
    proxy.plan(plan);
    Bench { proxy, seen, kills }
}

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/s/leases/switchyard";
const WATCH: &str = "/api/v1/pods?watch=true&resourceVersion=7";

impl Bench {
    /// Over a connection of its own; None if the connection ended without an answer.
    async fn ask(&self, method: Method, path: &str) -> Option<Response<Incoming>> {
        let stream = TcpStream::connect(self.proxy.address).await.unwrap();
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from("body"))).unwrap();
        sender.send_request(request).await.ok()
    }

    async fn send(&self, method: Method, path: &str) -> Option<String> {
        let body = self.ask(method, path).await?.into_body().collect().await.ok()?;
        Some(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    async fn write(&self, name: &str) -> bool {
        self.send(Method::PATCH, &format!("/api/v1/namespaces/a/services/{name}")).await.is_some()
    }

    fn arrived(&self) -> Vec<String> {
        let names = |line: &String| line.split(['/', ' ']).rev().nth(1).unwrap_or_default().to_owned();
        self.seen.lock().unwrap().iter().map(names).collect()
    }

    fn killed(&self) -> usize {
        self.kills.load(Ordering::Relaxed)
    }

    /// A watch that has said its first line.
    async fn watch(&self) -> Incoming {
        let mut body = self.ask(Method::GET, WATCH).await.unwrap().into_body();
        assert_eq!(next(&mut body).await.as_deref(), Some("line\n"));
        body
    }
}

/// The next line of a watch; none if it ended.
async fn next(body: &mut Incoming) -> Option<String> {
    let frame = body.frame().await?.ok()?;
    Some(String::from_utf8_lossy(&frame.into_data().ok()?).into_owned())
}

#[tokio::test]
async fn without_a_plan_everything_passes() {
    let bench = bench(Plan::NEVER).await;
    assert!(bench.write("one").await && bench.write("two").await);
    assert_eq!(bench.seen.lock().unwrap()[0], "PATCH /api/v1/namespaces/a/services/one body");
    let writes = bench.proxy.writes();
    assert_eq!(writes.iter().map(|w| w.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(writes[1].to_string(), "2. PATCH /api/v1/namespaces/a/services/two -> 200");
    assert_eq!(bench.killed(), 0);
}

#[tokio::test]
async fn before_means_that_it_never_arrived() {
    let bench = bench(Plan::at(Fault::KillBefore, 2)).await;
    assert!(bench.write("one").await);
    assert!(!bench.write("two").await);
    assert_eq!((bench.arrived(), bench.killed()), (vec!["one".to_owned()], 1));
    assert_eq!(bench.proxy.struck().unwrap().number, 2);
}

#[tokio::test]
async fn after_means_that_it_arrived_and_nobody_heard() {
    for (fault, kills) in [(Fault::KillAfter, 1), (Fault::Lost, 0)] {
        let bench = bench(Plan::at(fault, 2)).await;
        assert!(bench.write("one").await);
        assert!(!bench.write("two").await);
        assert_eq!((bench.arrived(), bench.killed()), (vec!["one".to_owned(), "two".to_owned()], kills));
        assert_eq!(bench.proxy.struck().unwrap().status, Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn the_dead_say_nothing_until_the_restart() {
    let bench = bench(Plan::at(Fault::KillBefore, 1)).await;
    assert!(!bench.write("one").await);
    assert!(!bench.write("late").await, "a thread that outlived the signal for a moment");
    assert!(bench.send(Method::GET, "/api").await.is_none());
    bench.proxy.reopen();
    assert!(bench.write("again").await);
    assert_eq!((bench.arrived(), bench.killed()), (vec!["again".to_owned()], 1), "a fault strikes once");
}

#[tokio::test]
async fn a_refused_write_never_arrives_and_says_why() {
    for (fault, code, reason) in [
        (Fault::Conflict, StatusCode::CONFLICT, "Conflict"),
        (Fault::Busy, StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        (Fault::Broken, StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    ] {
        let bench = bench(Plan::at(fault, 1)).await;
        let answer = bench.ask(Method::PATCH, "/api/v1/namespaces/a/services/one").await.unwrap();
        assert_eq!(answer.status(), code);
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), fault == Fault::Busy);
        let status: serde_json::Value =
            serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!((&status["reason"], &status["code"]), (&reason.into(), &code.as_u16().into()));
        assert!(bench.write("two").await);
        assert_eq!(bench.arrived(), ["two"]);
        assert_eq!(bench.proxy.struck().unwrap().status, Some(code));
    }
}

#[tokio::test]
async fn a_held_write_arrives_when_it_is_released_though_its_sender_is_cut_off() {
    let bench = bench(Plan::at(Fault::Late, 2)).await;
    assert!(bench.write("one").await);
    assert!(!bench.write("two").await);
    assert!(!bench.write("three").await);
    assert!(bench.send(Method::PUT, LEASE).await.is_none());
    assert_eq!(bench.proxy.struck().unwrap().status, None);
    bench.proxy.release();
    while bench.proxy.struck().unwrap().status.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.arrived(), ["one", "two"]);
    assert!(!bench.write("four").await, "it stays cut off");
}

#[tokio::test]
async fn a_rival_s_victim_reaches_all_but_its_lease() {
    let bench = bench(Plan::at(Fault::Rival, 1)).await;
    assert!(bench.send(Method::PUT, LEASE).await.is_some());
    assert!(bench.write("one").await);
    assert!(bench.send(Method::PUT, LEASE).await.is_none());
    assert!(bench.write("two").await);
}

#[tokio::test]
async fn a_cut_watch_ends_and_the_next_one_does_not() {
    let bench = bench(Plan::at(Fault::WatchCut, 1)).await;
    let mut cut = bench.watch().await;
    assert!(bench.write("one").await);
    assert_eq!(next(&mut cut).await, None);
    let mut open = bench.watch().await;
    let silence = tokio::time::timeout(Duration::from_millis(200), next(&mut open)).await;
    assert!(silence.is_err(), "the server says nothing more, and the watch is open");
}

#[tokio::test]
async fn a_stalled_watch_stays_open_and_is_not_cut_later() {
    let bench = bench(Plan::at(Fault::WatchStall, 1)).await;
    let mut stalled = bench.watch().await;
    assert!(bench.write("one").await);
    let silence = tokio::time::timeout(Duration::from_millis(200), next(&mut stalled)).await;
    assert!(silence.is_err());
    drop(bench.watch().await);
}

#[tokio::test]
async fn a_watch_from_a_version_that_is_gone_is_told_so_once() {
    let bench = bench(Plan::at(Fault::WatchGone, 1)).await;
    let mut cut = bench.watch().await;
    assert!(bench.write("one").await);
    assert_eq!(next(&mut cut).await, None);
    let told = bench.send(Method::GET, WATCH).await.unwrap();
    assert!(told.contains("\"ERROR\"") && told.contains("410"), "{told}");
    drop(bench.watch().await);
}

#[tokio::test]
async fn a_control_takes_the_conditions_off_every_write() {
    let bench = bench(Plan::NEVER.unconditional()).await;
    // The body of these tests is no JSON, and passes as it is.
    assert!(bench.write("one").await);
    assert_eq!(bench.seen.lock().unwrap()[0], "PATCH /api/v1/namespaces/a/services/one body");
}
