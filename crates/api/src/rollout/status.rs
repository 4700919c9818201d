//! What people and programs read of a Rollout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HistoryEntry, Memory};
use crate::{CommitId, Revision, Timestamp, check::Moment, condition::Condition, schema};

/// What the operator wrote about a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    #[serde(default)]
    pub observed_generation: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// For people only: the conditions are for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// In sentences, what would make it move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// What serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<RevisionStatus>,
    /// What is on its way to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RevisionStatus>,
    /// The version of what serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Ready and wanted pods of what serves, `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// Pods of the live revision, and their selector: what a HorizontalPodAutoscaler reads.
    #[serde(default)]
    pub replicas: i32,
    #[serde(default)]
    pub ready_replicas: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Revisions that were tried and given up; not tried again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedStatus>,
    /// The checks of the revision that is on its way or was last, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// How the last ten revisions fared, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    #[serde(default)]
    pub memory: Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    Pending,
    Deploying,
    Checking,
    Paused,
    Switching,
    Confirming,
    Healthy,
    RollingBack,
    Degraded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    pub revision: Revision,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
    /// Pods that its endpoint slices list as ready.
    pub ready: i32,
    pub wanted: i32,
    /// Since when it holds this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// It was live and passed everything.
    #[serde(default)]
    pub confirmed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedStatus {
    pub revision: Revision,
    pub reason: String,
    pub message: String,
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    pub name: String,
    pub moment: Moment,
    pub state: CheckState,
    /// Measurements that succeeded, and those that did not.
    pub passed: i32,
    pub failed: i32,
    /// What the last measurement said, or why there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was measured last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CheckState {
    Pending,
    Running,
    Passed,
    Failed,
    /// Asked, and the answers decide nothing: it is asked again.
    Inconclusive,
}

/// Which release of which Pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRef {
    /// `namespace/name` of the Pipeline.
    pub pipeline: String,
    pub pipeline_uid: String,
    /// Counts up; from one Pipeline only a higher one is taken.
    pub sequence: i64,
    pub build: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub commit: CommitId,
}
