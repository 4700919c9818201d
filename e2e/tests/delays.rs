//! What is to take its time takes it, and says until when.

use serde_json::{Value, json};
use switchyard_api::{
    Rollout, Timestamp,
    condition::{READY, RECONCILING},
    rollout::Phase,
};
use switchyard_e2e::{
    place::{Place, in_a_namespace},
    shop::{
        blue, live, manual, moment, next, page, reason, sentence, until_another, until_gone, until_it_waits, waits_for,
    },
};

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}
fn delay(setting: &'static str, time: &'static str) -> impl Fn(&mut Value) {
    move |spec: &mut Value| spec["strategy"]["blueGreen"][setting] = json!(time)
}

/// Until then it has its pods; then it loses them. (Clocks of one machine.)
async fn keeps_its_pods_until(place: &Place, revision: &str, setting: &str) {
    let words = format!("{revision} keeps its pods until then ({setting})");
    let rollout = until_it_waits(place, &words).await;
    let until = moment(&sentence(&rollout, &words).unwrap());
    assert!(until > now(), "it is told in time");
    assert_eq!(place.pods_of(revision).await.len(), 1);
    let ends = async || {
        let pods = place.pods_of(revision).await;
        pods.iter().all(|p| p.metadata.deletion_timestamp.is_some()).then(now)
    };
    let ended = place.until("its pods are told to end", 60, ends).await;
    assert!(ended >= until, "told to end at {ended}, and was to stay until {until}");
    until_gone(place, revision).await;
    let silent = |r: &Rollout| !waits_for(r, &words);
    place.until_object::<Rollout>("shop", "and that is no longer said", 30, silent).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_candidate_stays_good_for_promote_after() {
    in_a_namespace("delay-promote", async |place| {
        let patient = delay("promoteAfter", "8s");
        let blue = blue(&place, |_| ()).await;
        place.apply(&page(&place, "green", &patient)).await.unwrap();
        let rollout = until_it_waits(&place, "(promoteAfter)").await;
        let (until, green) = (moment(&sentence(&rollout, "(promoteAfter)").unwrap()), next(&rollout));
        assert_eq!((reason(&rollout, "Progressing").as_str(), live(&place).await), ("Soaking", blue.clone()));
        assert_eq!(until_another(&place, &blue).await, green);
        let promoted = place.find::<Rollout>("shop").await.unwrap().status.unwrap().history[0].time;
        assert!(promoted >= until, "live and confirmed at {promoted}, and not to be live before {until}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn the_one_before_stays_for_scale_down_delay() {
    in_a_namespace("delay-scale-down", async |place| {
        let patient = delay("scaleDownDelay", "12s");
        let blue = blue(&place, &patient).await;
        place.apply(&page(&place, "green", &patient)).await.unwrap();
        until_another(&place, &blue).await;
        let rollout = until_it_waits(&place, "(scaleDownDelay)").await;
        assert_eq!(rollout.status.as_ref().unwrap().phase, Some(Phase::Healthy), "all is well meanwhile");
        assert_eq!((reason(&rollout, READY), reason(&rollout, RECONCILING)), ("Healthy".into(), "Healthy".into()));
        keeps_its_pods_until(&place, &blue, "scaleDownDelay").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn one_that_was_given_up_can_be_looked_at_for_abort_scale_down_delay() {
    in_a_namespace("delay-abort", async |place| {
        let patient = delay("abortScaleDownDelay", "12s");
        let asked = |spec: &mut Value| {
            manual(spec);
            patient(spec);
        };
        let blue = blue(&place, asked).await;
        place.apply(&page(&place, "green", asked)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);
        place.order_done("shop", "Abort", Some(&green)).await;
        let rollout =
            until_it_waits(&place, &format!("a Command of type Retry: {green} was given up, aborted by")).await;
        assert_eq!(reason(&rollout, "Stalled"), "Aborted");
        keeps_its_pods_until(&place, &green, "abortScaleDownDelay").await;
        assert_eq!(live(&place).await, blue);
    })
    .await;
}
