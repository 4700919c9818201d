//! Everything that is watched, and whose round a change is for.

use std::{collections::BTreeSet, future::Future, sync::Arc};

use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Client, Resource, ResourceExt, runtime::watcher};
use switchyard_api::{
    Build, Command, Pipeline, Rollout,
    command::{TargetKind, TargetRef},
    names,
};
use switchyard_cluster::{
    caches::{Cache, Cached, Feed, Guarded, ManagedFields, Scope, feed},
    target::{Seen, Written},
};

/// Namespace and name.
pub type Key = (String, String);

/// What is known of the cluster without asking.
#[derive(Clone, Debug)]
pub struct Caches {
    pub pipelines: Cache<Guarded<Pipeline>>,
    pub builds: Cache<Guarded<Build>>,
    pub rollouts: Cache<Guarded<Rollout>>,
    pub commands: Cache<Guarded<Command>>,
    pub jobs: Cache<Job>,
    /// Of build Jobs.
    pub build_pods: Cache<Pod>,
    /// Of the checks of Rollouts, and their pods.
    pub check_jobs: Cache<Job>,
    pub check_pods: Cache<Pod>,
    /// Of revisions.
    pub pods: Cache<Pod>,
    pub deployments: Cache<Deployment>,
    pub services: Cache<Service>,
    pub slices: Cache<EndpointSlice>,
}

/// Whose round is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    Pipeline(Key),
    Build(Key),
    Rollout(Key),
    /// A look at all Commands.
    Commands,
}

/// A watch failed. It has been waited for already, and goes on.
#[derive(Debug, thiserror::Error)]
#[error("watch {what}: {error}")]
pub struct Unwatched {
    pub what: &'static str,
    error: watcher::Error,
}

/// Whose round is due, as long as the stream is polled.
pub type Dues = BoxStream<'static, Result<Vec<Due>, Unwatched>>;

impl Caches {
    /// The caches, and the stream that feeds them and says whose round is due. It must be polled.
    pub fn new(client: &Client, scope: &Scope) -> (Self, Dues) {
        let pipelines: Feed<Guarded<Pipeline>> = feed(client, scope, None, ManagedFields::Drop);
        let builds: Feed<Guarded<Build>> = feed(client, scope, None, ManagedFields::Drop);
        let rollouts: Feed<Guarded<Rollout>> = feed(client, scope, None, ManagedFields::Drop);
        let commands: Feed<Guarded<Command>> = feed(client, scope, None, ManagedFields::Drop);
        let jobs: Feed<Job> = feed(client, scope, Some(names::LABEL_BUILD), ManagedFields::Drop);
        let build_pods: Feed<Pod> = feed(client, scope, Some(names::LABEL_BUILD), ManagedFields::Drop);
        let check_jobs: Feed<Job> = feed(client, scope, Some(names::LABEL_CHECK), ManagedFields::Drop);
        let check_pods: Feed<Pod> = feed(client, scope, Some(names::LABEL_CHECK), ManagedFields::Drop);
        let pods: Feed<Pod> = feed(client, scope, Some(names::LABEL_ROLLOUT), ManagedFields::Drop);
        let deployments: Feed<Deployment> = feed(client, scope, Some(names::LABEL_ROLLOUT), ManagedFields::Drop);
        // Whose selector it is stands in managedFields.
        let services: Feed<Service> = feed(client, scope, Some(names::LABEL_ROLLOUT), ManagedFields::Keep);
        let slices: Feed<EndpointSlice> = feed(client, scope, Some(names::LABEL_ROLLOUT), ManagedFields::Drop);
        let caches = Self {
            pipelines: pipelines.cache,
            builds: builds.cache,
            rollouts: rollouts.cache,
            commands: commands.cache,
            jobs: jobs.cache,
            build_pods: build_pods.cache,
            check_jobs: check_jobs.cache,
            check_pods: check_pods.cache,
            pods: pods.cache,
            deployments: deployments.cache,
            services: services.cache,
            slices: slices.cache,
        };
        let all = Arc::new(caches.clone());
        let streams = [
            due("pipelines", pipelines.touched, Arc::clone(&all), |all, o| {
                let name = own(o);
                let mut due: Vec<Due> = all.rollouts_of(&name).into_iter().map(Due::Rollout).collect();
                due.push(Due::Pipeline(name));
                due
            }),
            due("builds", builds.touched, Arc::clone(&all), |all, o| {
                let pipeline = labelled(o, names::LABEL_PIPELINE).map(Due::Pipeline);
                let orphans = is_gone(&all.builds, o).then_some(Due::Commands);
                pipeline.into_iter().chain(orphans).chain([Due::Build(own(o))]).collect()
            }),
            due("rollouts", rollouts.touched, Arc::clone(&all), |all, o| {
                let pipelines = o.0.as_ref().map(named_pipelines).unwrap_or_default();
                let orphans = is_gone(&all.rollouts, o).then_some(Due::Commands);
                pipelines.into_iter().map(Due::Pipeline).chain(orphans).chain([Due::Rollout(own(o))]).collect()
            }),
            due("commands", commands.touched, Arc::clone(&all), |_, o| of_command(o)),
            due("jobs", jobs.touched, Arc::clone(&all), |_, o| {
                labelled(o, names::LABEL_BUILD).map(Due::Build).into_iter().collect()
            }),
            due("pods of builds", build_pods.touched, Arc::clone(&all), |_, o| {
                labelled(o, names::LABEL_BUILD).map(Due::Build).into_iter().collect()
            }),
            due("jobs of checks", check_jobs.touched, Arc::clone(&all), of_check),
            due("pods of checks", check_pods.touched, Arc::clone(&all), of_check),
            due("pods", pods.touched, Arc::clone(&all), of_rollout),
            due("deployments", deployments.touched, Arc::clone(&all), of_rollout),
            due("services", services.touched, Arc::clone(&all), of_rollout),
            due("endpointslices", slices.touched, all, of_rollout),
        ];
        (caches, futures::stream::select_all(streams).boxed())
    }

