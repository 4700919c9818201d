//! An object that this version of the operator cannot read, such as another version may leave behind.

use serde_json::{Value, json};
use switchyard_e2e::{
    app::Page,
    place::{Place, in_a_namespace},
    process::run,
};

/// As text, since it is no Rollout to us.
async fn raw(place: &Place, name: &str) -> Value {
    let text = run(&mut place.kubectl(&["get", "rollout", name, "-o", "json"])).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn it_says_so_itself_and_the_others_go_on() {
    in_a_namespace("unreadable", async |place| {
        place.equip_to_pull().await;
        let page = |name: &str, text: &str| Page::new(name, text).rollout(&place.ground);
        place.apply(&page("old", "one")).await.unwrap();
        let live = place.until_healthy("old", 120).await.status.unwrap().live.unwrap().revision;

        // A schema says nothing of the keys of a map; no revision begins with a digit, so none can be read from this.
        let broken = json!({"2222222222": {"time": "2026-01-01T00:00:00Z"}});
        let patch = json!({"status": {"memory": {"unlisted": broken}}}).to_string();
        let patch = ["patch", "rollout", "old", "--subresource=status", "--type=merge", "--patch", &patch];
        run(&mut place.kubectl(&patch)).await.unwrap();
        let told = place
            .until("it says that it cannot be read", 30, async || {
                let object = raw(&place, "old").await;
                (condition(&object, "Stalled")["reason"] == "Unreadable").then_some(object)
            })
            .await;
        assert_eq!(condition(&told, "Stalled")["status"], "True");
        assert_eq!(condition(&told, "Ready")["status"], "Unknown");
        assert_eq!(told["status"]["memory"]["unlisted"], broken, "it is left as it was");
        assert_eq!(told["status"]["memory"]["confirmed"]["revision"], json!(live), "all of it");

        place.apply(&page("new", "one")).await.unwrap();
        place.until_healthy("new", 120).await;
        assert_eq!(
            raw(&place, "old").await["metadata"]["resourceVersion"],
            told["metadata"]["resourceVersion"],
            "once"
        );

        // And it goes on where it was once it can be read.
        let mend = json!({"status": {"memory": {"unlisted": null}}}).to_string();
        let mend = ["patch", "rollout", "old", "--subresource=status", "--type=merge", "--patch", &mend];
        run(&mut place.kubectl(&mend)).await.unwrap();
        let healthy = place.until_healthy("old", 60).await;
        assert_eq!(healthy.status.unwrap().live.unwrap().revision, live);
    })
    .await;
}
