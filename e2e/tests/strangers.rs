//! What belongs to others is left alone, and what others do to ours is put right, or told.

use std::collections::BTreeSet;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::ResourceExt;
use serde_json::{Value, json};
use switchyard_api::Rollout;
use switchyard_e2e::{
    app::Page,
    load::Load,
    place::{Place, in_a_namespace},
    process::run,
    shop::{blue, flawless, live, page, patch, reason, until_another, until_gone, until_it_waits, waits_for},
    timeline::{Timeline, selected},
};

fn service(name: &str, selector: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}})
}

/// Changes the selector of the live Service; null takes a label of it away.
async fn tamper(place: &Place, app: &Value) {
    patch(place, "service", "shop", &json!({"spec": {"selector": {"app": app}}})).await;
}
async fn until_put_right(place: &Place) {
    let own = async || {
        let selector = place.find::<Service>("shop").await?.spec?.selector?;
        (!selector.contains_key("app")).then_some(())
    };
    place.until("the selector is put right", 60, own).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_service_of_that_name_is_never_touched() {
    in_a_namespace("strange-name", async |place| {
        place.equip_to_pull().await;
        place.apply(&service("shop", &json!({"app": "old"}))).await.unwrap();
        let before = place.find::<Service>("shop").await.unwrap();
        place.apply(&page(&place, "blue", |_| ())).await.unwrap();
        let rollout = until_it_waits(&place, "Service shop was not made by this Rollout").await;
        assert_eq!(reason(&rollout, "Stalled"), "ServiceOwned");
        assert_eq!(place.find::<Service>("shop").await.unwrap().resource_version(), before.resource_version());
        assert!(place.list::<Deployment>("").await.is_empty(), "nothing is begun that could not be ended");

        // Nobody watches it; when it is gone that is noticed all the same.
        run(&mut place.kubectl(&["delete", "service", "shop"])).await.unwrap();
        place.until_healthy("shop", 120).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn of_two_rollouts_of_one_service_the_first_has_it() {
    in_a_namespace("strange-two", async |place| {
        let refers = |spec: &mut Value| {
            spec.as_object_mut().unwrap().remove("service");
            spec["serviceRef"] = json!({"name": "front"});
        };
        place.equip_to_pull().await;
        place.apply(&service("front", &Value::Null)).await.unwrap();
        place.apply(&page(&place, "blue", refers)).await.unwrap();
        let blue = place.until_healthy("shop", 120).await.status.unwrap().live.unwrap().revision.to_string();
        let load = Load::new(place.address_of("front").await, 50).start().unwrap();
        let timeline = Timeline::of(&place, "front").await;

        let mut other = Page::new("other", "other").rollout(&place.ground);
        refers(&mut other["spec"]);
        place.apply(&other).await.unwrap();
        let owned = |r: &Rollout| reason(r, "Stalled") == "ServiceOwned" && waits_for(r, "belongs to another Rollout");
        let rollout = place.until_object::<Rollout>("other", "it is told whose the Service is", 60, owned).await;
        assert!(rollout.status.unwrap().live.is_none());

        place.apply(&page(&place, "green", refers)).await.unwrap();
        let green = until_another(&place, &blue).await;
        until_gone(&place, &blue).await;
        assert_eq!(timeline.revisions(), [blue, green], "the other never had it");
        flawless(&place, load).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn pods_that_another_service_selects_stay_until_it_lets_go() {
    in_a_namespace("strange-beside", async |place| {
        let labelled = |spec: &mut Value| spec["template"]["metadata"] = json!({"labels": {"app": "page"}});
        let blue = blue(&place, labelled).await;
        place.apply(&service("beside", &json!({"app": "page"}))).await.unwrap();
        let load = Load::new(place.address_of("beside").await, 50).start().unwrap();
        place.apply(&page(&place, "green", labelled)).await.unwrap();
        until_another(&place, &blue).await;
        let rollout = until_it_waits(&place, "the API server does not allow it: Service beside selects pods of").await;
        assert_eq!(reason(&rollout, "Stalled"), "WriteRefused");
        assert_eq!(reason(&rollout, "Ready"), "Healthy", "what is live is well");
        assert_eq!(place.pods_of(&blue).await.len(), 1, "who comes by way of that Service still finds blue");
        flawless(&place, load).await;
        run(&mut place.kubectl(&["delete", "service", "beside"])).await.unwrap();
        until_gone(&place, &blue).await;
        place.until_healthy("shop", 60).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_selector_is_put_right_three_times_and_then_told() {
    in_a_namespace("strange-selector", async |place| {
        let blue = blue(&place, |_| ()).await;
        // A mistake in the spec stops no protection.
        let wrong = |spec: &mut Value| {
            let smoke = json!({"name": "smoke", "http": {"path": "/", "successCondition": "statsu == 200"}});
            spec["checks"] = json!({"preview": [smoke]});
        };
        place.apply(&page(&place, "green", wrong)).await.unwrap();
        let mistaken = |r: &Rollout| reason(r, "Stalled") == "InvalidSpec";
        place.until_object::<Rollout>("shop", "the mistake is named", 30, mistaken).await;

        for _ in 0..3 {
            tamper(&place, &json!("other")).await;
            until_put_right(&place).await;
            assert_eq!(live(&place).await, blue);
        }
        tamper(&place, &json!("other")).await;
        let rollout =
            until_it_waits(&place, "somebody to stop changing the selector of Service shop; next try at").await;
        assert_eq!(reason(&rollout, "Progressing"), "SelectorContended");
        assert_eq!(place.pods_of(&blue).await.len(), 1);

        tamper(&place, &Value::Null).await;
        place.apply(&page(&place, "green", |_| ())).await.unwrap();
        let green = until_another(&place, &blue).await;
        until_gone(&place, &blue).await;
        assert_eq!(selected(&place.find::<Service>("shop").await.unwrap()), Some(green));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn what_is_orphaned_goes_on_without_its_rollout() {
    in_a_namespace("strange-orphan", async |place| {
        let blue = blue(&place, |spec| spec["deletionPolicy"] = json!("Orphan")).await;
        let pods =
            async || -> BTreeSet<String> { place.pods_of(&blue).await.iter().map(ResourceExt::name_any).collect() };
        let before = pods().await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        run(&mut place.kubectl(&["delete", "rollout", "shop", "--wait", "--cascade=foreground"])).await.unwrap();
        flawless(&place, load).await;
        assert_eq!((live(&place).await, pods().await), (blue, before));
    })
    .await;
}
