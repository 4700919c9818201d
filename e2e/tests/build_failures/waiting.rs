//! A pod of a step cannot start: it says why at once, and waits only where a person may still mend it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use switchyard_api::{
    Build,
    build::Class::{Infrastructure, Timeout, User},
};
use switchyard_e2e::{
    place::{Place, in_a_namespace},
    rows::{row, run},
    watched::Watched,
};

use crate::source;

/// Within this a pod that cannot start says why.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Of a Build that waits for what never comes. It must have said why before half of it is over: the tests of a file share
/// two processors with the rest of the cluster, so what is asserted is laxer than what is told.
const TIMEOUT: &str = "40s";

/// How long after the kubelet first failed to pull an image of this Build it said so. Events are dated by the second.
async fn told_after_a_failed_pull(place: &Place, watched: &Watched, build: &str) -> Duration {
    let of = |event: &Event| {
        let pod = event.involved_object.name.as_ref().is_some_and(|name| name.starts_with(&format!("{build}-")));
        pod && event.message.as_ref().is_some_and(|message| message.starts_with("Failed to pull image"))
    };
    let events = place.list::<Event>("").await;
    let failed = events.iter().filter(|e| of(e)).filter_map(|e| e.first_timestamp.as_ref()).map(|t| t.0).min().unwrap();
    let told = watched.said_at(build, "ImagePullFailed").unwrap();
    told.duration_since(failed).try_into().unwrap_or_default()
}

