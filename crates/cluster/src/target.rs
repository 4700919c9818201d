//! Which object a write is about, what of it was seen, and what the write made of it.

use std::fmt;

use kube::{Resource, ResourceExt, core::ApiResource};
use switchyard_decide::Version;

/// One object, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub resource: ApiResource,
    /// None for what has no namespace.
    pub namespace: Option<String>,
    pub name: String,
}

impl Target {
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self { resource: ApiResource::erase::<K>(&()), namespace: object.namespace(), name: object.name_any() }
    }

    pub fn named<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> Self {
        Self { resource: ApiResource::erase::<K>(&()), namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }

    /// The path of all objects of this kind in this namespace.
    pub(crate) fn collection(&self) -> String {
        kube::core::DynamicObject::url_path(&self.resource, self.namespace.as_deref())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        write!(f, "{} {namespace}/{}", self.resource.kind, self.name)
    }
}

/// What a decision saw of an object, and a write is conditional on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    pub uid: String,
    pub version: Version,
}

impl Seen {
    /// An object that never was in a cluster has neither; a [`crate::Writer`] refuses to write on it.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        let version = Version::new(meta.resource_version.clone().unwrap_or_default());
        Self { uid: meta.uid.clone().unwrap_or_default(), version }
    }

    pub(crate) fn is_whole(&self) -> bool {
        !self.uid.is_empty() && !self.version.as_str().is_empty()
    }
}

/// A write that happened, as the [`crate::Barrier`] remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Written {
    pub target: Target,
    pub uid: String,
    /// The resourceVersion after the write. Empty if the object is gone.
    pub version: Version,
    /// Whether the write was its deletion. With a version, finalizers still hold the object.
    pub deleted: bool,
}
