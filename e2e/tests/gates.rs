//! What stands between a revision that is ready and the traffic: checks, time, people, a pause. And what people order.

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Service};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{Rollout, command::CommandState, rollout::Phase};
use switchyard_e2e::{
    app::Page,
    load::Load,
    place::in_a_namespace,
    shop::{blue, flawless, live, manual, next, page, reason, until_another, until_it_waits, waits_for},
    timeline::selected,
};

fn job(command: &str) -> Value {
    json!({"fromContainer": "page", "command": ["python3", "-c", command], "timeout": "60s"})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_person_lets_it_go_live() {
    in_a_namespace("gate-manual", async |place| {
        let blue = blue(&place, manual).await;
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let rollout = until_it_waits(&place, "a Command of type Promote").await;
        let green = next(&rollout);
        assert_eq!((reason(&rollout, "Progressing").as_str(), live(&place).await), ("AwaitingPromotion", blue.clone()));
        let stale = place.order("shop", "Promote", Some(&blue)).await;
        assert_eq!(stale.state, CommandState::Stale);
        assert_eq!(live(&place).await, blue, "a Promote of another revision promotes nothing");
        place.order_done("shop", "Promote", Some(&green)).await;
        assert_eq!(until_another(&place, &blue).await, green);
        let history = place.until_healthy("shop", 60).await.status.unwrap().history;
        assert!(history[0].by.is_some(), "who let it go live stands in the history: {history:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_abort_a_retry_and_the_way_back() {
    in_a_namespace("gate-orders", async |place| {
        let blue = blue(&place, manual).await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);

        place.order_done("shop", "Abort", Some(&green)).await;
        let record = place.find::<Service>("shop").await.unwrap().annotations()["switchyard.dev/switch"].clone();
        assert!(record.contains(&green) && record.contains("void"), "acknowledged, so fenced off: {record}");
        let refused = place.order("shop", "Promote", Some(&green)).await;
        assert_eq!(refused.state, CommandState::Refused, "{}", refused.message);
        place.until("green's pods are gone", 60, async || place.pods_of(&green).await.is_empty().then_some(())).await;
        assert_eq!(live(&place).await, blue);

        place.order_done("shop", "Retry", Some(&green)).await;
        until_it_waits(&place, "a Command of type Promote").await;
        place.order_done("shop", "Promote", Some(&green)).await;
        assert_eq!(until_another(&place, &blue).await, green);
        place.until_healthy("shop", 60).await;

        place.order_done("shop", "RollbackTo", Some(&blue)).await;
        until_it_waits(&place, "a Command of type Resume").await;
        assert_eq!(live(&place).await, blue);
        place.apply(&page(&place, "newer", |_| ())).await.unwrap();
        let held = |r: &Rollout| {
            r.metadata.generation == r.status.as_ref().map(|s| s.observed_generation)
                && reason(r, "Progressing") == "Held"
        };
        place.until_object::<Rollout>("shop", "it is held", 30, held).await;
        place.order_done("shop", "Resume", None).await;
        let newer = until_another(&place, &blue).await;
        assert_ne!(newer, green, "what was left stays given up");
        place.until_healthy("shop", 60).await;
        let report = load.stop().await.from_first_answer();
        println!("{report}");
        report.assert_flawless(500);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_pause_withdraws_what_is_new() {
    in_a_namespace("gate-pause", async |place| {
        let blue = blue(&place, manual).await;
        place.apply(&page(&place, "green", manual)).await.unwrap();
        let green = next(&until_it_waits(&place, "a Command of type Promote").await);
        place.apply(&page(&place, "green", |spec| spec["paused"] = json!(true))).await.unwrap();
        let paused = |r: &Rollout| r.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Paused));
        place.until_object::<Rollout>("shop", "it is paused", 30, paused).await;
        until_it_waits(&place, "spec.paused to be false").await;
        let record = place.find::<Service>("shop").await.unwrap().annotations()["switchyard.dev/switch"].clone();
        assert!(!record.contains("candidate"), "said to be paused, so nothing is nominated: {record}");
        assert!(!place.pods_of(&green).await.is_empty(), "its pods stay");
        assert_eq!(live(&place).await, blue);
        place.apply(&page(&place, "green", |spec| spec["paused"] = json!(false))).await.unwrap();
        assert_eq!(until_another(&place, &blue).await, green);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn jobs_check_before_and_after_the_switch() {
    in_a_namespace("gate-jobs", async |place| {
        let checked = |preview: &'static str, live: &'static str| {
            move |spec: &mut Value| {
                spec["checks"] = json!({"preview": [{"name": "migrate", "job": job(preview)}],
                    "live": [{"name": "errors", "job": job(live)}]});
            }
        };
        let blue = blue(&place, checked("print('migrated')", "print('fine')")).await;
        let jobs = place.list::<Job>("switchyard.dev/check=shop").await;
        assert_eq!(jobs.len(), 2, "the first revision is checked too, once before and once after");
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();

        place.apply(&page(&place, "no-migration", checked("raise SystemExit(3)", "print('fine')"))).await.unwrap();
        let rejected = |n: usize| move |r: &Rollout| r.status.as_ref().is_some_and(|s| s.rejected.len() == n);
        let rollout = place.until_object::<Rollout>("shop", "it is rejected", 90, rejected(1)).await;
        println!("{}", place.table().await);
        let first = rollout.status.unwrap().rejected[0].clone();
        assert_eq!(first.reason, "CheckFailed");
        assert!(first.message.contains("migrate") && first.message.contains("exit code 3"), "{}", first.message);

        place.apply(&page(&place, "errors", checked("print('migrated')", "raise SystemExit(4)"))).await.unwrap();
        let rollout = place.until_object::<Rollout>("shop", "it is rejected after the switch", 90, rejected(2)).await;
        let status = rollout.status.unwrap();
        assert!(status.rejected[0].message.contains("after the switch: exit code 4"), "{}", status.rejected[0].message);
        place.until("blue is live again", 30, async || (live(&place).await == blue).then_some(())).await;
        let report = load.stop().await.from_first_answer();
        println!("{report}");
        report.assert_flawless(500);
        let errors = status.rejected[0].revision.to_string();
        assert!(report.served().keys().any(|pod| pod.contains(&errors)), "it was live for a moment: {report}");
        assert!(!report.served().keys().any(|pod| pod.contains(first.revision.as_str())), "never live: {report}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn the_preview_shows_green_before_the_switch() {
    in_a_namespace("gate-preview", async |place| {
        let previewed = |spec: &mut Value| {
            manual(spec);
            spec["replicas"] = json!(2);
            spec["preview"] =
                json!({"service": {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}, "replicas": 1});
            spec["checks"] = json!({"preview": [{"name": "wait", "job": job("import time; time.sleep(3)")}]});
        };
        let blue = blue(&place, previewed).await;
        let shown = async || selected(&place.find::<Service>("shop-preview").await?);
        place.until("the preview shows blue", 30, async || (shown().await? == blue).then_some(())).await;
        place.apply(&page(&place, "green", previewed)).await.unwrap();
        let checking = until_it_waits(&place, "check wait of").await;
        let green = next(&checking);
        assert_eq!(next(&checking), green);
        place.until("the preview shows green", 30, async || (shown().await? == green).then_some(())).await;
        assert_eq!(place.pods_of(&green).await.len(), 1, "it begins with one");
        until_it_waits(&place, "a Command of type Promote").await;
        assert_eq!(place.pods_of(&green).await.len(), 2, "and has all before it may go live");
        assert_eq!(live(&place).await, blue);
        place.order_done("shop", "Abort", Some(&green)).await;
        place.until("the preview shows blue again", 30, async || (shown().await? == blue).then_some(())).await;
        place.until("green's pods are gone", 60, async || place.pods_of(&green).await.is_empty().then_some(())).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn ports_go_live_with_their_revision() {
    in_a_namespace("gate-ports", async |place| {
        let port = |port: u16| {
            move |spec: &mut Value| {
                let container = &mut spec["template"]["spec"]["containers"][0];
                container["env"].as_array_mut().unwrap().push(json!({"name": "PORT", "value": port.to_string()}));
                container["ports"] = json!([{"name": "http", "containerPort": port}]);
                spec["service"]["spec"]["ports"] = json!([{"name": "http", "port": 80, "targetPort": port}]);
            }
        };
        let blue = blue(&place, port(8080)).await;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();
        place.apply(&page(&place, "green", port(9090))).await.unwrap();
        until_another(&place, &blue).await;
        place.until_healthy("shop", 60).await;
        let ports = place.find::<Service>("shop").await.unwrap().spec.unwrap().ports.unwrap();
        assert_eq!(json!(ports[0].target_port), json!(9090));
        flawless(&place, load).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_existing_service_is_taken_over_when_green_is_ready() {
    in_a_namespace("gate-existing", async |place| {
        place.equip_to_pull().await;
        let service = |selector: Value| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"},
                "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}})
        };
        let refers = |spec: &mut Value| {
            spec.as_object_mut().unwrap().remove("service");
            spec["serviceRef"] = json!({"name": "front"});
        };
        place.apply(&page(&place, "blue", refers)).await.unwrap();
        until_it_waits(&place, "Service front to exist").await;
        place.apply(&service(json!({"app": "old"}))).await.unwrap();
        let taken = |r: &Rollout| reason(r, "Stalled") == "ServiceSelectorOwned";
        let rollout = place.until_object::<Rollout>("shop", "somebody else's selector is named", 60, taken).await;
        println!("{}", place.table().await);
        assert!(
            waits_for(&rollout, "app=old") && waits_for(&rollout, "kubectl"),
            "{:?}",
            rollout.status.unwrap().waiting_for
        );
        place.apply(&service(Value::Null)).await.unwrap();
        let blue = place.until_healthy("shop", 120).await.status.unwrap().live.unwrap().revision.to_string();
        let front = place.find::<Service>("front").await.unwrap();
        assert_eq!(selected(&front), Some(blue.clone()));
        assert!(front.owner_references().is_empty(), "it stays its owner's");

        let load = Load::new(place.address_of("front").await, 50).start().unwrap();
        place.apply(&page(&place, "green", refers)).await.unwrap();
        until_another(&place, &blue).await;
        place.until_healthy("shop", 60).await;
        flawless(&place, load).await;
    })
    .await;
}

/// A Rollout's name, the words that it is to say (one of several), and what is wrong with its container.
type Stuck = (&'static str, &'static str, Box<dyn Fn(&mut Value)>);

/// Each way to get stuck says in words what it waits for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn each_way_to_get_stuck_has_its_words() {
    in_a_namespace("gate-stuck", async |place| {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"requests.memory": "64Mi"}}});
        place.equip_to_pull().await;
        place.apply(&quota).await.unwrap();
        let container = |spec: &mut Value| spec["template"]["spec"]["containers"][0].take();
        let cases: [Stuck; 6] = [
            ("image", "ErrImagePull|ImagePullBackOff", Box::new(|c| c["image"] = json!("registry.invalid/none:1"))),
            ("quota", "exceeded quota: small", Box::new(|c| c["resources"]["requests"]["memory"] = json!("1Gi"))),
            ("room", "Unschedulable", Box::new(|c| c["resources"]["requests"]["cpu"] = json!("900"))),
            ("probe", "readiness probe does not succeed", Box::new(|c| c["env"][1]["value"] = json!("false"))),
            ("crash", "CrashLoopBackOff", Box::new(|c| {
                c["env"].as_array_mut().unwrap().push(json!({"name": "CRASH", "value": "out of luck"}));
            })),
            ("release", "Pipeline", Box::new(|_| ())),
        ];
        for (name, _, change) in &cases {
            let mut rollout = Page::new(name, name).progress_deadline("10m").rollout(&place.ground);
            let mut changed = container(&mut rollout["spec"]);
            changed["resources"]["requests"]["memory"] = json!("1Mi");
            change(&mut changed);
            rollout["spec"]["template"]["spec"]["containers"] = json!([changed]);
            if *name == "release" {
                rollout["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("image");
                let pipeline = json!({"name": "nobody"});
                rollout["spec"]["images"] = json!([{"containers": ["page"], "pipelineRef": pipeline}]);
            }
            place.apply(&rollout).await.unwrap();
        }
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "owned"}, "spec": {"ports": [{"port": 80}]}});
        place.apply(&foreign).await.unwrap();
        place.apply(&Page::new("owned", "owned").rollout(&place.ground)).await.unwrap();
        let owned = ("owned", "Service owned was not made by this Rollout");
        for (name, words) in cases.iter().map(|(name, words, _)| (*name, *words)).chain([owned]) {
            let says = |r: &Rollout| words.split('|').any(|words| waits_for(r, words));
            let rollout = place.until_object::<Rollout>(name, words, 90, says).await;
            println!("{name}: {}", rollout.status.as_ref().unwrap().waiting_for.join("; "));
            assert_eq!(reason(&rollout, "Stalled") == "ServiceOwned", name == "owned", "{name}");
        }
        println!("{}", place.table().await);
        assert!(place.list::<Deployment>("").await.len() >= 5);
    })
    .await;
}
