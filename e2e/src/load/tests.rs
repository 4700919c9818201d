//! Against small servers on loopback, each wrong in one way: a generator that cannot see a failure proves nothing.

use std::{convert::Infallible, sync::atomic::AtomicUsize};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that is right, and counts its connections.
async fn good(status: u16) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, address) = listener().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = service_fn(move |_| async move {
                let answer = Response::builder().status(status).header("x-served-by", "blue-1");
                Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(b"hello\nworld"))).unwrap())
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (address, connections)
}

/// A server that does `what` with each connection.
async fn bad<F: Future<Output = ()> + Send + 'static>(what: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(what(stream));
        }
    });
    address
}

async fn read_request(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let mut seen = 0;
    while !buffer[..seen].ends_with(b"\r\n\r\n") {
        seen += stream.read(&mut buffer[seen..]).await.unwrap();
    }
}

async fn finished(load: Load) -> Report {
    load.start().unwrap().finish().await
}

fn brief(address: SocketAddr, mode: Mode) -> Load {
    Load { limit: Duration::from_millis(300), ..Load::new(address, 100) }.modes(&[mode]).most(20)
}

/// All 20 failed, and all in this way.
async fn all_fail_as(kind: Kind, address: SocketAddr) {
    for mode in [Mode::Fresh, Mode::Kept] {
        let report = finished(brief(address, mode)).await;
        assert_eq!((report.counted(), report.failed()), (20, 20), "{mode}: {report}");
        assert!(report.failures().all(|(_, failure)| failure.kind == kind), "{mode}, wanted {kind}: {report}");
    }
}

#[tokio::test]
async fn good_answers_are_counted_and_say_who_gave_them() {
    let (address, connections) = good(200).await;
    let report = finished(brief(address, Mode::Kept)).await;
    report.assert_flawless(20);
    assert_eq!(report.served().keys().map(|by| &**by).collect::<Vec<_>>(), ["blue-1"]);
    assert!(connections.load(Ordering::Relaxed) < 10, "kept connections are used again");
    finished(brief(address, Mode::Fresh)).await.assert_flawless(20);
    assert!(connections.load(Ordering::Relaxed) >= 20, "each request had a connection of its own");
}

#[tokio::test]
async fn an_answer_that_is_not_2xx_is_a_failure() {
    for status in [301, 404, 500, 503] {
        all_fail_as(Kind::Status(status), good(status).await.0).await;
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let (listener, address) = listener().await;
    drop(listener);
    all_fail_as(Kind::Refused, address).await;
}

#[tokio::test]
async fn a_reset_is_a_failure() {
    let address = bad(|mut stream| async move {
        read_request(&mut stream).await;
        // Closing with no time to linger sends RST instead of FIN.
        stream.set_zero_linger().unwrap();
    })
    .await;
    all_fail_as(Kind::Reset, address).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure() {
    let before = bad(|mut stream| async move { read_request(&mut stream).await }).await;
    all_fail_as(Kind::Closed, before).await;
    let within = bad(|mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal").await.unwrap();
    })
    .await;
    all_fail_as(Kind::Closed, within).await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_failure() {
    let address = bad(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    all_fail_as(Kind::Timeout, address).await;
}

/// A kept connection on which the server answers once and then closes without a word in the answer.
#[tokio::test]
async fn nothing_is_sent_twice() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let address = bad(move |mut stream| {
        let counted = counted.clone();
        async move {
            read_request(&mut stream).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let report = finished(brief(address, Mode::Kept)).await;
    assert_eq!((report.failed(), requests.load(Ordering::Relaxed)), (20, 20), "{report}");
}

#[tokio::test]
async fn a_slow_server_does_not_slow_the_load() {
    let address = bad(|mut stream| async move {
        read_request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ngreen\n").await;
    })
    .await;
    let report = finished(brief(address, Mode::Fresh)).await;
    report.assert_flawless(20);
    assert!(
        report.samples.last().unwrap().due < Duration::from_millis(250),
        "20 at 100 a second take 200 ms: {report}"
    );
    assert!(report.latency(500) >= Duration::from_millis(200));
    assert_eq!(report.served().keys().map(|by| &**by).collect::<Vec<_>>(), ["green"]);
}

/// Streams that begin within half a second, at the rate of ten a second.
async fn streams(address: SocketAddr) -> Vec<Stream> {
    let brief = Duration::from_millis(100);
    let streams = Streams::start(address, brief, &[brief], Duration::from_secs(5)).unwrap();
    tokio::time::sleep(brief * 5).await;
    streams.stop().await.0
}

#[tokio::test]
async fn a_stream_is_whole_or_was_cut_and_says_by_whom() {
    let whole = streams(good(200).await.0).await;
    assert!(whole.len() > 2 && whole.iter().all(|s| s.cut.is_none() && s.by.as_deref() == Some("blue-1")), "{whole:?}");
    let address = bad(|mut stream| async move {
        read_request(&mut stream).await;
        let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Served-By: blue-1\r\n\r\n2\r\n.\n\r\n";
        stream.write_all(begun).await.unwrap();
    })
    .await;
    let cut = streams(address).await;
    assert!(cut.len() > 2 && cut.iter().all(|s| s.cut.is_some() && s.by.as_deref() == Some("blue-1")), "{cut:?}");
}

#[test]
fn load_goes_nowhere_else() {
    for (address, may) in [
        ("127.0.0.1", true),
        ("127.8.8.8", true),
        ("::1", true),
        ("198.18.0.1", true),
        ("198.19.255.254", true),
        ("198.17.0.1", false),
        ("198.20.0.1", false),
        ("10.0.0.1", false),
        ("192.168.1.1", false),
        ("8.8.8.8", false),
        ("::ffff:127.0.0.1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(allowed(address.parse().unwrap()), may, "{address}");
    }
    assert!(Load::new("192.0.2.1:80".parse().unwrap(), 1).start().is_err());
}

#[tokio::test]
async fn a_window_holds_what_was_under_way_in_it() {
    let since = Instant::now();
    let sample = |due: u64, took: u64, failed: bool| Sample {
        due: Duration::from_millis(due),
        took: Duration::from_millis(took),
        mode: Mode::Fresh,
        by: (!failed).then(|| Served::from("blue")),
        failure: failed.then(|| Failure { kind: Kind::Reset, what: String::new() }),
    };
    let all = vec![sample(0, 10, true), sample(100, 950, false), sample(1500, 10, true), sample(3000, 10, false)];
    let report = Report::new(since, all, Duration::ZERO);
    let window = report.between(since + Duration::from_secs(1), since + Duration::from_secs(2));
    assert_eq!((window.counted(), window.failed()), (2, 1));
    let serving = report.from_first_answer();
    assert_eq!((serving.counted(), serving.failed()), (2, 1), "what failed before anything was served is not counted");
}
