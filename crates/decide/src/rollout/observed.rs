//! Every fact about a Rollout. Parts may be of different ages: each write carries the version of what it relies on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    CommitId, Revision, Timestamp,
    rollout::{Memory, ReleaseRef},
};

use super::{Action, Order};
use crate::{Mistake, Refusal, Version};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub now: Timestamp,
    /// When this operator began to look: what was not watched does not count against a deadline.
    pub started: Timestamp,
    /// `namespace/name`.
    pub name: String,
    pub uid: String,
    pub order: Result<Order, Mistake>,
    pub memory: Memory,
    /// Of the Pipelines that the spec names, by `namespace/name`; one that does not exist is absent.
    pub offers: BTreeMap<String, Offer>,
    pub revisions: BTreeMap<Revision, Seen>,
    pub service: Option<Service>,
    /// How the last round ended.
    pub refused: Option<(Action, Refusal)>,
}

impl Observed {
    /// The record, or an empty one where it was lost or there is no Service yet.
    pub fn record(&self) -> Record {
        self.service.as_ref().and_then(|s| s.record.clone()).unwrap_or_default()
    }
    /// Our Service is there and its record is not.
    pub fn lost(&self) -> bool {
        self.service.as_ref().is_some_and(|s| s.foreign.is_none() && s.record.is_none())
    }
    pub fn deployment(&self, revision: Revision) -> Option<&Deployment> {
        self.revisions.get(&revision).and_then(|r| r.deployment.as_ref())
    }
    pub fn ready(&self, revision: Revision) -> i32 {
        self.revisions.get(&revision).map_or(0, |r| r.ready)
    }
    /// Ready endpoints of the revision that the live Service's slices list.
    pub fn listed(&self, revision: Revision) -> i32 {
        self.service.as_ref().and_then(|s| s.listed.get(&revision).copied()).unwrap_or(0)
    }
}

/// What a Pipeline offers to this Rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub uid: String,
    /// One of its environments names this Rollout.
    pub names_us: bool,
    pub release: Option<OfferedRelease>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferedRelease {
    pub sequence: i64,
    pub build: String,
    pub version: Option<String>,
    pub commit: CommitId,
    /// By the Pipeline's name of the image: `repository@digest`.
    pub images: BTreeMap<String, String>,
}

/// One revision's objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub deployment: Option<Deployment>,
    /// Its headless Service exists.
    pub exposed: bool,
    /// Ready endpoints in the slices of its own Service whose pods exist, are ready and are not going away.
    pub ready: i32,
    /// Why a pod is not ready, in the cluster's words.
    pub problem: Option<String>,
    /// Its children belong to somebody else: never touched.
    pub conflict: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub version: Version,
    pub created: Timestamp,
    /// The nomination under which it was last scaled up.
    pub claim: Option<Version>,
    pub replicas: i32,
    /// Its controllers have seen the last change of its spec, and no pod of it is going away.
    pub current: bool,
    pub releases: Vec<ReleaseRef>,
}

/// The live Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub version: Version,
    /// Who it belongs to if not to this Rollout, in words.
    pub foreign: Option<String>,
    pub record: Option<Record>,
    pub selects: Selects,
    /// Ready endpoints in its slices, by revision.
    pub listed: BTreeMap<Revision, i32>,
    /// Endpoints that are no pod of a revision.
    pub strangers: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selects {
    Nobody,
    Revision(Revision),
    /// Anything that we never write.
    Foreign(String),
}
impl From<Option<Revision>> for Selects {
    fn from(revision: Option<Revision>) -> Self {
        revision.map_or(Self::Nobody, Self::Revision)
    }
}

/// What serves, written in one patch with the selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The uid of the Rollout: the claim that keeps two of them off one Service.
    #[serde(default)]
    pub owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Revision>,
    /// Has held a place since its last claim, so going back to it takes one write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Revision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Revision>,
    /// The version that the nominating patch was conditional on: the nomination's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Version>,
    /// The version that the last change of the selector was conditional on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Version>,
    /// Never to be nominated or selected again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub void: BTreeSet<Revision>,
}
impl Record {
    /// The revision has a place: live, fallback or candidate.
    pub fn holds(&self, revision: Revision) -> bool {
        [self.live, self.fallback, self.candidate].contains(&Some(revision))
    }
}
