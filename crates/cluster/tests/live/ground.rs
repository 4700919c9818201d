//! A namespace for one test.

use std::{
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    panic::AssertUnwindSafe,
    path::PathBuf,
    time::Duration,
};

use futures::FutureExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
    core::ApiResource,
};
use serde_json::json;
use switchyard_cluster::{Target, client};

pub struct Ground {
    pub config: Config,
    pub client: Client,
    pub namespace: String,
}

/// Runs `test` in a namespace of its own, and removes that whatever happens.
pub fn on_ground<F: Future<Output = ()>>(test: impl FnOnce(Ground) -> F) {
    let path = std::env::var_os("SWITCHYARD_KUBECONFIG").map(PathBuf::from);
    let path = path.expect("SWITCHYARD_KUBECONFIG names a kubeconfig of an administrator: `make test-e2e` sets it");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = client::config(Some(&path)).await.unwrap();
        let client = client::client(config.clone()).unwrap();
        let name = format!("live-{:016x}", RandomState::new().build_hasher().finish());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await.unwrap();
        let ground = Ground { config, client, namespace: name.clone() };
        let outcome = AssertUnwindSafe(test(ground)).catch_unwind().await;
        namespaces.delete(&name, &DeleteParams::background()).await.unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

impl Ground {
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn map(&self, name: &str) -> ConfigMap {
        let metadata =
            ObjectMeta { name: Some(name.into()), namespace: Some(self.namespace.clone()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    pub async fn create<K>(&self, object: &K) -> K
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        self.api().create(&PostParams::default(), object).await.unwrap()
    }
}

/// A kind with a status that nobody else writes; removed with [`Counters::remove`].
pub struct Counters {
    pub resource: ApiResource,
    client: Client,
}

impl Counters {
    /// The namespace's name makes the group unique.
    pub async fn install(ground: &Ground) -> Self {
        let group = format!("{}.test", ground.namespace);
        let name = format!("counters.{group}");
        let crd = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": "Counter", "plural": "counters", "singular": "counter"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {"noise": {"type": "integer"}}},
                        "status": {"type": "object", "properties": {"count": {"type": "integer"}}},
                    }}},
                }],
            },
        }))
        .unwrap();
        let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
            Api::all(ground.client.clone());
        crds.create(&PostParams::default(), &crd).await.unwrap();
        let resource = ApiResource {
            api_version: format!("{group}/v1"),
            group,
            version: "v1".into(),
            kind: "Counter".into(),
            plural: "counters".into(),
        };
        let counters = Self { resource, client: ground.client.clone() };
        let probe = counters.api(&ground.namespace);
        for _ in 0..100 {
            if probe.list(&kube::api::ListParams::default()).await.is_ok() {
                return counters;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name} is not served");
    }

    pub fn api(&self, namespace: &str) -> Api<kube::core::DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource)
    }

    pub async fn create(&self, namespace: &str, name: &str) -> kube::core::DynamicObject {
        let object =
            kube::core::DynamicObject::new(name, &self.resource).within(namespace).data(json!({"spec": {"noise": 0}}));
        self.api(namespace).create(&PostParams::default(), &object).await.unwrap()
    }

    pub fn target(&self, object: &kube::core::DynamicObject) -> Target {
        Target { resource: self.resource.clone(), namespace: object.namespace(), name: object.name_any() }
    }

    pub async fn remove(self) {
        let crds: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
            Api::all(self.client.clone());
        crds.delete(&format!("counters.{}", self.resource.group), &DeleteParams::background()).await.unwrap();
    }
}
