//! What was lost promotes nothing: neither a lost record nor a lost status lets anything live that was not let before.

use serde_json::{Value, json};
use switchyard_api::Rollout;
use switchyard_e2e::{
    load::Load,
    place::{Place, in_a_namespace},
    process::run,
    shop::{
        blue, flawless, live, manual, next, on_trial, page, reason, record, until_another, until_gone, until_it_waits,
        until_moved, waits_for,
    },
    timeline::Timeline,
};

async fn annotate(place: &Place, what: &str) {
    run(&mut place.kubectl(&["annotate", "service", "shop", what])).await.unwrap();
}

/// Takes the whole status away.
async fn lose_status(place: &Place) {
    let patch = json!([{"op": "remove", "path": "/status"}]).to_string();
    let arguments = ["patch", "rollout", "shop", "--subresource=status", "--type=json", "--patch", &patch];
    run(&mut place.kubectl(&arguments)).await.unwrap();
}

async fn until_recorded(place: &Place, what: &str, so: impl Fn(&Value) -> bool) {
    place.until(what, 60, async || so(&record(place).await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_lost_record_brings_back_what_is_confirmed_and_promotes_nothing() {
    in_a_namespace("loss-record", async |place| {
        let blue = blue(&place, manual).await;
        let timeline = Timeline::of(&place, "shop").await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);

        annotate(&place, "switchyard.dev/switch-").await;
        until_recorded(&place, "the record has blue again", |r| r["live"] == blue.as_str()).await;
        until_recorded(&place, "green is nominated anew", |r| r["candidate"] == green.as_str()).await;
        until_it_waits(&place, "a Command of type Promote").await;
        assert_eq!(timeline.revisions(), std::slice::from_ref(&blue), "the selector never moved");

        place.order_done("shop", "Promote", Some(&green)).await;
        assert_eq!(until_another(&place, &blue).await, green);
        until_gone(&place, &blue).await;
        flawless(&place, load).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_record_lost_before_anything_was_confirmed_waits_for_a_person() {
    in_a_namespace("loss-first", async |place| {
        place.equip_to_pull().await;
        place.apply(&page(&place, "first", on_trial)).await.unwrap();
        let rollout = until_it_waits(&place, "check look of").await;
        let first = rollout.status.unwrap().live.unwrap().revision.to_string();

        annotate(&place, "switchyard.dev/switch-").await;
        let lost =
            until_it_waits(&place, "a person to set the annotation switchyard.dev/switch={} on Service shop").await;
        assert_eq!(reason(&lost, "Progressing"), "RecordLost");
        assert_eq!(live(&place).await, first, "what serves is left alone");
        assert!(!place.pods_of(&first).await.is_empty());

        annotate(&place, "switchyard.dev/switch={}").await;
        until_recorded(&place, "the first is live by the record", |r| r["live"] == first.as_str()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_lost_status_promotes_nothing_and_forgives_nothing() {
    in_a_namespace("loss-status", async |place| {
        let blue = blue(&place, manual).await;
        let timeline = Timeline::of(&place, "shop").await;
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);
        lose_status(&place).await;
        let asks_again = |r: &Rollout| waits_for(r, "a Command of type Promote") && next(r) == green;
        place.until_object("shop", "it asks again", 60, asks_again).await;

        place.order_done("shop", "Abort", Some(&green)).await;
        place.apply(&page(&place, "green", |_| ())).await.unwrap(); // from now on nobody has to be asked
        lose_status(&place).await;
        until_it_waits(&place, &format!("a new template or release, or a Command of type Retry: {green} was given up"))
            .await;
        assert_eq!(timeline.revisions(), [blue], "what the record gave up stays given up");
        place.order_done("shop", "Retry", Some(&green)).await;
        until_moved(&place, &timeline, 2).await;
    })
    .await;
}
