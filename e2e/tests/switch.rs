//! The switch from blue to green under load: nothing fails. And a control: with blue gone too early, it does.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use switchyard_api::{Rollout, names::LABEL_REVISION};
use switchyard_e2e::{
    app::Page,
    load::{Load, Report, Running},
    place::{Place, in_a_namespace},
    timeline::Timeline,
};
use tokio::{sync::Mutex, time::Instant};

/// A second, over new and kept connections in turn.
const RATE: u32 = 400;
/// What the load must have sent before the patch.
const BEFORE: Duration = Duration::from_secs(2);
/// One at a time: two loads at once would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

fn live(rollout: &Rollout) -> Option<String> {
    Some(rollout.status.as_ref()?.live.as_ref()?.revision.to_string())
}

/// Blue serves, under load for a while.
async fn blue_under_load(place: &Place) -> (String, Timeline, Running) {
    place.equip_to_pull().await;
    place.apply(&Page::new("shop", "blue").replicas(2).blue_stays("5s", "15s").rollout(&place.ground)).await.unwrap();
    let rollout = place.until_healthy("shop", 90).await;
    let blue = live(&rollout).unwrap();
    let timeline = Timeline::of(place, "shop").await;
    assert_eq!(timeline.revisions(), std::slice::from_ref(&blue));
    let load = Load::new(place.address_of("shop").await, RATE).start().unwrap();
    place.until("two seconds of load", 10, async || (load.since().elapsed() > BEFORE).then_some(())).await;
    (blue, timeline, load)
}

async fn apply_green(place: &Place) {
    place.apply(&Page::new("shop", "green").replicas(2).blue_stays("5s", "15s").rollout(&place.ground)).await.unwrap();
}

/// From two seconds before the patch of the live Service until blue has no pod.
async fn window(place: &Place, blue: &str, timeline: &Timeline, load: Running) -> Report {
    place.until("blue's last pod is gone", 120, async || place.pods_of(blue).await.is_empty().then_some(())).await;
    let gone = Instant::now();
    place.until("10,000 requests", 60, async || (load.sent() > 10_000).then_some(())).await;
    let patched = timeline.moment_of(&timeline.revisions()[1]).unwrap();
    let began = load.since();
    assert!(patched - began >= BEFORE, "the load began {:?} before the patch", patched - began);
    let all = load.stop().await;
    println!("everything: {all}");
    // A slower machine needs longer for the same number, so the count goes on past blue's end until there are enough.
    let end = gone.max(began + Duration::from_secs_f64(10_000.0 / f64::from(RATE)) + BEFORE);
    all.between(patched - BEFORE, end)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn no_request_fails_in_a_switch_under_load() {
    let _alone = ALONE.lock().await;
    in_a_namespace("switch", async |place| {
        let (blue, timeline, load) = blue_under_load(&place).await;
        apply_green(&place).await;
        timeline.reaches(2).await;
        let green = timeline.revisions()[1].clone();
        assert_ne!(green, blue);
        let report = window(&place, &blue, &timeline, load).await;
        println!("from 2 s before the patch until blue was gone: {report}");
        report.assert_flawless(10_000);

        let by = |revision: &str| report.served().keys().filter(|pod| pod.contains(revision)).count();
        assert_eq!((by(&blue), by(&green)), (2, 2), "both pods of both answered: {report}");
        place.until_healthy("shop", 30).await;
        assert_eq!(timeline.revisions(), [blue, green], "the Service went from one to the other, once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn control_with_blue_gone_at_the_switch_requests_fail() {
    let _alone = ALONE.lock().await;
    in_a_namespace("switch-control", async |place| {
        let (blue, timeline, load) = blue_under_load(&place).await;
        apply_green(&place).await;
        timeline.reaches(2).await;
        remove(&place, &blue).await;
        let report = window(&place, &blue, &timeline, load).await;
        println!("control: {report}");
        assert!(report.failed() > 0, "blue was taken away under its connections, and nobody noticed: {report}");
    })
    .await;
}

/// What a controller does that does not wait: scales it to zero, and its pods are gone at once.
async fn remove(place: &Place, revision: &str) {
    let selector = format!("{LABEL_REVISION}={revision}");
    let deployments = place.api::<Deployment>();
    for deployment in place.list::<Deployment>(&selector).await {
        let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
        deployments.patch_scale(&deployment.name_any(), &PatchParams::default(), &none).await.unwrap();
    }
    let at_once = DeleteParams::default().grace_period(0);
    let those = ListParams::default().labels(&selector);
    place.api::<Pod>().delete_collection(&at_once, &those).await.unwrap();
}
