//! What is read in which order, and what a refused write leaves.

use serde_json::{Value, json};
use switchyard_api::rollout::Memory;
use switchyard_cluster::{
    caches::{Scope, synced},
    writer::Writer,
};
use switchyard_decide::{
    Refusal, Version,
    rollout::{Action, Record, Selects},
};
use switchyard_manifests::rollout as bodies;

use super::*;
use crate::server::Server;

/// A Rollout, its live Service with this record, and a revision's two objects, all at version 1.
struct Shop {
    server: Server,
    rollout: Rollout,
    revision: Revision,
}

fn shop(record: Option<&Record>) -> Shop {
    let server = Server::default();
    let body = json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"replicas": 0, "service": {"spec": {"ports": [{"port": 80}]}},
            "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}}});
    server.put("rollouts", body);
    let rollout: Rollout = serde_json::from_value(server.find("rollouts", "shop").unwrap()).unwrap();
    let revision = Order::parse(&rollout, "shop").unwrap().wanted(&Memory::default()).unwrap();
    let record = record.map(|r| serde_json::to_string(r).unwrap());
    let mut live =
        bodies::live_service(&rollout, rollout.spec.service.as_ref().unwrap(), &record.clone().unwrap_or_default());
    if record.is_none() {
        live["metadata"]["annotations"] = json!({});
    }
    server.put("services", live);
    server.put("services", bodies::revision_service(&rollout, revision, &[]));
    let mut deployment = bodies::deployment(&rollout, revision, &BTreeMap::new(), &[]);
    deployment["spec"]["replicas"] = json!(3);
    server.put("deployments", deployment);
    Shop { server, rollout, revision }
}

impl Shop {
    fn name(&self) -> String {
        bodies::revision_name(&self.rollout, self.revision)
    }
    fn find(&self, plural: &str) -> Option<Value> {
        self.server.find(plural, &self.name())
    }

    /// With caches of what is there now.
    async fn hands(&self, aging: bool) -> RolloutHands {
        let client = self.server.client(aging);
        let (caches, stream) = Caches::new(&client, &Scope::Namespaces(["shop".to_owned()].into()));
        tokio::spawn(crate::caches::pump(stream, |_| std::future::ready(()), |_| ()));
        synced(caches.ready(), std::time::Duration::from_secs(10)).await.unwrap();
        let writer = Writer::new(client.clone(), "switchyard-rollout");
        RolloutHands { client, caches, writer, started: Timestamp::default() }
    }

    /// Who is about to write on what the caches have, and then does.
    async fn apply(&self, action: Action, meanwhile: impl FnOnce(&Server)) -> Result<(), Refusal> {
        let hands = self.hands(false).await;
        let cached = hands.object(&("shop".to_owned(), "shop".to_owned())).unwrap().unwrap();
        let seen = hands.observe(&cached, None, known()).await.unwrap();
        meanwhile(&self.server);
        hands.apply(&cached, &seen, &action).await.map(drop)
    }
}

fn known() -> Known<rollout::Rollout> {
    Known { now: Timestamp::default(), answers: BTreeMap::new(), refused: None }
}
fn live(revision: Revision) -> Record {
    Record { owner: "uid of rollouts shop".to_owned(), live: Some(revision), ..Record::default() }
}
fn at(version: &str) -> Version {
    Version::new(version)
}

/// The versions of the Service, of the Rollout and of a Deployment, as they are seen with this record. Each live read
/// finds everything one version on.
async fn versions(record: Option<&Record>) -> [u64; 3] {
    let shop = shop(record);
    let hands = shop.hands(true).await;
    let cached = hands.object(&("shop".to_owned(), "shop".to_owned())).unwrap().unwrap();
    let (rollout, sight) = hands.fresh(cached).await.unwrap().unwrap();
    let seen = hands.observe(&rollout, sight, known()).await.unwrap();
    let service = seen.service.as_ref().unwrap().version.clone();
    let deployment = seen.deployment(shop.revision).unwrap().version.clone();
    [service, Version::new(rollout.resource_version().unwrap()), deployment].map(|v| v.as_str().parse().unwrap())
}

