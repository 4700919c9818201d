//! Answers that take long: downloads, events, whatever trickles. Such a one is whole, or it was cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use http_body_util::BodyExt as _;
use tokio::{task::JoinSet, time::Instant};

use super::{
    allowed,
    connection::{Connection, kind, sentence},
    report::{Failure, Kind, Served},
};

/// An answer that was to take `length`.
#[derive(Clone, Debug)]
pub struct Stream {
    pub length: Duration,
    pub begun: Instant,
    pub ended: Instant,
    /// As the header says; none if there was no answer at all.
    pub by: Option<Served>,
    /// Why it is not whole.
    pub cut: Option<Failure>,
}

/// Streams that are being read, one connection each.
pub struct Streams {
    ended: Arc<Mutex<Vec<Stream>>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Streams {
    /// Asks for `/stream/MILLISECONDS` every so often, these lengths in turn, and at most for that long.
    pub fn start(address: SocketAddr, every: Duration, lengths: &[Duration], longest: Duration) -> Result<Self> {
        if !allowed(address.ip()) {
            bail!("load is sent to loopback or 198.18.0.0/15 only, not to {address}");
        }
        if lengths.is_empty() || every < Duration::from_millis(100) {
            bail!("streams need a length, and a tenth of a second between them, not {every:?}");
        }
        let (ended, stop): (Arc<Mutex<Vec<Stream>>>, Arc<AtomicBool>) = Default::default();
        let (kept, stopped, lengths) = (ended.clone(), stop.clone(), lengths.to_vec());
        let task = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            let mut ticks = tokio::time::interval(every);
            let since = Instant::now();
            for length in lengths.into_iter().cycle() {
                ticks.tick().await;
                if stopped.load(Ordering::Relaxed) || since.elapsed() > longest {
                    break;
                }
                let kept = kept.clone();
                tasks.spawn(async move {
                    let stream = read(address, length).await;
                    kept.lock().unwrap().push(stream);
                });
                while tasks.try_join_next().is_some() {}
            }
            while tasks.try_join_next().is_some() {}
            // The rest is given up.
            tasks.len()
        });
        Ok(Self { ended, stop, task })
    }

    /// Begins no more of them: those that ended, whole or cut, and how many were still going.
    pub async fn stop(self) -> (Vec<Stream>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let going = self.task.await.expect("streams never panic");
        (std::mem::take(&mut *self.ended.lock().unwrap()), going)
    }
}

async fn read(address: SocketAddr, length: Duration) -> Stream {
    let begun = Instant::now();
    // Twice as long and it stands still.
    let limit = length * 2 + Duration::from_secs(5);
    let mut by = None;
    let whole = tokio::time::timeout(limit, async {
        let mut connection = Connection::open(address).await?;
        let path = format!("/stream/{}", length.as_millis());
        let (named, body) = connection.begin(&address.to_string(), &path, false).await?;
        by = named;
        body.collect().await.map_err(|e| (kind(&e), sentence(&e)))
    })
    .await;
    let cut = match whole {
        Ok(Ok(_)) => None,
        Ok(Err((kind, what))) => Some(Failure { kind, what }),
        Err(_) => Some(Failure { kind: Kind::Timeout, what: format!("no whole answer within {limit:?}") }),
    };
    Stream { length, begun, ended: Instant::now(), by, cut }
}
