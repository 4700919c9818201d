//! What to do, decided from what was seen: values in, values out. No IO, clock, randomness or error.
//!
//! Architecture Invariant: this crate reaches no tokio, no HTTP and no Kubernetes client, so every decision can be
//! tested without a cluster, explored exhaustively, printed before it happens and replayed from a log.

use std::{collections::BTreeMap, fmt::Debug};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchyard_api::{Duration, Timestamp};

pub mod build;
pub mod command;
pub mod pairs;
pub mod pipeline;
pub mod rollout;
pub mod words;

/// What facts, memory, actions and questions have in common: they compare, print, and travel as JSON.
pub trait Value: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// One kind of object, as its controller thinks about it.
pub trait Kind: Sized + Send + Sync + 'static {
    /// Every fact. It names things and never holds a template or a Secret's value, so one log line replays it.
    type Observed: Value;
    /// The only part of status that `decide` reads back.
    type Memory: Value;
    /// Memory, plus words for people.
    type Status: Value + Default;
    /// One write, with what must still hold when it lands.
    type Action: Value;
    /// One slow fact. Its identity holds the attempt, so no answer counts twice.
    type Question: Value + Ord;

    /// As in metrics and logs: `pipeline`, `build`, `rollout`.
    const NAME: &'static str;

    fn decide(seen: &Self::Observed) -> Decision<Self>;
    fn memory(status: &Self::Status) -> &Self::Memory;
    /// The difference of two statuses in the past tense; a repeat has no difference, so it is told once.
    fn events(before: &Self::Status, after: &Self::Status) -> Vec<Event>;
    /// The last look before a write: whatever of "what must never happen" can be seen in `seen` vetoes `action`.
    fn permit(seen: &Self::Observed, action: &Self::Action) -> Result<(), Veto>;
    /// Fills what only the previous status knows: when each condition last changed.
    fn carry(before: &Self::Status, after: &mut Self::Status, generation: i64, now: Timestamp);
}

/// What [`Kind::decide`] came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<K: Kind> {
    /// The sentence that explains it.
    pub rule: &'static str,
    pub status: K::Status,
    /// In the order they are to happen, protective ones first. Empty: nothing left to do.
    pub actions: Vec<K::Action>,
    /// The whole set each time: what is missing starts, the rest stops.
    pub ask: BTreeMap<K::Question, Cadence>,
    /// When the same facts would decide otherwise.
    pub check_again: Option<Timestamp>,
}

/// How often a question is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cadence {
    /// Until it is answered, at this pace; the answer then stands.
    Until(Duration),
    /// Over and over.
    Every(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Known { at: Timestamp, value: Measured },
    Unreachable { since: Timestamp, why: Unreachable },
}

/// Why the world did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unreachable {
    /// The Secret could not be read; the message says how to allow it.
    Secret(String),
    /// The other side refused the credentials.
    Credentials(String),
    /// There is no such thing there.
    Missing(String),
    /// Anything else: network, rate limits, errors of the server.
    Network(String),
    /// It answered, and the answer decides nothing.
    Inconclusive(String),
}
impl Unreachable {
    pub fn message(&self) -> &str {
        match self {
            Self::Secret(m) | Self::Credentials(m) | Self::Missing(m) | Self::Network(m) | Self::Inconclusive(m) => m,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measured {
    Digest(switchyard_api::Digest),
    Head {
        branch: String,
        commit: switchyard_api::CommitId,
    },
    /// One measurement of a check, in a sentence for people.
    Checked {
        passed: bool,
        said: String,
    },
    /// What keeps a pod from starting. None: nothing that the cluster tells.
    Problem(Option<build::Problem>),
}

/// What the API server said to a write: a fact for the next decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// What the decision saw is no longer so. The next round sees it anew.
    Stale,
    /// Another manager owns the field.
    Owned(String),
    /// Not allowed: rights, quota, admission.
    Denied(String),
    /// The API server finds the object wrong.
    Invalid(String),
    /// Not now.
    Unavailable { retry_after_seconds: Option<u64> },
}
impl Refusal {
    /// For people, where it is theirs to mend.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Denied(m) | Self::Invalid(m) => Some(m),
            Self::Owned(_) | Self::Stale | Self::Unavailable { .. } => None,
        }
    }
}

/// The spec asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mistake {
    pub field: String,
    pub value: String,
    pub fix: String,
}
impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}: {}", self.field, self.value, self.fix)
    }
}

/// `permit` said no: a fault of ours. The round ends and an alert goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto(pub &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub warning: bool,
    pub reason: String,
    pub note: String,
}
impl Event {
    pub fn normal(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.to_owned(), note: note.into() }
    }
    pub fn warning(reason: &str, note: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.to_owned(), note: note.into() }
    }
}

/// A resourceVersion. Within one resource they count up as integers (KEP-5504).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(String);

impl Version {
    pub fn new(version: impl Into<String>) -> Self {
        Self(version.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    pub fn newer_than(&self, other: &Self) -> bool {
        let (a, b) = (self.0.trim_start_matches('0'), other.0.trim_start_matches('0'));
        (a.len(), a) > (b.len(), b)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_compare_as_integers() {
        for (newer, older) in [("10", "9"), ("100", "99"), ("3", "2"), ("18446744073709551616", "18446744073709551615")]
        {
            assert!(Version::new(newer).newer_than(&Version::new(older)));
            assert!(!Version::new(older).newer_than(&Version::new(newer)));
        }
        assert!(!Version::new("7").newer_than(&Version::new("7")));
    }
}
