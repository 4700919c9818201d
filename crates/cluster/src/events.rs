//! Events (`events.k8s.io/v1`), each at most once.
//!
//! kube's `Recorder` is not used: it keys its cache without the note, so that within six minutes "promoted B" shows as a
//! second "promoted A".
//!
//! # Guarantees
//! - The same occasion told twice, by a restart or by a deposed leader, is one Event: its name is made of what it says.
//! - Telling fails nobody. An Event that could not be written is a line in the log.

use std::{fmt::Write as _, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1 as k8s},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use sha2::{Digest, Sha256};
use switchyard_decide::Event;

const PATIENCE: Duration = Duration::from_secs(5);
/// `note` is limited to 1 KiB, names of Events to 253 bytes; a point and 20 digits follow the object's name.
const NOTE: usize = 1024;
const NAME: usize = 253 - 21;
/// The default namespace takes the Events of what has none.
const NOWHERE: &str = "default";

/// Writes Events as one controller.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    controller: String,
    instance: String,
}

impl Publisher {
    /// `controller` such as `switchyard.dev/rollout`; `instance` is the pod.
    pub fn new(client: Client, controller: impl Into<String>, instance: impl Into<String>) -> Self {
        Self { client, controller: controller.into(), instance: instance.into() }
    }

    /// Tells `event` about `object`, unless it was told before. Takes at most 5 s.
    ///
    /// `occasion` tells two equal events apart and is the same when one is told again: the resourceVersion that the
    /// status had before it.
    pub async fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, event: &Event, occasion: &str) {
        let body = self.body(object, event, occasion, Timestamp::now());
        let namespace = body.metadata.namespace.as_deref().unwrap_or(NOWHERE);
        let api: Api<k8s::Event> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        match tokio::time::timeout(PATIENCE, api.create(&params, &body)).await {
            Ok(Ok(_)) => {}
            Ok(Err(kube::Error::Api(status))) if status.is_already_exists() => {}
            Ok(Err(error)) => tracing::warn!(reason = event.reason, note = event.note, %error, "event not written"),
            Err(_) => tracing::warn!(reason = event.reason, note = event.note, "event not written within {PATIENCE:?}"),
        }
    }

    fn body<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        event: &Event,
        occasion: &str,
        now: Timestamp,
    ) -> k8s::Event {
        let namespace = object.namespace();
        let uid = object.uid().unwrap_or_default();
        k8s::Event {
            metadata: ObjectMeta {
                name: Some(name(&object.name_any(), &uid, event, occasion)),
                namespace: Some(namespace.clone().unwrap_or_else(|| NOWHERE.to_owned())),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(cut(&self.instance, 128).to_owned()),
            action: Some(event.reason.clone()),
            reason: Some(event.reason.clone()),
            note: Some(cut(&event.note, NOTE).to_owned()),
            type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some(K::api_version(&()).into_owned()),
                kind: Some(K::kind(&()).into_owned()),
                name: Some(object.name_any()),
                namespace,
                uid: Some(uid),
                resource_version: object.resource_version(),
                field_path: None,
            }),
            ..k8s::Event::default()
        }
    }
}

/// The name of the object, and 20 hexadecimal digits of what is said about it.
fn name(object: &str, uid: &str, event: &Event, occasion: &str) -> String {
    let mut hash = Sha256::new();
    for part in [uid, &event.reason, &event.note, occasion] {
        // Each with its length, so that no two lists of parts read alike.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut name = cut(object, NAME).trim_end_matches(['.', '-']).to_owned();
    name.push('.');
    for byte in hash.finalize().iter().take(10) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The longest start of `text` that has at most `bytes` bytes and ends between characters.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    fn promoted(note: &str) -> Event {
        Event::normal("Promoted", note)
    }

    #[test]
    fn a_repeat_has_the_same_name_and_nothing_else_does() {
        let told = name("shop", "u", &promoted("promoted a"), "7");
        assert_eq!(told, name("shop", "u", &promoted("promoted a"), "7"));
        for other in [
            name("shop", "u", &promoted("promoted b"), "7"),
            name("shop", "u", &promoted("promoted a"), "8"),
            name("shop", "v", &promoted("promoted a"), "7"),
            name("shop", "u", &promoted("promoted a7"), ""),
        ] {
            assert_ne!(told, other);
        }
    }

    #[test]
    fn the_longest_names_and_notes_are_valid() {
        let long = format!("{}.{}", "a".repeat(231), "b".repeat(21));
        let name = name(&long, "u", &promoted("x"), "7");
        assert!(name.len() <= 253, "{}", name.len());
        assert!(!name.contains(".."), "{name}");
        assert_eq!(cut("aé", 2), "a");
    }

    #[tokio::test]
    async fn what_has_no_namespace_is_told_in_default() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let publisher = Publisher::new(crate::client::client(config).unwrap(), "switchyard.dev/rollout", "pod-0");
        let body = publisher.body(&ConfigMap::default(), &promoted(&"é".repeat(2000)), "7", Timestamp::UNIX_EPOCH);
        assert_eq!(body.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(body.note.unwrap().len(), 1024);
        assert_eq!(body.regarding.unwrap().kind.as_deref(), Some("ConfigMap"));
    }
}
