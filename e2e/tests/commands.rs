//! Orders of people: who may give which, that nobody gives one in another's name, and what becomes of one that nobody
//! will take up. All by impersonation, so by the API server's own rules.

use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{Command, Rollout, command::CommandState};
use switchyard_e2e::{
    app::Page,
    place::{Place, in_a_namespace, suffix},
    process::{feed, refused, run},
};

const REVISION: &str = "k7w2m9xq4b";
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// As a person writes one for the Rollout `shop`.
fn command(user: &str, kind: &str) -> Value {
    let revision = (kind != "Resume").then_some(REVISION);
    json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Command",
        "metadata": {"name": format!("{}-{}", kind.to_lowercase(), suffix())},
        "spec": {"user": user, "type": kind, "revision": revision, "reason": "INC-42",
            "targetRef": {"kind": "Rollout", "name": "shop", "uid": "0b5f6a3e-2f7c-4f3a-9b8e-6f1d2c3b4a59"}},
    })
}

/// Who the tests are: they may do everything.
async fn administrator(place: &Place) -> String {
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    run(&mut place.kubectl(&whoami)).await.unwrap()
}

/// Gives a user a ClusterRole in this namespace.
async fn bind(place: &Place, user: &str, role: &str) {
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]});
    place.apply(&binding).await.unwrap();
}

/// What the API server says to this user who creates that, in trial only.
async fn would_accept(place: &Place, user: &str, object: &Value) -> Result<(), String> {
    let mut kubectl = place.kubectl(&["create", "--dry-run=server", "--as", user, "-f", "-"]);
    feed(&mut kubectl, &object.to_string()).await.map(drop).map_err(|error| error.to_string())
}

