//! Checks before and after the switch, by the operator's own requests and Jobs: what passes goes live, what fails does not,
//! and who cannot be asked decides nothing. (Numbers of a real Prometheus: `prometheus.rs`.)

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{
    Rollout,
    rollout::{CheckState, CheckStatus},
};
use switchyard_e2e::{
    app::Page,
    place::{Place, in_a_namespace},
    timeline::Timeline,
};

fn page(place: &Place, text: &str, checks: &Value) -> Value {
    let mut rollout = Page::new("shop", text).rollout(&place.ground);
    rollout["spec"]["checks"] = checks.clone();
    rollout
}

async fn apply(place: &Place, text: &str, checks: &Value) {
    place.apply(&page(place, text, checks)).await.unwrap();
}

/// Blue is live, by a check that passed.
async fn blue(place: &Place, checks: &Value) -> (String, Timeline) {
    place.equip_to_pull().await;
    apply(place, "blue", checks).await;
    let live = place.until_healthy("shop", 120).await.status.unwrap().live.unwrap();
    (live.revision.to_string(), Timeline::of(place, "shop").await)
}

fn check<'a>(rollout: &'a Rollout, name: &str) -> Option<&'a CheckStatus> {
    rollout.status.as_ref()?.checks.iter().find(|c| c.name == name)
}

/// The revision that was given up, and the sentence that says why.
async fn rejected(place: &Place) -> (String, String) {
    let gone = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|s| !s.rejected.is_empty());
    let rollout = place.until_object::<Rollout>("shop", "a revision was given up", 90, gone).await;
    println!("{}", place.table().await);
    let rejected = rollout.status.unwrap().rejected.remove(0);
    assert_eq!(rejected.reason, "CheckFailed", "{}", rejected.message);
    (rejected.revision.to_string(), rejected.message)
}

fn preview(check: &Value) -> Value {
    json!({"preview": [check]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn what_passes_its_http_check_goes_live_and_what_fails_it_never_does() {
    in_a_namespace("checks-http", async |place| {
        let condition = |text: &str| {
            json!({"name": "smoke", "http": {"path": "/", "port": "http", "interval": "1s", "count": 2,
                "successCondition": format!("status == 200 && body.contains('{text}')")}})
        };
        let (blue, timeline) = blue(&place, &preview(&condition("blue"))).await;
        apply(&place, "green", &preview(&condition("blue"))).await;
        let (revision, message) = rejected(&place).await;
        assert_ne!(revision, blue);
        let wanted =
            "check smoke failed before the switch: HTTP 200 does not meet status == 200 && body.contains('blue')";
        assert_eq!(message, wanted);
        assert_eq!(timeline.revisions(), [blue], "it was never selected");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_migration_runs_in_the_new_revisions_image_before_the_switch_and_ends_it_when_it_fails() {
    in_a_namespace("checks-job", async |place| {
        let migrate = |command: &str| {
            preview(&json!({"name": "migrate", "job": {"fromContainer": "page", "timeout": "1m",
                "command": ["sh", "-c", command]}}))
        };
        let (blue, timeline) = blue(&place, &migrate("test -n \"$TEXT\"")).await;
        let jobs = place.list::<Job>("switchyard.dev/check=shop").await;
        assert_eq!(jobs.len(), 1, "one run, and it passed");
        assert_eq!(jobs[0].status.as_ref().and_then(|s| s.succeeded), Some(1));

        apply(&place, "green", &migrate("exit 3")).await;
        let (revision, message) = rejected(&place).await;
        assert_ne!(revision, blue);
        assert!(message.starts_with("check migrate failed before the switch: exit code 3"), "{message}");
        assert_eq!(timeline.revisions(), [blue], "it was never selected");
        let failed = place.list::<Job>(&format!("switchyard.dev/check-revision={revision}")).await;
        assert_eq!(
            failed.len(),
            1,
            "no retries were asked for: {:?}",
            failed.iter().map(Job::name_any).collect::<Vec<_>>()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn while_a_prometheus_cannot_be_reached_green_stays_unconfirmed_and_blue_stays() {
    in_a_namespace("checks-unreachable", async |place| {
        let (blue, timeline) = blue(&place, &json!({})).await;
        let live = json!({"live": [{"name": "errors", "prometheus": {"address": "http://nobody.forge.svc:9090",
            "query": "vector(0)", "successCondition": "value < 1", "interval": "1s", "timeout": "2s"}}]});
        apply(&place, "green", &live).await;
        timeline.reaches(2).await;
        let said = |rollout: &Rollout| check(rollout, "errors").is_some_and(|c| c.state == CheckState::Inconclusive);
        let rollout = place.until_object("shop", "the check is inconclusive", 60, said).await;
        println!("{}", place.table().await);
        let errors = check(&rollout, "errors").unwrap();
        assert_eq!((errors.passed, errors.failed), (0, 0));
        assert!(errors.message.starts_with("http://nobody.forge.svc:9090: "), "{}", errors.message);
        let status = rollout.status.unwrap();
        assert!(!status.live.unwrap().confirmed);
        assert!(status.waiting_for.iter().any(|w| w.starts_with("check errors of ")), "{:?}", status.waiting_for);
        assert_eq!(place.pods_of(&blue).await.len(), 1, "blue is the way back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_condition_that_does_not_read_well_is_named_before_anything_is_deployed() {
    in_a_namespace("checks-mistake", async |place| {
        place.equip_to_pull().await;
        let wrong = json!({"name": "smoke", "http": {"path": "/", "successCondition": "statsu == 200"}});
        apply(&place, "blue", &preview(&wrong)).await;
        let stalled = |rollout: &Rollout| {
            let conditions = rollout.status.iter().flat_map(|s| &s.conditions);
            conditions
                .into_iter()
                .any(|c| c.kind == "Stalled" && c.reason == "InvalidSpec" && c.message.contains("statsu"))
        };
        place.until_object::<Rollout>("shop", "it is Stalled, and says what is wrong", 30, stalled).await;
        assert!(place.list::<k8s_openapi::api::apps::v1::Deployment>("").await.is_empty());
    })
    .await;
}
