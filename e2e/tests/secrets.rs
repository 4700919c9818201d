//! A Secret's value stands in nothing that the operator writes or says.

use serde_json::{Value, json};
use switchyard_api::{Build, build::Phase};
use switchyard_e2e::{
    app::{GIT, PUSH, Source, build, pipeline},
    forge::Repository,
    ground::SYSTEM,
    place::{Place, in_a_namespace, suffix},
    process::run,
    shop::{page, until_another},
};

/// All that can be read of a namespace but its Secrets, what its pods printed, and what the operator said since.
async fn everything(place: &Place, since: &str) -> Vec<(&'static str, String)> {
    let objects = "pipelines,builds,rollouts,commands,deployments,replicasets,services,endpointslices,jobs,pods,events,configmaps";
    let since = format!("--since-time={since}");
    let mut all = vec![];
    for (what, mut command) in [
        ("objects", place.kubectl(&["get", objects, "-o", "json", "--show-managed-fields"])),
        ("the operator's log", place.ground.kubectl(&["-n", SYSTEM, "logs", "deployment/switchyard", &since])),
    ] {
        all.push((what, run(&mut command).await.unwrap()));
    }
    let names = run(&mut place.kubectl(&["get", "pods", "-o", "name"])).await.unwrap();
    for name in names.lines() {
        let mut logs = place.kubectl(&["logs", name, "--all-containers", "--ignore-errors"]);
        all.push(("a pod's log", run(&mut logs).await.unwrap_or_default()));
    }
    all
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, place: u32| char::from(LETTERS[(group >> (18 - 6 * place)) as usize & 63]);
    let mut out = String::new();
    for bytes in text.as_bytes().chunks(3) {
        let group = (0..3).fold(0, |sum, i| sum << 8 | u32::from(bytes.get(i).copied().unwrap_or(0)));
        out.extend((0..4).map(|place| if place as usize <= bytes.len() { letter(group, place) } else { '=' }));
    }
    out
}

#[test]
fn letters_are_as_in_rfc_4648() {
    for (text, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(text), coded);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_value_stands_in_no_object_event_or_log() {
    in_a_namespace("secrets", async |place| {
        let since = jiff::Timestamp::now().to_string();
        let value = |of: &str| format!("sesame-{of}-{}{}{}", suffix(), suffix(), suffix());
        let (git, registry, token) = (value("git"), value("registry"), value("token"));
        place.equip().await;
        // Refused by both, so that every message of a failure is written as well.
        place.git_secret(GIT, "reader", &git).await;
        let auths = json!({"auths": {place.ground.setting("REGISTRY"): {"username": "push", "password": registry}}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
            "stringData": {"token": token}});
        place.apply(&secret).await.unwrap();

        let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
        let commit = repository.commit(&Source::good(&place.ground, "one"), "feat: a page").await.unwrap();
        place.apply(&pipeline(&place, "shop", &repository.url, &["shop"])).await.unwrap();
        place.apply(&build(&place, "refused-by-git", &repository.url, &commit)).await.unwrap();
        let tokened = |spec: &mut Value| {
            let from = json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}});
            spec["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap().push(from);
            let job = json!({"fromContainer": "page", "command": ["sh", "-c", "test -n \"$TOKEN\""]});
            spec["checks"] = json!({"preview": [{"name": "token", "job": job}]});
        };
        place.apply(&page(&place, "blue", tokened)).await.unwrap();
        until_another(&place, "none").await;
        let failed = |build: &Build| build.status.as_ref().and_then(|s| s.phase) == Some(Phase::Failed);
        place.until_object::<Build>("refused-by-git", "it has failed", 120, failed).await;

        let (user, password) = (place.ground.setting("GIT_READER_USER"), place.ground.setting("GIT_READER_PASSWORD"));
        place.git_secret(GIT, user, password).await;
        place.dockerconfig_secret(PUSH, &auths.to_string()).await;
        place.apply(&build(&place, "refused-by-registry", &repository.url, &commit)).await.unwrap();
        place.until_object::<Build>("refused-by-registry", "it has failed", 180, failed).await;

        let all = everything(&place, &since).await;
        let basic = base64(&format!("reader:{git}"));
        let auth = base64(&format!("push:{registry}"));
        for secret in [&git, &registry, &token, &base64(&git), &base64(&registry), &base64(&token), &basic, &auth] {
            for (what, text) in &all {
                let around = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(around, None, "{secret} stands in {what}");
            }
        }
        // And it is found where it stands, and these are the right texts.
        let secrets = run(&mut place.kubectl(&["get", "secrets", "-o", "json"])).await.unwrap();
        assert!(secrets.contains(&base64(&token)), "the search finds nothing at all");
        for (what, text) in &all[..2] {
            assert!(text.contains(&place.namespace), "{what} says nothing of this namespace");
        }
    })
    .await;
}
