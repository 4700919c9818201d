//! Every fact about a Rollout. Parts may be of different ages: each write carries the version of what it relies on.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    CommitId, Revision, Timestamp,
    check::Moment,
    rollout::{Memory, ReleaseRef},
};

use super::{Action, Order, Question};
use crate::{Answer, Mistake, Refusal, Version, pairs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub now: Timestamp,
    /// When this operator began to look: what was not watched does not count against a deadline.
    pub started: Timestamp,
    /// `namespace/name`.
    pub name: String,
    /// The name of the live Service.
    pub service_name: String,
    pub uid: String,
    pub order: Result<Order, Mistake>,
    pub memory: Memory,
    /// Of the Pipelines that the spec names, by `namespace/name`; one that does not exist is absent.
    pub offers: BTreeMap<String, Offer>,
    pub revisions: BTreeMap<Revision, Seen>,
    pub service: Option<Service>,
    /// The preview Service, where the spec has one and it exists.
    pub preview: Option<Preview>,
    /// Those that name this Rollout's uid and were not answered yet, in the order they were given.
    pub commands: Vec<Command>,
    #[serde(with = "pairs")]
    pub answers: BTreeMap<Question, Answer>,
    /// How the last round ended.
    pub refused: Option<(Action, Refusal)>,
}

impl Observed {
    /// The record, or an empty one where it was lost, is another Rollout's, or there is no Service yet. (Revisions are
    /// named by what they run: another Rollout's may have the name of one of ours.)
    pub fn record(&self) -> Record {
        let ours = |r: &Record| r.owner.is_empty() || r.owner == self.uid;
        self.service.as_ref().and_then(|s| s.record.clone()).filter(ours).unwrap_or_default()
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
    /// Ready endpoints, in the order of their addresses.
    pub addresses: Vec<Address>,
    /// Jobs of its checks.
    #[serde(with = "pairs")]
    pub jobs: BTreeMap<JobKey, JobState>,
}

/// One ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub ip: IpAddr,
    /// In the order of the revision's Service.
    pub ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: Option<String>,
    /// The Service's number for it.
    pub service: u16,
    /// The pod's.
    pub pod: u16,
}

/// Which run of which check a Job is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    pub moment: Moment,
    pub name: String,
    /// The nomination or the switch that it checks.
    pub under: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// With what keeps its pod from running, in the cluster's words.
    Running(Option<String>),
    Passed,
    Failed(String),
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
    /// Why it is not this Rollout's to write.
    pub foreign: Option<Foreign>,
    /// An existing Service (`serviceRef`) that never had a record nor a selector has an empty one.
    pub record: Option<Record>,
    pub selects: Selects,
    /// Ready endpoints in its slices, by revision.
    pub listed: BTreeMap<Revision, i32>,
    /// Endpoints that are no pod of a revision.
    pub strangers: i32,
}

/// Why a Service is not this Rollout's to write. The message goes on from the Service's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Foreign {
    /// It belongs to somebody else.
    Owned(String),
    /// It is meant for us, and somebody else writes its selector.
    SelectorOwned(String),
    /// It cannot carry a switch.
    Unsuitable(String),
}
impl Foreign {
    pub fn message(&self) -> &str {
        match self {
            Self::Owned(m) | Self::SelectorOwned(m) | Self::Unsuitable(m) => m,
        }
    }
}

/// The preview Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Preview {
    pub version: Version,
    pub foreign: Option<Foreign>,
    pub selects: Selects,
}

/// What a person ordered.
pub type Command = crate::command::Command<CommandOrder>;

/// What is ordered of a Rollout, and of which revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommandOrder {
    Promote(Revision),
    Abort(Revision),
    Retry(Revision),
    RollbackTo(Revision),
    Resume,
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
    /// Given up, with the try that was: never to be nominated or selected again before a later try. It only grows, so
    /// a memory that is older than a Retry cannot take a revision for one that may go live.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub void: BTreeMap<Revision, u32>,
}
impl Record {
    /// The revision has a place: live, fallback or candidate.
    pub fn holds(&self, revision: Revision) -> bool {
        [self.live, self.fallback, self.candidate].contains(&Some(revision))
    }
    /// This try of the revision is fenced off.
    pub fn voids(&self, revision: Revision, attempt: u32) -> bool {
        self.void.get(&revision).is_some_and(|voided| *voided >= attempt)
    }
}
