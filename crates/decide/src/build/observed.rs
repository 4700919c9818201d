//! Every fact about a Build.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    CommitId, Duration, Timestamp,
    build::{BuildSpec, BuiltImage, Failure, Memory},
};

use super::{Action, Question};
use crate::{Answer, Refusal, Version, pairs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    pub now: Timestamp,
    /// `namespace/name`.
    pub name: String,
    pub version: Version,
    pub order: Order,
    pub memory: Memory,
    /// The annotation that says it was started.
    pub marked_started: bool,
    /// The annotation that says how it ended.
    pub marked_result: Option<BuildResult>,
    /// By step and attempt.
    #[serde(with = "pairs")]
    pub jobs: BTreeMap<(Step, i32), Job>,
    #[serde(with = "pairs")]
    pub answers: BTreeMap<Question, Answer>,
    /// How the last round ended.
    pub refused: Option<(Action, Refusal)>,
}

/// The spec, as far as decisions need it. The API server refuses what cannot be parsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub commit: CommitId,
    pub checks: Vec<String>,
    pub images: Vec<ImageOrder>,
    pub timeout: Duration,
    pub retries: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageOrder {
    pub name: String,
    pub repository: String,
    /// The Secret that the operator asks the registry with.
    pub secret: Option<String>,
}

impl Order {
    pub fn parse(spec: &BuildSpec) -> Self {
        let image = |i: &switchyard_api::build::Image| ImageOrder {
            name: i.name.clone(),
            repository: i.repository.clone(),
            secret: i.secret_ref.as_ref().map(|s| s.name.clone()),
        };
        Self {
            commit: spec.source.git.commit.clone(),
            checks: spec.recipe.checks.iter().map(|c| c.name.clone()).collect(),
            images: spec.recipe.images.iter().map(image).collect(),
            timeout: spec.recipe.timeout,
            retries: spec.recipe.retries,
        }
    }
    pub fn checks(&self) -> impl Iterator<Item = Step> {
        self.checks.iter().map(|name| Step::Check(name.clone()))
    }
    pub fn images(&self) -> impl Iterator<Item = Step> {
        self.images.iter().map(|image| Step::Image(image.name.clone()))
    }
}

/// What one Job does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    Check(String),
    Image(String),
}
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(name) => write!(f, "check/{name}"),
            Self::Image(name) => write!(f, "image/{name}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub uid: String,
    /// Who it belongs to if not to this Build.
    pub conflict: Option<String>,
    /// Ended, and well.
    pub succeeded: bool,
    /// Ended, and not well: in the Job controller's words.
    pub failed: Option<String>,
    pub pod: Option<String>,
    /// Its pod was seen to the end, or is gone. A Job may be seen as ended before its pod is.
    pub pod_ended: bool,
    /// Why the pod was taken away: evicted, preempted, its node lost.
    pub lost: Option<String>,
    /// Why it cannot start, in the cluster's words.
    pub problem: Option<String>,
    /// In the order they run.
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub running: bool,
    pub ended: Option<ContainerEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEnd {
    pub exit_code: i32,
    /// The kubelet's word, such as `OOMKilled`: the only sign of that, since an exit code may be the program's own.
    pub reason: String,
    /// The termination message: a report of ours, or the last lines of somebody else's log.
    pub message: String,
}

/// How a Build ended, as it also stands in an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildResult {
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
    pub version: Option<String>,
    pub images: Vec<BuiltImage>,
    pub failure: Option<Failure>,
}

impl Observed {
    /// The attempt a step is at: the first, until something was remembered.
    pub fn attempt(memory: &Memory, step: &Step) -> i32 {
        memory.attempts.get(&step.to_string()).map_or(1, |a| a.number)
    }
    pub fn job(&self, memory: &Memory, step: &Step) -> Option<&Job> {
        self.jobs.get(&(step.clone(), Self::attempt(memory, step)))
    }
    pub fn question(&self, pushed: &BuiltImage) -> Question {
        let order = self.order.images.iter().find(|i| i.name == pushed.name);
        Question::Serves {
            image: pushed.name.clone(),
            repository: pushed.repository.clone(),
            tag: pushed.tags.first().cloned(),
            digest: pushed.digest.clone(),
            secret: order.and_then(|i| i.secret.clone()),
        }
    }
}
