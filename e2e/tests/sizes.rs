//! How many pods: what is live follows, and at none nothing is switched.

use serde_json::{Value, json};
use switchyard_api::Rollout;
use switchyard_e2e::{
    load::Load,
    place::in_a_namespace,
    shop::{blue, flawless, live, page, patch, until_another, until_gone},
};

fn pods(n: i32) -> impl Fn(&mut Value) {
    move |spec: &mut Value| spec["replicas"] = json!(n)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn what_is_live_follows_and_at_none_nothing_is_switched() {
    in_a_namespace("sizes", async |place| {
        let blue = blue(&place, pods(1)).await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        let serves =
            |n: &'static str| move |r: &Rollout| r.status.as_ref().is_some_and(|s| s.pods.as_deref() == Some(n));
        for (n, told) in [(3, "3/3"), (2, "2/2")] {
            // As an autoscaler does it.
            patch(&place, "rollout", "shop", &json!({"spec": {"replicas": n}})).await;
            place.until_object("shop", told, 60, serves(told)).await;
        }
        flawless(&place, load).await;

        place.apply(&page(&place, "green", pods(0))).await.unwrap();
        until_gone(&place, &blue).await;
        let rests =
            |r: &Rollout| r.metadata.generation == r.status.as_ref().map(|s| s.observed_generation) && serves("0/0")(r);
        place.until_object("shop", "it rests", 30, rests).await;
        assert_eq!(live(&place).await, blue, "nothing is tried without a pod");
        place.apply(&page(&place, "green", pods(2))).await.unwrap();
        until_another(&place, &blue).await;
        until_gone(&place, &blue).await;
    })
    .await;
}
