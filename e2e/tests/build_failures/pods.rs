//! A pod of a step starts, and does not get through.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::build::Class::{Infrastructure, Timeout, User};
use switchyard_e2e::{
    place::{Place, in_a_namespace},
    rows::{row, run},
};

use crate::source;

/// Runs until it is told to end. (The first process of a container ignores signals that it did not ask for.)
const STAYS: &str = "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); ";

/// The pod of a Build, once its check runs.
async fn checking(place: &Place, build: &str) -> Pod {
    place
        .until("the check runs", 120, async || {
            let pods: Vec<Pod> = place.list(&format!("switchyard.dev/build={build}")).await;
            let runs = |pod: &Pod| {
                let containers = pod.status.as_ref().and_then(|s| s.container_statuses.clone()).unwrap_or_default();
                containers.iter().any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()))
            };
            pods.into_iter().find(runs)
        })
        .await
}

/// As a drain of its node does.
async fn evict(place: &Place, build: &str) {
    let (name, namespace) = (checking(place, build).await.name_any(), &place.namespace);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    place.post(&format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"), &eviction).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn steps_that_do_not_get_through() {
    in_a_namespace("build-pods", async |place| {
        place.equip().await;
        let (repository, commit) = source(&place, &[]).await;
        let of = |name: &'static str, program: &str, more: &Value| {
            let program = format!("{STAYS}{program}");
            row(&place, name, &repository.url, &commit).check(&place, &["python3", "-c", &program], more)
        };
        let fills = "open('/tmp/big', 'wb').write(b'x' * (64 << 20)); time.sleep(100)";
        let limit = |resource: &str, most: &str| json!({"resources": {"limits": {resource: most}}});
        // Somebody else's, under the name that the first Job of the Build would have.
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "conflict-image-web-1"},
            "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [
                {"name": "theirs", "image": place.ground.setting("IMAGE_BASE_PYTHON")}]}}}});
        place.apply(&job).await.unwrap();
        let rows = vec![
            of("failing-test", "print('arithmetic is off'); sys.exit(3)", &json!({})).fails(User, "CheckFailed", "3"),
            of("out-of-memory", "len(b'x' * (1 << 30))", &limit("memory", "64Mi")).fails(User, "OutOfMemory", "check"),
            of("evicted", "time.sleep(100)", &json!({})).fails(Infrastructure, "PodLost", "the pod"),
            of("evicted-once", "'-unit-1-' in os.environ['HOSTNAME'] and time.sleep(100)", &json!({}))
                .with(&json!({"retries": 1}))
                .succeeds()
                .jobs(3),
            of("too-much-on-disk", fills, &limit("ephemeral-storage", "16Mi")).fails(
                Infrastructure,
                "DiskFull",
                "ephemeral",
            ),
            // What only the API server can know to be wrong.
            of("no-quantity", "sys.exit(0)", &limit("memory", "plenty"))
                .fails(User, "JobInvalid", "quantities")
                .jobs(0),
            of("too-slow", "time.sleep(100)", &json!({})).with(&json!({"timeout": "20s"})).fails(
                Timeout,
                "Timeout",
                "check/unit",
            ),
            row(&place, "no-such-program", &repository.url, &commit)
                .check(&place, &["/no/such/program"], &json!({}))
                .fails(User, "CheckFailed", "/no/such/program"),
            row(&place, "conflict", &repository.url, &commit)
                .fails(User, "ChildConflict", "conflict-image-web-1")
                .jobs(0),
        ];
        let outcomes = run(&place, rows, async |_| {
            futures::join!(evict(&place, "evicted"), evict(&place, "evicted-once"));
        })
        .await;
        let failing = outcomes.iter().find(|o| o.name == "failing-test").and_then(|o| o.failure()).unwrap();
        assert!(failing.log.as_ref().is_some_and(|log| log.contains("arithmetic is off")), "{:?}", failing.log);
    })
    .await;
}
