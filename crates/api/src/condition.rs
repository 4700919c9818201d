//! Conditions as kstatus reads them, and the reasons they give.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The object does what its spec says. Never waits for a person.
pub const READY: &str = "Ready";
/// The operator works on it, or waits for the world; False while only a person can move it on.
pub const RECONCILING: &str = "Reconciling";
/// It cannot go on until someone changes the spec or the cluster.
pub const STALLED: &str = "Stalled";
/// Pipeline: the newest commit is built.
pub const BUILT: &str = "Built";
/// Pipeline: the newest good build is live in every environment.
pub const PROMOTED: &str = "Promoted";
/// Rollout: a revision is on its way to live.
pub const PROGRESSING: &str = "Progressing";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum State {
    True,
    False,
    Unknown,
}
impl From<bool> for State {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}

/// One aspect of an object, in the shape of `meta/v1` Condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub kind: String,
    pub status: State,
    #[schemars(length(max = 128))]
    pub reason: String,
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When `status` last changed.
    #[serde(default)]
    pub last_transition_time: Timestamp,
    /// The generation of the spec that this speaks of.
    #[serde(default)]
    pub observed_generation: i64,
}

impl Condition {
    pub fn new(kind: &str, status: impl Into<State>, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.into(),
            reason: reason.to_owned(),
            message: message.into(),
            last_transition_time: Timestamp::default(),
            observed_generation: 0,
        }
    }
}

/// The time of a transition is the only part of a condition that needs its past: kept while the status stays.
pub fn carry(before: &[Condition], after: &mut [Condition], generation: i64, now: Timestamp) {
    for condition in after {
        condition.observed_generation = generation;
        condition.last_transition_time = before
            .iter()
            .find(|b| b.kind == condition.kind && b.status == condition.status)
            .map_or(now, |b| b.last_transition_time);
    }
}

/// Why a condition stands as it does. One word each, never reworded: people and alerts match on them.
pub mod reason {
    pub const SUCCEEDED: &str = "Succeeded";
    pub const PROGRESSING: &str = "Progressing";
    pub const NOT_OBSERVED: &str = "NotObserved";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const SUSPENDED: &str = "Suspended";
    pub const REFUSED: &str = "WriteRefused";
    pub const UNREADABLE: &str = "Unreadable";

    pub const SOURCE_UNREACHABLE: &str = "SourceUnreachable";
    pub const SECRET_NOT_READABLE: &str = "SecretNotReadable";
    pub const BUILDING: &str = "Building";
    pub const BUILD_FAILED: &str = "BuildFailed";
    pub const PROMOTING: &str = "Promoting";
    pub const REJECTED: &str = "Rejected";

    pub const HEALTHY: &str = "Healthy";
    pub const DEGRADED: &str = "Degraded";
    pub const AWAITING_RELEASE: &str = "AwaitingRelease";
    pub const DEPLOYING: &str = "Deploying";
    pub const SWITCHING: &str = "Switching";
    pub const CONFIRMING: &str = "Confirming";
    pub const ROLLING_BACK: &str = "RollingBack";
    pub const NOT_LIVE: &str = "NotLive";
    pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
    pub const LOST_READINESS: &str = "LostReadiness";
    pub const SERVICE_OWNED: &str = "ServiceOwned";
    pub const SELECTOR_CONTENDED: &str = "SelectorContended";
    pub const SERVICE_SELECTOR_OWNED: &str = "ServiceSelectorOwned";
    pub const SERVICE_UNSUITABLE: &str = "ServiceUnsuitable";
    pub const SERVICE_MISSING: &str = "ServiceMissing";
    pub const RECORD_LOST: &str = "RecordLost";
    pub const NO_REPLICAS: &str = "NoReplicas";
    pub const REVISION_MISSING: &str = "RevisionMissing";
    pub const CHECKING: &str = "Checking";
    pub const CHECK_FAILED: &str = "CheckFailed";
    pub const SOAKING: &str = "Soaking";
    pub const AWAITING_PROMOTION: &str = "AwaitingPromotion";
    pub const PAUSED: &str = "Paused";
    pub const HELD: &str = "Held";
    pub const ABORTED: &str = "Aborted";
    pub const ROLLED_BACK: &str = "RolledBack";
    pub const CHILD_CONFLICT: &str = "ChildConflict";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_time_is_kept_while_the_status_stays() {
        let (t1, t2) = (Timestamp::from_millisecond(1), Timestamp::from_millisecond(2));
        let mut before = vec![Condition::new(READY, false, "A", "a")];
        carry(&[], &mut before, 1, t1);
        let mut same = vec![Condition::new(READY, false, "B", "b")];
        carry(&before, &mut same, 2, t2);
        assert_eq!((same[0].last_transition_time, same[0].observed_generation), (t1, 2));
        let mut other = vec![Condition::new(READY, true, "B", "b")];
        carry(&before, &mut other, 2, t2);
        assert_eq!(other[0].last_transition_time, t2);
    }
}
