//! What became of every request.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::Mode;

/// Who answered, as the answer itself says: a pod's name.
pub type Served = Arc<str>;

#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was to leave, from the beginning of the load.
    pub due: Duration,
    /// From then until its answer was whole, or it failed.
    pub took: Duration,
    pub mode: Mode,
    pub by: Option<Served>,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No connection: refused or unreachable.
    Refused,
    /// The connection was reset under the request.
    Reset,
    /// The connection ended before the answer did.
    Closed,
    Timeout,
    /// An answer, but not 2xx.
    Status(u16),
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed early"),
            Self::Timeout => f.write_str("timeout"),
            Self::Status(code) => write!(f, "status {code}"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// All requests of one run, or of a part of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub since: Instant,
    /// By when they were due.
    pub samples: Vec<Sample>,
    /// The most that a request left after it was due: more than a few hundred milliseconds and the rate was not held.
    pub latest: Duration,
}

impl Report {
    pub(super) fn new(since: Instant, mut samples: Vec<Sample>, latest: Duration) -> Self {
        samples.sort_by_key(|s| s.due);
        Self { since, samples, latest }
    }

    /// Only what was due, or under way, between these two moments.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Self {
        let (from, to) = (from.saturating_duration_since(self.since), to.saturating_duration_since(self.since));
        let samples = self.samples.iter().filter(|s| s.due + s.took >= from && s.due <= to).cloned().collect();
        Self { since: self.since, samples, latest: self.latest }
    }

    /// Only what was due after the first good answer: the time before an application first serves is not an outage.
    #[must_use]
    pub fn from_first_answer(&self) -> Self {
        let first = self.samples.iter().filter(|s| s.failure.is_none()).map(|s| s.due + s.took).min();
        let samples = self.samples.iter().filter(|s| first.is_some_and(|f| s.due >= f)).cloned().collect();
        Self { since: self.since, samples, latest: self.latest }
    }

    pub fn counted(&self) -> usize {
        self.samples.len()
    }

    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    pub fn failures(&self) -> impl Iterator<Item = (&Sample, &Failure)> {
        self.samples.iter().filter_map(|s| Some((s, s.failure.as_ref()?)))
    }

    /// Of the requests that were answered, in thousandths: 500 is the median.
    pub fn latency(&self, thousandths: usize) -> Duration {
        let mut all: Vec<Duration> = self.samples.iter().filter(|s| s.failure.is_none()).map(|s| s.took).collect();
        all.sort_unstable();
        all.get((all.len().saturating_sub(1)) * thousandths / 1000).copied().unwrap_or_default()
    }

    /// For each that answered: how often, first and last, counted from the beginning of the load.
    pub fn served(&self) -> BTreeMap<Served, (usize, Duration, Duration)> {
        let mut served: BTreeMap<Served, (usize, Duration, Duration)> = BTreeMap::new();
        for sample in &self.samples {
            let Some(by) = &sample.by else { continue };
            let end = sample.due + sample.took;
            let entry = served.entry(by.clone()).or_insert((0, end, end));
            *entry = (entry.0 + 1, entry.1.min(end), entry.2.max(end));
        }
        served
    }

    /// Fails, with everything there is to know, unless every one of at least `least` requests was answered.
    #[track_caller]
    pub fn assert_flawless(&self, least: usize) {
        assert!(self.counted() >= least, "only {} requests were counted, not {least}:\n{self}", self.counted());
        assert!(self.failed() == 0, "{} requests failed:\n{self}", self.failed());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = |sample: Option<&Sample>| sample.map_or(0.0, |s| s.due.as_secs_f64());
        let span = due(self.samples.last()) - due(self.samples.first());
        writeln!(
            f,
            "{} requests over {:.1} s, {} failed; latency p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            self.counted(),
            span,
            self.failed(),
            milliseconds(self.latency(500)),
            milliseconds(self.latency(990)),
            milliseconds(self.latency(1000)),
        )?;
        let mut modes: BTreeMap<Mode, (usize, usize)> = BTreeMap::new();
        for sample in &self.samples {
            let (sent, failed) = modes.entry(sample.mode).or_default();
            *sent += 1;
            *failed += usize::from(sample.failure.is_some());
        }
        for (mode, (sent, failed)) in modes {
            writeln!(f, "  {mode}: {sent} sent, {failed} failed")?;
        }
        for (by, (count, first, last)) in self.served() {
            writeln!(f, "  {by}: {count} answers, from {:.3} s to {:.3} s", first.as_secs_f64(), last.as_secs_f64())?;
        }
        let mut kinds: BTreeMap<Kind, (usize, Duration, Duration, &str)> = BTreeMap::new();
        for (sample, failure) in self.failures() {
            let end = sample.due + sample.took;
            let entry = kinds.entry(failure.kind).or_insert((0, end, end, &failure.what));
            *entry = (entry.0 + 1, entry.1.min(end), entry.2.max(end), entry.3);
        }
        let mut lines = String::new();
        for (kind, (count, first, last, what)) in kinds {
            let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
            writeln!(lines, "  failed, {kind}: {count}, from {first:.3} s to {last:.3} s ({what})")?;
        }
        f.write_str(&lines)?;
        if self.latest > Duration::from_millis(500) {
            writeln!(f, "  the rate was not held: a request left {:.0} ms late", milliseconds(self.latest))?;
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
