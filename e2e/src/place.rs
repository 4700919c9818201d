//! A namespace of its own for each test, taken away afterwards, and waiting in it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Pod, Service},
};
use kube::{Api, Resource, ResourceExt as _, api::ListParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use switchyard_api::{
    Build, Pipeline, Rollout,
    condition::{READY, RECONCILING, State},
};
use tokio::time::Instant;

use crate::{
    ground::{Ground, SYSTEM},
    process::{feed, run, tail},
};

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A namespace.
#[derive(Clone)]
pub struct Place {
    pub ground: Arc<Ground>,
    pub namespace: String,
}

/// Runs a test in a namespace of its own on the test cluster. Whatever becomes of the test, the namespace is removed;
/// if it fails, what was there is told first.
pub async fn in_a_namespace(name: &str, test: impl AsyncFnOnce(Place)) {
    assert!(
        std::env::var("SWITCHYARD_E2E").is_ok_and(|v| v == "1"),
        "end-to-end tests need the test cluster: run them by `make test-e2e`"
    );
    let ground = Arc::new(Ground::of_the_test_cluster().await.unwrap());
    within(ground, &format!("e2e-{name}"), test).await.unwrap();
}

/// Does something in a namespace made for it, of that name with five letters added, and removes it, whatever becomes of
/// that. If it panics, what was there is told, and the panic goes on.
pub async fn within<T>(ground: Arc<Ground>, name: &str, work: impl AsyncFnOnce(Place) -> T) -> Result<T> {
    let place = Place::create(ground, &format!("{name}-{}", suffix())).await?;
    let began = Instant::now();
    let ended = AssertUnwindSafe(work(place.clone())).catch_unwind().await;
    if ended.is_err() {
        eprintln!("--- {} after {:.1} s:\n{}", place.namespace, began.elapsed().as_secs_f64(), place.explain().await);
    }
    place.remove().await?;
    Ok(ended.unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Ready for the spec as it is now, with nothing on its way and nothing to wait for.
pub fn is_settled(rollout: &Rollout) -> bool {
    let Some(status) = &rollout.status else { return false };
    let is = |kind: &str, state: State| status.conditions.iter().any(|c| c.kind == kind && c.status == state);
    rollout.metadata.generation == Some(status.observed_generation)
        && is(READY, State::True)
        && !is(RECONCILING, State::True)
        && status.live.as_ref().is_some_and(|live| live.confirmed)
        && status.next.is_none()
        && status.waiting_for.is_empty()
}

/// Five letters, so that a run does not meet what the one before it left.
pub fn suffix() -> String {
    std::iter::repeat_with(fastrand::lowercase).take(5).collect()
}

impl Place {
    pub async fn create(ground: Arc<Ground>, namespace: &str) -> Result<Self> {
        let place = Self { ground, namespace: namespace.to_owned() };
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        place.ground.apply(&manifest.to_string()).await?;
        // Pods are refused until the namespace has its default account.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = place.api();
        place.until("the default service account", 30, async || accounts.get_opt("default").await.ok().flatten()).await;
        Ok(place)
    }

    /// Begins its removal; the cluster finishes it.
    pub async fn remove(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.ground.client.clone());
        namespaces
            .delete(&self.namespace, &kube::api::DeleteParams::default())
            .await
            .context("remove the namespace")?;
        Ok(())
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.ground.client.clone(), &self.namespace)
    }

    /// The object as it is now.
    pub async fn find<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        self.api::<K>().get_opt(name).await.ok().flatten()
    }

    pub async fn list<K>(&self, selector: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let listed = self.api::<K>().list(&ListParams::default().labels(selector)).await;
        listed.map(|l| l.items).unwrap_or_default()
    }

    /// Applies an object to this namespace.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.apply_all(&object.to_string()).await
    }

    /// Applies manifests to this namespace, as a user does.
    pub async fn apply_all(&self, manifests: &str) -> Result<()> {
        feed(&mut self.kubectl(&["apply", "-f", "-"]), manifests).await.map(drop)
    }

    /// Asks the API server for what is at this path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, None).await
    }

    /// Creates an object in the collection at this path.
    pub async fn post(&self, path: &str, object: &Value) -> Result<()> {
        self.request("POST", path, Some(object)).await.map(drop)
    }

    /// Applies an object at this path, past kubectl: for who does so hundreds of times.
    pub async fn put(&self, path: &str, object: &Value) -> Result<()> {
        self.request("PATCH", &format!("{path}?fieldManager=e2e&force=true"), Some(object)).await.map(drop)
    }

    async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let bytes = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let request = hyper::Request::builder().method(method).uri(path).header("content-type", kind).body(bytes)?;
        self.ground.client.request(request).await.with_context(|| format!("{method} {path}"))
    }

    pub fn kubectl(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.ground.kubectl(&all)
    }

    /// What a user sees.
    pub async fn table(&self) -> String {
        let columns = ["get", "pipelines,builds,rollouts,commands"];
        run(&mut self.kubectl(&columns)).await.unwrap_or_else(|e| e.to_string())
    }

    /// Looks until there is something, at most that many seconds; then fails, and tells what is there instead.
    #[track_caller]
    pub fn until<'a, T>(
        &'a self,
        what: &'a str,
        seconds: u64,
        mut look: impl AsyncFnMut() -> Option<T> + 'a,
    ) -> impl Future<Output = T> + 'a
    where
        T: 'a,
    {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + Duration::from_secs(seconds);
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                assert!(
                    Instant::now() < deadline,
                    "{caller}: in {} after {seconds} s not yet: {what}\n{}",
                    self.namespace,
                    self.explain().await
                );
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Waits until a Rollout has done all that its spec asks for, and has nothing left to do.
    #[track_caller]
    pub fn until_healthy<'a>(&'a self, name: &'a str, seconds: u64) -> impl Future<Output = Rollout> + 'a {
        self.until_object(name, "it is healthy and wants nothing more", seconds, is_settled)
    }

    /// Waits until this is so of the object.
    #[track_caller]
    pub fn until_object<'a, K>(
        &'a self,
        name: &'a str,
        what: &'a str,
        seconds: u64,
        so: impl Fn(&K) -> bool + 'a,
    ) -> impl Future<Output = K> + 'a
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug + 'a,
        K::DynamicType: Default,
    {
        self.until(what, seconds, async move || self.find::<K>(name).await.filter(|o| so(o)))
    }

    /// Pods of one revision of a Rollout, those on their way out included.
    pub async fn pods_of(&self, revision: &str) -> Vec<Pod> {
        self.list(&format!("{}={revision}", switchyard_api::names::LABEL_REVISION)).await
    }

    /// Where a Service of this namespace is reached from this machine.
    pub async fn address_of(&self, service: &str) -> SocketAddr {
        self.until("the address of the Service", 30, async || {
            let spec = self.find::<Service>(service).await?.spec?;
            let port = u16::try_from(spec.ports?.first()?.port).ok()?;
            Some(SocketAddr::new(spec.cluster_ip?.parse().ok()?, port))
        })
        .await
    }

    /// Everything that helps to see why something is not as it should be.
    pub async fn explain(&self) -> String {
        let mut text = self.table().await;
        for rollout in self.list::<Rollout>("").await {
            let name = rollout.name_any();
            if let Some(status) = rollout.status {
                let _ = writeln!(
                    text,
                    "Rollout {name}: {}",
                    json!({"conditions": status.conditions,
                    "waitingFor": status.waiting_for, "rejected": status.rejected, "memory": status.memory})
                );
            }
        }
        for build in self.list::<Build>("").await {
            let name = build.name_any();
            if let Some(status) = build.status {
                let _ = writeln!(
                    text,
                    "Build {name}: {}",
                    json!({"conditions": status.conditions,
                    "waitingFor": status.waiting_for, "steps": status.steps, "failure": status.failure})
                );
            }
        }
        for pipeline in self.list::<Pipeline>("").await {
            let name = pipeline.name_any();
            if let Some(status) = pipeline.status {
                let _ = writeln!(
                    text,
                    "Pipeline {name}: {}",
                    json!({"conditions": status.conditions,
                    "waitingFor": status.waiting_for, "environments": status.environments})
                );
            }
        }
        let columns =
            "custom-columns=TIME:.lastTimestamp,TYPE:.type,OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message";
        for (what, lines, mut command) in [
            ("children", 40, self.kubectl(&["get", "services,deployments,jobs,pods", "-o", "wide"])),
            ("events", 20, self.kubectl(&["get", "events", "--sort-by=.lastTimestamp", "-o", columns])),
            ("operator", 25, self.ground.kubectl(&["-n", SYSTEM, "logs", "deployment/switchyard", "--tail=25"])),
        ] {
            let said = run(&mut command).await.unwrap_or_else(|e| e.to_string());
            let _ = write!(text, "\n{what}:\n{}\n", tail(&said, lines));
        }
        text
    }
}