    pub fn ready(&self) -> Vec<(&'static str, futures::future::BoxFuture<'static, ()>)> {
        vec![
            ("pipelines", self.pipelines.ready()),
            ("builds", self.builds.ready()),
            ("rollouts", self.rollouts.ready()),
            ("commands", self.commands.ready()),
            ("jobs", self.jobs.ready()),
            ("pods of builds", self.build_pods.ready()),
            ("jobs of checks", self.check_jobs.ready()),
            ("pods of checks", self.check_pods.ready()),
            ("pods", self.pods.ready()),
            ("deployments", self.deployments.ready()),
            ("services", self.services.ready()),
            ("endpointslices", self.slices.ready()),
        ]
    }

    /// What the caches hold of an object that was written.
    pub fn seen(&self, write: &Written) -> Option<Seen> {
        let namespace = write.target.namespace.as_deref()?;
        let name = write.target.name.as_str();
        match write.target.resource.kind.as_str() {
            "Pipeline" => self.pipelines.seen(namespace, name),
            "Build" => self.builds.seen(namespace, name),
            "Rollout" => self.rollouts.seen(namespace, name),
            "Command" => self.commands.seen(namespace, name),
            "Job" => self.jobs.seen(namespace, name).or_else(|| self.check_jobs.seen(namespace, name)),
            "Deployment" => self.deployments.seen(namespace, name),
            "Service" => self.services.seen(namespace, name),
            _ => None,
        }
    }

    /// The uid of the object that has the target's name, read or not.
    pub fn uid_of(&self, namespace: &str, target: &TargetRef) -> Option<String> {
        match target.kind {
            TargetKind::Rollout => self.rollouts.get(namespace, &target.name)?.meta().uid.clone(),
            TargetKind::Build => self.builds.get(namespace, &target.name)?.meta().uid.clone(),
        }
    }

    /// Rollouts that name this Pipeline.
    fn rollouts_of(&self, pipeline: &Key) -> Vec<Key> {
        let all = self.rollouts.all();
        let named = all.iter().filter(|r| r.0.as_ref().is_ok_and(|r| named_pipelines(r).contains(pipeline)));
        named.map(|r| own(r.as_ref())).collect()
    }
}

/// Commands for one that is gone, or was made anew, are nobody's.
fn is_gone<K: Cached>(cache: &Cache<K>, object: &K) -> bool {
    let (namespace, name) = own(object);
    cache.get(&namespace, &name).is_none_or(|now| now.meta().uid != object.meta().uid)
}

/// The target's round, and a look at the Command itself, should nobody take it up.
fn of_command(object: &Guarded<Command>) -> Vec<Due> {
    let (namespace, name) = own(object);
    match &object.0 {
        Ok(command) => {
            let target = &command.spec.target_ref;
            let due = match target.kind {
                TargetKind::Rollout => Due::Rollout((namespace, target.name.clone())),
                TargetKind::Build => Due::Build((namespace, target.name.clone())),
            };
            vec![due, Due::Commands]
        }
        Err(why) => {
            tracing::error!(kind = "command", namespace, name, why = why.error, "object cannot be read");
            Vec::new()
        }
    }
}

fn of_check<K: Resource>(_: &Caches, object: &K) -> Vec<Due> {
    labelled(object, names::LABEL_CHECK).map(Due::Rollout).into_iter().collect()
}

fn of_rollout<K: Resource>(_: &Caches, object: &K) -> Vec<Due> {
    labelled(object, names::LABEL_ROLLOUT).map(Due::Rollout).into_iter().collect()
}

/// The Pipelines that a Rollout takes images from.
pub fn named_pipelines(rollout: &Rollout) -> BTreeSet<Key> {
    let own = rollout.namespace().unwrap_or_default();
    let references = rollout.spec.images.iter().map(|i| &i.pipeline_ref);
    references.map(|r| (r.namespace.clone().unwrap_or_else(|| own.clone()), r.name.clone())).collect()
}

fn due<K: Cached>(
    what: &'static str,
    touched: BoxStream<'static, Result<K, watcher::Error>>,
    caches: Arc<Caches>,
    of: impl Fn(&Caches, &K) -> Vec<Due> + Send + 'static,
) -> Dues {
    touched
        .map(move |object| object.map(|object| of(&caches, &object)).map_err(|error| Unwatched { what, error }))
        .boxed()
}

pub fn own<K: Resource>(object: &K) -> Key {
    (object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}

fn labelled<K: Resource>(object: &K, label: &str) -> Option<Key> {
    let value = object.meta().labels.as_ref()?.get(label)?;
    Some((object.meta().namespace.clone().unwrap_or_default(), value.clone()))
}

/// Keeps the stream running for as long as the process lives.
pub async fn pump<F: Future<Output = ()>>(
    mut stream: Dues,
    mut wake: impl FnMut(Due) -> F,
    mut failed: impl FnMut(&Unwatched),
) {
    while let Some(touched) = stream.next().await {
        match touched {
            Ok(due) => {
                for due in due {
                    wake(due).await;
                }
            }
            Err(error) => failed(&error),
        }
    }
}
