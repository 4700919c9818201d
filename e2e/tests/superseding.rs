//! A newer template comes while another is on its way.

use serde_json::{Value, json};
use switchyard_api::{Rollout, rollout::Outcome};
use switchyard_e2e::{
    load::Load,
    place::in_a_namespace,
    shop::{blue, flawless, manual, next, on_trial, page, until_another, until_gone, until_it_waits, until_moved},
    timeline::Timeline,
};

/// A check after the switch that fails.
fn failing(spec: &mut Value) {
    let job = json!({"fromContainer": "page", "command": ["sh", "-c", "exit 4"]});
    spec["checks"] = json!({"live": [{"name": "look", "job": job}]});
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn before_its_switch_a_candidate_makes_way() {
    in_a_namespace("supersede-before", async |place| {
        let blue = blue(&place, |_| ()).await;
        let timeline = Timeline::of(&place, "shop").await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);
        place.apply(&page(&place, "grey", |_| ())).await.unwrap();
        let grey = until_another(&place, &blue).await;
        assert_ne!(grey, green);
        for left in [&green, &blue] {
            until_gone(&place, left).await;
        }
        assert_eq!(timeline.revisions(), [blue, grey], "green was never selected");
        let history = place.until_healthy("shop", 60).await.status.unwrap().history;
        let told: Vec<Outcome> = history.iter().filter(|h| h.revision.as_str() == green).map(|h| h.outcome).collect();
        assert_eq!(told, [Outcome::Superseded], "{history:?}");
        flawless(&place, load).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn after_its_switch_an_unproven_one_makes_way_and_blue_stays_the_way_back() {
    in_a_namespace("supersede-after", async |place| {
        let blue = blue(&place, |_| ()).await;
        let timeline = Timeline::of(&place, "shop").await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", on_trial)).await.unwrap();
        until_moved(&place, &timeline, 2).await;
        until_it_waits(&place, "check look of").await;
        place.apply(&page(&place, "grey", failing)).await.unwrap();
        until_moved(&place, &timeline, 4).await;

        let seen = timeline.revisions();
        assert_eq!(
            (&seen[0], &seen[3]),
            (&blue, &blue),
            "grey fails, and the way back is what was confirmed: {seen:?}"
        );
        let given_up = |r: &Rollout| r.status.as_ref().is_some_and(|s| s.rejected.len() == 1);
        let rollout = place.until_object::<Rollout>("shop", "grey is given up", 60, given_up).await;
        assert_eq!(rollout.status.unwrap().rejected[0].revision.as_str(), seen[2]);
        for left in &seen[1..3] {
            until_gone(&place, left).await;
        }
        flawless(&place, load).await;
    })
    .await;
}
