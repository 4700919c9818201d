use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

/// A server that keeps what it was sent.
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
                    let line = format!("{} {}", request.method(), request.uri().path());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    seen.lock().unwrap().push(format!("{line} {}", String::from_utf8_lossy(&body)));
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
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
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), upstream, kill).await.unwrap();
    proxy.plan(plan);
    Bench { proxy, seen, kills }
}

impl Bench {
    /// Over a connection of its own; None if the connection ended without an answer.
    async fn send(&self, method: Method, path: &str) -> Option<String> {
        let stream = TcpStream::connect(self.proxy.address).await.unwrap();
        let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).body(Full::new(Bytes::from("body"))).unwrap();
        let answer = sender.send_request(request).await.ok()?;
        Some(String::from_utf8_lossy(&answer.into_body().collect().await.ok()?.to_bytes()).into_owned())
    }

    async fn write(&self, name: &str) -> bool {
        self.send(Method::PATCH, &format!("/api/v1/namespaces/a/services/{name}")).await.is_some()
    }

    fn arrived(&self) -> Vec<String> {
        let names = |line: &String| line.split(['/', ' ']).rev().nth(1).unwrap_or_default().to_owned();
        self.seen.lock().unwrap().iter().map(names).collect()
    }
}

#[tokio::test]
async fn without_a_plan_everything_passes() {
    let bench = bench(Plan::Never).await;
    assert!(bench.write("one").await && bench.write("two").await);
    assert_eq!(bench.seen.lock().unwrap()[0], "PATCH /api/v1/namespaces/a/services/one body");
    let writes = bench.proxy.writes();
    assert_eq!(writes.iter().map(|w| w.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(writes[1].to_string(), "2. PATCH /api/v1/namespaces/a/services/two -> 200");
    assert_eq!(bench.kills.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn before_means_that_it_never_arrived() {
    let bench = bench(Plan::Before(2)).await;
    assert!(bench.write("one").await);
    assert!(!bench.write("two").await);
    assert_eq!((bench.arrived(), bench.kills.load(Ordering::Relaxed)), (vec!["one".to_owned()], 1));
    assert_eq!(bench.proxy.struck().unwrap().number, 2);
}

#[tokio::test]
async fn after_means_that_it_arrived_and_nobody_heard() {
    let bench = bench(Plan::After(2)).await;
    assert!(bench.write("one").await);
    assert!(!bench.write("two").await);
    assert_eq!((bench.arrived(), bench.kills.load(Ordering::Relaxed)), (vec!["one".to_owned(), "two".to_owned()], 1));
}

#[tokio::test]
async fn the_dead_say_nothing_until_the_restart() {
    let bench = bench(Plan::Before(1)).await;
    assert!(!bench.write("one").await);
    assert!(!bench.write("late").await, "a thread that outlived the signal for a moment");
    assert!(bench.send(Method::GET, "/api").await.is_none());
    bench.proxy.reopen();
    assert!(bench.write("again").await);
    assert_eq!(
        (bench.arrived(), bench.kills.load(Ordering::Relaxed)),
        (vec!["again".to_owned()], 1),
        "a fault strikes once"
    );
}

#[tokio::test]
async fn reads_leases_and_events_are_not_counted() {
    let bench = bench(Plan::Before(1)).await;
    for (method, path) in [
        (Method::GET, "/api/v1/pods"),
        (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/s/leases/switchyard"),
        (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events"),
        (Method::POST, "/api/v1/namespaces/a/events"),
        (Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ] {
        assert_eq!(bench.send(method.clone(), path).await.as_deref(), Some("done"), "{method} {path}");
    }
    assert!(bench.proxy.struck().is_none() && bench.proxy.writes().is_empty());
    assert!(!bench.write("one").await);
}

#[test]
fn plans_are_read_as_they_are_written() {
    for plan in [Plan::Never, Plan::Before(3), Plan::After(12)] {
        assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
    }
    for text in ["", "before", "before:", "after:x", "during:1"] {
        assert!(text.parse::<Plan>().is_err(), "{text}");
    }
}
