//! What the operator remembers of a Rollout.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReleaseRef;
use crate::{Revision, Timestamp, check::Moment, command::CommandState};

/// What the operator must remember, and the only part of status that it reads back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The last revision that was live and passed everything: where a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Mark>,
    /// The release taken from each Pipeline, by `namespace/name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub taken: BTreeMap<String, Taken>,
    /// The revision on its way, and its last progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Since when the unconfirmed live revision has had too few ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready_since: Option<Timestamp>,
    /// Given up, and why; cannot be confirmed from here on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Failed>")]
    pub failed: BTreeMap<Revision, Failed>,
    /// Given up, and shown by the live Service's record to be fenced off: will not be selected.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rejected: BTreeSet<Revision>,
    /// Since when no Service and no slice has named a revision that still has pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Unlisted>")]
    pub unlisted: BTreeMap<Revision, Unlisted>,
    /// The last three times that somebody else's selector is put right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Restored>,
    /// Which try of a revision this is, counted from 1, where it is not the first: a Retry begins the next.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, u32>")]
    pub attempts: BTreeMap<Revision, u32>,
    /// What was measured of the revision that is checked now, or was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// Since when the candidate has been ready and checked, where the spec asks for some time of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_since: Option<Mark>,
    /// The revision that a person let go live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
    /// The revision that a person went back to: nothing else goes live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Promoted>,
    /// Commands that were taken into account and not answered yet, by uid.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub handled: BTreeMap<String, Handled>,
    /// How the last ten revisions fared, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}
impl Memory {
    /// Which try of the revision this is.
    pub fn attempt(&self, revision: Revision) -> u32 {
        self.attempts.get(&revision).copied().unwrap_or(1)
    }
}

/// Results of one revision's checks, under one nomination (preview) or one switch (live): they count for no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    pub revision: Revision,
    pub moment: Moment,
    /// The resourceVersion that the nomination or the switch was conditional on.
    pub under: String,
    /// By the name of the check.
    pub results: BTreeMap<String, Measured>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Measurements that succeeded.
    pub passed: i32,
    pub failed: i32,
    /// The last one.
    pub time: Timestamp,
    pub said: String,
}

/// What a person ordered about a revision, by a Command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Promoted {
    pub revision: Revision,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A Command that was taken into account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Handled {
    pub state: CommandState,
    pub message: String,
    /// It is answered once the live Service's record fences these revisions off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fences: Vec<Revision>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEntry {
    pub revision: Revision,
    pub outcome: Outcome,
    pub time: Timestamp,
    /// Who ordered it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// It was live and passed everything.
    Promoted,
    /// Given up before it was live.
    Aborted,
    /// Given up while it was live.
    RolledBack,
    /// Another was wanted before it was proven.
    Superseded,
}

/// The drain of a revision counts from then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unlisted {
    pub time: Timestamp,
    /// `moved` of the live Service's record by then: a later switch starts the drain anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
}

/// A selector of somebody else's, at this version of the live Service, is put right.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    #[serde(rename = "resourceVersion")]
    pub version: String,
    pub time: Timestamp,
}

/// A revision at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    pub revision: Revision,
    pub time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    pub release: ReleaseRef,
    /// By the Pipeline's name of the image: `repository@digest`.
    pub images: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    pub revision: Revision,
    /// The most ready pods seen so far.
    pub ready: i32,
    pub time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    pub reason: String,
    pub message: String,
    pub time: Timestamp,
    /// The releases it carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
}
