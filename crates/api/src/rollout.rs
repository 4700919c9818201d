//! Rollout: a digest to live traffic.

mod memory;
mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use memory::{
    Checked, Failed, Handled, HistoryEntry, Mark, Measured, Memory, Outcome, Progress, Promoted, Restored, Taken,
    Unlisted,
};
pub use status::{CheckState, CheckStatus, Phase, RejectedStatus, ReleaseRef, RevisionStatus, RolloutStatus};

use crate::{Duration, check::Check, names, schema};

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
        .message("a Rollout's name becomes part of a Service's: at most 52 lower-case letters, digits and dashes, starting with a letter (DNS-1035)"),
    validation = Rule::new("!has(self.spec.service) || !has(self.spec.preview) || !has(self.spec.preview.serviceRef) || self.spec.preview.serviceRef.name != self.metadata.name")
        .message("preview: it must not be the live Service")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.images) || self.images.all(i, i.containers.all(n, self.template.spec.containers.exists(c, c.name == n) || (has(self.template.spec.initContainers) && self.template.spec.initContainers.exists(c, c.name == n))))")
        .message("images: a container named here is not in the template"),
    validation = Rule::new("self.template.spec.containers.exists(c, has(c.readinessProbe)) || (has(self.checks) && has(self.checks.preview) && self.checks.preview.size() > 0)")
        .message("template: no container has a readinessProbe and there is no preview check, so a new revision would count as good at its start"),
    validation = Rule::new("self.template.spec.containers.all(c, has(c.image) || (has(self.images) && self.images.exists(i, i.containers.exists(n, n == c.name))))")
        .message("template: a container without an image must be named in images"),
    validation = Rule::new("has(self.service) != has(self.serviceRef)")
        .message("exactly one of service (to be created) and serviceRef (exists already)"),
    validation = Rule::new("has(self.service) == has(oldSelf.service) && (!has(self.serviceRef) || !has(oldSelf.serviceRef) || self.serviceRef.name == oldSelf.serviceRef.name)")
        .message("which Service is live cannot be changed: make another Rollout"),
    validation = Rule::new("!has(self.preview) || !has(self.preview.serviceRef) || !has(self.serviceRef) || self.preview.serviceRef.name != self.serviceRef.name")
        .message("preview: it must not be the live Service"),
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTemplate>,
    /// The Service that carries live traffic: exists already. Its selector is the operator's from the first switch on,
    /// its ports stay its owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,
    /// A second Service, for people and tests: the next revision as soon as it has a ready pod, otherwise the live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    #[serde(default)]
    pub strategy: Strategy,
    #[serde(default, skip_serializing_if = "Checks::is_empty")]
    pub checks: Checks,
    /// Nothing new goes live; what is live is protected as ever, and a rollback still happens.
    #[serde(default)]
    pub paused: bool,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRef {
    /// In the Rollout's own namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.service) != has(self.serviceRef)")
        .message("preview: exactly one of service (to be created) and serviceRef (exists already)"),
)]
pub struct Preview {
    /// Created, and named as the Rollout with `-preview`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTemplate>,
    /// Exists already, without a selector of somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,
    /// How many pods the next revision has until its preview checks passed. Default: as many as it will need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<i32>,
}

/// What is measured of a revision. A check starts when every `job` listed before it has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!has(self.preview) || self.preview.all(c, self.preview.exists_one(d, d.name == c.name))")
        .message("checks.preview: two checks have the same name"),
    validation = Rule::new("!has(self.live) || self.live.all(c, self.live.exists_one(d, d.name == c.name))")
        .message("checks.live: two checks have the same name"),
)]
pub struct Checks {
    /// Before the switch, against the next revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub preview: Vec<Check>,
    /// After the switch; a failure sends the traffic back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub live: Vec<Check>,
}
impl Checks {
    pub fn is_empty(&self) -> bool {
        self.preview.is_empty() && self.live.is_empty()
    }
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
impl RolloutSpec {
    /// The ports that a revision is made for: those of the created Service. Of one that exists already they are not
    /// the Rollout's.
    pub fn ports(&self) -> &[ServicePort] {
        self.service.as_ref().map_or(&[], |s| &s.spec.ports)
    }
}
impl Rollout {
    /// The name of the live Service.
    pub fn live_service(&self) -> &str {
        let own = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.service_ref.as_ref().map_or(own, |r| &r.name)
    }
    /// The name of the preview Service.
    pub fn preview_service(&self) -> Option<String> {
        let preview = self.spec.preview.as_ref()?;
        let own = self.metadata.name.as_deref().unwrap_or_default();
        Some(preview.service_ref.as_ref().map_or_else(|| names::child(&[own, "preview"]), |r| r.name.clone()))
    }
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
    /// `Manual` waits for a Command of type Promote; the first revision does not.
    #[serde(default)]
    pub promotion: Promotion,
    /// How long the next revision has been ready and checked before it goes live.
    #[serde(default)]
    pub promote_after: Duration,
    /// From the confirmation of the new revision until the one before it may lose its pods; until then the way back
    /// is one write.
    #[serde(default = "five_minutes")]
    pub scale_down_delay: Duration,
    /// How long a revision that was given up keeps its pods, to be looked at.
    #[serde(default = "one_minute")]
    pub abort_scale_down_delay: Duration,
    #[serde(default)]
    pub drain: Drain,
}
fn one_minute() -> Duration {
    Duration::from_mins(1)
}
fn five_minutes() -> Duration {
    Duration::from_mins(5)
}
impl Default for BlueGreen {
    fn default() -> Self {
        Self {
            promotion: Promotion::default(),
            promote_after: Duration::default(),
            scale_down_delay: five_minutes(),
            abort_scale_down_delay: one_minute(),
            drain: Drain::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Promotion {
    #[default]
    Automatic,
    Manual,
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
