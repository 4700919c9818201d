//! The operations of a JSON Patch.
//!
//! Paths are given as keys, unescaped. `replace` is not offered: it fails where the path is absent, and `add` on a map
//! key means the same where it is not (RFC 6902, 4.1). What depends on whether a map is there is built from the
//! metadata that was seen; the version test, which a [`crate::Writer`] puts first, makes that safe.

use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, TestOperation, jsonptr::PointerBuf};
use kube::core::ObjectMeta;
use serde_json::{Map, Value};

use crate::target::Seen;

/// The operations of one patch, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ops(Vec<PatchOperation>);

/// One of the two maps in metadata that people and controllers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shared {
    Labels,
    Annotations,
}

impl Ops {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses the whole patch unless the value at the path equals this one.
    #[must_use]
    pub fn test(mut self, path: &[&str], value: impl Into<Value>) -> Self {
        self.0.push(PatchOperation::Test(TestOperation { path: pointer(path), value: value.into() }));
        self
    }

    /// Sets the value at the path, there or not. What holds it must be there.
    #[must_use]
    pub fn set(mut self, path: &[&str], value: impl Into<Value>) -> Self {
        self.0.push(PatchOperation::Add(AddOperation { path: pointer(path), value: value.into() }));
        self
    }

    /// Removes what was seen at the path.
    #[must_use]
    pub fn remove(mut self, path: &[&str]) -> Self {
        self.0.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
        self
    }

    /// Sets annotations; those with None go.
    #[must_use]
    pub fn annotate<'a>(self, seen: &ObjectMeta, pairs: impl IntoIterator<Item = (&'a str, Option<String>)>) -> Self {
        self.share(Shared::Annotations, seen, pairs)
    }

    /// Sets labels; those with None go.
    #[must_use]
    pub fn label<'a>(self, seen: &ObjectMeta, pairs: impl IntoIterator<Item = (&'a str, Option<String>)>) -> Self {
        self.share(Shared::Labels, seen, pairs)
    }

    fn share<'a>(
        mut self,
        shared: Shared,
        seen: &ObjectMeta,
        pairs: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> Self {
        let (key, there) = match shared {
            Shared::Labels => ("labels", seen.labels.as_ref()),
            Shared::Annotations => ("annotations", seen.annotations.as_ref()),
        };
        let Some(there) = there.filter(|there| !there.is_empty()) else {
            let new: Map<_, _> =
                pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
            return if new.is_empty() { self } else { self.set(&["metadata", key], new) };
        };
        for (name, value) in pairs {
            self = match value {
                Some(value) => self.set(&["metadata", key, name], value),
                None if there.contains_key(name) => self.remove(&["metadata", key, name]),
                None => self,
            };
        }
        self
    }

    /// The patch, with the tests that make it conditional in front.
    pub(crate) fn on(self, seen: &Seen) -> Patch {
        let mut all = Self::new()
            .test(&["metadata", "uid"], seen.uid.as_str())
            .test(&["metadata", "resourceVersion"], seen.version.as_str());
        all.0.extend(self.0);
        Patch(all.0)
    }
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen() -> Seen {
        Seen { uid: "u".into(), version: switchyard_decide::Version::new("7") }
    }

    fn object() -> Value {
        json!({"metadata": {"uid": "u", "resourceVersion": "7", "annotations": {"a.dev/b~c": "1", "keep": "2"}}, "spec": {}})
    }

    fn patched(ops: Ops) -> Result<Value, json_patch::PatchError> {
        let mut object = object();
        json_patch::patch(&mut object, &ops.on(&seen()).0)?;
        Ok(object)
    }

    fn meta() -> ObjectMeta {
        serde_json::from_value(object()["metadata"].clone()).unwrap()
    }

    #[test]
    fn the_conditions_come_first() {
        let patch = serde_json::to_value(Ops::new().set(&["spec", "replicas"], 3).on(&seen())).unwrap();
        let expected = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/spec/replicas", "value": 3},
        ]);
        assert_eq!(patch, expected);
    }

    #[test]
    fn keys_with_slashes_and_tildes_are_keys() {
        let ops = Ops::new().annotate(&meta(), [("a.dev/b~c", Some("9".into())), ("x.dev/new", Some("1".into()))]);
        let annotations = json!({"a.dev/b~c": "9", "keep": "2", "x.dev/new": "1"});
        assert_eq!(patched(ops).unwrap()["metadata"]["annotations"], annotations);
    }

    #[test]
    fn a_missing_map_is_created_whole() {
        let ops = Ops::new().label(&meta(), [("a.dev/b", Some("1".into())), ("gone", None)]);
        assert_eq!(patched(ops).unwrap()["metadata"]["labels"], json!({"a.dev/b": "1"}));
    }

    #[test]
    fn what_was_not_seen_is_not_removed() {
        let ops = Ops::new().annotate(&meta(), [("a.dev/b~c", None), ("never", None)]);
        assert_eq!(patched(ops).unwrap()["metadata"]["annotations"], json!({"keep": "2"}));
    }

    #[test]
    fn set_works_on_absent_and_present_paths() {
        let once = Ops::new().set(&["spec", "replicas"], 1).set(&["spec", "replicas"], 2);
        assert_eq!(patched(once).unwrap()["spec"]["replicas"], 2);
    }
}
