//! An operator with nothing to do does nothing.

use std::time::Duration;

use serde_json::json;
use switchyard_api::{Build, Pipeline};
use switchyard_e2e::{
    app::{Page, Source, pipeline, released_rollout},
    audit::{AuditLog, Entry},
    forge::Repository,
    ground::SYSTEM,
    place::in_a_namespace,
};

const QUIET: Duration = Duration::from_mins(1);

/// Renewing its own Lease is how it says that it lives.
fn is_its_lease(entry: &Entry) -> bool {
    let object = &entry.object_ref;
    (object.resource.as_str(), object.namespace.as_str(), object.name.as_str()) == ("leases", SYSTEM, "switchyard")
}

fn lines(entries: &[Entry]) -> String {
    entries.iter().map(Entry::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn over_a_quiet_minute_the_operator_writes_its_lease_and_lists_nothing() {
    in_a_namespace("idle", async |place| {
        let ground = place.ground.clone();
        place.equip().await;
        let repository = Repository::create(&ground, &format!("{}/shop", place.namespace)).await.unwrap();
        repository.commit(&Source::good(&ground, "one"), "feat: a page").await.unwrap();
        place.apply(&released_rollout(&ground, &Page::new("shop", ""), "shop")).await.unwrap();
        place.apply(&pipeline(&place, "shop", &repository.url, &["shop"])).await.unwrap();
        place.until_healthy("shop", 240).await;
        place
            .until_object::<Pipeline>("shop", "it waits for nothing", 30, |pipeline| {
                pipeline.status.as_ref().is_some_and(|s| s.waiting_for.is_empty())
            })
            .await;
        assert_eq!(place.list::<Build>("").await.len(), 1);
        // Other tests' namespaces may still be going: quiet begins once a few seconds have passed without a write.
        let mut before = AuditLog::from_now(&ground);
        let mut since = tokio::time::Instant::now();
        place
            .until("five seconds without a write", 120, async || {
                let wrote = before.of_the_operator().unwrap();
                if wrote.iter().any(|e| e.is_write() && !is_its_lease(e)) {
                    before = AuditLog::from_now(&ground);
                    since = tokio::time::Instant::now();
                }
                (since.elapsed() > Duration::from_secs(5)).then_some(())
            })
            .await;

        let log = AuditLog::from_now(&ground);
        // The minute itself is what is looked at.
        tokio::time::sleep(QUIET).await;
        let entries = log.of_the_operator().unwrap();
        let (leases, others): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_its_lease);
        let renewed = leases.iter().filter(|e| e.is_write()).count();
        assert!((5..=60).contains(&renewed), "the Lease was renewed {renewed} times: is this the right log?");
        let writes: Vec<Entry> = others.iter().filter(|e| e.is_write()).cloned().collect();
        let lists: Vec<Entry> = others.iter().filter(|e| e.verb == "list").cloned().collect();
        println!("in a quiet minute: {renewed} renewals, and {} reads:\n{}", others.len(), lines(&others));
        assert!(writes.is_empty(), "an idle operator wrote:\n{}", lines(&writes));
        assert!(lists.is_empty(), "an idle operator listed:\n{}", lines(&lists));

        // And the log shows it when there is something to do.
        let log = AuditLog::from_now(&ground);
        let patch = json!({"spec": {"replicas": 2}}).to_string();
        let mut kubectl = place.kubectl(&["patch", "rollout", "shop", "--type=merge", "--patch", &patch]);
        switchyard_e2e::process::run(&mut kubectl).await.unwrap();
        place
            .until("a write of the operator in the audit log", 30, async || {
                log.of_the_operator().unwrap().iter().any(|e| e.is_write() && !is_its_lease(e)).then_some(())
            })
            .await;
    })
    .await;
}
