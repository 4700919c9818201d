//! When the cluster's objects changed: by watches of our own, so a few milliseconds after each write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::Deployment, core::v1::Service, discovery::v1::EndpointSlice},
};
use kube::{
    Resource, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use switchyard_api::names::NOBODY;
use switchyard_e2e::{place::Place, timeline::selected};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{settings::REPLICAS, subject::NAME};

/// Everything that was seen so far, each with the first moment at which it was.
#[derive(Default)]
pub struct Seen {
    /// What the live Service selected, in order.
    pub selected: Vec<(Instant, String)>,
    /// By revision: the slices of its own Service list all its pods ready.
    pub ready: BTreeMap<String, Instant>,
    /// By revision: the slices of the live Service list all its pods ready, and no others.
    pub alone: BTreeMap<String, Instant>,
    /// By revision: no pod of it is wanted any more.
    pub down: BTreeMap<String, Instant>,
    slices: BTreeMap<String, Slice>,
}

/// The ready pods of one slice.
struct Slice {
    service: String,
    pods: BTreeSet<String>,
}

pub struct Witness {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
    tasks: [JoinHandle<()>; 3],
}

impl Witness {
    pub fn start(place: &Place) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (tell, changed) = watch::channel(0);
        let tell = Arc::new(tell);
        let tasks = [
            follow(place, &seen, &tell, |seen, event: WatchEvent<Service>| seen.service(event)),
            follow(place, &seen, &tell, |seen, event: WatchEvent<EndpointSlice>| seen.slice(event)),
            follow(place, &seen, &tell, |seen, event: WatchEvent<Deployment>| seen.deployment(event)),
        ];
        Self { seen, changed, tasks }
    }

    /// Looks at each change until there is something.
    pub async fn until<T>(&self, what: &str, limit: Duration, look: impl Fn(&Seen) -> Option<T>) -> Result<T> {
        let mut changed = self.changed.clone();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = self.look(&look) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(limit, waiting).await;
        found.ok().flatten().with_context(|| format!("after {limit:?} not yet: {what}"))
    }

    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn follow<K>(
    place: &Place,
    seen: &Arc<Mutex<Seen>>,
    tell: &Arc<watch::Sender<u64>>,
    note: impl Fn(&mut Seen, WatchEvent<K>) + Send + 'static,
) -> JoinHandle<()>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Default,
{
    let (api, seen, tell) = (place.api::<K>(), seen.clone(), tell.clone());
    tokio::spawn(async move {
        loop {
            // From the beginning each time. What is seen a second time changes nothing.
            let Ok(events) = api.watch(&WatchParams::default(), "0").await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut events = events.boxed();
            while let Ok(Some(event)) = events.try_next().await {
                note(&mut seen.lock().unwrap(), event);
                tell.send_modify(|count| *count += 1);
            }
        }
    })
}

/// What a child's name says of its revision: `shop-REVISION`, or `shop-REVISION-...` for a pod.
fn revision_of(name: &str) -> Option<&str> {
    name.strip_prefix(NAME)?.strip_prefix('-')?.split('-').next()
}

impl Seen {
    fn service(&mut self, event: WatchEvent<Service>) {
        let (WatchEvent::Added(service) | WatchEvent::Modified(service)) = event else { return };
        if service.name_any() != NAME {
            return;
        }
        let Some(selected) = selected(&service).filter(|revision| revision != NOBODY) else { return };
        if self.selected.last().is_none_or(|(_, last)| *last != selected) {
            self.selected.push((Instant::now(), selected));
        }
    }

    fn deployment(&mut self, event: WatchEvent<Deployment>) {
        let (WatchEvent::Added(deployment) | WatchEvent::Modified(deployment)) = event else { return };
        let name = deployment.name_any();
        let Some(revision) = revision_of(&name) else { return };
        // Down means that it was up before: a revision may begin with no pod.
        if deployment.spec.and_then(|s| s.replicas) == Some(0) && self.ready.contains_key(revision) {
            self.down.entry(revision.to_owned()).or_insert_with(Instant::now);
        }
    }

    fn slice(&mut self, event: WatchEvent<EndpointSlice>) {
        match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                let Some(service) = slice.labels().get("kubernetes.io/service-name").cloned() else { return };
                let ready = slice.endpoints.iter().filter(|endpoint| {
                    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
                });
                let pods = ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.clone()).collect();
                self.slices.insert(slice.name_any(), Slice { service, pods });
            }
            WatchEvent::Deleted(slice) => {
                self.slices.remove(&slice.name_any());
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return,
        }
        let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for slice in self.slices.values() {
            listed.entry(&slice.service).or_default().extend(slice.pods.iter().map(String::as_str));
        }
        let now = Instant::now();
        for (service, pods) in listed {
            let revisions: BTreeSet<&str> = pods.iter().filter_map(|pod| revision_of(pod)).collect();
            let Some(revision) = revisions.first().filter(|_| revisions.len() == 1) else { continue };
            if pods.len() < usize::from(REPLICAS) {
                continue;
            }
            let moments = if service == NAME { &mut self.alone } else { &mut self.ready };
            moments.entry((*revision).to_owned()).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions};
    use serde_json::json;

    use super::*;

    fn slice(service: &str, pods: &[(&str, Option<bool>)]) -> WatchEvent<EndpointSlice> {
        let mut slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": format!("{service}-abcde"), "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "endpoints": [],
        }))
        .unwrap();
        let endpoint = |(name, ready): &(&str, Option<bool>)| Endpoint {
            addresses: vec!["198.18.64.2".to_owned()],
            conditions: Some(EndpointConditions { ready: *ready, ..EndpointConditions::default() }),
            target_ref: serde_json::from_value(json!({"kind": "Pod", "name": name})).ok(),
            ..Endpoint::default()
        };
        slice.endpoints = pods.iter().map(endpoint).collect();
        WatchEvent::Modified(slice)
    }

    #[test]
    fn a_revision_is_ready_once_its_own_slices_list_all_of_it() {
        let mut seen = Seen::default();
        seen.slice(slice("shop-blue", &[("shop-blue-1-a", Some(true)), ("shop-blue-1-b", Some(false))]));
        assert!(seen.ready.is_empty());
        seen.slice(slice("shop-blue", &[("shop-blue-1-a", Some(true)), ("shop-blue-1-b", None)]));
        assert!(seen.ready.contains_key("blue") && seen.alone.is_empty());
    }

    #[test]
    fn it_is_alone_once_the_live_slices_list_all_of_it_and_nothing_else() {
        let mut seen = Seen::default();
        let (blue, green) = (("shop-blue-1-a", Some(true)), [("shop-green-1-a", None), ("shop-green-1-b", None)]);
        seen.slice(slice("shop", &[blue, green[0], green[1]]));
        assert!(seen.alone.is_empty());
        seen.slice(slice("shop", &green));
        assert!(seen.alone.contains_key("green") && seen.ready.is_empty());
    }
}
