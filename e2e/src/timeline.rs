//! When the live Service changed hands.

use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Service;
use kube::api::{WatchEvent, WatchParams};
use switchyard_api::names::LABEL_REVISION;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::place::Place;

/// Every revision that a Service was seen to select, and when: by a watch, so a few milliseconds after the write.
pub struct Timeline {
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
    changed: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Timeline {
    /// Begins with what the Service selects now.
    pub async fn of(place: &Place, service: &str) -> Self {
        let services = place.api::<Service>();
        let params = WatchParams::default().fields(&format!("metadata.name={service}"));
        let seen: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let (tell, changed) = watch::channel(0);
        let kept = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                // From the beginning each time: the first event is the present.
                let Ok(events) = services.watch(&params, "0").await else {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                };
                let mut events = events.boxed();
                while let Ok(Some(event)) = events.try_next().await {
                    let (WatchEvent::Added(service) | WatchEvent::Modified(service)) = event else { continue };
                    let Some(selected) = selected(&service) else { continue };
                    let mut seen = kept.lock().unwrap();
                    if seen.last().is_none_or(|(_, last)| *last != selected) {
                        seen.push((Instant::now(), selected));
                        tell.send_replace(seen.len());
                    }
                }
            }
        });
        let timeline = Self { seen, changed, task };
        timeline.reaches(1).await;
        timeline
    }

    /// What it selected, in order.
    pub fn revisions(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, revision)| revision.clone()).collect()
    }

    /// The moment at which it was first seen to select this one.
    pub fn moment_of(&self, revision: &str) -> Option<Instant> {
        self.seen.lock().unwrap().iter().find(|(_, r)| r == revision).map(|(at, _)| *at)
    }

    /// Waits until it has selected that many revisions, one after the other.
    pub async fn reaches(&self, count: usize) {
        self.changed.clone().wait_for(|seen| *seen >= count).await.expect("the watch goes on as long as this value");
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The revision that a Service selects.
pub fn selected(service: &Service) -> Option<String> {
    service.spec.as_ref()?.selector.as_ref()?.get(LABEL_REVISION).cloned()
}
