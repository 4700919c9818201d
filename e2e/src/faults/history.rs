//! What etcd held, one revision after the other.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

/// One key's value at one revision.
#[derive(Clone, Debug)]
pub struct Change {
    /// Of etcd: also the object's resourceVersion.
    pub revision: i64,
    /// When it was heard of, since the observer began.
    pub at: Duration,
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    /// None: deleted.
    pub object: Option<Arc<Value>>,
}

/// What a judge looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Service,
    Slice,
    Pod,
    Deployment,
    Job,
    Rollout,
    Build,
    Command,
}

impl Kind {
    /// By the key under which the API server keeps it.
    fn of(key: &str) -> Option<(Self, &str, &str)> {
        let kinds = [
            ("/registry/services/specs/", Self::Service),
            ("/registry/endpointslices/", Self::Slice),
            ("/registry/pods/", Self::Pod),
            ("/registry/deployments/", Self::Deployment),
            ("/registry/jobs/", Self::Job),
            ("/registry/switchyard.dev/rollouts/", Self::Rollout),
            ("/registry/switchyard.dev/builds/", Self::Build),
            ("/registry/switchyard.dev/commands/", Self::Command),
        ];
        let (rest, kind) = kinds.iter().find_map(|(prefix, kind)| Some((key.strip_prefix(prefix)?, *kind)))?;
        let (namespace, name) = rest.split_once('/')?;
        Some((kind, namespace, name))
    }
}

/// Objects of one namespace as they were after some revision.
#[derive(Clone, Debug, Default)]
pub struct State(BTreeMap<(Kind, String), Arc<Value>>);

impl State {
    pub fn apply(&mut self, change: &Change) {
        let key = (change.kind, change.name.clone());
        match &change.object {
            Some(object) => self.0.insert(key, object.clone()),
            None => self.0.remove(&key),
        };
    }

    pub fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.0.get(&(kind, name.to_owned())).map(AsRef::as_ref)
    }

    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter(move |((k, _), _)| *k == kind).map(|((_, name), object)| (name.as_str(), object.as_ref()))
    }
}

/// A line of etcd's answer to a watch, as its JSON gateway writes it.
#[derive(Deserialize)]
pub struct Line {
    result: WatchResult,
}

#[derive(Deserialize)]
struct WatchResult {
    header: Header,
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    canceled: bool,
}

#[derive(Deserialize)]
struct Header {
    revision: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    kv: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    key: k8s_openapi::ByteString,
    #[serde(default)]
    value: k8s_openapi::ByteString,
    mod_revision: String,
}

/// What a line says: the revision that etcd is at, and what changed. An error where it is not what was asked for.
pub fn read(line: &str, at: Duration) -> anyhow::Result<(i64, Vec<Change>)> {
    let Line { result } = serde_json::from_str(line)?;
    anyhow::ensure!(!result.canceled, "etcd ended the watch: {line}");
    let mut changes = Vec::new();
    let mut reached: i64 = result.header.revision.parse()?;
    for Event { kind: verb, kv } in result.events {
        let revision: i64 = kv.mod_revision.parse()?;
        reached = reached.max(revision);
        let key = String::from_utf8_lossy(&kv.key.0);
        let Some((kind, namespace, name)) = Kind::of(&key) else { continue };
        let object = match verb.as_str() {
            "DELETE" => None,
            // An API server that keeps its objects in another format than JSON cannot be judged.
            _ => Some(Arc::new(serde_json::from_slice(&kv.value.0)?)),
        };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        changes.push(Change { revision, at, kind, namespace, name, object });
    }
    Ok((reached, changes))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn line(events: &Value) -> String {
        json!({"result": {"header": {"revision": "9"}, "events": events}}).to_string()
    }

    fn bytes(text: &str) -> Value {
        serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn changes_are_read_as_the_gateway_writes_them() {
        let put = json!({"kv": {"key": bytes("/registry/services/specs/a/shop"), "value": bytes("{\"spec\":1}"), "mod_revision": "8"}});
        let other = json!({"kv": {"key": bytes("/registry/leases/a/b"), "value": bytes("{}"), "mod_revision": "8"}});
        let gone = json!({"type": "DELETE", "kv": {"key": bytes("/registry/pods/a/b"), "mod_revision": "10"}});
        let (reached, changes) = read(&line(&json!([put, other, gone])), Duration::ZERO).unwrap();
        let said: Vec<_> = changes.iter().map(|c| (c.revision, c.kind, c.name.as_str(), c.object.is_some())).collect();
        assert_eq!((reached, said), (10, vec![(8, Kind::Service, "shop", true), (10, Kind::Pod, "b", false)]));
        assert_eq!(read(&line(&json!([])), Duration::ZERO).unwrap().0, 9);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_no_silence() {
        let protobuf =
            json!({"kv": {"key": bytes("/registry/pods/a/b"), "value": bytes("k8s\0"), "mod_revision": "8"}});
        assert!(read(&line(&json!([protobuf])), Duration::ZERO).is_err());
        let ended = json!({"result": {"header": {"revision": "9"}, "canceled": true}}).to_string();
        assert!(read(&ended, Duration::ZERO).is_err());
        assert!(read("{\"error\":{}}", Duration::ZERO).is_err());
    }
}
