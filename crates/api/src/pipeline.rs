//! Pipeline: from a push to every environment.

use std::collections::{BTreeMap, BTreeSet};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CommitId, Duration, Timestamp,
    build::{BuiltImage, Paths, Recipe, SecretRef, Submodules},
    condition::Condition,
    schema,
};

/// Watches a branch, makes one Build of each new head, and releases what succeeded to one environment after the other.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchyard.dev",
    version = "v1alpha1",
    kind = "Pipeline",
    namespaced,
    status = "PipelineStatus",
    derive = "PartialEq",
    shortname = "pl",
    category = "switchyard",
    category = "all",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.shortCommit"),
    printcolumn(name = "Environments", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Waiting for", type_ = "string", json_path = ".status.waitingFor[0]"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a Pipeline's name becomes part of its Builds': at most 40 lower-case letters, digits and dashes, starting with a letter")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.environments.all(e, self.environments.filter(f, f.name == e.name).size() == 1)")
        .message("environments: two have the same name"),
    validation = Rule::new("self.environments.all(e, !has(e.after) || e.after.environments.all(a, a != e.name && self.environments.filter(f, f.name == a || f.name == e.name)[0].name == a))")
        .message("environments: after names an environment that is not listed earlier"),
    validation = Rule::new("has(self.build.images) && self.build.images.size() > 0").message("build.images: name at least one to build"),
)]
pub struct PipelineSpec {
    pub source: Source,
    pub build: Recipe,
    /// Each waits for the one before it, unless `after` says otherwise.
    #[schemars(length(min = 1, max = 16))]
    pub environments: Vec<Environment>,
    #[serde(default)]
    pub retention: Retention,
    /// No new Build and no new release; what runs finishes.
    #[serde(default)]
    pub suspend: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    pub git: GitSource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitSource {
    /// http, https or ssh.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^(https?|ssh)://[^-]') || self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^-]')").message("url: http, https and ssh only"))]
    pub url: String,
    /// Default: the branch that the remote's HEAD names.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitRef>,
    /// kubernetes.io/basic-auth, or kubernetes.io/ssh-auth with known_hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// How often the branch is looked at.
    #[serde(default = "one_minute")]
    pub interval: Duration,
    #[serde(default)]
    pub submodules: Submodules,
    /// Which changes are built. A head that changes nothing else since the last that was built well is Skipped.
    #[serde(default, skip_serializing_if = "Paths::is_empty")]
    pub paths: Paths,
}
fn one_minute() -> Duration {
    Duration::from_mins(1)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct GitRef {
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.startsWith('-')").message("branch: may not start with a dash"))]
    pub branch: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The Rollouts that make up this environment: live when all are.
    #[schemars(length(min = 1, max = 16))]
    pub rollout_refs: Vec<RolloutRef>,
    /// What must have gone well before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RolloutRef {
    #[schemars(length(min = 1, max = 52))]
    pub name: String,
    /// Default: the Pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct After {
    /// The release was live and healthy in each of these. Only environments listed earlier.
    #[schemars(length(max = 16), inner(length(min = 1, max = 30)))]
    pub environments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// How many succeeded Builds are kept, beside those an environment refers to.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    pub succeeded_limit: i32,
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 100))]
    pub failed_limit: i32,
}
fn ten() -> i32 {
    10
}
fn five() -> i32 {
    5
}
impl Default for Retention {
    fn default() -> Self {
        Self { succeeded_limit: ten(), failed_limit: five() }
    }
}

/// What the operator wrote about a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    #[serde(default)]
    pub observed_generation: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The version of the newest good build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_commit: Option<String>,
    /// Every environment in one line: `staging 1.4.0, production 1.3.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// What each environment is to run. Rollouts that name this Pipeline take it from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentStatus>,
    /// In sentences, what would make it move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    #[serde(default)]
    pub memory: Memory,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    #[serde(rename = "ref")]
    pub reference: String,
    pub commit: CommitId,
    pub seen_time: Timestamp,
}

/// An environment is to run this build.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    pub environment: String,
    /// Counts up through all releases of this Pipeline.
    pub sequence: i64,
    pub build: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub commit: CommitId,
    pub images: Vec<BuiltImage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    pub name: String,
    pub state: EnvironmentState,
    /// The build it is to run, and the one it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnvironmentState {
    /// Nothing was released to it yet.
    Empty,
    /// A release is on its way.
    Releasing,
    /// The release serves.
    Live,
    /// The release was given up; what served before still does.
    Rejected,
}

/// What the operator must remember, and the only part of status that it reads back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// The newest head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The last head that a Build was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<Built>,
    /// Builds that succeeded, oldest first; the last ten, and those an environment refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// The last sequence given.
    #[serde(default)]
    pub sequence: i64,
    /// By environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, EnvironmentMemory>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    pub branch: String,
    pub commit: CommitId,
    pub seen: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Built {
    pub commit: CommitId,
    pub branch: String,
    pub build: String,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    pub succeeded: bool,
    /// It built nothing, since nothing of the wanted paths changed: neither good nor bad.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Why not, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    pub build: String,
    pub commit: CommitId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub images: Vec<BuiltImage>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentMemory {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The build that every Rollout was last seen to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// Builds that were live and healthy here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub proved: BTreeSet<String>,
    /// Builds that a Rollout gave up here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rejected: BTreeSet<String>,
}
