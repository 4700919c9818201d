//! The example of a Streamlit application, whose users have a connection open all the while. `make test-all` makes the
//! image that it is built on and runs this.

use std::{net::SocketAddr, time::Duration};

use switchyard_api::Rollout;
use switchyard_e2e::{
    example::{Example, MANIFESTS, edit},
    forge::Repository,
    load::{Load, Mode},
    place::{Place, in_a_namespace},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinHandle,
    time::Instant,
};

/// A user's page: the WebSocket that it has open as long as it is looked at. It answers the server's pings, as a browser does
/// (RFC 6455, 5.5.2): else the server ends it after a minute.
struct Session {
    reading: JoinHandle<std::io::Result<()>>,
}

impl Session {
    async fn open(address: SocketAddr) -> Self {
        let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
        let request = format!(
            "GET /_stcore/stream HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: streamlit\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            assert!(connection.read_line(&mut answer).await.unwrap() > 0, "{answer}");
        }
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Self { reading: tokio::spawn(read(connection)) }
    }

    fn is_open(&self) -> bool {
        !self.reading.is_finished()
    }
}

/// Until the server closes it. What comes is thrown away, but for pings.
async fn read(mut connection: BufReader<TcpStream>) -> std::io::Result<()> {
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0x8a;
    loop {
        let (first, second) = (connection.read_u8().await?, connection.read_u8().await?);
        let length = match second & 0x7f {
            126 => u64::from(connection.read_u16().await?),
            127 => connection.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        connection.read_exact(&mut payload).await?;
        match first & 0xf {
            CLOSE => return Ok(()),
            PING => {
                // Masked, as a client's have to be, by zeros. A ping has at most 125 bytes.
                let mut pong = vec![PONG, 0x80 | second, 0, 0, 0, 0];
                pong.extend(payload);
                connection.write_all(&pong).await?;
            }
            _ => {}
        }
    }
}

fn live(rollout: &Rollout) -> Option<String> {
    let live = rollout.status.as_ref()?.live.as_ref()?;
    Some(live.revision.to_string())
}

async fn live_of(place: &Place) -> String {
    place.find::<Rollout>("orders").await.as_ref().and_then(live).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn sessions_stay_until_the_drain_ends_and_a_page_that_raises_never_goes_live() {
    in_a_namespace("streamlit", async |place| {
        let ground = place.ground.clone();
        let repository = Repository::create(&ground, &format!("{}/orders", place.namespace)).await.unwrap();
        let example = Example::streamlit(&ground, &repository.url);
        example.copy_to(&repository).await.unwrap();
        repository.push("feat: the orders of the shop").await.unwrap();
        for name in MANIFESTS {
            // A quarter of an hour is for people.
            let text = example.manifest(name).await.unwrap();
            let text = text.replace("drain: {duration: 15m}", "drain: {duration: 30s}");
            place.apply_all(&text.replace("scaleDownDelay: 1m", "scaleDownDelay: 1s")).await.unwrap();
        }
        place.until_healthy("orders", 600).await;
        let (blue, address) = (live_of(&place).await, place.address_of("orders").await);
        let load = Load::new(address, 20).path("/_stcore/health").modes(&[Mode::Fresh]).start().unwrap();
        let session = Session::open(address).await;

        // A switch: the session stays where it is until the drain is over, and new ones go to green.
        edit(&repository, "app.py", "VERSION = \"1\"", "VERSION = \"2\"").await.unwrap();
        repository.push("feat: the second version").await.unwrap();
        let switched = |rollout: &Rollout| live(rollout).is_some_and(|live| live != blue);
        place.until_object::<Rollout>("orders", "green is live", 600, switched).await;
        let since = Instant::now();
        assert!(session.is_open(), "the switch closed it");
        let new = Session::open(address).await;
        place.until("the old session ended", 120, async || (!session.is_open()).then_some(())).await;
        let stayed = since.elapsed();
        println!("the session stayed for {:.0} s after the switch", stayed.as_secs_f64());
        assert!(stayed > Duration::from_secs(25), "it ended {stayed:?} after the switch, though the drain takes 30 s");
        assert!(new.is_open(), "what was opened after the switch is green's");
        let report = load.stop().await;
        println!("meanwhile {report}");
        report.assert_flawless(200);

        // Healthy to Streamlit's own check, and its tests pass, but in the image it raises.
        let green = live_of(&place).await;
        let raise =
            "if not Path(__file__).with_name('tests').exists():\n    raise RuntimeError('only in the image')\n\n\n";
        edit(&repository, "app.py", "def commit():", &format!("{raise}def commit():")).await.unwrap();
        repository.push("feat: a page that raises").await.unwrap();
        let rejected = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|s| !s.rejected.is_empty());
        let rollout = place.until_object::<Rollout>("orders", "it was given up", 600, rejected).await;
        let message = &rollout.status.as_ref().unwrap().rejected[0].message;
        assert!(message.contains("page"), "{message}");
        assert_eq!(live(&rollout), Some(green));
    })
    .await;
}
