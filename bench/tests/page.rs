//! The application of the bench ends well: otherwise a switch would be blamed for what it loses.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use switchyard_e2e::load::{Kind, Load, Mode, Streams};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

struct Page {
    process: Child,
    address: SocketAddr,
}

impl Page {
    async fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench-page"));
        command.env("PORT", address.port().to_string()).env("REVISION", "blue").env("DELAY_MS", "20");
        let page = Self { process: command.kill_on_drop(true).spawn().unwrap(), address };
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        page
    }

    /// As the kubelet does.
    async fn end(&mut self) {
        let process = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().await.unwrap().success());
        assert!(self.process.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn no_answer_and_no_kept_connection_is_lost_when_it_ends() {
    let mut page = Page::start().await;
    let load = Load::new(page.address, 200).modes(&[Mode::Fresh, Mode::Kept]).start().unwrap();
    while load.sent() < 100 {
        sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    page.end().await;
    let took = asked.elapsed();
    let report = load.stop().await;
    assert!(took < Duration::from_secs(4), "it ended after {took:?}");
    assert_eq!(report.served().keys().map(|by| &**by).collect::<Vec<_>>(), ["blue"]);
    // Whoever comes anew is refused, or reset if the kernel had taken it and the server had not; whoever was there got
    // an answer.
    let (refused, others): (Vec<_>, Vec<_>) = report.failures().partition(|(_, failure)| failure.kind == Kind::Refused);
    assert!(others.len() < 3 && others.iter().all(|(_, failure)| failure.kind == Kind::Reset), "{report}");
    assert!(refused.len() > others.len(), "{report}");
    assert!(report.failed() > 0 && report.failed() < report.counted(), "{report}");
}

#[tokio::test]
async fn a_stream_that_ends_in_time_is_whole_and_one_that_does_not_is_cut() {
    let mut page = Page::start().await;
    let lengths = [Duration::from_millis(1_500), Duration::from_mins(1)];
    let streams = Streams::start(page.address, Duration::from_millis(200), &lengths, Duration::from_mins(1)).unwrap();
    sleep(Duration::from_secs(1)).await;
    page.end().await;
    let (streams, _) = streams.stop().await;
    let by_blue: Vec<_> = streams.iter().filter(|stream| stream.by.is_some()).collect();
    assert!(by_blue.len() >= 4, "{streams:?}");
    for stream in by_blue {
        assert_eq!(stream.cut.is_none(), stream.length == lengths[0], "{stream:?}");
    }
}
