//! What Builds said and which Jobs they made, as a watch saw it, with the time since each Build was there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::{NamespaceResourceScope, api::batch::v1::Job};
use kube::{
    Resource, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use switchyard_api::{Build, condition::READY, names::LABEL_BUILD};
use tokio::{task::JoinHandle, time::Instant};

use crate::place::Place;

/// Watches the Builds and Jobs of a namespace. A Job that is gone is still known.
pub struct Watched {
    seen: Arc<Mutex<Seen>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Seen {
    /// By Build: when it was first seen, and since then each reason of its Ready condition.
    builds: BTreeMap<String, (Instant, Vec<(Duration, String)>)>,
    /// The wall clock's time of that.
    since: BTreeMap<String, jiff::Timestamp>,
    /// By Build, the names of its Jobs.
    jobs: BTreeMap<String, BTreeSet<String>>,
}

impl Watched {
    pub fn start(place: &Place) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (builds, jobs) = (seen.clone(), seen.clone());
        let builds = follow(place, move |build: &Build| builds.lock().unwrap().build(build));
        let jobs = follow(place, move |job: &Job| jobs.lock().unwrap().job(job));
        Self { seen, tasks: [builds, jobs] }
    }

    /// How long after the Build was there its Ready condition first had this reason.
    pub fn said(&self, build: &str, reason: &str) -> Option<Duration> {
        let seen = self.seen.lock().unwrap();
        seen.builds.get(build)?.1.iter().find(|(_, said)| said == reason).map(|(after, _)| *after)
    }

    /// When, by this machine's clock.
    pub fn said_at(&self, build: &str, reason: &str) -> Option<jiff::Timestamp> {
        let after = self.said(build, reason)?;
        Some(*self.seen.lock().unwrap().since.get(build)? + after)
    }

    /// All reasons in order.
    pub fn reasons(&self, build: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.builds.get(build).iter().flat_map(|(_, said)| said.iter().map(|(_, reason)| reason.clone())).collect()
    }

    pub fn jobs(&self, build: &str) -> BTreeSet<String> {
        self.seen.lock().unwrap().jobs.get(build).cloned().unwrap_or_default()
    }
}

impl Seen {
    fn build(&mut self, build: &Build) {
        self.since.entry(build.name_any()).or_insert_with(jiff::Timestamp::now);
        let (since, said) = self.builds.entry(build.name_any()).or_insert_with(|| (Instant::now(), vec![]));
        let conditions = build.status.iter().flat_map(|s| &s.conditions);
        for ready in conditions.filter(|c| c.kind == READY) {
            if said.last().is_none_or(|(_, last)| *last != ready.reason) {
                said.push((since.elapsed(), ready.reason.clone()));
            }
        }
    }

    fn job(&mut self, job: &Job) {
        if let Some(build) = job.labels().get(LABEL_BUILD) {
            self.jobs.entry(build.clone()).or_default().insert(job.name_any());
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Shows each state of each object, until the task is aborted.
fn follow<K>(place: &Place, see: impl Fn(&K) + Send + 'static) -> JoinHandle<()>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    let api = place.api::<K>();
    tokio::spawn(async move {
        loop {
            // From the beginning each time: the first events are the present.
            let Ok(events) = api.watch(&WatchParams::default(), "0").await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut events = events.boxed();
            while let Ok(Some(event)) = events.try_next().await {
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    see(&object);
                }
            }
        }
    })
}
