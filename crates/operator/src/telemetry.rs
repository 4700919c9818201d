//! Logs and metrics.

use std::{fmt::Debug, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use switchyard_cluster::{Refusal, Verb};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The filter of the logs, in the syntax of `tracing_subscriber::EnvFilter`.
const FILTER: &str = "SWITCHYARD_LOG";

/// Upper bounds in seconds. A round without writes takes well under a millisecond; one call may take 30 s.
const ROUND_SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// The logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Unlogged {
    #[error("{FILTER} is not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    #[error("install the log subscriber: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Logs JSON lines to standard error, from `info` on unless `SWITCHYARD_LOG` says otherwise.
pub fn log() -> Result<(), Unlogged> {
    use tracing_subscriber::util::SubscriberInitExt;
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).with_env_var(FILTER).from_env()?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .finish()
        .try_init()?;
    Ok(())
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do.
    Silent,
    /// Status or cluster were changed.
    Acted,
    /// A write was refused.
    Refused,
    /// The world could not be seen.
    Blind,
    /// A write was vetoed.
    Vetoed,
    /// Our own writes were not in the caches yet.
    Waited,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Acted => "acted",
            Self::Refused => "refused",
            Self::Blind => "blind",
            Self::Vetoed => "vetoed",
            Self::Waited => "waited",
        }
    }
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Known,
    Unreachable,
}

impl Reply {
    fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unreachable => "unreachable",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: String,
    verb: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Vetoed {
    kind: String,
    rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: String,
}

/// What the operator counts. Label values come from constants of ours, never from names that users choose.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    rounds: Family<Ended, Counter>,
    seconds: Family<Of, Histogram, fn() -> Histogram>,
    writes: Family<Write, Counter>,
    vetoes: Family<Vetoed, Counter>,
    blind: Family<Of, Counter>,
    questions: Family<Ended, Counter>,
    watch_errors: Family<Of, Counter>,
    builds: Family<Because, Counter>,
    leader: Gauge,
    objects: Family<Of, Gauge>,
    back_off: Family<Of, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("switchyard");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        let seconds: fn() -> Histogram = || Histogram::new(ROUND_SECONDS);
        let metrics = Self {
            rounds: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            writes: Family::default(),
            vetoes: Family::default(),
            blind: Family::default(),
            questions: Family::default(),
            watch_errors: Family::default(),
            builds: Family::default(),
            leader: Gauge::default(),
            objects: Family::default(),
            back_off: Family::default(),
            registry: Registry::default(),
        };
        registry.register("rounds", "Rounds, by how they ended", metrics.rounds.clone());
        registry.register("round_seconds", "How long a round took", metrics.seconds.clone());
        registry.register("writes", "Requests that change the cluster", metrics.writes.clone());
        registry.register(
            "vetoes",
            "Writes that the last look before them forbade; each is a fault of the operator",
            metrics.vetoes.clone(),
        );
        registry.register("blind_rounds", "Rounds that could not see the world", metrics.blind.clone());
        registry.register("questions", "Questions to the world outside, by how they ended", metrics.questions.clone());
        registry.register("watch_errors", "Errors of watches; each is retried", metrics.watch_errors.clone());
        registry.register("builds_finished", "Builds that ended, by why", metrics.builds.clone());
        registry.register("leader", "1 while this replica acts", metrics.leader.clone());
        registry.register("objects", "Objects known", metrics.objects.clone());
        registry.register("back_off_seconds", "The longest wait of an object after errors", metrics.back_off.clone());
        Self { registry, ..metrics }
    }

    pub fn round(&self, kind: &str, outcome: Outcome, took: Duration) {
        self.rounds.get_or_create(&Ended { kind: kind.to_owned(), outcome: outcome.as_str() }).inc();
        self.seconds.get_or_create(&of(kind)).observe(took.as_secs_f64());
        if outcome == Outcome::Blind {
            self.blind.get_or_create(&of(kind)).inc();
        }
    }

    /// Fits [`switchyard_cluster::Writer::telling`].
    pub fn write(&self, kind: &str, verb: Verb, result: Result<(), &Refusal>) {
        let result = match result {
            Ok(()) => "done",
            Err(Refusal::Stale) => "stale",
            Err(Refusal::Owned(_)) => "owned",
            Err(Refusal::Denied(_)) => "denied",
            Err(Refusal::Invalid(_)) => "invalid",
            Err(Refusal::Unavailable { .. }) => "unavailable",
        };
        self.writes.get_or_create(&Write { kind: kind.to_owned(), verb: verb.as_str(), result }).inc();
    }

    pub fn veto(&self, kind: &str, rule: &str) {
        self.vetoes.get_or_create(&Vetoed { kind: kind.to_owned(), rule: rule.to_owned() }).inc();
    }

    pub fn question(&self, kind: &str, reply: Reply) {
        self.questions.get_or_create(&Ended { kind: kind.to_owned(), outcome: reply.as_str() }).inc();
    }

    pub fn watch_error(&self, kind: &str) {
        self.watch_errors.get_or_create(&of(kind)).inc();
    }

    /// `reason` is `Succeeded`, `Skipped`, or that of a failure.
    pub fn build_finished(&self, reason: &str) {
        self.builds.get_or_create(&Because { reason: reason.to_owned() }).inc();
    }

    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub fn objects(&self, kind: &str, number: usize) {
        self.objects.get_or_create(&of(kind)).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub fn back_off(&self, kind: &str, longest: Duration) {
        self.back_off.get_or_create(&of(kind)).set(longest.as_secs_f64());
    }

    /// All of it, as [`CONTENT_TYPE`].
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn of(kind: &str) -> Of {
    Of { kind: kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_on_the_page() {
        let metrics = Metrics::new();
        metrics.round("rollout", Outcome::Acted, Duration::from_millis(3));
        metrics.round("rollout", Outcome::Blind, Duration::from_millis(3));
        metrics.write("Service", Verb::Patch, Err(&Refusal::Stale));
        metrics.write("Service", Verb::Patch, Ok(()));
        metrics.veto("rollout", "the selector names what does not exist");
        metrics.question("build", Reply::Unreachable);
        metrics.build_finished("CheckFailed");
        metrics.leads(true);
        metrics.objects("rollout", 2);
        let text = metrics.text().unwrap();
        for line in [
            "switchyard_rounds_total{kind=\"rollout\",outcome=\"acted\"} 1",
            "switchyard_blind_rounds_total{kind=\"rollout\"} 1",
            "switchyard_round_seconds_bucket{le=\"0.005\",kind=\"rollout\"} 2",
            "switchyard_writes_total{kind=\"Service\",verb=\"patch\",result=\"stale\"} 1",
            "switchyard_writes_total{kind=\"Service\",verb=\"patch\",result=\"done\"} 1",
            "switchyard_vetoes_total{kind=\"rollout\",rule=\"the selector names what does not exist\"} 1",
            "switchyard_questions_total{kind=\"build\",outcome=\"unreachable\"} 1",
            "switchyard_builds_finished_total{reason=\"CheckFailed\"} 1",
            "switchyard_leader 1",
            "switchyard_objects{kind=\"rollout\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(&format!("switchyard_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
        assert!(text.ends_with("# EOF\n"));
    }
}
