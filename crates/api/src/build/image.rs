//! What a Build makes of the source, and what must hold of it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;
use crate::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Registry and path, without a tag.
    #[schemars(
        length(min = 3, max = 255),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$")
    )]
    pub repository: String,
    /// With $(version), $(branch), $(short), $(commit). Default: $(version) if there is a rule, and $(branch)-$(short).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub tags: Vec<String>,
    /// The credential to push: a Secret of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    #[serde(default)]
    pub dockerfile: Dockerfile,
    /// What to build for. One, for now. Default: what the node is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1), inner(length(max = 64), regex(pattern = r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$")))]
    pub platforms: Vec<String>,
    /// Keeps the layers of RUN and COPY for the next Build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<LayerCache>,
}

/// Where Kaniko keeps layers. It must push there, and what Kaniko holds, a RUN line can read: so give it a repository
/// and a credential that are good for nothing else, and where strangers' commits are built, none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerCache {
    /// Registry and path, without a tag.
    #[schemars(
        length(min = 3, max = 255),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$")
    )]
    pub repository: String,
    /// A Secret of type kubernetes.io/dockerconfigjson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// How old a layer may be.
    #[serde(default = "two_weeks")]
    pub ttl: Duration,
}
fn two_weeks() -> Duration {
    Duration::from_mins(14 * 24 * 60)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dockerfile {
    /// From the root of the source.
    #[serde(default = "dockerfile")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.startsWith('-') && !self.contains('..')").message("dockerfile.path: a path inside the source"))]
    pub path: String,
    /// The folder that COPY sees, from the root of the source.
    #[serde(default = "dot")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.startsWith('-') && !self.contains('..')").message("dockerfile.context: a path inside the source"))]
    pub context: String,
    /// The stage to build. Default: the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"))]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub args: Vec<BuildArg>,
}
fn dockerfile() -> String {
    "Dockerfile".to_owned()
}
fn dot() -> String {
    ".".to_owned()
}
impl Default for Dockerfile {
    fn default() -> Self {
        Self { path: dockerfile(), context: dot(), target: None, args: vec![] }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuildArg {
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Has Trivy look for known vulnerabilities before an image is pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scan {
    /// A finding of one of these ends the Build. An empty list only reports.
    #[serde(default = "critical_and_high")]
    #[schemars(length(max = 5))]
    pub fail_on: Vec<Severity>,
    /// Findings that no version of the package mends do not count.
    #[serde(default)]
    pub ignore_unfixed: bool,
    /// A `.trivyignore` in the source, from its root. Whoever may commit may then waive a finding: by default no file of
    /// the source counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.startsWith('-') && !self.contains('..')").message("scan.ignoreFile: a path inside the source"))]
    pub ignore_file: Option<String>,
}
fn critical_and_high() -> Vec<Severity> {
    vec![Severity::Critical, Severity::High]
}

/// As Trivy rates a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
    Unknown,
}
impl Severity {
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Unknown];

    /// As Trivy writes it.
    pub fn as_trivy(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
            Self::Unknown => "UNKNOWN",
        }
    }
}
