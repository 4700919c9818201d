//! Every fact about a Build.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    CommitId, Digest, Duration, Timestamp,
    build::{BuildSpec, BuiltImage, Failure, Memory, ScanStatus},
};

use super::{Action, Question, classify::SERVICE};
use crate::{Answer, Measured, Mistake, Refusal, Version, pairs};

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
    /// By step and attempt: of every attempt that `retries` allow, since a lost status forgets which were made.
    #[serde(with = "pairs")]
    pub jobs: BTreeMap<(Step, i32), Job>,
    /// Those that name this Build's uid and were not answered yet, in the order they were given.
    pub commands: Vec<Command>,
    #[serde(with = "pairs")]
    pub answers: BTreeMap<Question, Answer>,
    /// How the last round ended.
    pub refused: Option<(Action, Refusal)>,
}

/// What a person ordered.
pub type Command = crate::command::Command<CommandOrder>;

/// What is ordered of a Build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommandOrder {
    Cancel,
}

/// The spec, as far as decisions need it, and what the installation adds to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub source: Source,
    pub checks: Vec<CheckOrder>,
    /// Those to build; of an image that another CI built, that one.
    pub images: Vec<ImageOrder>,
    /// An image counts only once the scan let it pass.
    pub scanned: bool,
    pub timeout: Duration,
    pub retries: i32,
    /// Where the log of a container is once its pod is gone: with `{namespace}`, `{pod}` and `{container}`.
    pub log_url: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Commit(CommitId),
    /// It is in its registry already, and is scanned and accepted.
    Image {
        digest: Digest,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOrder {
    pub name: String,
    /// Checks that pass before it starts.
    pub after: Vec<String>,
    /// It leaves artifacts for others.
    pub keeps: bool,
    /// Its verdict is the quality gate of a SonarQube server.
    pub gate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOrder {
    pub name: String,
    pub repository: String,
    /// The Secret that the operator asks the registry with.
    pub secret: Option<String>,
}

impl Order {
    /// `scans`: the installation has a scan for Builds that name none. The API server refuses what is a mistake here.
    pub fn parse(spec: &BuildSpec, scans: bool, log_url: Option<&str>) -> Result<Self, Mistake> {
        let check = |c: &switchyard_api::build::Check| CheckOrder {
            name: c.name.clone(),
            after: c.after.clone(),
            keeps: !c.artifacts.is_empty(),
            gate: c.sonar_qube.is_some(),
        };
        let image = |i: &switchyard_api::build::Image| ImageOrder {
            name: i.name.clone(),
            repository: i.repository.clone(),
            secret: i.secret_ref.as_ref().map(|s| s.name.clone()),
        };
        let (source, images) = match (&spec.source.git, &spec.source.registry) {
            (Some(git), None) => (Source::Commit(git.commit.clone()), spec.recipe.images.iter().map(image).collect()),
            (None, Some(there)) => {
                let secret = there.secret_ref.as_ref().map(|s| s.name.clone());
                let image = ImageOrder { name: there.name.clone(), repository: there.repository.clone(), secret };
                (Source::Image { digest: there.digest.clone() }, vec![image])
            }
            (git, _) => {
                return Err(Mistake {
                    field: "source".to_owned(),
                    value: if git.is_some() { "git and registry" } else { "" }.to_owned(),
                    fix: "name exactly one of git and registry".to_owned(),
                });
            }
        };
        Ok(Self {
            source,
            checks: spec.recipe.checks.iter().map(check).collect(),
            images,
            scanned: spec.recipe.scan.is_some() || scans,
            timeout: spec.recipe.timeout,
            retries: spec.recipe.retries,
            log_url: log_url.filter(|t| !t.is_empty()).map(str::to_owned),
        })
    }
    pub fn checks(&self) -> impl Iterator<Item = Step> {
        self.checks.iter().map(|check| Step::Check(check.name.clone()))
    }
    /// The images that have a Job: one that is accepted without a scan has none.
    pub fn images(&self) -> impl Iterator<Item = Step> {
        let work = match &self.source {
            Source::Commit(_) => true,
            Source::Image { .. } => self.scanned,
        };
        self.images.iter().filter(move |_| work).map(|image| Step::Image(image.name.clone()))
    }
    /// Everything that has a Job.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.checks().chain(self.images())
    }
    pub fn commit(&self) -> Option<&CommitId> {
        match &self.source {
            Source::Commit(commit) => Some(commit),
            Source::Image { .. } => None,
        }
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
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    /// Who it belongs to if not to this Build.
    pub conflict: Option<String>,
    /// It was told to end: by a Stop, or by whoever deletes it.
    pub stopped: bool,
    /// Ended, and well.
    pub succeeded: bool,
    /// Ended, and not well: in the Job controller's words.
    pub failed: Option<String>,
    pub pod: Option<String>,
    /// Its pod was seen to the end, or is gone. A Job may be seen as ended before its pod is: where it is, and no pod is
    /// known, pods are looked for past the cache first.
    pub pod_ended: bool,
    /// Why the pod was taken away: evicted, preempted, its node lost.
    pub lost: Option<String>,
    /// Why it cannot start, as its pod's status tells.
    pub problem: Option<Problem>,
    /// In the order they run.
    pub containers: Vec<Container>,
}
impl Job {
    /// Nothing of it will run any more.
    pub fn has_ended(&self) -> bool {
        self.succeeded || self.failed.is_some()
    }
    /// Something of it ran.
    pub fn has_begun(&self) -> bool {
        self.containers.iter().any(|c| c.running || c.ended.is_some())
    }
    /// Nothing of it runs but what a check talks to, and something is still to start.
    pub fn is_starting(&self) -> bool {
        let mut steps = self.containers.iter().filter(|c| !c.name.starts_with(SERVICE));
        let mut all = steps.clone();
        !self.has_ended() && !steps.any(|c| c.running) && (self.containers.is_empty() || all.any(|c| c.ended.is_none()))
    }
    /// Since when nothing more of it started or ended: of what ran, by the kubelet's clock.
    pub fn still_since(&self) -> Timestamp {
        let times = self.containers.iter().flat_map(|c| [c.started, c.finished]).flatten();
        times.fold(self.created, Ord::max)
    }
}

/// Why a pod does not start: one of the reasons in [`super::REASONS`], and the cluster's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    pub reason: String,
    pub message: String,
    /// The cluster tries again by itself: it is told, and nothing follows from it yet.
    #[serde(default)]
    pub may_pass: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub running: bool,
    /// By the kubelet's clock.
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BuildResult {
    pub started: Option<Timestamp>,
    pub finished: Timestamp,
    pub version: Option<String>,
    pub images: Vec<BuiltImage>,
    #[serde(default)]
    pub scans: Vec<ScanStatus>,
    #[serde(default)]
    pub skipped: bool,
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
    /// A Job of another attempt at this step has not ended yet.
    pub fn lingers(&self, memory: &Memory, step: &Step) -> bool {
        let attempt = Self::attempt(memory, step);
        self.jobs.iter().any(|((s, n), job)| s == step && *n != attempt && job.conflict.is_none() && !job.has_ended())
    }
    /// What the registry is asked about an image.
    pub fn serves(&self, pushed: &BuiltImage) -> Question {
        let order = self.order.images.iter().find(|i| i.name == pushed.name);
        Question::Serves {
            image: pushed.name.clone(),
            repository: pushed.repository.clone(),
            tag: pushed.tags.first().cloned(),
            digest: pushed.digest.clone(),
            secret: order.and_then(|i| i.secret.clone()),
        }
    }
    /// What the cluster is asked about a Job that does not start.
    pub fn why(job: &Job) -> Question {
        Question::Why { job: job.name.clone(), uid: job.uid.clone(), pod: job.pod.clone() }
    }
    /// What keeps this Job from starting, by its pod's status or by what the cluster answered.
    pub fn problem<'a>(&'a self, job: &'a Job) -> Option<&'a Problem> {
        if job.has_ended() {
            return None;
        }
        job.problem.as_ref().or_else(|| match self.answers.get(&Self::why(job)).filter(|_| job.is_starting()) {
            Some(Answer::Known { value: Measured::Problem(problem), .. }) => problem.as_ref(),
            Some(Answer::Known { .. } | Answer::Unreachable { .. }) | None => None,
        })
    }
}
