//! Every write is conditional, and every refusal has its name.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service},
    events::v1::Event as Told,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use switchyard_cluster::{Created, Ops, Publisher, Refusal, Seen, Target, Writer, client};
use switchyard_decide::{Event, Version};

use crate::ground::{Counters, Ground, on_ground};

const WRITERS: u64 = 8;
const EACH: u64 = 25;
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Many increment one counter from what they read; somebody else churns the object meanwhile.
#[test]
#[ignore = "needs the test cluster"]
fn no_status_is_lost_under_churn() {
    on_ground(async |ground: Ground| {
        let counters = Counters::install(&ground).await;
        let object = counters.create(&ground.namespace, "shop").await;
        let target = counters.target(&object);
        let stale = Arc::new(AtomicU32::new(0));
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let (api, target) = (counters.api(&ground.namespace), target.clone());
            let writer = Writer::new(ground.client.clone(), "switchyard-test");
            let stale = stale.clone();
            writers.push(tokio::spawn(async move {
                let mut done = 0;
                while done < EACH {
                    let now = api.get("shop").await.unwrap();
                    let count = now.data["status"]["count"].as_u64().unwrap_or(0);
                    match writer.apply_status(&target, &Seen::of(&now), &json!({"count": count + 1})).await {
                        Ok(written) => {
                            assert!(written.version.newer_than(&Seen::of(&now).version));
                            done += 1;
                        }
                        Err(Refusal::Stale) => {
                            stale.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }));
        }
        let api = counters.api(&ground.namespace);
        let churn = tokio::spawn(async move {
            for noise in 0_u32.. {
                let patch = Patch::Merge(json!({"spec": {"noise": noise}}));
                api.patch("shop", &PatchParams::default(), &patch).await.unwrap();
            }
        });
        for writer in writers {
            writer.await.unwrap();
        }
        churn.abort();
        let end = counters.api(&ground.namespace).get("shop").await.unwrap();
        let refused = stale.load(Ordering::Relaxed);
        println!("{} status writes happened, {refused} were refused as stale", WRITERS * EACH);
        counters.remove().await;
        assert_eq!(end.data["status"]["count"], WRITERS * EACH);
        assert!(refused > 0, "without a refusal this shows nothing");
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn a_status_is_for_one_object_at_one_version() {
    on_ground(async |ground: Ground| {
        let counters = Counters::install(&ground).await;
        let writer = Writer::new(ground.client.clone(), "switchyard-test");
        let first = counters.create(&ground.namespace, "shop").await;
        let target = counters.target(&first);
        let status = json!({"count": 1});
        let seen = Seen::of(&first);

        let written = writer.apply_status(&target, &seen, &status).await.unwrap();
        let again = writer.apply_status(&target, &seen, &status).await;
        let now = Seen { uid: seen.uid.clone(), version: written.version.clone() };
        let same = writer.apply_status(&target, &now, &status).await.unwrap();

        let api = counters.api(&ground.namespace);
        api.delete("shop", &DeleteParams::default()).await.unwrap();
        let absent = writer.apply_status(&target, &now, &status).await;
        let second = counters.create(&ground.namespace, "shop").await;
        let replaced = writer.apply_status(&target, &now, &status).await;
        // The server does not look at the uid here, and need not: a version was one object's only.
        let other = Seen { uid: NOBODY.into(), ..Seen::of(&second) };
        let with_other_uid = writer.apply_status(&target, &other, &json!({"count": 7})).await;
        let unconditional = writer.apply_status(&target, &Seen { version: Version::new(""), ..now }, &status).await;
        counters.remove().await;

        for refused in [again, absent, replaced] {
            assert_eq!(refused, Err(Refusal::Stale));
        }
        assert!(with_other_uid.is_ok(), "the server has learnt to compare uids: say so in `writer`");
        assert!(matches!(unconditional, Err(Refusal::Invalid(_))));
        assert_eq!(same.version, written.version, "an equal status is no write");
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn no_patch_is_lost_under_churn() {
    on_ground(async |ground: Ground| {
        ground.create(&ground.map("shop")).await;
        let stale = Arc::new(AtomicU32::new(0));
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let (api, stale) = (ground.api::<ConfigMap>(), stale.clone());
            let writer = Writer::new(ground.client.clone(), "switchyard-test");
            writers.push(tokio::spawn(async move {
                let mut done = 0;
                while done < EACH {
                    let now = api.get("shop").await.unwrap();
                    let count: u64 =
                        now.annotations().get("switchyard.dev/count").map_or(0, |count| count.parse().unwrap());
                    let ops =
                        Ops::new().annotate(&now.metadata, [("switchyard.dev/count", Some((count + 1).to_string()))]);
                    match writer.patch(&Target::of(&now), &Seen::of(&now), ops).await {
                        Ok(_) => done += 1,
                        Err(Refusal::Stale) => {
                            stale.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let end = ground.api::<ConfigMap>().get("shop").await.unwrap();
        let refused = stale.load(Ordering::Relaxed);
        println!("{} patches happened, {refused} were refused as stale", WRITERS * EACH);
        assert_eq!(end.annotations()["switchyard.dev/count"], (WRITERS * EACH).to_string());
        assert!(refused > 0, "without a refusal this shows nothing");
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn a_name_that_is_taken_comes_with_what_took_it() {
    on_ground(async |ground: Ground| {
        let writer = Writer::new(ground.client.clone(), "switchyard-test");
        let mut ours = ground.map("shop");
        ours.labels_mut().insert("switchyard.dev/owner-uid".into(), "first".into());
        let Created::New(written) = writer.create(&ours).await.unwrap() else { panic!("it was not there") };
        let Created::Existing(existing) = writer.create(&ours).await.unwrap() else { panic!("it was there") };
        assert_eq!(existing.uid().unwrap(), written.uid);
        assert_eq!(existing.labels()["switchyard.dev/owner-uid"], "first");
    });
}

fn deployment(ground: &Ground) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": ground.namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": "registry.invalid/shop"}]},
            },
        },
    }))
    .unwrap()
}

#[test]
#[ignore = "needs the test cluster"]
fn another_manager_is_named() {
    on_ground(async |ground: Ground| {
        let theirs = Writer::new(ground.client.clone(), "kubectl");
        let ours = Writer::new(ground.client.clone(), "switchyard-test");
        let target = Target::named::<Deployment>(&ground.namespace, "shop");
        let body: Value = serde_json::to_value(deployment(&ground)).unwrap();
        theirs.apply(&target, None, body).await.unwrap();
        let replicas = ours.apply(&target, None, json!({"spec": {"replicas": 1}})).await;
        assert_eq!(replicas, Err(Refusal::Owned("kubectl".into())));
        let applied = ours.apply(&target, None, json!({"spec": {"minReadySeconds": 1}})).await.unwrap();
        assert!(!applied.uid.is_empty());
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn an_apply_is_for_one_object_at_one_version() {
    on_ground(async |ground: Ground| {
        let writer = Writer::new(ground.client.clone(), "switchyard-test");
        let target = Target::named::<ConfigMap>(&ground.namespace, "shop");
        let first = writer.apply(&target, None, json!({"data": {"a": "1"}})).await.unwrap();
        let seen = Seen { uid: first.uid, version: first.version };
        let other = Seen { uid: NOBODY.into(), ..seen.clone() };
        assert_eq!(writer.apply(&target, Some(&other), json!({"data": {"a": "2"}})).await, Err(Refusal::Stale));
        writer.apply(&target, Some(&seen), json!({"data": {"a": "3"}})).await.unwrap();
        assert_eq!(writer.apply(&target, Some(&seen), json!({"data": {"a": "4"}})).await, Err(Refusal::Stale));
        ground.api::<ConfigMap>().delete("shop", &DeleteParams::default()).await.unwrap();
        assert_eq!(writer.apply(&target, Some(&seen), json!({"data": {"a": "5"}})).await, Err(Refusal::Stale));
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn a_switch_is_one_patch_or_none() {
    on_ground(async |ground: Ground| {
        let writer = Writer::new(ground.client.clone(), "switchyard-test");
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "shop"},
            "spec": {"selector": {"app": "shop", "revision": "blue"}, "ports": [{"port": 80}]},
        }))
        .unwrap();
        let blue = ground.create(&service).await;
        let switch = |seen: &Service, revision: &str| {
            Ops::new()
                .set(&["spec", "selector"], json!({"app": "shop", "revision": revision}))
                .annotate(&seen.metadata, [("switchyard.dev/switch", Some(format!("{{\"live\":\"{revision}\"}}")))])
        };
        let target = Target { namespace: Some(ground.namespace.clone()), ..Target::of(&blue) };
        writer.patch(&target, &Seen::of(&blue), switch(&blue, "green")).await.unwrap();
        let late = writer.patch(&target, &Seen::of(&blue), switch(&blue, "red")).await;
        assert_eq!(late, Err(Refusal::Stale));

        let green = ground.api::<Service>().get("shop").await.unwrap();
        let bad_port = switch(&green, "red").set(&["spec", "ports", "0", "port"], 0);
        let refused = writer.patch(&target, &Seen::of(&green), bad_port).await;
        assert!(matches!(&refused, Err(Refusal::Invalid(why)) if why.contains("spec.ports[0].port")), "{refused:?}");

        let end = ground.api::<Service>().get("shop").await.unwrap();
        assert_eq!(end.annotations()["switchyard.dev/switch"], "{\"live\":\"green\"}");
        let selector: BTreeMap<_, _> =
            [("app", "shop"), ("revision", "green")].map(|(k, v)| (k.into(), v.into())).into();
        assert_eq!(end.spec.unwrap().selector, Some(selector));
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn scaling_and_deleting_are_for_what_was_seen() {
    on_ground(async |ground: Ground| {
        let writer = Writer::new(ground.client.clone(), "switchyard-test");
        let first = ground.create(&deployment(&ground)).await;
        let target = Target::of(&first);
        let uid = first.uid().unwrap();
        let stale = Seen { uid: uid.clone(), version: Version::new("1") };
        assert_eq!(writer.scale(&target, &stale, 2).await, Err(Refusal::Stale));
        assert_eq!(writer.delete(&target, &stale).await, Err(Refusal::Stale));

        // The Deployment's own controller writes its status meanwhile, so a version is soon stale.
        let fresh = async || Seen::of(&ground.api::<Deployment>().get("shop").await.unwrap());
        let scaled = loop {
            match writer.scale(&target, &fresh().await, 2).await {
                Err(Refusal::Stale) => {}
                other => break other.unwrap(),
            }
        };
        let now = ground.api::<Deployment>().get("shop").await.unwrap();
        assert_eq!(now.spec.unwrap().replicas, Some(2));
        assert_eq!(scaled.uid, uid);
        assert!(scaled.version.newer_than(&Seen::of(&first).version), "a Scale has the version of its Deployment");

        let other = Seen { uid: NOBODY.into(), ..fresh().await };
        assert_eq!(writer.delete(&target, &other).await, Err(Refusal::Stale));
        let deleted = loop {
            match writer.delete(&target, &fresh().await).await {
                Err(Refusal::Stale) => {}
                other => break other.unwrap(),
            }
        };
        assert!(deleted.deleted && deleted.version.as_str().is_empty());
        assert_eq!(writer.delete(&target, &other).await, Err(Refusal::Stale));
        assert_eq!(writer.scale(&target, &other, 0).await, Err(Refusal::Stale));
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn quota_and_rights_are_denied_with_their_words() {
    on_ground(async |ground: Ground| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = told.clone();
        let writer = Writer::new(ground.client.clone(), "switchyard-test").telling(move |kind, verb, result| {
            log.lock().unwrap().push((kind.to_owned(), verb.as_str(), result.is_ok()));
        });
        let quota: k8s_openapi::api::core::v1::ResourceQuota =
            serde_json::from_value(json!({"metadata": {"name": "none"}, "spec": {"hard": {"count/configmaps": "1"}}}))
                .unwrap();
        ground.create(&quota).await;
        // The quota counts from when its controller has seen it; kube-root-ca.crt is the one.
        let mut refused = None;
        for n in 0..200 {
            match writer.create(&ground.map(&format!("m{n}"))).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                Err(refusal) => {
                    refused = Some(refusal);
                    break;
                }
            }
        }
        assert!(matches!(&refused, Some(Refusal::Denied(why)) if why.contains("exceeded quota: none")), "{refused:?}");
        assert_eq!(told.lock().unwrap().last().unwrap(), &("ConfigMap".to_owned(), "create", false));

        let mut config = ground.config.clone();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{}:nobody", ground.namespace));
        let nobody = Writer::new(client::client(config).unwrap(), "switchyard-test");
        let refused = nobody.create(&ground.map("x")).await;
        assert!(matches!(&refused, Err(Refusal::Denied(why)) if why.contains("cannot create resource")), "{refused:?}");
    });
}

#[test]
#[ignore = "needs the test cluster"]
fn an_event_is_told_once() {
    on_ground(async |ground: Ground| {
        let shop = ground.create(&ground.map("shop")).await;
        let publisher = Publisher::new(ground.client.clone(), "switchyard.dev/test", "pod-0");
        let a = Event::normal("Promoted", "promoted a");
        publisher.tell(&shop, &a, "7").await;
        publisher.tell(&shop, &a, "7").await;
        publisher.tell(&shop, &a, "8").await;
        publisher.tell(&shop, &Event::warning("Promoted", "promoted b"), "7").await;
        let told = ground.api::<Told>().list(&ListParams::default()).await.unwrap();
        let mut notes: Vec<_> =
            told.iter().map(|event| (event.note.as_deref().unwrap(), event.type_.as_deref().unwrap())).collect();
        notes.sort_unstable();
        assert_eq!(notes, [("promoted a", "Normal"), ("promoted a", "Normal"), ("promoted b", "Warning")]);
    });
}
