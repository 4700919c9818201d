//! The switch from blue to green under load: nothing fails. And a control: with blue gone too early, it does.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use switchyard_api::{Rollout, names::LABEL_REVISION};
use switchyard_e2e::{
    app::Page,
    load::{Load, Mode, Report, Running},
    place::{Place, in_a_namespace},
    timeline::Timeline,
};
use tokio::{sync::Mutex, time::Instant};

/// A second, over new and kept connections in turn.
const RATE: u32 = 400;
/// How many have to be counted.
const LEAST: usize = 10_000;
/// What the load must have sent before the patch.
const BEFORE: Duration = Duration::from_secs(2);
/// One at a time: two loads at once would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// An answer takes a while, as answers do: so some are always under way, and lost by whoever ends blue too early.
fn well_behaved(text: &str) -> Page {
    Page::new("shop", text).replicas(2).delay_ms(100).blue_stays("5s", "15s")
}

/// An application without manners, which has nothing but the operator's patience: asked to end, it drops what it is at.
/// (Over kept connections no patience helps it: their clients stay with blue for as long as blue lives.)
fn rude(text: &str) -> Page {
    Page::new("shop", text).replicas(2).delay_ms(400).leaves_at_once().blue_stays("5s", "20s")
}

fn live(rollout: &Rollout) -> Option<String> {
    Some(rollout.status.as_ref()?.live.as_ref()?.revision.to_string())
}

/// Blue serves, under load for a while.
async fn under_load(place: &Place, blue: &Page, modes: &[Mode]) -> (String, Timeline, Running) {
    place.equip_to_pull().await;
    place.apply(&blue.rollout(&place.ground)).await.unwrap();
    let rollout = place.until_healthy("shop", 90).await;
    let blue = live(&rollout).unwrap();
    let timeline = Timeline::of(place, "shop").await;
    assert_eq!(timeline.revisions(), std::slice::from_ref(&blue));
    let load = Load::new(place.address_of("shop").await, RATE).modes(modes).start().unwrap();
    place.until("two seconds of load", 10, async || (load.since().elapsed() > BEFORE).then_some(())).await;
    (blue, timeline, load)
}

/// From two seconds before the patch of the live Service until blue has no pod, and longer if that were too few.
async fn window(place: &Place, blue: &str, timeline: &Timeline, load: Running) -> Report {
    place.until("blue's last pod is gone", 120, async || place.pods_of(blue).await.is_empty().then_some(())).await;
    let patched = timeline.moment_of(&timeline.revisions()[1]).unwrap();
    let began = load.since();
    assert!(patched - began >= BEFORE, "the load began {:?} before the patch", patched - began);
    place.until("enough requests", 120, async || (load.ended_since(patched - BEFORE) > LEAST).then_some(())).await;
    let end = Instant::now();
    load.stop().await.between(patched - BEFORE, end)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn no_request_fails_in_a_switch_under_load() {
    let _alone = ALONE.lock().await;
    in_a_namespace("switch", async |place| {
        let (blue, timeline, load) = under_load(&place, &well_behaved("blue"), &[Mode::Fresh, Mode::Kept]).await;
        place.apply(&well_behaved("green").rollout(&place.ground)).await.unwrap();
        timeline.reaches(2).await;
        let report = window(&place, &blue, &timeline, load).await;
        println!("from 2 s before the patch until blue was gone: {report}");
        report.assert_flawless(LEAST);

        let green = timeline.revisions()[1].clone();
        let by = |revision: &str| report.served().keys().filter(|pod| pod.contains(revision)).count();
        assert_eq!((by(&blue), by(&green)), (2, 2), "both pods of both answered: {report}");
        place.until_healthy("shop", 30).await;
        assert_eq!(timeline.revisions(), [blue, green], "the Service went from one to the other, once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn no_request_fails_even_if_the_application_drops_what_it_is_at() {
    let _alone = ALONE.lock().await;
    in_a_namespace("switch-rude", async |place| {
        let (blue, timeline, load) = under_load(&place, &rude("blue"), &[Mode::Fresh]).await;
        place.apply(&rude("green").rollout(&place.ground)).await.unwrap();
        timeline.reaches(2).await;
        let report = window(&place, &blue, &timeline, load).await;
        println!("from 2 s before the patch until blue was gone: {report}");
        report.assert_flawless(LEAST);
    })
    .await;
}

/// The same as the one above, but for one thing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn control_with_blue_gone_at_the_switch_requests_fail() {
    let _alone = ALONE.lock().await;
    in_a_namespace("switch-control", async |place| {
        let (blue, timeline, load) = under_load(&place, &rude("blue"), &[Mode::Fresh]).await;
        place.apply(&rude("green").rollout(&place.ground)).await.unwrap();
        timeline.reaches(2).await;
        scale_to_zero(&place, &blue).await;
        let report = window(&place, &blue, &timeline, load).await;
        println!("control: {report}");
        assert!(report.failed() > 0, "blue was taken away under its requests, and nobody noticed: {report}");
    })
    .await;
}

/// What a controller does that does not wait.
async fn scale_to_zero(place: &Place, revision: &str) {
    let deployments = place.api::<Deployment>();
    for deployment in place.list::<Deployment>(&format!("{LABEL_REVISION}={revision}")).await {
        let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
        deployments.patch_scale(&deployment.name_any(), &PatchParams::default(), &none).await.unwrap();
    }
}