async fn create(place: &Place, object: &Value) -> String {
    feed(&mut place.kubectl(&["create", "-f", "-"]), &object.to_string()).await.unwrap();
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn an_order_takes_its_own_right_and_ones_own_name() {
    in_a_namespace("commands-rights", async |place| {
        bind(&place, "alice", "switchyard-release").await;
        bind(&place, "bob", "switchyard-abort").await;
        bind(&place, "eve", "edit").await;
        bind(&place, "carol", "view").await;
        // One Rollout, one verb.
        let rules = json!([
            {"apiGroups": ["switchyard.dev"], "resources": ["commands"], "verbs": ["create"]},
            {"apiGroups": ["switchyard.dev"], "resources": ["rollouts"], "resourceNames": ["shop"], "verbs": ["promote"]},
        ]);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "one"}, "rules": rules});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "one"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dave"}]});
        for object in [role, binding] {
            place.apply(&object).await.unwrap();
        }
        // The API server learns of rights and, on the first run, of the policy a moment later than it is told of them.
        place.until("dave may promote", 20, async || would_accept(&place, "dave", &command("dave", "Promote")).await.ok()).await;

        let mut wrong = Vec::new();
        let mut expect = |asked: &str, said: Result<(), String>, words: Option<&str>| match (said, words) {
            (Ok(()), None) => {}
            (Err(said), Some(words)) if said.contains(words) => {}
            (said, _) => wrong.push(format!("{asked}: expected {words:?}, found {said:?}")),
        };
        for (who, kind, words) in [
            ("alice", "Promote", None),
            ("alice", "Abort", None),
            ("alice", "Retry", None),
            ("alice", "RollbackTo", None),
            ("alice", "Resume", None),
            ("bob", "Abort", None),
            ("bob", "Promote", Some("bob may not Promote: it takes the verb promote on rollouts.switchyard.dev/shop in namespace")),
            ("bob", "RollbackTo", Some("takes the verb rollback")),
            ("bob", "Resume", Some("takes the verb resume")),
            ("eve", "Promote", None),
            ("carol", "Abort", Some("cannot create resource \"commands\"")),
            ("dave", "Abort", Some("takes the verb abort")),
        ] {
            expect(&format!("{who}: {kind}"), would_accept(&place, who, &command(who, kind)).await, words);
        }
        let other = "alice did not send this request, bob did: a Command names the user who creates it";
        expect("bob as alice", would_accept(&place, "bob", &command("alice", "Abort")).await, Some(other));
        let mut elsewhere = command("dave", "Promote");
        elsewhere["spec"]["targetRef"]["name"] = json!("another");
        let words = "takes the verb promote on rollouts.switchyard.dev/another";
        expect("dave: another", would_accept(&place, "dave", &elsewhere).await, Some(words));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));

        // Not even who may do everything orders in another's name, by whichever request.
        let forged = command("alice", "Promote");
        for how in [&["create", "-f", "-"][..], &["apply", "-f", "-"], &["apply", "--server-side", "-f", "-"]] {
            let said = refused(&mut place.kubectl(how), &forged.to_string()).await.unwrap();
            assert!(said.contains("alice did not send this request"), "{how:?}: {said}");
        }
        assert!(place.list::<Command>("").await.is_empty());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn an_order_is_a_record_that_its_author_cannot_change() {
    in_a_namespace("commands-record", async |place| {
        let user = administrator(&place).await;
        bind(&place, "eve", "edit").await;
        let mut forged = command(&user, "Promote");
        forged["status"] = json!({"state": "Done", "message": "forged", "handledTime": LONG_AGO});
        let name = create(&place, &forged).await;
        let made = place.find::<Command>(&name).await.unwrap();
        let now = made.creation_timestamp().unwrap().0.to_string();
        assert_ne!(made.status.map(|s| s.message), Some("forged".to_owned()), "status at creation is dropped");

        let patch = |how: &[&str], patch: Value| {
            let (patch, name) = (patch.to_string(), name.clone());
            let mut kubectl = place.kubectl(&["patch", "command", &name, "--type=merge", "--patch", &patch]);
            kubectl.args(how);
            kubectl
        };
        for (field, value) in [("user", "bob"), ("type", "Abort"), ("revision", "b7w2m9xq4b"), ("reason", "other")] {
            let said = refused(&mut patch(&[], json!({"spec": {field: value}})), "").await.unwrap();
            assert!(said.contains("the spec of a Command is immutable: make a new Command"), "{field}: {said}");
        }
        run(&mut patch(&[], json!({"metadata": {"labels": {"team": "shop"}}}))).await.expect("and the rest is not");

        let done = json!({"status": {"state": "Done", "message": "told by the test", "handledTime": now}});
        let status = ["--subresource=status"];
        for (who, mut kubectl) in [
            ("eve, status", patch(&["--subresource=status", "--as=eve"], done.clone())),
            ("eve, labels", patch(&["--as=eve"], json!({"metadata": {"labels": {"team": "eve"}}}))),
            ("eve, delete", place.kubectl(&["delete", "command", &name, "--as=eve"])),
        ] {
            let said = refused(&mut kubectl, "").await.unwrap();
            assert!(said.contains("User \"eve\" cannot"), "{who}: {said}");
        }
        // Whoever may write status cannot take back what was said there. (The target does not exist: the operator says
        // Stale in ten seconds at the earliest, and may say it here or not.)
        let _ = run(&mut patch(&status, done)).await;
        let mut again =
            patch(&status, json!({"status": {"state": "Pending", "message": "once more", "handledTime": null}}));
        let said = refused(&mut again, "").await.unwrap();
        assert!(said.contains("the Command is handled: its status is final"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_order_for_what_is_not_there_is_stale_and_harmless() {
    in_a_namespace("commands-stale", async |place| {
        let user = administrator(&place).await;
        place.equip_to_pull().await;
        place.apply(&Page::new("shop", "blue").rollout(&place.ground)).await.unwrap();
        let rollout = place.until_healthy("shop", 120).await;

        let other_uid = create(&place, &command(&user, "RollbackTo")).await;
        let mut gone = command(&user, "Abort");
        gone["spec"]["targetRef"]["name"] = json!("nothing");
        let gone = create(&place, &gone).await;
        let mut right = command(&user, "Resume");
        right["spec"]["targetRef"]["uid"] = json!(rollout.uid().unwrap());
        let right = create(&place, &right).await;

        for (name, words) in [(&other_uid, "another Rollout shop"), (&gone, "there is no Rollout nothing")] {
            let what = "it is stale";
            let stale = place.until_object::<Command>(name, what, 30, |c| c.status.is_some()).await;
            let status = stale.status.clone().unwrap();
            println!("{name}: {}", json!(status));
            assert_eq!(status.state, CommandState::Stale);
            assert!(status.message.contains(words), "{}", status.message);
            let created = stale.creation_timestamp().unwrap().0.as_millisecond();
            let waited = status.handled_time.unwrap().as_millisecond() - created;
            assert!(waited >= 10_000, "a cache may lag: {waited} ms are too few to call a target absent");
        }
        // The operator was there, and it is no matter of time: one with the right uid is its Rollout's business.
        let status = place.find::<Command>(&right).await.unwrap().status;
        assert!(!status.is_some_and(|s| s.message.contains("Rollout shop")), "its target is there");
        let after = place.find::<Rollout>("shop").await.unwrap().status.unwrap();
        let before = rollout.status.unwrap();
        assert_eq!((after.live, after.rejected), (before.live, before.rejected), "it did something");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_old_record_of_what_is_gone_goes_too() {
    in_a_namespace("commands-old", async |place| {
        let user = administrator(&place).await;
        let old = create(&place, &command(&user, "Abort")).await;
        let recent = create(&place, &command(&user, "Retry")).await;
        let now = place.find::<Command>(&recent).await.unwrap().creation_timestamp().unwrap().0.to_string();
        for (name, time) in [(&recent, now.as_str()), (&old, LONG_AGO)] {
            let status = json!({"status": {"state": "Done", "message": "told by the test", "handledTime": time}});
            let patch = ["patch", "command", name, "--subresource=status", "--type=merge", "-p", &status.to_string()];
            run(&mut place.kubectl(&patch)).await.unwrap();
        }
        let is_gone = async || place.find::<Command>(&old).await.is_none().then_some(());
        place.until("the old record is gone", 30, is_gone).await;
        let kept = place.find::<Command>(&recent).await.expect("too young to go");
        assert_eq!(kept.status.unwrap().message, "told by the test", "what was handled stays as it is");
    })
    .await;
}
