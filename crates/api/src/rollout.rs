//! Rollout: a digest to live traffic.

use std::collections::{BTreeMap, BTreeSet};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommitId, Duration, Revision, Timestamp, condition::Condition, schema};

/// Runs one application behind one Service and moves its traffic from revision to revision without a failed request.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchyard.dev",
    version = "v1alpha1",
    kind = "Rollout",
    namespaced,
    status = "RolloutStatus",
    derive = "PartialEq",
    shortname = "ro",
    category = "switchyard",
    category = "all",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Live", type_ = "string", json_path = ".status.live.revision"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.next.revision"),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.live.since"),
    printcolumn(name = "Waiting for", type_ = "string", json_path = ".status.waitingFor[0]"),
    validation = Rule::new("self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a Rollout's name becomes part of a Service's: at most 52 lower-case letters, digits and dashes, starting with a letter (DNS-1035)")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.images) || self.images.all(i, i.containers.all(n, self.template.spec.containers.exists(c, c.name == n) || (has(self.template.spec.initContainers) && self.template.spec.initContainers.exists(c, c.name == n))))")
        .message("images: a container named here is not in the template"),
    validation = Rule::new("self.template.spec.containers.exists(c, has(c.readinessProbe))")
        .message("template: no container has a readinessProbe, so a new revision would count as ready at its start"),
    validation = Rule::new("self.template.spec.containers.all(c, has(c.image) || (has(self.images) && self.images.exists(i, i.containers.exists(n, n == c.name))))")
        .message("template: a container without an image must be named in images"),
)]
pub struct RolloutSpec {
    /// How many pods serve. A HorizontalPodAutoscaler may own this through the scale subresource.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Containers whose image a Pipeline releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub images: Vec<ReleasedImage>,
    #[schemars(schema_with = "schema::template")]
    pub template: Value,
    /// The Service that carries live traffic: created, and named as the Rollout.
    pub service: ServiceTemplate,
    #[serde(default)]
    pub strategy: Strategy,
    /// How long a new revision may make no progress (a pod more that is ready) before it is given up.
    #[serde(default = "ten_minutes")]
    pub progress_deadline: Duration,
    /// Revisions without pods that are kept to go back to.
    #[serde(default = "five")]
    #[schemars(range(min = 0, max = 50))]
    pub revision_history_limit: i32,
    /// What happens to the children when the Rollout is deleted. `Orphan` leaves live traffic alone.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn one() -> i32 {
    1
}
fn five() -> i32 {
    5
}
fn ten_minutes() -> Duration {
    Duration::from_mins(10)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedImage {
    /// Containers and init containers that get the image.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub containers: Vec<String>,
    pub pipeline_ref: PipelineRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineRef {
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Default: the Rollout's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Which of the Pipeline's images. Default: its only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub image: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTemplate {
    #[serde(default, skip_serializing_if = "ServiceMetadata::is_empty")]
    pub metadata: ServiceMetadata,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceMetadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::string_map")]
    pub labels: BTreeMap<String, String>,
}
impl ServiceMetadata {
    fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.labels.is_empty()
    }
}

/// A ServiceSpec without selector, which is the operator's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.type) || self.type in ['ClusterIP', 'NodePort', 'LoadBalancer']")
        .message("service.spec.type: an ExternalName selects no pods"),
    validation = Rule::new("self.ports.size() == 1 || self.ports.all(p, has(p.name))")
        .message("service.spec.ports: several ports need names"),
)]
pub struct ServiceSpec {
    #[schemars(length(min = 1, max = 16))]
    pub ports: Vec<ServicePort>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub kind: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub name: Option<String>,
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// A number or the name of a container's port. Default: `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::int_or_string")]
    pub target_port: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub app_protocol: Option<String>,
}
impl ServicePort {
    /// As the user wrote it: what they left out stays out.
    pub fn as_written(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    #[serde(rename = "type", default)]
    pub kind: StrategyType,
    #[serde(default)]
    pub blue_green: BlueGreen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    #[default]
    BlueGreen,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// From the confirmation of the new revision until the one before it may lose its pods; until then the way back
    /// is one write.
    #[serde(default = "five_minutes")]
    pub scale_down_delay: Duration,
    #[serde(default)]
    pub drain: Drain,
}
fn five_minutes() -> Duration {
    Duration::from_mins(5)
}
impl Default for BlueGreen {
    fn default() -> Self {
        Self { scale_down_delay: five_minutes(), drain: Drain::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long a revision keeps its pods after the last Service or endpoint slice named them.
    #[serde(default = "thirty_seconds")]
    pub duration: Duration,
    /// `Inject` gives containers without a preStop hook a sleep of 5 s, so that connections opened while endpoints
    /// travel to every node are still answered.
    #[serde(default)]
    pub pre_stop: PreStop,
}
fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}
impl Default for Drain {
    fn default() -> Self {
        Self { duration: thirty_seconds(), pre_stop: PreStop::default() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PreStop {
    #[default]
    Inject,
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Orphan,
}

/// What the operator wrote about a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    #[serde(default)]
    pub observed_generation: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// For people only: the conditions are for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// In sentences, what would make it move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// What serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<RevisionStatus>,
    /// What is on its way to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<RevisionStatus>,
    /// The version of what serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Ready and wanted pods of what serves, `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// Pods of the live revision, and their selector: what a HorizontalPodAutoscaler reads.
    #[serde(default)]
    pub replicas: i32,
    #[serde(default)]
    pub ready_replicas: i32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Revisions that were tried and given up; not tried again by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedStatus>,
    #[serde(default)]
    pub memory: Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    Pending,
    Deploying,
    Switching,
    Confirming,
    Healthy,
    RollingBack,
    Degraded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    pub revision: Revision,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
    /// Pods that its endpoint slices list as ready.
    pub ready: i32,
    pub wanted: i32,
    /// Since when it holds this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// It was live and passed everything.
    #[serde(default)]
    pub confirmed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedStatus {
    pub revision: Revision,
    pub reason: String,
    pub message: String,
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseRef>,
}

/// Which release of which Pipeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRef {
    /// `namespace/name` of the Pipeline.
    pub pipeline: String,
    pub pipeline_uid: String,
    /// Counts up; from one Pipeline only a higher one is taken.
    pub sequence: i64,
    pub build: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub commit: CommitId,
}

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
