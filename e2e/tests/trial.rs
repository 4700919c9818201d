//! After the switch, before it is proven: what is live loses its readiness, and traffic goes back if it can.

use serde_json::{Value, json};
use switchyard_api::{Rollout, rollout::Outcome};
use switchyard_e2e::{
    load::Load,
    place::{Place, in_a_namespace},
    process::run,
    shop::{blue, flawless, live, on_trial, page, reason, until_it_waits, until_moved},
    timeline::Timeline,
};

/// Two pods, each ready unless it was made ill.
fn delicate(spec: &mut Value) {
    spec["replicas"] = json!(2);
    spec["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["sh", "-c", "! test -e /tmp/ill"]}, "periodSeconds": 1, "failureThreshold": 1});
}
fn delicate_on_trial(spec: &mut Value) {
    delicate(spec);
    on_trial(spec);
}

/// So many pods of a revision are no longer ready, or are again.
async fn make(place: &Place, ill: bool, revision: &str, pods: usize) {
    let command = if ill { "touch /tmp/ill" } else { "rm /tmp/ill" };
    for pod in place.pods_of(revision).await.iter().take(pods) {
        let name = pod.metadata.name.as_deref().unwrap();
        run(&mut place.kubectl(&["exec", name, "--container=page", "--", "sh", "-c", command])).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn too_few_ready_pods_for_half_a_minute_send_the_traffic_back() {
    in_a_namespace("trial-back", async |place| {
        let blue = blue(&place, delicate).await;
        let timeline = Timeline::of(&place, "shop").await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", delicate_on_trial)).await.unwrap();
        until_moved(&place, &timeline, 2).await;
        until_it_waits(&place, "check look of").await;
        let green = live(&place).await;
        make(&place, true, &green, 1).await;
        until_moved(&place, &timeline, 3).await;
        assert_eq!(timeline.revisions(), [blue.clone(), green.clone(), blue]);
        let given_up = |r: &Rollout| reason(r, "Stalled") == "LostReadiness";
        let rollout = place.until_object::<Rollout>("shop", "it says why", 30, given_up).await;
        let status = rollout.status.unwrap();
        assert_eq!((status.history[0].revision.as_str(), status.history[0].outcome), (&*green, Outcome::RolledBack));
        flawless(&place, load).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn where_blue_cannot_serve_traffic_stays_and_that_is_said() {
    in_a_namespace("trial-stay", async |place| {
        let blue = blue(&place, delicate).await;
        let timeline = Timeline::of(&place, "shop").await;
        place.apply(&page(&place, "green", delicate_on_trial)).await.unwrap();
        until_moved(&place, &timeline, 2).await;
        until_it_waits(&place, "check look of").await;
        let green = live(&place).await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        make(&place, true, &blue, 2).await;
        let unready = async || {
            let ready = |p: &k8s_openapi::api::core::v1::Pod| {
                let conditions = p.status.iter().flat_map(|s| s.conditions.iter().flatten());
                conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
            };
            (!place.pods_of(&blue).await.iter().any(ready)).then_some(())
        };
        place.until("no pod of blue is ready", 30, unready).await;
        place.order_done("shop", "Abort", Some(&green)).await;
        let words = format!("pods of {blue} to serve, to go back to it: 0 are ready");
        until_it_waits(&place, &words).await;
        assert_eq!(live(&place).await, green, "it serves, though nobody wants it any more");
        flawless(&place, load).await;
        make(&place, false, &blue, 2).await;
        until_moved(&place, &timeline, 3).await;
        assert_eq!(live(&place).await, blue);
    })
    .await;
}
