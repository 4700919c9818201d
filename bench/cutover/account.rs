//! What became of the requests of one run, kept as numbers: the samples of millions would fill the memory.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use switchyard_bench::figures::Figures;
use switchyard_e2e::load::{Failure, Mode, Sample, Stream};
use tokio::time::Instant;

use crate::witness::Seen;

/// Of the failures, that many are kept one by one.
const KEPT: usize = 200;

pub struct Account {
    since: Instant,
    pub modes: BTreeMap<Mode, Tally>,
    /// The last answer that this revision gave.
    last: BTreeMap<(Arc<str>, Mode), Instant>,
    /// When each request ended that failed, and how.
    pub failures: Vec<(Instant, Mode, Failure)>,
    /// How many requests ended in each tenth of a second since the start.
    ended: Vec<u32>,
}

#[derive(Default)]
pub struct Tally {
    pub sent: u64,
    pub failed: u64,
    /// Microseconds, of those that were answered.
    latencies: Vec<u32>,
}

impl Tally {
    /// Milliseconds.
    pub fn latency(&self) -> Option<Figures> {
        Figures::of(self.latencies.iter().map(|microseconds| f64::from(*microseconds) / 1000.0).collect())
    }
}

impl Account {
    pub fn new(since: Instant) -> Self {
        Self { since, modes: BTreeMap::new(), last: BTreeMap::new(), failures: vec![], ended: vec![] }
    }

    pub fn add(&mut self, samples: Vec<Sample>) {
        for sample in samples {
            let end = self.since + sample.due + sample.took;
            let tenth = usize::try_from((sample.due + sample.took).as_millis() / 100).unwrap_or(usize::MAX);
            if self.ended.len() <= tenth {
                self.ended.resize(tenth + 1, 0);
            }
            self.ended[tenth] += 1;
            let tally = self.modes.entry(sample.mode).or_default();
            tally.sent += 1;
            if let Some(failure) = sample.failure {
                tally.failed += 1;
                self.failures.push((end, sample.mode, failure));
                continue;
            }
            tally.latencies.push(u32::try_from(sample.took.as_micros()).unwrap_or(u32::MAX));
            if let Some(by) = sample.by {
                self.last.entry((by, sample.mode)).and_modify(|last| *last = end.max(*last)).or_insert(end);
            }
        }
    }

    pub fn sent(&self) -> u64 {
        self.modes.values().map(|tally| tally.sent).sum()
    }

    pub fn failed(&self) -> u64 {
        self.modes.values().map(|tally| tally.failed).sum()
    }

    pub fn last_by(&self, revision: &str, mode: Mode) -> Option<Instant> {
        self.last.get(&(Arc::from(revision), mode)).copied()
    }

    /// How many requests ended, and how many of them failed, between two moments; to a tenth of a second.
    pub fn between(&self, from: Instant, to: Instant) -> (u64, u64) {
        let tenth = |moment: Instant| {
            usize::try_from(moment.saturating_duration_since(self.since).as_millis() / 100).unwrap_or(usize::MAX)
        };
        let of_these = self.ended.iter().skip(tenth(from)).take(tenth(to).saturating_sub(tenth(from)));
        let ended = of_these.map(|count| u64::from(*count)).sum();
        let failed = self.failures.iter().filter(|(end, ..)| (tenth(from)..tenth(to)).contains(&tenth(*end))).count();
        (ended, failed as u64)
    }

    /// The first failures, each with how long after the last change of the selector it came.
    pub fn told(&self, seen: &Seen) -> Vec<Told> {
        let mut failures: Vec<_> = self.failures.iter().collect();
        failures.sort_by_key(|(end, ..)| *end);
        let told = failures.into_iter().take(KEPT).map(|(end, mode, failure)| {
            let before = seen.selected.iter().rev().find(|(at, _)| at <= end);
            Told {
                after_start: (*end - self.since).as_secs_f64(),
                after_selected: before.map(|(at, _)| (*end - *at).as_secs_f64()),
                selected: before.map(|(_, revision)| revision.clone()),
                mode: mode.to_string(),
                kind: failure.kind.to_string(),
                what: failure.what.clone(),
            }
        });
        told.collect()
    }
}

/// One failed request. Times in seconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    pub after_start: f64,
    pub after_selected: Option<f64>,
    pub selected: Option<String>,
    pub mode: String,
    pub kind: String,
    pub what: String,
}

/// What became of the streams.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Streamed {
    pub whole: usize,
    /// They outlived the drain: cut, but only after their revision was told to end.
    pub outlived: usize,
    /// How long those were served after the selector had left their revision, in seconds.
    pub served_after_selected: Option<Figures>,
    /// Cut before that, or never answered: these are failures.
    pub failed: Vec<String>,
    /// Still going when the run ended.
    pub going: usize,
}

