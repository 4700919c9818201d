//! Every fact about a Pipeline.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    CommitId, Duration, Timestamp,
    build::BuiltImage,
    pipeline::{Ended, Memory, PipelineSpec},
};

use super::{Action, Question};
use crate::{Answer, Refusal, pairs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub now: Timestamp,
    /// `namespace/name`.
    pub name: String,
    pub order: Order,
    pub memory: Memory,
    /// Builds of this Pipeline, by name.
    pub builds: BTreeMap<String, BuildSeen>,
    /// The Rollouts that its environments name, by `namespace/name`; one that does not exist is absent.
    pub rollouts: BTreeMap<String, RolloutSeen>,
    #[serde(with = "pairs")]
    pub answers: BTreeMap<Question, Answer>,
    /// How the last round ended.
    pub refused: Option<(Action, Refusal)>,
}

/// The spec, as far as decisions need it. The API server refuses what cannot be parsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub url: String,
    pub branch: Option<String>,
    pub secret: Option<String>,
    pub interval: Duration,
    /// Only a change of some paths is wanted.
    pub paths: bool,
    pub environments: Vec<EnvironmentOrder>,
    pub succeeded_limit: i32,
    pub failed_limit: i32,
    pub suspend: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentOrder {
    pub name: String,
    /// `namespace/name`.
    pub rollouts: Vec<String>,
    pub after: Vec<String>,
}

impl Order {
    pub fn parse(spec: &PipelineSpec, namespace: &str) -> Self {
        let git = &spec.source.git;
        let mut before: Option<&str> = None;
        let mut environments = vec![];
        for environment in &spec.environments {
            let rollout = |r: &switchyard_api::pipeline::RolloutRef| {
                format!("{}/{}", r.namespace.as_deref().unwrap_or(namespace), r.name)
            };
            let after = environment.after.as_ref().map(|a| a.environments.clone());
            environments.push(EnvironmentOrder {
                name: environment.name.clone(),
                rollouts: environment.rollout_refs.iter().map(rollout).collect(),
                after: after.unwrap_or_else(|| before.map(str::to_owned).into_iter().collect()),
            });
            before = Some(&environment.name);
        }
        Self {
            url: git.url.clone(),
            branch: git.reference.as_ref().map(|r| r.branch.clone()),
            secret: git.secret_ref.as_ref().map(|s| s.name.clone()),
            interval: git.interval,
            paths: !git.paths.is_empty(),
            environments,
            succeeded_limit: spec.retention.succeeded_limit,
            failed_limit: spec.retention.failed_limit,
            suspend: spec.suspend,
        }
    }
    pub fn question(&self) -> Question {
        Question::Head { url: self.url.clone(), branch: self.branch.clone(), secret: self.secret.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSeen {
    pub uid: String,
    pub created: Timestamp,
    /// None: of an image that another CI built, so it was not made by a Pipeline.
    pub commit: Option<CommitId>,
    /// Who it belongs to if not to this Pipeline.
    pub conflict: Option<String>,
    pub ended: Option<Ended>,
    pub version: Option<String>,
    pub images: Vec<BuiltImage>,
    pub waiting: Option<String>,
}

/// A Rollout, as far as this Pipeline's releases are concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSeen {
    /// It takes images from this Pipeline.
    pub names_us: bool,
    /// The highest sequence it took.
    pub taken: Option<i64>,
    /// The sequence that it serves.
    pub live: Option<i64>,
    /// What it serves is confirmed, and ready.
    pub healthy: bool,
    /// Sequences that it gave up.
    pub rejected: BTreeSet<i64>,
    /// Why it gave up, or what it waits for.
    pub message: Option<String>,
}
