//! Where the time of one run went.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Serialize;

/// What a run is made of, in the order in which it happens. Together they are the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    Ordered,
    Scheduled,
    Started,
    Cloned,
    Between,
    Built,
    Pushed,
    Noticed,
    Told,
}

impl Phase {
    pub const ALL: [Self; 9] = [
        Self::Ordered,
        Self::Scheduled,
        Self::Started,
        Self::Cloned,
        Self::Between,
        Self::Built,
        Self::Pushed,
        Self::Noticed,
        Self::Told,
    ];

    /// Of a Build, and of the Job where that is another thing.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ordered => "operator: from asked for until there is a Job",
            Self::Scheduled => "scheduling: until its pod has a node",
            Self::Started => "pod start: until the first container writes its first line",
            Self::Cloned => "clone: from its first line to its last",
            Self::Between => "between containers: one ends, the kubelet notices and starts the next",
            Self::Built => "build: Kaniko from its first line to its last, or to where it pushes",
            Self::Pushed => "push: the worker from its first line to its last; Kaniko from where it pushes",
            Self::Noticed => "kubelet: until the pod's status says that its last container ended",
            Self::Told => "verification and operator: until the Build is Succeeded (the Job: Complete)",
        }
    }
}

/// From the first line of a container's log to its last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lines {
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Lines {
    /// Of a log with timestamps.
    pub fn of(log: &str) -> Option<Self> {
        let mut times = log.lines().filter_map(stamp);
        let first = times.next()?;
        Some(Self { first, last: times.next_back().unwrap_or(first) })
    }
}

fn stamp(line: &str) -> Option<Timestamp> {
    line.split(' ').next()?.parse().ok()
}

/// When Kaniko began to push, by its own log.
pub fn pushing(log: &str) -> Option<Timestamp> {
    log.lines().find(|line| line.contains("Pushing image to")).and_then(stamp)
}

/// All that is known of one run.
#[derive(Clone, Debug)]
pub struct Moments {
    pub asked: Timestamp,
    pub job: Timestamp,
    pub scheduled: Timestamp,
    pub clone: Lines,
    pub build: Lines,
    /// None: Kaniko pushes by itself, from then on.
    pub push: Result<Lines, Timestamp>,
    /// The pod's status said that the last container ended.
    pub noticed: Timestamp,
    pub done: Timestamp,
}

impl Moments {
    /// In seconds.
    pub fn phases(&self) -> BTreeMap<Phase, f64> {
        let m = self;
        let (between, built, pushed, last) = match &m.push {
            Ok(push) => (
                seconds(m.clone.last, m.build.first) + seconds(m.build.last, push.first),
                seconds(m.build.first, m.build.last),
                seconds(push.first, push.last),
                push.last,
            ),
            Err(pushing) => (
                seconds(m.clone.last, m.build.first),
                seconds(m.build.first, *pushing),
                seconds(*pushing, m.build.last),
                m.build.last,
            ),
        };
        BTreeMap::from([
            (Phase::Ordered, seconds(m.asked, m.job)),
            (Phase::Scheduled, seconds(m.job, m.scheduled)),
            (Phase::Started, seconds(m.scheduled, m.clone.first)),
            (Phase::Cloned, seconds(m.clone.first, m.clone.last)),
            (Phase::Between, between),
            (Phase::Built, built),
            (Phase::Pushed, pushed),
            (Phase::Noticed, seconds(last, m.noticed)),
            (Phase::Told, seconds(m.noticed, m.done)),
        ])
    }

    pub fn whole(&self) -> f64 {
        seconds(self.asked, self.done)
    }
}

/// Below zero where the second came first.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).total(jiff::Unit::Second).unwrap_or(f64::NAN)
}

/// A log that has to have lines.
pub fn lines(container: &str, log: &str) -> Result<Lines> {
    Lines::of(log).with_context(|| format!("the log of {container} has no line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tenths: i64) -> Timestamp {
        Timestamp::from_millisecond(tenths * 100).unwrap()
    }

    fn lines(first: i64, last: i64) -> Lines {
        Lines { first: at(first), last: at(last) }
    }

    fn moments(push: Result<Lines, Timestamp>) -> Moments {
        let (clone, build) = (lines(20, 25), lines(30, 70));
        Moments { asked: at(0), job: at(2), scheduled: at(5), clone, build, push, noticed: at(90), done: at(100) }
    }

    #[test]
    fn the_phases_are_the_whole() {
        for (push, built, pushed, between) in [(Ok(lines(75, 80)), 4.0, 0.5, 1.0), (Err(at(60)), 3.0, 1.0, 0.5)] {
            let moments = moments(push);
            let phases = moments.phases();
            assert!((phases.values().sum::<f64>() - moments.whole()).abs() < 1e-9, "{phases:?}");
            assert_eq!(phases.keys().copied().collect::<Vec<_>>(), Phase::ALL);
            for (phase, expected) in [(Phase::Built, built), (Phase::Pushed, pushed), (Phase::Between, between)] {
                assert!((phases[&phase] - expected).abs() < 1e-9, "{phase:?}: {phases:?}");
            }
        }
    }

    #[test]
    fn a_log_says_from_when_to_when() {
        let log = "2026-01-01T00:00:01.5Z Retrieving image manifest\n2026-01-01T00:00:04Z Pushing image to x/y:z\n\
                   2026-01-01T00:00:05.25Z Pushed x/y@sha256:0\n";
        let found = Lines::of(log).unwrap();
        assert!((seconds(found.first, found.last) - 3.75).abs() < 1e-9);
        assert!((seconds(found.first, pushing(log).unwrap()) - 2.5).abs() < 1e-9);
        let one = Lines::of("2026-01-01T00:00:01Z only\n").unwrap();
        assert_eq!(one.first, one.last);
        assert_eq!(Lines::of(""), None);
        assert_eq!(pushing("2026-01-01T00:00:01Z Skipping push"), None);
    }
}
