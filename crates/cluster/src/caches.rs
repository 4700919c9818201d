//! Watched objects, and the stream of those that changed.
//!
//! One watch feeds both: an object is in the cache before it comes out of the stream, so whoever is woken by it sees it.
//!
//! # Guarantees
//! - A watch that fell silent is replaced within [`NOTICED`]; where the connection is dead, within
//!   [`crate::client::SILENCE`].
//! - After any gap the cache is what the server has, and every object that differs from before comes out of the stream,
//!   vanished ones included.
//! - With [`Guarded`], an object that cannot be decoded does not hide the others.
//!
//! # Assumptions
//! - The stream is polled. A cache whose stream is not polled stands still.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt,
        reflector::{Lookup, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;

use crate::{changes::changes, target::Seen};

/// How long the server keeps a watch open, in seconds. It says goodbye, and the next one resumes where this one ended.
const WATCH_SECONDS: u32 = 50;
/// The longest a watch can be silent without being replaced: its length, and kube's margin of 5 s.
pub const NOTICED: Duration = Duration::from_secs(55);

/// An object, or why it could not be decoded, with its metadata.
pub type Guarded<K> = DeserializeGuard<K>;

/// What a cache holds, written once for all functions here.
pub trait Cached:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Lookup<DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Cached for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Lookup<DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    /// Only these; the operator then needs no right elsewhere.
    Namespaces(BTreeSet<String>),
}

/// What of managedFields a cache keeps. They are often half of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedFields {
    Keep,
    Drop,
}

/// A cache, and the stream that feeds it.
pub struct Feed<K: Cached> {
    pub cache: Cache<K>,
    /// Every object that changed or went, after the cache has it. An error has been waited for already, and the watch
    /// goes on after it. Never ends.
    pub touched: BoxStream<'static, Result<K, watcher::Error>>,
}

/// Objects as last heard of.
#[derive(Clone, Debug)]
pub struct Cache<K: Cached> {
    /// One for each watch: several may not share a store.
    stores: Vec<(Option<String>, Store<K>)>,
}

/// Watches `K`, those with `labels` if given.
pub fn feed<K: Cached>(client: &Client, scope: &Scope, labels: Option<&str>, managed: ManagedFields) -> Feed<K> {
    let config = watcher::Config { label_selector: labels.map(str::to_owned), ..watcher::Config::default() };
    let config = config.timeout(WATCH_SECONDS);
    let apis: Vec<(Option<String>, Api<K>)> = match scope {
        Scope::Cluster => vec![(None, Api::all(client.clone()))],
        Scope::Namespaces(names) => {
            names.iter().map(|name| (Some(name.clone()), Api::namespaced(client.clone(), name))).collect()
        }
    };
    let mut stores = Vec::new();
    let mut streams = Vec::new();
    for (namespace, api) in apis {
        let writer = Writer::<K>::default();
        stores.push((namespace, writer.as_reader()));
        let events = watcher(api, config.clone()).default_backoff().modify(move |object| match managed {
            ManagedFields::Keep => {}
            ManagedFields::Drop => object.managed_fields_mut().clear(),
        });
        streams.push(changes(writer, events).boxed());
    }
    Feed { cache: Cache { stores }, touched: stream::select_all(streams).boxed() }
}

impl<K: Cached> Cache<K> {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = ObjectRef::new(name).within(namespace);
        self.stores
            .iter()
            .filter(|(within, _)| within.as_deref().is_none_or(|within| within == namespace))
            .find_map(|(_, store)| store.get(&key))
    }

    /// The version held, as [`crate::Barrier`] asks for it.
    pub fn seen(&self, namespace: &str, name: &str) -> Option<Seen> {
        self.get(namespace, name).map(|object| Seen::of(object.as_ref()))
    }

    /// All objects in `namespace` that satisfy `wanted`, by name.
    pub fn within(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let here = |object: &K| object.meta().namespace.as_deref() == Some(namespace);
        let mut found: Vec<_> = self
            .stores
            .iter()
            .filter(|(within, _)| within.as_deref().is_none_or(|within| within == namespace))
            .flat_map(|(_, store)| store.state_filter(|object| here(object) && wanted(object)))
            .collect();
        found.sort_by_key(|object| object.name_any());
        found
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.stores.iter().flat_map(|(_, store)| store.state()).collect()
    }

    /// Whether each watch has listed once.
    pub fn is_ready(&self) -> bool {
        self.ready().now_or_never().is_some()
    }

    /// Resolves once each watch has listed once. The stream must be polled meanwhile.
    pub fn ready(&self) -> BoxFuture<'static, ()> {
        let stores: Vec<_> = self.stores.iter().map(|(_, store)| store.clone()).collect();
        async move {
            for store in stores {
                if store.wait_until_ready().await.is_err() {
                    // The stream was dropped, so this will never be: the deadline of `synced` reports it.
                    std::future::pending::<()>().await;
                }
            }
        }
        .boxed()
    }
}

/// These caches were not filled in time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no list within {within:?} of: {}", missing.join(", "))]
pub struct Unsynced {
    pub missing: Vec<String>,
    within: Duration,
}

/// Waits until every cache is filled: before that, absence means nothing.
pub async fn synced(caches: Vec<(&str, BoxFuture<'static, ()>)>, within: Duration) -> Result<(), Unsynced> {
    let waits = caches.into_iter().map(|(name, ready)| async move {
        tokio::time::timeout(within, ready).await.is_err().then(|| name.to_owned())
    });
    let missing: Vec<String> = futures::future::join_all(waits).await.into_iter().flatten().collect();
    if missing.is_empty() { Ok(()) } else { Err(Unsynced { missing, within }) }
}
