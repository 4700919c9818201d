//! Builds that end otherwise: by a person's order, for want of anything to do, or because what they did was forgotten.

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};
use switchyard_api::{
    Build,
    build::{
        Class::{Cancelled, Lost, User},
        Phase,
    },
    condition::{READY, State},
    names::{ANNOTATION_RESULT, ANNOTATION_STARTED, LABEL_OWNER_UID},
};
use switchyard_e2e::{
    place::in_a_namespace,
    rows::{row, run},
};

use crate::source;

/// Ends at once when it is told to.
const WAITS: &str = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); time.sleep(100)";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn other_ends() {
    in_a_namespace("build-ends", async |place| {
        place.equip().await;
        let (repository, first) = source(&place, &[]).await;
        let docs = repository.commit(&[("docs/page.md", "# Hello\n".to_owned())], "docs: a page").await.unwrap();
        let changed = repository.commit(&[("page.txt", "hello again\n".to_owned())], "fix: a page").await.unwrap();
        let of = |name: &'static str, commit: &str| row(&place, name, &repository.url, commit);
        let since = |base: &str| json!({"source": {"git": {"base": base, "paths": {"exclude": ["docs/**"]}}}});
        let leaves = |name: &'static str, command: &[&str], path: &str| {
            let mut row = of(name, &first).check(&place, command, &json!({}));
            row = row.checks(|checks| checks[0]["artifacts"] = json!([path]));
            row
        };
        let large = ["python3", "-c", "open('large', 'wb').write(b'x' * (65 << 20))"];
        let rows = vec![
            of("cancelled", &first).check(&place, &["python3", "-c", WAITS], &json!({})).fails(
                Cancelled,
                "Cancelled",
                "INC-42",
            ),
            of("forgotten", &first)
                .annotated(&json!({ANNOTATION_STARTED: "2026-01-01T00:00:00Z"}))
                .fails(Lost, "StatusLost", "started")
                .jobs(0),
            of("docs-only", &docs).with(&since(&first)),
            of("more-than-docs", &changed).with(&since(&first)).succeeds(),
            leaves("no-artifact", &["true"], "absent.xml").fails(User, "ArtifactMissing", "absent.xml"),
            leaves("large-artifact", &large, "large").fails(User, "ArtifactTooLarge", "64 MiB"),
            leaves("artifact", &["sh", "-c", "mkdir out && echo 41.2 >out/coverage"], "out")
                .checks(|checks| {
                    let image = checks[0]["job"]["image"].clone();
                    let job = json!({"image": image, "command": ["grep", "-q", "41.2", "out/coverage"]});
                    checks.as_array_mut().unwrap().push(json!({"name": "reads", "after": ["unit"], "job": job}));
                })
                .succeeds()
                .jobs(3),
        ];
        let outcomes = run(&place, rows, async |watched| {
            let job = async || (!watched.jobs("cancelled").is_empty()).then_some(());
            place.until("there is something to cancel", 60, job).await;
            place.cancel("cancelled", "INC-42").await;
        })
        .await;
        let of = |name: &str| outcomes.iter().find(|o| o.name == name).unwrap();

        let cancelled = of("cancelled").build.status.clone().unwrap();
        assert_eq!(cancelled.phase, Some(Phase::Cancelled));
        place
            .until("nothing of it runs", 40, async || {
                let pods: Vec<Pod> = place.list("switchyard.dev/build=cancelled").await;
                let runs = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
                (!pods.iter().any(runs)).then_some(())
            })
            .await;

        let skipped = of("docs-only").build.status.clone().unwrap();
        let ready = skipped.conditions.iter().find(|c| c.kind == READY).unwrap();
        assert_eq!(
            (skipped.phase, ready.status, ready.reason.as_str()),
            (Some(Phase::Skipped), State::True, "Skipped")
        );
        assert!(skipped.images.is_empty() && skipped.failure.is_none(), "{}", json!(skipped));

        // As a restore from a backup makes it: without status, with annotations.
        let marked = |build: &Build| build.annotations().contains_key(ANNOTATION_RESULT);
        let before = place.until_object::<Build>("more-than-docs", "its result is kept", 30, marked).await;
        place.api::<Build>().delete(&before.name_any(), &DeleteParams::default()).await.unwrap();
        let gone = async || place.find::<Build>("more-than-docs").await.is_none().then_some(());
        place.until("the Build is gone", 30, gone).await;
        let restored: Value = json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Build",
            "metadata": {"name": "more-than-docs", "annotations": before.annotations()}, "spec": before.spec});
        place.apply(&restored).await.unwrap();
        let ended = |build: &Build| build.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Succeeded));
        let after = place.until_object::<Build>("more-than-docs", "it is what it was", 30, ended).await;
        assert_eq!(after.status.as_ref().unwrap().images, before.status.unwrap().images);
        let mine = format!("{LABEL_OWNER_UID}={}", after.uid().unwrap());
        assert_eq!(place.list::<Job>(&mine).await.len(), 0, "finished is finished");
    })
    .await;
}
