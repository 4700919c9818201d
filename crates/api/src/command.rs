//! Command: what a person orders, with the API server's word for who.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Revision, Timestamp};

/// An order of a person to one object, for one revision of it. A record: created once, never changed, kept after it is
/// done. An admission policy of the chart holds that `user` is who created it, and that they have the right.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "switchyard.dev",
    version = "v1alpha1",
    kind = "Command",
    namespaced,
    status = "CommandStatus",
    derive = "PartialEq",
    shortname = "cmd",
    category = "switchyard",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.user"),
    printcolumn(name = "Revision", type_ = "string", json_path = ".spec.revision"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("the spec of a Command is immutable: make a new Command"),
    validation = Rule::new("self.type in ['Resume', 'Cancel'] || has(self.revision)")
        .message("revision: Promote, Abort, Retry and RollbackTo name the revision that they are meant for"),
    validation = Rule::new("!(self.type in ['Resume', 'Cancel']) || !has(self.revision)")
        .message("revision: a Resume or a Cancel is meant for no revision: leave it out"),
    validation = Rule::new("(self.type == 'Cancel') == (self.targetRef.kind == 'Build')")
        .message("type: a Build takes Cancel; a Rollout takes Promote, Abort, Retry, RollbackTo and Resume"),
)]
pub struct CommandSpec {
    /// Who orders it: the user name of the request that creates it, as `kubectl auth whoami` tells it.
    #[schemars(length(min = 1, max = 512))]
    pub user: String,
    pub target_ref: TargetRef,
    #[serde(rename = "type")]
    pub kind: CommandType,
    /// What it is meant for. Where the target has moved on from that, the Command does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// For people: a ticket, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// One object in the Command's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TargetRef {
    pub kind: TargetKind,
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// An object made again under the name has another.
    #[schemars(length(min = 1, max = 128))]
    pub uid: String,
}

/// Kinds whose controller obeys Commands: any other is refused at apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    Rollout,
    Build,
}
impl TargetKind {
    pub const ALL: [Self; 2] = [Self::Rollout, Self::Build];

    /// As rights name it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Rollout => "rollouts",
            Self::Build => "builds",
        }
    }
}

/// What can be ordered. Only what a controller obeys stands here, so that the rest is refused at apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CommandType {
    /// Let this revision go live.
    Promote,
    /// Give this revision up; if it is live and not confirmed, go back.
    Abort,
    /// Try this revision again, which was given up.
    Retry,
    /// Go back to this revision and stay there until Resume.
    RollbackTo,
    /// Let new revisions go live again.
    Resume,
    /// End this Build.
    Cancel,
}
impl CommandType {
    pub const ALL: [Self; 6] = [Self::Promote, Self::Abort, Self::Retry, Self::RollbackTo, Self::Resume, Self::Cancel];

    /// The right that it takes on the target, beside `create` on commands.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::RollbackTo => "rollback",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

/// What became of a Command. Written by the operator alone; once it is handled, never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("oldSelf.state == 'Pending' || self == oldSelf").message("the Command is handled: its status is final"),
    validation = Rule::new("(self.state == 'Pending') != has(self.handledTime)").message("handledTime: stands with every state but Pending"),
)]
pub struct CommandStatus {
    pub state: CommandState,
    /// In a sentence, what was done, why not, or what it waits for.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When it was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_time: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CommandState {
    /// Accepted, and not over.
    Pending,
    /// It was obeyed.
    Done,
    /// It cannot be obeyed, and never will be.
    Refused,
    /// It is meant for something that is no more. It did nothing.
    Stale,
}
impl CommandState {
    /// Nothing happens to it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending => false,
            Self::Done | Self::Refused | Self::Stale => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;

    fn schema(part: &str) -> Value {
        let crd = serde_json::to_value(Command::crd()).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part].clone()
    }

    /// What of `schema` has no bound: strings, and lists.
    fn unbounded(path: &str, schema: &Value, found: &mut Vec<String>) {
        let bounded = |keys: &[&str]| keys.iter().any(|key| schema[*key].is_array() || schema[*key].is_number());
        match schema["type"].as_str() {
            Some("string") if !bounded(&["maxLength", "enum"]) && schema["format"].is_null() => {
                found.push(path.to_owned());
            }
            Some("array") if !bounded(&["maxItems"]) => found.push(path.to_owned()),
            _ => {}
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(&format!("{path}.{name}"), below, found);
        }
    }

    #[test]
    fn every_string_has_a_bound() {
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            unbounded(part, &schema(part), &mut found);
        }
        assert_eq!(found, [""; 0]);
        unbounded("x", &json!({"type": "object", "properties": {"y": {"type": "string"}}}), &mut found);
        assert_eq!(found, ["x.y"]);
    }

    #[test]
    fn the_lists_of_types_and_kinds_are_whole() {
        let spec = schema("spec");
        assert_eq!(spec["properties"]["type"]["enum"], json!(CommandType::ALL));
        assert_eq!(spec["properties"]["targetRef"]["properties"]["kind"]["enum"], json!(TargetKind::ALL));
    }

    #[test]
    fn it_reads_as_people_write_it() {
        let spec: CommandSpec = serde_json::from_value(json!({
            "user": "alice", "type": "RollbackTo", "revision": "k7w2m9xq4b", "reason": "INC-42",
            "targetRef": {"kind": "Rollout", "name": "shop", "uid": "u-1"},
        }))
        .unwrap();
        assert_eq!((spec.kind.verb(), spec.target_ref.kind.resource()), ("rollback", "rollouts"));
        assert_eq!(spec.revision.unwrap().as_str(), "k7w2m9xq4b");
    }
}
