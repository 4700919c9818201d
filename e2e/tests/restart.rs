//! An operator that begins anew where nothing is left to do writes nothing.

use serde_json::json;
use switchyard_e2e::{
    app::Page,
    audit::{AuditLog, Entry},
    ground::SYSTEM,
    place::in_a_namespace,
    process::run,
    shop::{blue, page, patch, until_another, until_gone},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn in_the_final_state_a_restart_writes_nothing() {
    in_a_namespace("restart", async |place| {
        let blue = blue(&place, |_| ()).await;
        place.apply(&page(&place, "green", |_| ())).await.unwrap();
        until_another(&place, &blue).await;
        until_gone(&place, &blue).await;
        place.until_healthy("shop", 60).await;

        let log = AuditLog::from_now(&place.ground);
        let writes = || -> Vec<Entry> {
            let entries = log.of_the_operator().unwrap();
            let of_shop =
                |e: &Entry| e.object_ref.namespace == place.namespace && e.object_ref.name.starts_with("shop");
            entries.into_iter().filter(|e| e.is_write() && of_shop(e)).collect()
        };
        run(&mut place.ground.kubectl(&["-n", SYSTEM, "rollout", "restart", "deployment/switchyard"])).await.unwrap();
        let ended = ["-n", SYSTEM, "rollout", "status", "deployment/switchyard", "--timeout=120s"];
        run(&mut place.ground.kubectl(&ended)).await.unwrap();
        // Who makes another one healthy has begun, and has looked at all that was there.
        place.apply(&Page::new("another", "another").rollout(&place.ground)).await.unwrap();
        place.until_healthy("another", 120).await;
        let wrote: Vec<String> = writes().iter().map(Entry::to_string).collect();
        assert!(wrote.is_empty(), "a restart wrote:\n{}", wrote.join("\n"));

        patch(&place, "rollout", "shop", &json!({"spec": {"replicas": 2}})).await;
        place.until("the log shows a write", 30, async || (!writes().is_empty()).then_some(())).await;
    })
    .await;
}
