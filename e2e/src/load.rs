//! Open-loop load: requests leave when they are due, whether or not earlier ones were answered.
//!
//! # Guarantees
//! - A request is sent at most once. What goes wrong with it (refused, reset, closed, slower than the limit, an answer
//!   other than 2xx) is a failure, with its time and kind; nothing is tried again.
//! - Latency counts from when the request was due, so a stall is not hidden by the requests it held up.
//! - Only loopback and 198.18.0.0/15 are ever addressed ([`allowed`]), and both time and number are bounded.
//!
//! # Caveats
//! - With [`Mode::Kept`] a connection that is known to be closed is dropped from the pool before a request is put on it.
//!   One that closes while the request is under way is a failure.

mod connection;
mod report;
mod stream;

use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::{task::JoinSet, time::Instant};

use connection::Connection;
pub use report::{Failure, Kind, Report, Sample, Served};
pub use stream::{Stream, Streams};

/// What is sent, where to and how fast.
#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// The Host header.
    pub host: String,
    pub path: String,
    /// Requests per second, over all modes.
    pub rate: u32,
    /// Requests take turns through these.
    pub modes: Vec<Mode>,
    /// Until the whole answer.
    pub limit: Duration,
    /// Bounds of the whole run.
    pub longest: Duration,
    pub most: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A connection of its own for each request.
    Fresh,
    /// Connections are kept and taken in turn, the longest unused first.
    Kept,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "a connection per request",
            Self::Kept => "kept connections",
        })
    }
}

/// Whether load may be sent there: to this machine, or into 198.18.0.0/15, which is set aside for benchmarks (RFC 2544)
/// and holds the test cluster.
pub fn allowed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || (v4.octets()[0] == 198 && matches!(v4.octets()[1], 18 | 19)),
        IpAddr::V6(v6) => v6.is_loopback(),
    }
}

impl Load {
    /// Half of it over new connections, half over kept ones.
    pub fn new(address: SocketAddr, rate: u32) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: "/".to_owned(),
            rate,
            modes: vec![Mode::Fresh, Mode::Kept],
            limit: Duration::from_secs(2),
            longest: Duration::from_mins(5),
            most: 200_000,
        }
    }

    #[must_use]
    pub fn modes(mut self, modes: &[Mode]) -> Self {
        self.modes = modes.to_vec();
        self
    }

    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    #[must_use]
    pub fn most(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    /// Begins at once.
    pub fn start(self) -> Result<Running> {
        if !allowed(self.address.ip()) {
            bail!("load is sent to loopback or 198.18.0.0/15 only, not to {}", self.address);
        }
        if self.modes.is_empty() || self.rate == 0 || self.rate > 5_000 {
            bail!("load needs a mode and a rate of 1 to 5000 a second, not {} in {:?}", self.rate, self.modes);
        }
        let shared = Arc::new(Shared::new(self));
        let task = tokio::spawn(run(shared.clone()));
        Ok(Running { shared, task })
    }
}

/// Load that is being sent.
pub struct Running {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// When the first request was due.
    pub fn since(&self) -> Instant {
        self.shared.since
    }

    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// What was answered or has failed so far, and was not taken before: a long run need not keep all of it.
    pub fn take(&self) -> Vec<Sample> {
        std::mem::take(&mut *self.shared.samples.lock().unwrap())
    }

    /// How many that were due since then have been answered or have failed.
    pub fn ended_since(&self, moment: Instant) -> usize {
        let from = moment.saturating_duration_since(self.shared.since);
        self.shared.samples.lock().unwrap().iter().filter(|s| s.due >= from).count()
    }

    /// Sends nothing more, and waits for what is under way.
    pub async fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until all of it was sent.
    pub async fn finish(self) -> Report {
        self.task.await.expect("the load generator never panics");
        let samples = std::mem::take(&mut *self.shared.samples.lock().unwrap());
        Report::new(self.shared.since, samples, *self.shared.latest.lock().unwrap())
    }
}

struct Shared {
    load: Load,
    since: Instant,
    sent: AtomicU64,
    stop: AtomicBool,
    samples: Mutex<Vec<Sample>>,
    idle: Mutex<VecDeque<Connection>>,
    /// The most that a request left after it was due.
    latest: Mutex<Duration>,
}

impl Shared {
    fn new(load: Load) -> Self {
        Self {
            load,
            since: Instant::now(),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            samples: Mutex::default(),
            idle: Mutex::default(),
            latest: Mutex::default(),
        }
    }
}

async fn run(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let interval = Duration::from_secs(1) / shared.load.rate;
    for number in 0..shared.load.most {
        let due = shared.since + interval * u32::try_from(number).unwrap_or(u32::MAX);
        tokio::time::sleep_until(due).await;
        if shared.stop.load(Ordering::Relaxed) || due - shared.since > shared.load.longest {
            break;
        }
        let late = due.elapsed();
        let mut latest = shared.latest.lock().unwrap();
        *latest = late.max(*latest);
        drop(latest);
        shared.sent.store(number + 1, Ordering::Relaxed);
        let turn = usize::try_from(number).unwrap_or(0) % shared.load.modes.len();
        tasks.spawn(one(shared.clone(), shared.load.modes[turn], due));
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

async fn one(shared: Arc<Shared>, mode: Mode, due: Instant) {
    let outcome = tokio::time::timeout(shared.load.limit, ask(&shared, mode)).await;
    let (by, failure) = match outcome {
        Ok(Ok(by)) => (Some(by), None),
        Ok(Err((kind, what))) => (None, Some(Failure { kind, what })),
        Err(_) => {
            let what = format!("no whole answer within {:?}", shared.load.limit);
            (None, Some(Failure { kind: Kind::Timeout, what }))
        }
    };
    let sample = Sample { due: due - shared.since, took: due.elapsed(), mode, by, failure };
    shared.samples.lock().unwrap().push(sample);
}

async fn ask(shared: &Shared, mode: Mode) -> Result<Served, (Kind, String)> {
    let load = &shared.load;
    let kept = match mode {
        Mode::Fresh => None,
        Mode::Kept => usable(shared).await,
    };
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::open(load.address).await?,
    };
    let answer = connection.ask(&load.host, &load.path, mode == Mode::Kept).await?;
    if mode == Mode::Kept {
        shared.idle.lock().unwrap().push_back(connection);
    }
    Ok(answer)
}

/// The kept connection that has been idle longest, if the server has not closed it since.
async fn usable(shared: &Shared) -> Option<Connection> {
    loop {
        let mut connection = shared.idle.lock().unwrap().pop_front()?;
        if connection.is_open().await {
            return Some(connection);
        }
    }
}

#[cfg(test)]
mod tests;
