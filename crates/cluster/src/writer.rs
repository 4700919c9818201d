//! Writes, each conditional on what the decision saw.
//!
//! # Guarantees
//! - A write happens on exactly the object (uid) and version that were seen, or not at all; [`Writer::create`] only if
//!   there is no object of that name.
//! - Nothing is sent twice. An error of transport leaves open whether a write happened.
//!
//! # Assumptions
//! - What is written is not larger than the server takes; [`Refusal::Invalid`] says so otherwise.

use std::{fmt, sync::Arc};

use http::Request as HttpRequest;
use kube::{
    Client, Resource,
    api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions},
    core::{DynamicObject, Request, request},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use switchyard_decide::Version;

use crate::{
    ops::Ops,
    refusal::{Refusal, patch_refusal, refusal},
    target::{Seen, Target, Written},
};

/// What was done, as metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    Apply,
    Status,
    Patch,
    Scale,
    Delete,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Status => "status",
            Self::Patch => "patch",
            Self::Scale => "scale",
            Self::Delete => "delete",
        }
    }
}

/// What became of a [`Writer::create`].
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "looked at once and dropped")]
pub enum Created<K> {
    New(Written),
    /// The name is taken. Whose it is, the caller judges by owner uid.
    Existing(Box<K>),
}

type Tell = Arc<dyn Fn(&str, Verb, Result<(), &Refusal>) + Send + Sync>;

/// Writes as one field manager.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    manager: String,
    tell: Tell,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("manager", &self.manager).finish_non_exhaustive()
    }
}

impl Writer {
    pub fn new(client: Client, manager: impl Into<String>) -> Self {
        Self { client, manager: manager.into(), tell: Arc::new(|_, _, _| ()) }
    }

    /// Calls `tell` with kind, verb and result after each write.
    #[must_use]
    pub fn telling(self, tell: impl Fn(&str, Verb, Result<(), &Refusal>) + Send + Sync + 'static) -> Self {
        Self { tell: Arc::new(tell), ..self }
    }

    /// Replaces the status by a forced server-side apply of all of it. An equal status is no write: the version stays.
    ///
    /// On `/status` of a custom resource the server (1.34) compares the version and ignores the uid. That is enough: no
    /// two objects ever had one version, unless etcd was restored from a backup.
    pub async fn apply_status(&self, target: &Target, seen: &Seen, status: &Value) -> Result<Written, Refusal> {
        let outcome = match whole(target, seen) {
            Ok(()) => {
                let body = body(target, Some(seen), json!({ "status": status }));
                let params = PatchParams::apply(&self.manager).force();
                let request = at(target).patch_subresource("status", &target.name, &params, &Patch::Apply(body));
                self.send(target, request, refusal).await
            }
            Err(refusal) => Err(refusal),
        };
        self.told(target, Verb::Status, outcome)
    }

    /// Server-side apply of `fields`, an object without apiVersion, kind and identity. Unforced: a field of another
    /// manager is [`Refusal::Owned`]. Without `seen` the object is created, or merged into one of the same name.
    pub async fn apply(&self, target: &Target, seen: Option<&Seen>, fields: Value) -> Result<Written, Refusal> {
        let outcome = match seen.map_or(Ok(()), |seen| whole(target, seen)) {
            Ok(()) => {
                let body = body(target, seen, fields);
                let params = PatchParams::apply(&self.manager);
                self.send(target, at(target).patch(&target.name, &params, &Patch::Apply(body)), refusal).await
            }
            Err(refusal) => Err(refusal),
        };
        self.told(target, Verb::Apply, outcome)
    }

