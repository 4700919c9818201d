//! When the cluster's objects changed: by watches of our own, a few milliseconds after each write. By the clock of the
//! machine, which is also the one that lines of logs are stamped by: the node is this machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{ContainerStatus, Pod},
    },
};
use kube::{
    Resource, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use switchyard_api::{Build, build::Phase, names::LABEL_BUILD};
use switchyard_e2e::place::Place;
use tokio::{sync::watch, task::JoinHandle};

/// By name, each with the first moment at which it was seen.
#[derive(Default)]
pub struct Seen {
    /// How it ended: an error is what a failed one says.
    pub builds: BTreeMap<String, (Timestamp, Result<(), String>)>,
    pub jobs: BTreeMap<String, JobSeen>,
    /// By the name of their Job.
    pub pods: BTreeMap<String, PodSeen>,
}

#[derive(Clone, Debug)]
pub struct JobSeen {
    pub made: Timestamp,
    pub build: Option<String>,
    pub done: Option<(Timestamp, Result<(), String>)>,
}

#[derive(Clone, Debug, Default)]
pub struct PodSeen {
    pub name: String,
    pub scheduled: Option<Timestamp>,
    /// The last container has ended.
    pub ended: Option<Timestamp>,
    /// By container, from when until when it ran as the kubelet says, in whole seconds.
    pub ran: BTreeMap<String, (Timestamp, Timestamp)>,
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
            follow(place, &seen, &tell, |seen, build: &Build| seen.build(build)),
            follow(place, &seen, &tell, |seen, job: &Job| seen.job(job)),
            follow(place, &seen, &tell, |seen, pod: &Pod| seen.pod(pod)),
        ];
        Self { seen, changed, tasks }
    }

    /// Looks at each change until there is something.
    pub async fn until<T>(&self, what: &str, limit: Duration, look: impl Fn(&Seen) -> Option<T>) -> Result<T> {
        let mut changed = self.changed.clone();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = look(&self.seen.lock().unwrap()) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(limit, waiting).await;
        found.ok().flatten().with_context(|| format!("after {limit:?} not yet: {what}"))
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
    note: impl Fn(&mut Seen, &K) + Send + 'static,
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
                if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                    note(&mut seen.lock().unwrap(), &object);
                    tell.send_modify(|count| *count += 1);
                }
            }
        }
    })
}

impl Seen {
    fn build(&mut self, build: &Build) {
        let Some(status) = &build.status else { return };
        let ended = match status.phase {
            Some(Phase::Succeeded) => Ok(()),
            Some(phase @ (Phase::Failed | Phase::Cancelled | Phase::Skipped)) => {
                Err(format!("{phase:?}: {:?}", status.failure))
            }
            _ => return,
        };
        self.builds.entry(build.name_any()).or_insert_with(|| (Timestamp::now(), ended));
    }

    fn job(&mut self, job: &Job) {
        let seen = self.jobs.entry(job.name_any()).or_insert_with(|| JobSeen {
            made: Timestamp::now(),
            build: job.labels().get(LABEL_BUILD).cloned(),
            done: None,
        });
        let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
        for condition in conditions.filter(|c| c.status == "True") {
            let ended = match condition.type_.as_str() {
                "Complete" => Ok(()),
                "Failed" => Err(condition.message.clone().unwrap_or_default()),
                _ => continue,
            };
            seen.done.get_or_insert_with(|| (Timestamp::now(), ended));
        }
    }

    fn pod(&mut self, pod: &Pod) {
        let Some(job) = pod.labels().get("batch.kubernetes.io/job-name") else { return };
        let Some(status) = &pod.status else { return };
        let seen = self.pods.entry(job.clone()).or_default();
        seen.name = pod.name_any();
        let mut conditions = status.conditions.iter().flatten();
        if conditions.any(|c| c.type_ == "PodScheduled" && c.status == "True") {
            seen.scheduled.get_or_insert_with(Timestamp::now);
        }
        let statuses = |list: &Option<Vec<ContainerStatus>>| list.clone().unwrap_or_default();
        let (first, last) = (statuses(&status.init_container_statuses), statuses(&status.container_statuses));
        let ended = |container: &ContainerStatus| container.state.as_ref()?.terminated.clone();
        for container in first.iter().chain(&last) {
            let Some(terminated) = ended(container) else { continue };
            if let (Some(from), Some(to)) = (terminated.started_at, terminated.finished_at) {
                seen.ran.insert(container.name.clone(), (from.0, to.0));
            }
        }
        if !last.is_empty() && last.iter().all(|container| ended(container).is_some()) {
            seen.ended.get_or_insert_with(Timestamp::now);
        }
    }
}
