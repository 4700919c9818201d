//! What a write relies on, and what a refused one leaves.

use serde_json::{Value, json};
use switchyard_api::{Timestamp, command::CommandState};
use switchyard_cluster::caches::{Scope, synced};
use switchyard_decide::build::CommandOrder;

use super::*;
use crate::server::Server;

const ATTEMPTS: [&str; 2] = ["shop-1-image-web-1", "shop-1-image-web-2"];

/// A Build `shop-1` of one image.
fn server(source: &Value, images: &Value) -> Server {
    let server = Server::default();
    server.put(
        "builds",
        json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Build",
            "metadata": {"name": "shop-1", "namespace": "shop"},
            "spec": {"source": source, "images": images, "scan": {}}}),
    );
    server
}

fn of_git() -> Server {
    let git = json!({"url": "https://git.dev/shop.git", "commit": "7f3a91c0d4b8e2f6a1c3957d80e4b2f6a1c3957d"});
    server(&json!({"git": git}), &json!([{"name": "web", "repository": "registry.dev/shop"}]))
}

fn job(name: &str, owner: &str) -> Value {
    let labels = json!({"switchyard.dev/build": "shop-1", "switchyard.dev/owner-uid": owner});
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {}, "activeDeadlineSeconds": 1800},
        "metadata": {"name": name, "namespace": "shop", "labels": labels}})
}

async fn hands(server: &Server) -> BuildHands {
    let client = server.client(false);
    let (caches, stream) = Caches::new(&client, &Scope::Namespaces(["shop".to_owned()].into()));
    tokio::spawn(crate::caches::pump(stream, |_| std::future::ready(()), |_| ()));
    synced(caches.ready(), std::time::Duration::from_secs(10)).await.unwrap();
    let writer = Writer::new(client.clone(), "switchyard-build");
    BuildHands { client, caches, writer, settings: Settings::default(), log_url: None, metrics: Arc::default() }
}

async fn observed(hands: &BuildHands) -> (Arc<Build>, Observed) {
    let build = hands.object(&("shop".to_owned(), "shop-1".to_owned())).unwrap().unwrap();
    let known = Known { now: Timestamp::default(), answers: BTreeMap::new(), refused: None };
    let seen = hands.observe(&build, (), known).await.unwrap();
    (build, seen)
}

/// Who is about to write on what the caches have, and then does.
async fn apply(server: &Server, action: Action, meanwhile: impl FnOnce(&Server)) -> Result<(), Refusal> {
    let hands = hands(server).await;
    let (build, seen) = observed(&hands).await;
    meanwhile(server);
    hands.apply(&build, &seen, &action).await.map(drop)
}

fn run(attempt: i32) -> Action {
    Action::Run { step: Step::Image("web".to_owned()), attempt }
}

#[tokio::test]
async fn a_further_attempt_waits_for_a_job_that_no_cache_shows_yet() {
    let server = of_git();
    let late = |server: &Server| server.put("jobs", job(ATTEMPTS[0], "uid of builds shop-1"));
    assert_eq!(apply(&server, run(2), late).await, Err(Refusal::Stale));
    assert!(server.find("jobs", ATTEMPTS[1]).is_none(), "two would run at once");

    let failed = json!({"conditions": [{"type": "Failed", "status": "True"}]});
    server.change("jobs", ATTEMPTS[0], |job| job["status"] = failed);
    assert_eq!(apply(&server, run(2), |_| ()).await, Ok(()));
    assert!(server.find("jobs", ATTEMPTS[1]).is_some());
}

#[tokio::test]
async fn a_job_of_that_name_is_never_adopted() {
    let server = of_git();
    assert_eq!(apply(&server, run(1), |_| ()).await, Ok(()));
    assert_eq!(apply(&server, run(1), |_| ()).await, Err(Refusal::Stale), "ours: the next round sees it");

    let server = of_git();
    server.put("jobs", job(ATTEMPTS[0], "another"));
    let theirs = server.find("jobs", ATTEMPTS[0]).unwrap();
    let refused = apply(&server, run(1), |_| ()).await;
    assert!(matches!(&refused, Err(Refusal::Owned(why)) if why.contains(ATTEMPTS[0])), "{refused:?}");
    assert_eq!(server.find("jobs", ATTEMPTS[0]), Some(theirs));
}