    /// Creates `object`, which has a name.
    pub async fn create<K>(&self, object: &K) -> Result<Created<K>, Refusal>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let target = Target::of(object);
        let mut body = serde_json::to_value(object).map_err(|error| Refusal::Invalid(error.to_string()))?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("apiVersion".to_owned(), target.resource.api_version.clone().into());
            fields.insert("kind".to_owned(), target.resource.kind.clone().into());
        }
        self.try_create(&target, &body).await
    }

    async fn try_create<K: DeserializeOwned>(&self, target: &Target, body: &Value) -> Result<Created<K>, Refusal> {
        let params = PostParams { dry_run: false, field_manager: Some(self.manager.clone()) };
        let request = at(target).create(&params, body.to_string().into_bytes());
        let outcome = match self.request::<DynamicObject>(request).await {
            Ok(created) => Ok(Created::New(written(target, &created))),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let existing = self.request(at(target).get(&target.name, &GetParams::default())).await;
                existing.map(|existing| Created::Existing(Box::new(existing))).map_err(|error| refusal(&error))
            }
            Err(error) => Err(refusal(&error)),
        };
        (self.tell)(&target.resource.kind, Verb::Create, outcome.as_ref().map(|_| ()));
        outcome
    }

    /// Creates `body`, which names itself as `target` does. For what is JSON from the start, such as a pod template
    /// whose fields no struct here may drop.
    pub async fn create_body(&self, target: &Target, body: &Value) -> Result<Created<DynamicObject>, Refusal> {
        self.try_create(target, body).await
    }

    /// One JSON Patch; all of it happens, or none.
    pub async fn patch(&self, target: &Target, seen: &Seen, ops: Ops) -> Result<Written, Refusal> {
        let outcome = self.try_patch(target, seen, ops, None).await;
        self.told(target, Verb::Patch, outcome)
    }

    /// As [`Writer::patch`], of `/status`.
    pub async fn patch_status(&self, target: &Target, seen: &Seen, ops: Ops) -> Result<Written, Refusal> {
        let outcome = self.try_patch(target, seen, ops, Some("status")).await;
        self.told(target, Verb::Status, outcome)
    }

    /// The object past every cache, as JSON: for what no type here can read.
    pub async fn raw(&self, target: &Target) -> Result<Option<(Seen, Value)>, Refusal> {
        let found: kube::Result<DynamicObject> =
            self.request(at(target).get(&target.name, &GetParams::default())).await;
        match found {
            Ok(object) => Ok(Some((Seen::of(&object), serde_json::to_value(object).unwrap_or_default()))),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// Sets the replicas, by `/scale`.
    pub async fn scale(&self, target: &Target, seen: &Seen, replicas: u32) -> Result<Written, Refusal> {
        let ops = Ops::new().set(&["spec", "replicas"], replicas);
        let outcome = self.try_patch(target, seen, ops, Some("scale")).await;
        self.told(target, Verb::Scale, outcome)
    }

    async fn try_patch(
        &self,
        target: &Target,
        seen: &Seen,
        ops: Ops,
        subresource: Option<&str>,
    ) -> Result<Written, Refusal> {
        whole(target, seen)?;
        let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        let patch = Patch::<()>::Json(ops.on(seen));
        let request = match subresource {
            Some(subresource) => at(target).patch_subresource(subresource, &target.name, &params, &patch),
            None => at(target).patch(&target.name, &params, &patch),
        };
        self.send(target, request, patch_refusal).await
    }

    /// Deletes exactly this object at this version; what it owns goes after it, in the background.
    pub async fn delete(&self, target: &Target, seen: &Seen) -> Result<Written, Refusal> {
        let outcome = self.try_delete(target, seen).await;
        self.told(target, Verb::Delete, outcome)
    }

    async fn try_delete(&self, target: &Target, seen: &Seen) -> Result<Written, Refusal> {
        whole(target, seen)?;
        let only =
            Preconditions { uid: Some(seen.uid.clone()), resource_version: Some(seen.version.as_str().to_owned()) };
        let params = DeleteParams::background().preconditions(only);
        let answer: Value =
            self.request(at(target).delete(&target.name, &params)).await.map_err(|error| refusal(&error))?;
        // A Status says that it is gone; the object, that finalizers or its grace period hold it.
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
        Ok(Written { target: target.clone(), uid: seen.uid.clone(), version: Version::new(version), deleted: true })
    }

    async fn request<T: DeserializeOwned>(
        &self,
        request: Result<HttpRequest<Vec<u8>>, request::Error>,
    ) -> kube::Result<T> {
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    async fn send(
        &self,
        target: &Target,
        request: Result<HttpRequest<Vec<u8>>, request::Error>,
        meaning: impl FnOnce(&kube::Error) -> Refusal,
    ) -> Result<Written, Refusal> {
        match self.request::<DynamicObject>(request).await {
            Ok(object) => Ok(written(target, &object)),
            Err(error) => {
                tracing::debug!(%target, %error, "write refused");
                Err(meaning(&error))
            }
        }
    }

    fn told(&self, target: &Target, verb: Verb, outcome: Result<Written, Refusal>) -> Result<Written, Refusal> {
        (self.tell)(&target.resource.kind, verb, outcome.as_ref().map(|_| ()));
        outcome
    }
}

fn at(target: &Target) -> Request {
    Request::new(target.collection())
}

/// Without a version a server takes a write as unconditional, so such a write is not sent.
fn whole(target: &Target, seen: &Seen) -> Result<(), Refusal> {
    if seen.is_whole() {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{target} was never seen in a cluster: no uid or resourceVersion")))
}

fn written<K: Resource>(target: &Target, object: &K) -> Written {
    let Seen { uid, version } = Seen::of(object);
    Written { target: target.clone(), uid, version, deleted: false }
}

/// `fields`, with what names the object and, if seen, makes the write conditional.
fn body(target: &Target, seen: Option<&Seen>, fields: Value) -> Value {
    let Value::Object(mut body) = fields else { return fields };
    let meta = body.entry("metadata").or_insert_with(|| json!({}));
    if let Some(meta) = meta.as_object_mut() {
        meta.insert("name".to_owned(), target.name.clone().into());
        if let Some(namespace) = &target.namespace {
            meta.insert("namespace".to_owned(), namespace.clone().into());
        }
        if let Some(seen) = seen {
            meta.insert("uid".to_owned(), seen.uid.clone().into());
            meta.insert("resourceVersion".to_owned(), seen.version.as_str().into());
        }
    }
    body.insert("apiVersion".to_owned(), target.resource.api_version.clone().into());
    body.insert("kind".to_owned(), target.resource.kind.clone().into());
    Value::Object(body)
}
