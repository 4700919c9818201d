//! Build: a commit to digests.

mod check;
mod image;
mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use check::{Check, CheckJob, CheckService, ScannerProperty, SecretValue, SonarQube};
pub use image::{BuildArg, Dockerfile, Image, LayerCache, Scan, Severity};
pub use status::{
    Attempt, BuildStatus, BuiltImage, Class, Failure, Memory, Phase, Run, ScanStatus, StepState, StepStatus,
};

use crate::{CommitId, Digest, Duration, schema};

/// Tests one commit and builds its images, once. Complete and immutable: a Build made by hand works without a Pipeline.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchyard.dev",
    version = "v1alpha1",
    kind = "Build",
    namespaced,
    status = "BuildStatus",
    derive = "PartialEq",
    shortname = "bld",
    category = "switchyard",
    category = "all",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.shortCommit"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.duration"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Waiting for", type_ = "string", json_path = ".status.waitingFor[0]", priority = "0")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("the spec of a Build is immutable: make a new Build"),
    validation = Rule::new("has(self.source.registry) || (has(self.images) && self.images.size() > 0)")
        .message("images: name at least one to build"),
    validation = Rule::new("!has(self.source.registry) || ((!has(self.images) || self.images.size() == 0) && (!has(self.checks) || self.checks.size() == 0) && !has(self.version))")
        .message("source.registry: what another CI built is scanned and accepted, not built: no images, checks or version"),
)]
pub struct BuildSpec {
    pub source: BuildSource,
    #[serde(flatten)]
    pub recipe: Recipe,
}

/// Where the source is, or the image that another CI built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.git) != has(self.registry)").message("source: exactly one of git and registry"))]
pub struct BuildSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitCommit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryImage>,
}

/// An image that is in its registry already: scanned and accepted, not built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryImage {
    /// What Rollouts call it.
    #[serde(default = "image_name")]
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Registry and path, without a tag.
    #[schemars(
        length(min = 3, max = 255),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$")
    )]
    pub repository: String,
    pub digest: Digest,
    /// To read it, and where it may push, to attach what the scan found: a Secret of type
    /// kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}
fn image_name() -> String {
    "image".to_owned()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitCommit {
    /// http, https or ssh.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^(https?|ssh)://[^-]') || self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^-]')").message("url: http, https and ssh only"))]
    pub url: String,
    pub commit: CommitId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.startsWith('-')").message("branch: may not start with a dash"))]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    #[serde(default)]
    pub submodules: Submodules,
    /// The last commit that was built well: `paths` are compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<CommitId>,
    #[serde(default, skip_serializing_if = "Paths::is_empty")]
    pub paths: Paths,
}

/// What is done about the submodules of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Submodules {
    #[default]
    None,
    /// All of them, and theirs. The credential goes only to the host of the source itself.
    Recursive,
}

/// Which changes matter: a Build of others is Skipped. Patterns as in .gitignore, from the root of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Paths {
    /// Default: every path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub include: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub exclude: Vec<String>,
}
impl Paths {
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// A Secret in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// What a Build does with its source. A Pipeline's `build` is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.checks) || self.checks.all(c, self.checks.filter(d, d.name == c.name).size() == 1)")
        .message("checks: two have the same name"),
    validation = Rule::new("!has(self.checks) || self.checks.all(c, !has(c.after) || c.after.all(a, a != c.name && self.checks.exists(d, d.name == a) && self.checks.filter(d, d.name == a || d.name == c.name)[0].name == a))")
        .message("checks: after names a check that is not listed earlier"),
    validation = Rule::new("!has(self.images) || self.images.all(i, self.images.filter(j, j.name == i.name).size() == 1)")
        .message("images: two have the same name"),
)]
pub struct Recipe {
    /// How the version is found. Without it images are tagged by branch and commit only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRule>,
    /// Run on the source, side by side; images start once all passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub checks: Vec<Check>,
    /// One per Dockerfile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub images: Vec<Image>,
    /// For base images and the images of checks; never used to push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<SecretRef>,
    /// Default: what the installation says, which is no scan unless the chart sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    #[serde(default, skip_serializing_if = "PodSettings::is_default")]
    pub pod: PodSettings,
    /// For the whole Build, retries included.
    #[serde(default = "thirty_minutes")]
    pub timeout: Duration,
    /// How often a step that failed for reasons of the infrastructure is tried again.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
}
fn thirty_minutes() -> Duration {
    Duration::from_mins(30)
}
fn two() -> i32 {
    2
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionRule {
    pub conventional_commits: ConventionalCommits,
}

/// The highest reachable tag, raised by the commits since (Conventional Commits 1.0.0, SemVer 2.0.0).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConventionalCommits {
    #[serde(default = "v")]
    #[schemars(length(max = 32), regex(pattern = r"^[A-Za-z0-9._/]*$"))]
    pub tag_prefix: String,
}
fn v() -> String {
    "v".to_owned()
}

/// Where and how the pods of a Build run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_objects")]
    pub tolerations: Vec<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub runtime_class_name: Option<String>,
    /// Of the container that runs Kaniko.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::opaque_object")]
    pub resources: Option<Value>,
}
impl PodSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