#[tokio::test]
async fn what_a_switch_relies_on_is_read_live_and_the_service_first() {
    let revision = shop(None).revision;
    let nobody = Record { live: None, ..live(revision) };
    let candidate = Record { candidate: Some(revision), ..live(revision) };
    for record in [None, Some(&nobody), Some(&candidate)] {
        let [service, rollout, deployment] = versions(record).await;
        assert!(
            1 < service && service < rollout && rollout < deployment,
            "{record:?}: {service} {rollout} {deployment}"
        );
    }
    assert_eq!(versions(Some(&live(revision))).await, [1, 1, 1], "nothing is to be switched: the caches will do");
}

#[tokio::test]
async fn selector_ports_and_record_move_together_or_not_at_all() {
    let shop = shop(Some(&Record::default()));
    shop.server.change("services", &shop.name(), |s| s["spec"]["ports"] = json!([{"name": "http", "port": 9090}]));
    let seen = |shop: &Shop| {
        let service = shop.server.find("services", "shop").unwrap();
        let record = service["metadata"]["annotations"][names::ANNOTATION_SWITCH].as_str().unwrap().to_owned();
        let selected = service["spec"]["selector"][names::LABEL_REVISION].clone();
        (selected, service["spec"]["ports"][0]["port"].clone(), record.contains(shop.revision.as_str()))
    };
    let select = |version: &str| Action::Record {
        at: at(version),
        next: live(shop.revision),
        select: Some(Selects::Revision(shop.revision)),
    };
    let before = seen(&shop);
    assert_eq!((&before.1, before.2), (&json!(80), false));
    let elsewhere = |server: &Server| server.change("services", "shop", |s| s["metadata"]["labels"]["a"] = json!("b"));
    assert_eq!(shop.apply(select("1"), elsewhere).await, Err(Refusal::Stale));
    assert_eq!(seen(&shop), before, "nothing of it");
    assert_eq!(shop.apply(select("2"), |_| ()).await, Ok(()));
    assert_eq!(seen(&shop), (json!(shop.revision), json!(9090), true), "all of it, and in one version");
    assert_eq!(shop.server.find("services", "shop").unwrap()["metadata"]["resourceVersion"], "3");
}

#[tokio::test]
async fn a_service_of_somebody_else_is_seen_though_nobody_watches_it() {
    let shop = shop(Some(&Record::default()));
    let foreign = async || {
        let hands = shop.hands(false).await;
        let cached = hands.object(&("shop".to_owned(), "shop".to_owned())).unwrap().unwrap();
        let seen = hands.observe(&cached, None, known()).await.unwrap();
        seen.service.unwrap().foreign
    };
    assert_eq!(foreign().await, None);
    shop.server.remove("services", "shop");
    shop.server.put("services", json!({"metadata": {"name": "shop", "namespace": "shop"}, "spec": {}}));
    assert!(matches!(foreign().await, Some(rollout::Foreign::Owned(_))), "it has no label of ours");
}

#[tokio::test]
async fn a_deployment_that_is_not_what_was_seen_keeps_its_service() {
    let shop = shop(Some(&Record::default()));
    let delete = || Action::Delete { revision: shop.revision, at: Some(at("1")) };
    let name = shop.name();
    let claimed = |server: &Server| server.change("deployments", &name, |d| d["spec"]["replicas"] = json!(1));
    assert_eq!(shop.apply(delete(), claimed).await, Err(Refusal::Stale));
    assert!(shop.find("deployments").is_some() && shop.find("services").is_some(), "a refusal changes nothing");

    let delete = Action::Delete { revision: shop.revision, at: Some(at("2")) };
    assert_eq!(shop.apply(delete, |_| ()).await, Ok(()));
    assert!(shop.find("deployments").is_none() && shop.find("services").is_some(), "one write on one object");
    let rest = Action::Delete { revision: shop.revision, at: None };
    assert_eq!(shop.apply(rest, |_| ()).await, Ok(()));
    assert!(shop.find("services").is_none());
}

#[tokio::test]
async fn a_service_goes_only_after_its_deployment() {
    let shop = shop(Some(&Record::default()));
    let rest = Action::Delete { revision: shop.revision, at: None };
    assert_eq!(shop.apply(rest, |_| ()).await, Err(Refusal::Stale));
    assert!(shop.find("services").is_some());
}