impl Streamed {
    pub fn of(streams: &[Stream], going: usize, seen: &Seen) -> Self {
        let mut streamed = Self { going, ..Self::default() };
        let mut served_after = vec![];
        for stream in streams {
            let Some(failure) = &stream.cut else {
                streamed.whole += 1;
                continue;
            };
            let down = stream.by.as_deref().and_then(|revision| seen.down.get(revision));
            if down.is_none_or(|down| stream.ended < *down) {
                let by = stream.by.as_deref().unwrap_or("nobody");
                let after = (stream.ended - stream.begun).as_secs_f64();
                let what = format!("by {by}, after {after:.1} of {} s: {}", stream.length.as_secs(), failure.what);
                streamed.failed.push(what);
                continue;
            }
            streamed.outlived += 1;
            served_after.extend(left(seen, stream.by.as_deref()).map(|left| served(left, stream.ended)));
        }
        streamed.served_after_selected = Figures::of(served_after);
        streamed
    }

    pub fn counted(&self) -> usize {
        self.whole + self.outlived + self.failed.len()
    }
}

/// When the selector left a revision.
fn left(seen: &Seen, revision: Option<&str>) -> Option<Instant> {
    let place = seen.selected.iter().position(|(_, selected)| Some(selected.as_str()) == revision)?;
    seen.selected.get(place + 1).map(|(at, _)| *at)
}

fn served(left: Instant, ended: Instant) -> f64 {
    ended.saturating_duration_since(left).as_secs_f64()
}

/// From one moment to another, in milliseconds; below zero if the other came first.
pub fn milliseconds(from: Instant, to: Instant) -> f64 {
    let between = |a: Instant, b: Instant| b.saturating_duration_since(a).as_secs_f64() * 1000.0;
    if to < from { -between(to, from) } else { between(from, to) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use switchyard_e2e::load::Kind;

    use super::*;

    fn sample(due: u64, by: &str, failure: Option<Failure>) -> Sample {
        let (due, took) = (Duration::from_millis(due), Duration::from_millis(20));
        Sample { due, took, mode: Mode::Fresh, by: failure.is_none().then(|| Arc::from(by)), failure }
    }

    fn cut() -> Failure {
        Failure { kind: Kind::Closed, what: "closed".to_owned() }
    }

    #[test]
    fn each_request_is_counted_where_it_ended() {
        let since = Instant::now();
        let mut account = Account::new(since);
        account.add(vec![sample(0, "blue", None), sample(950, "blue", None), sample(1_100, "", Some(cut()))]);
        account.add(vec![sample(1_200, "green", None)]);
        assert_eq!((account.sent(), account.failed()), (4, 1));
        let after = |ms: u64| since + Duration::from_millis(ms);
        assert_eq!(account.last_by("blue", Mode::Fresh), Some(after(970)));
        assert_eq!(account.last_by("blue", Mode::Kept), None);
        assert_eq!(account.between(since, after(1_000)), (2, 0));
        assert_eq!(account.between(after(1_000), after(2_000)), (2, 1));
    }

    #[test]
    fn a_stream_that_is_cut_is_a_failure_unless_its_revision_was_told_to_end() {
        let begun = Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut seen = Seen::default();
        seen.selected = vec![(begun, "blue".to_owned()), (after(5), "green".to_owned())];
        seen.down.insert("blue".to_owned(), after(10));
        let stream = |ended: u64, by: Option<&str>, cut: Option<Failure>| Stream {
            length: Duration::from_secs(30),
            begun,
            ended: after(ended),
            by: by.map(Arc::from),
            cut,
        };
        let streams = [
            stream(30, Some("green"), None),
            stream(12, Some("blue"), Some(cut())),
            stream(9, Some("blue"), Some(cut())),
            stream(12, Some("green"), Some(cut())),
            stream(1, None, Some(cut())),
        ];
        let streamed = Streamed::of(&streams, 2, &seen);
        assert_eq!((streamed.whole, streamed.outlived, streamed.failed.len(), streamed.going), (1, 1, 3, 2));
        assert!((streamed.served_after_selected.unwrap().median - 7.0).abs() < 0.01, "from 5 s to 12 s");
    }

    #[test]
    fn what_came_first_lies_below_zero() {
        let (one, two) = (Instant::now(), Instant::now() + Duration::from_millis(5));
        assert!(milliseconds(one, two) > 0.0 && milliseconds(two, one) < 0.0);
    }
}
