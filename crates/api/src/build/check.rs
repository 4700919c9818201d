//! What a Build runs on the source before it builds anything.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SecretKeyRef;
use crate::{Duration, schema};

/// One check of the source. All run side by side, but for those that come `after` others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.job) != has(self.sonarQube)").message("a check is exactly one of job and sonarQube"),
    validation = Rule::new("!has(self.artifacts) || has(self.job)").message("artifacts: only a job leaves any"),
)]
pub struct Check {
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<CheckJob>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sonar_qube: Option<SonarQube>,
    /// It starts once these passed, with what they left as `artifacts`. Only checks listed earlier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 15), inner(length(min = 1, max = 30)))]
    pub after: Vec<String>,
    /// Files and folders below the source, kept for the checks that come `after` this one: 64 MiB in all, before
    /// compression. Kept in the repository of the first image, by that image's push credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_.@+-][A-Za-z0-9_.@+/ -]*$"))
    )]
    pub artifacts: Vec<String>,
}

/// A container that runs in the root of the source; exit 0 passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckJob {
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    #[schemars(length(min = 1, max = 64), inner(length(max = 8192)))]
    pub command: Vec<String>,
    /// As in a container (core/v1 EnvVar).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_objects")]
    pub env: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_objects")]
    pub env_from: Vec<Value>,
    /// As in a container (core/v1 ResourceRequirements).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::opaque_object")]
    pub resources: Option<Value>,
    /// What the check talks to, such as a database: beside it in its pod, so at localhost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub services: Vec<CheckService>,
}

/// A container that runs for as long as the check does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckService {
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// Default: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 8192)))]
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::opaque_objects")]
    pub env: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::opaque_object")]
    pub resources: Option<Value>,
    /// The check starts once something listens on this port of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// Has the source analysed by a SonarQube server, and passes if its quality gate does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SonarQube {
    /// http or https, with the server's web context if it has one.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^-]')").message("sonarQube.url: http and https only"))]
    pub url: String,
    #[schemars(length(min = 1, max = 400), regex(pattern = r"^[A-Za-z0-9_.:-]*[A-Za-z_.:-][A-Za-z0-9_.:-]*$"))]
    pub project_key: String,
    pub token: SecretValue,
    /// Properties of the scanner (`-Dkey=value`), beside those that are set here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub properties: Vec<ScannerProperty>,
    /// How long the server may take to compute the gate after the scanner sent its report.
    #[serde(default = "five_minutes")]
    pub timeout: Duration,
    /// As in a container (core/v1 ResourceRequirements): of the scanner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::opaque_object")]
    pub resources: Option<Value>,
}
fn five_minutes() -> Duration {
    Duration::from_mins(5)
}

/// One `-Dkey=value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct ScannerProperty {
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^sonar\.[A-Za-z0-9_.]+$"))]
    #[x_kube(validation = Rule::new("!(self in ['sonar.token', 'sonar.login', 'sonar.password', 'sonar.host.url', 'sonar.projectKey', 'sonar.projectBaseDir', 'sonar.working.directory'])").message("properties: this one is set by Switchyard"))]
    pub name: String,
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// A value that stands in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    pub secret_key_ref: SecretKeyRef,
}