fn tell(watched: &Watched, waits: &[(&str, &str)]) {
    for (build, reason) in waits {
        let after = watched.said(build, reason);
        let verdict = if after.is_some_and(|a| a <= AT_ONCE) { "within" } else { "NOT within" };
        println!("{build}: {reason} {verdict} {} s: {after:.1?}, {:?}", AT_ONCE.as_secs(), watched.reasons(build));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn pods_that_cannot_start_say_why() {
    in_a_namespace("build-waiting", async |place| {
        place.equip().await;
        let (repository, commit) = source(&place, &[]).await;
        let of = |name: &'static str| row(&place, name, &repository.url, &commit).with(&json!({"timeout": TIMEOUT}));
        let push = |secret: &str| json!({"secretRef": {"name": secret}});
        let git = |secret: &str| json!({"source": {"git": {"secretRef": {"name": secret}}}});
        let nobody = json!([{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "nobody", "key": "token"}}}]);
        let opaque = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "opaque"},
            "stringData": {"config": "{}"}});
        place.apply(&opaque).await.unwrap();
        let python = place.ground.setting("IMAGE_BASE_PYTHON");
        let run_it = ["true"];
        let checked = |name: &'static str, more: &Value| of(name).check(&place, &run_it, more);
        let rows = vec![
            of("unschedulable")
                .with(&json!({"pod": {"nodeSelector": {"example.com/nobody-has": "this"}}}))
                .fails(Timeout, "Unschedulable", "node")
                .waits(),
            of("no-git-secret").with(&git("nobody")).fails(Timeout, "SecretMissing", "nobody").waits(),
            of("no-push-secret").image(&push("nobody")).fails(Timeout, "SecretMissing", "nobody").waits(),
            checked("no-secret-of-a-check", &json!({"env": nobody})).fails(Timeout, "SecretMissing", "nobody").waits(),
            of("no-such-key").image(&push("opaque")).fails(Timeout, "SecretMissing", ".dockerconfigjson").waits(),
            of("mended").with(&json!({"timeout": "2m"})).with(&git("later")).succeeds(),
            checked(
                "no-such-image",
                &json!({"image": format!("{}/{}/none:1", place.ground.setting("REGISTRY"), place.namespace)}),
            )
            .with(&json!({"retries": 1, "timeout": "3m"}))
            .fails(Infrastructure, "ImagePullFailed", "none:1")
            .jobs(2),
            // What a check talks to ends again and again.
            checked(
                "no-service",
                &json!({"services": [{"name": "db", "image": python, "command": ["false"], "port": 5432}]}),
            )
            .with(&json!({"timeout": "2m"}))
            .fails(Infrastructure, "ContainerFailedToStart", "service-db"),
            checked("no-image-name", &json!({"image": "Not A Name"})).fails(User, "PodImageInvalid", "Not A Name"),
        ];
        let waits = [
            ("unschedulable", "Unschedulable"),
            ("no-git-secret", "SecretMissing"),
            ("no-push-secret", "SecretMissing"),
            ("no-secret-of-a-check", "SecretMissing"),
            ("no-such-key", "SecretMissing"),
            ("mended", "SecretMissing"),
            ("no-such-image", "ImagePullFailed"),
            ("no-image-name", "PodImageInvalid"),
        ];
        run(&place, rows, async |watched| {
            let said = async || watched.said("mended", "SecretMissing");
            place.until("it says that the Secret is missing", 30, said).await;
            let (user, password) =
                (place.ground.setting("GIT_READER_USER"), place.ground.setting("GIT_READER_PASSWORD"));
            place.git_secret("later", user, password).await;
            let pulled = async || watched.said("no-such-image", "ImagePullFailed");
            place.until("it says that the image cannot be pulled", 60, pulled).await;
            let after = told_after_a_failed_pull(&place, watched, "no-such-image").await;
            println!("no-such-image: told {after:.1?} after the first try that failed");
            assert!(after <= AT_ONCE, "an image that cannot be pulled is told {after:.1?} after the first try");
            let words = place.find::<Build>("no-such-image").await.and_then(|b| b.status).map(|s| s.waiting_for);
            assert!(words.iter().flatten().any(|w| w.contains("not found")), "the registry's words: {words:?}");
            let all = async || waits.iter().all(|(build, reason)| watched.said(build, reason).is_some()).then_some(());
            place.until("each has said why", 60, all).await;
            tell(watched, &waits);
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_quota_says_so() {
    in_a_namespace("build-quota", async |place| {
        place.equip().await;
        let (repository, commit) = source(&place, &[]).await;
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}}});
        place.apply(&quota).await.unwrap();
        let quota_is_known = async || {
            let path = format!("/api/v1/namespaces/{}/resourcequotas/none", place.namespace);
            place.get(&path).await.ok()?["status"]["hard"]["pods"].as_str().map(drop)
        };
        place.until("the quota holds", 30, quota_is_known).await;
        let rows = vec![
            row(&place, "over-quota", &repository.url, &commit)
                .with(&json!({"timeout": TIMEOUT}))
                .fails(Timeout, "QuotaExceeded", "quota")
                .waits(),
        ];
        run(&place, rows, async |watched| {
            let said = async || watched.said("over-quota", "QuotaExceeded");
            place.until("it says that the quota is exceeded", 35, said).await;
            tell(watched, &[("over-quota", "QuotaExceeded")]);
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_pod_that_the_namespace_forbids_says_so() {
    in_a_namespace("build-forbidden", async |place| {
        place.equip().await;
        let (repository, commit) = source(&place, &[]).await;
        let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        place.ground.apply(&restricted.to_string()).await.unwrap();
        let rows = vec![
            // Kaniko has to be root.
            row(&place, "forbidden", &repository.url, &commit).fails(User, "PodForbidden", "restricted"),
        ];
        run(&place, rows, async |_| ()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn all_pods_fit_the_level_baseline() {
    in_a_namespace("build-baseline", async |place| {
        place.equip().await;
        let (repository, commit) = source(&place, &[]).await;
        let baseline = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}});
        place.ground.apply(&baseline.to_string()).await.unwrap();
        let good = row(&place, "admitted", &repository.url, &commit).check(&place, &["true"], &json!({}));
        run(&place, vec![good.succeeds().jobs(2)], async |_| ()).await;
    })
    .await;
}