#[tokio::test]
async fn pods_are_taken_away_only_while_the_spec_asks_for_none() {
    let replicas = |shop: &Shop| shop.find("deployments").unwrap()["spec"]["replicas"].clone();
    let none = |shop: &Shop| {
        let claim = Action::Claim { revision: shop.revision, at: at("1"), claim: at("1"), replicas: 0 };
        [Action::Scale { revision: shop.revision, at: at("1"), replicas: 0 }, claim]
    };
    for number in 0..2 {
        let shop = shop(Some(&Record::default()));
        let asks_again = |server: &Server| server.change("rollouts", "shop", |r| r["spec"]["replicas"] = json!(3));
        assert_eq!(shop.apply(none(&shop)[number].clone(), asks_again).await, Err(Refusal::Stale));
        assert_eq!(replicas(&shop), 3, "what was decided on the spec of a moment ago is refused");
    }
    for number in 0..2 {
        let shop = shop(Some(&Record::default()));
        assert_eq!(shop.apply(none(&shop)[number].clone(), |_| ()).await, Ok(()));
        assert_eq!(replicas(&shop), 0);
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_says_so_and_hides_no_other() {
    let shop = shop(None);
    let memory = json!({"rejected": ["no revision"]});
    let mut broken = shop.server.find("rollouts", "shop").unwrap();
    broken["metadata"]["name"] = json!("broken");
    broken["status"] = json!({"memory": memory, "conditions": []});
    shop.server.put("rollouts", broken);
    let hands = shop.hands(false).await;
    #[expect(clippy::result_large_err, reason = "as kube has it")]
    let found = |name: &str| hands.object(&("shop".to_owned(), name.to_owned())).unwrap();
    assert!(found("shop").is_ok());
    let why = found("broken").unwrap_err();

    let target = switchyard_cluster::target::Target::named::<Rollout>("shop", "broken");
    for _ in 0..2 {
        crate::unreadable::report(&hands.writer, &target, &why, Timestamp::from_millisecond(1)).await.unwrap();
    }
    let told = shop.server.find("rollouts", "broken").unwrap();
    assert_eq!(told["metadata"]["resourceVersion"], "2", "it is said once");
    assert_eq!(told["status"]["memory"], memory, "what could not be read is left as it is");
    let conditions = told["status"]["conditions"].as_array().unwrap();
    let stalled = conditions.iter().find(|c| c["type"] == "Stalled").unwrap();
    assert_eq!((&stalled["status"], &stalled["reason"]), (&json!("True"), &json!("Unreadable")));
    assert!(stalled["message"].as_str().unwrap().contains("no revision"), "{stalled}");

    shop.server.change("rollouts", "broken", |r| drop(r.as_object_mut().unwrap().remove("status")));
    crate::unreadable::report(&hands.writer, &target, &why, Timestamp::from_millisecond(1)).await.unwrap();
    let told = shop.server.find("rollouts", "broken").unwrap();
    assert_eq!(told["status"]["conditions"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_pipeline_that_cannot_be_read_keeps_no_rollout_from_its_switch() {
    let shop = shop(None);
    shop.server.change("rollouts", "shop", |r| {
        r["spec"]["images"] = json!([{"containers": ["web"], "pipelineRef": {"name": "broken"}}]);
    });
    shop.server.put("pipelines", json!({"metadata": {"name": "broken", "namespace": "shop"}, "spec": 7}));
    let hands = shop.hands(false).await;
    let cached = hands.object(&("shop".to_owned(), "shop".to_owned())).unwrap().unwrap();
    let (rollout, sight) = hands.fresh(cached).await.unwrap().unwrap();
    assert!(sight.is_some(), "everything is read live");
    assert_eq!(hands.observe(&rollout, sight, known()).await.unwrap().offers.len(), 0);
}

#[tokio::test]
async fn a_selector_is_put_right_though_the_own_service_of_what_is_live_is_gone() {
    let revision = shop(None).revision;
    let restore = || Action::Record { at: at("1"), next: live(revision), select: Some(Selects::Revision(revision)) };
    let selected = |shop: &Shop| {
        let service = shop.server.find("services", "shop").unwrap();
        service["spec"]["selector"][names::LABEL_REVISION] == json!(revision)
    };
    let alone = shop(Some(&live(revision)));
    alone.server.remove("services", &alone.name());
    assert_eq!(alone.apply(restore(), |_| ()).await, Ok(()));
    assert!(selected(&alone));

    let other = shop(Some(&Record { live: None, ..live(revision) }));
    other.server.remove("services", &other.name());
    assert_eq!(other.apply(restore(), |_| ()).await, Err(Refusal::Stale), "nothing says what its ports are");
    assert!(!selected(&other));
}