#[tokio::test]
async fn a_job_that_is_stopped_keeps_its_name_and_is_seen_to_be_stopped() {
    let server = of_git();
    server.put("jobs", job(ATTEMPTS[0], "uid of builds shop-1"));
    let stop = |uid: &str| Action::Stop { step: Step::Image("web".to_owned()), attempt: 1, uid: uid.to_owned() };
    assert_eq!(apply(&server, stop("another"), |_| ()).await, Err(Refusal::Stale));
    assert_eq!(server.find("jobs", ATTEMPTS[0]).unwrap()["spec"]["activeDeadlineSeconds"], 1800);

    let uid = format!("uid of jobs {}", ATTEMPTS[0]);
    assert_eq!(apply(&server, stop(&uid), |_| ()).await, Ok(()));
    assert_eq!(server.find("jobs", ATTEMPTS[0]).unwrap()["spec"]["activeDeadlineSeconds"], facts::NOW);
    let (_, seen) = observed(&hands(&server).await).await;
    assert!(seen.jobs.values().all(|job| job.stopped) && seen.jobs.len() == 1, "{:?}", seen.jobs);
}

#[tokio::test]
async fn a_cancel_is_seen_by_its_build_until_it_is_answered() {
    let server = of_git();
    let command = |name: &str, uid: &str| {
        let target = json!({"kind": "Build", "name": "shop-1", "uid": uid});
        json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Command",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"user": "alice", "type": "Cancel", "targetRef": target, "reason": "the wrong branch"}})
    };
    server.put("commands", command("cancel", "uid of builds shop-1"));
    server.put("commands", command("of-the-one-before", "another"));
    let (_, seen) = observed(&hands(&server).await).await;
    let [cancel] = seen.commands.as_slice() else { panic!("{:?}", seen.commands) };
    assert_eq!((cancel.order, cancel.name.as_str(), cancel.user.as_str()), (CommandOrder::Cancel, "cancel", "alice"));

    let (uid, at) = (cancel.uid.clone(), cancel.version.clone());
    let (command, message) = ("cancel".to_owned(), "cancelled by alice: the wrong branch".to_owned());
    let answer = Action::Answer { command, uid, at, state: CommandState::Done, message };
    assert_eq!(apply(&server, answer, |_| ()).await, Ok(()));
    assert_eq!(server.find("commands", "cancel").unwrap()["status"]["state"], "Done");
    assert_eq!(observed(&hands(&server).await).await.1.commands, []);
}

#[tokio::test]
async fn an_image_that_another_ci_built_is_pulled_and_judged_not_built() {
    let registry =
        json!({"name": "web", "repository": "registry.dev/shop", "digest": format!("sha256:{}", "a".repeat(64))});
    let server = server(&json!({"registry": registry}), &json!([]));
    assert_eq!(apply(&server, run(1), |_| ()).await, Ok(()));
    let job = server.find("jobs", ATTEMPTS[0]).unwrap();
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!((&pod["initContainers"][0]["name"], &pod["containers"][0]["name"]), (&json!("pull"), &json!("accept")));
}

#[test]
fn a_build_is_counted_by_why_it_ended() {
    let result = |failure: Option<&str>, skipped: bool| {
        let failure = failure.map(|reason| json!({"step": "s", "class": "User", "reason": reason, "message": "m"}));
        let result = json!({"started": null, "finished": "2026-01-01T00:00:00Z", "version": null, "images": [],
            "skipped": skipped, "failure": failure});
        outcome(&serde_json::from_value(result).unwrap()).to_owned()
    };
    assert_eq!(result(Some("CheckFailed"), false), "CheckFailed");
    assert_eq!((result(None, true), result(None, false)), ("Skipped".to_owned(), "Succeeded".to_owned()));
}
