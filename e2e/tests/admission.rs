//! What can be seen to be wrong is refused at `kubectl apply`, in a sentence that says what is wrong.

use serde_json::{Value, json};
use switchyard_e2e::{
    app::{Page, build, pipeline},
    place::{Place, in_a_namespace},
    process::{refused, run},
};

/// `base` with `value` at `pointer`; with null, without what is there.
fn with(base: &Value, pointer: &str, value: Value) -> Value {
    let mut object = base.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} is not in the base")) {
        Value::Object(map) if value.is_null() => drop(map.remove(key)),
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => panic!("{parent} is {other}"),
    }
    object
}

/// The base is accepted, and each change to it refused with these words.
async fn each_is_refused(place: &Place, base: &Value, changes: &[(&str, Value, &str)]) {
    place.would_accept(base).await.expect("the object that the changes start from");
    let mut wrong = Vec::new();
    for (pointer, value, words) in changes {
        match place.would_accept(&with(base, pointer, value.clone())).await {
            Ok(()) => wrong.push(format!("{pointer} = {value} is accepted")),
            Err(said) if said.contains(words) => {}
            Err(said) => wrong.push(format!("{pointer} = {value} is refused without {words:?}: {said}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn rollouts() {
    in_a_namespace("admission", async |place| {
        let base = Page::new("shop", "blue").rollout(&place.ground);
        let port = |name: Option<&str>, port: i32| match name {
            Some(name) => json!({"name": name, "port": port}),
            None => json!({"port": port}),
        };
        let container = "/spec/template/spec/containers/0";
        let smoke = json!({"name": "smoke", "http": {"path": "/"}});
        let released = json!([{"containers": ["other"], "pipelineRef": {"name": "shop"}}]);
        let live = |check: Value| {
            let mut check = check;
            check["name"] = json!("look");
            json!({"live": [check]})
        };
        let job = |timeout: &str| live(json!({"job": {"fromContainer": "page", "args": ["x"], "timeout": timeout}}));
        let http = |key: &str, time: &str| live(json!({"http": {"path": "/", key: time}}));
        let prometheus = |key: &str, time: &str| {
            let (address, condition) = ("http://p:9090", "value < 1");
            live(json!({"prometheus": {"address": address, "query": "up", "successCondition": condition, key: time}}))
        };
        each_is_refused(
            &place,
            &base,
            &[
                ("/metadata/name", json!("a".repeat(53)), "at most 52 lower-case letters"),
                ("/metadata/name", json!("1shop"), "starting with a letter (DNS-1035)"),
                ("/spec/images", released, "a container named here is not in the template"),
                (&format!("{container}/readinessProbe"), Value::Null, "no container has a readinessProbe"),
                (&format!("{container}/image"), Value::Null, "a container without an image must be named in images"),
                ("/spec/service", Value::Null, "exactly one of service (to be created) and serviceRef"),
                ("/spec/serviceRef", json!({"name": "shop"}), "exactly one of service (to be created) and serviceRef"),
                ("/spec/preview", json!({}), "preview: exactly one of service (to be created) and serviceRef"),
                ("/spec/preview", json!({"serviceRef": {"name": "p"}, "replicas": 0}), "greater than or equal to 1"),
                ("/spec/preview", json!({"serviceRef": {"name": "shop"}}), "preview: it must not be the live Service"),
                ("/spec/checks", live(json!({"job": {"fromContainer": "page"}})), "job: command or args must be given"),
                ("/spec/checks", job("500ms"), "job.timeout: from 1s to 24h"),
                ("/spec/checks", job("25h"), "job.timeout: from 1s to 24h"),
                ("/spec/checks", http("interval", "900ms"), "http.interval: at least 1s"),
                ("/spec/checks", http("timeout", "2m"), "http.timeout: from 100ms to 1m"),
                ("/spec/checks", prometheus("interval", "900ms"), "prometheus.interval: at least 1s"),
                ("/spec/checks", prometheus("timeout", "10ms"), "prometheus.timeout: from 100ms to 1m"),
                ("/spec/checks", json!({"live": [smoke, smoke]}), "checks.live: two checks have the same name"),
                (
                    "/spec/checks",
                    json!({"live": [{"name": "none"}]}),
                    "a check is exactly one of job, http and prometheus",
                ),
                ("/spec/checks", json!({"preview": [smoke, smoke]}), "checks.preview: two checks have the same name"),
                ("/spec/strategy/blueGreen/promotion", json!("Never"), "supported values: \"Automatic\", \"Manual\""),
                ("/spec/service/spec/type", json!("ExternalName"), "an ExternalName selects no pods"),
                ("/spec/service/spec/ports", json!([port(None, 80), port(Some("b"), 81)]), "several ports need names"),
                ("/spec/service/spec/ports", json!([]), "should have at least 1 items"),
                ("/spec/service/spec/ports/0", port(None, 70_000), "should be less than or equal to 65535"),
                ("/spec/replicas", json!(-1), "should be greater than or equal to 0"),
                ("/spec/strategy/type", json!("Canary"), "supported values: \"BlueGreen\""),
                ("/spec/progressDeadline", json!("30d"), "spec.progressDeadline in body should match"),
                ("/spec/strategy/blueGreen/drain/duration", json!("-5s"), "drain.duration in body should match"),
                ("/spec/deletionPolicy", json!("Keep"), "supported values: \"Delete\", \"Orphan\""),
            ],
        )
        .await;
        // And what only a change can do wrong.
        place.apply(&base).await.unwrap();
        let mut moved = base.clone();
        moved["spec"].as_object_mut().unwrap().remove("service");
        moved["spec"]["serviceRef"] = json!({"name": "front"});
        let said = place.apply(&moved).await.unwrap_err().to_string();
        assert!(said.contains("which Service is live cannot be changed"), "{said}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn builds() {
    in_a_namespace("admission", async |place| {
        let url = "https://git.example.com/shop.git";
        let base = build(&place, "shop", url, &"c".repeat(40));
        let twice = |list: &str| {
            let one = base["spec"][list][0].clone();
            json!([one, one])
        };
        let git = |field: &str| format!("/spec/source/git/{field}");
        let file = |field: &str, value: &str| json!({field: value});
        each_is_refused(
            &place,
            &base,
            &[
                (&git("url"), json!("file:///etc"), "url: http, https and ssh only"),
                (&git("url"), json!("--upload-pack=touch /tmp/x"), "url: http, https and ssh only"),
                (&git("url"), json!("https://-oProxyCommand=x/"), "url: http, https and ssh only"),
                (&git("url"), json!("ext::sh -c x"), "url: http, https and ssh only"),
                (&git("commit"), json!("main"), "spec.source.git.commit in body should match"),
                (&git("branch"), json!("-x"), "branch: may not start with a dash"),
                ("/spec/checks", twice("checks"), "checks: two have the same name"),
                ("/spec/images", twice("images"), "images: two have the same name"),
                ("/spec/images", json!([]), "images: name at least one to build"),
                ("/spec/images/0/repository", json!("ghcr.io/acme/shop:1"), "repository in body should match"),
                ("/spec/images/0/repository", json!("-x/y"), "repository in body should match"),
                (
                    "/spec/images/0/dockerfile",
                    file("path", "../Dockerfile"),
                    "dockerfile.path: a path inside the source",
                ),
                ("/spec/images/0/dockerfile", file("path", "/etc/passwd"), "dockerfile.path: a path inside the source"),
                ("/spec/images/0/dockerfile", file("context", "../.."), "dockerfile.context: a path inside the source"),
                ("/spec/checks/0/job/command", json!([]), "should have at least 1 items"),
                ("/spec/retries", json!(11), "should be less than or equal to 10"),
                ("/spec/timeout", json!("1 hour"), "spec.timeout in body should match"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn a_build_is_never_changed() {
    in_a_namespace("admission", async |place| {
        // Nothing listens there, so nothing is built.
        let base = build(&place, "shop", "http://127.0.0.1:1/shop.git", &"c".repeat(40));
        place.apply(&base).await.unwrap();
        let other = with(&base, "/spec/source/git/commit", json!("d".repeat(40)));
        let mut apply = place.kubectl(&["apply", "--dry-run=server", "-f", "-"]);
        let said = refused(&mut apply, &other.to_string()).await.unwrap();
        assert!(said.contains("the spec of a Build is immutable: make a new Build"), "{said}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn pipelines() {
    in_a_namespace("admission", async |place| {
        let base = pipeline(&place, "shop", "https://git.example.com/shop.git", &["staging", "production"]);
        let after = |name: &str| json!({"environments": [name]});
        let first = base["spec"]["environments"][0].clone();
        each_is_refused(
            &place,
            &base,
            &[
                ("/metadata/name", json!("a".repeat(41)), "at most 40 lower-case letters"),
                ("/metadata/name", json!("1shop"), "starting with a letter"),
                ("/spec/environments", json!([]), "should have at least 1 items"),
                ("/spec/environments/1", first, "environments: two have the same name"),
                ("/spec/environments/1/after", after("nowhere"), "an environment that is not listed earlier"),
                ("/spec/environments/1/after", after("production"), "an environment that is not listed earlier"),
                ("/spec/environments/0/after", after("production"), "an environment that is not listed earlier"),
                ("/spec/environments/0/rolloutRefs", json!([]), "should have at least 1 items"),
                ("/spec/source/git/url", json!("git://example.com/shop"), "url: http, https and ssh only"),
                ("/spec/source/git/ref/branch", json!("--all"), "branch: may not start with a dash"),
                ("/spec/source/git/interval", json!("1d"), "interval in body should match"),
                ("/spec/build/images/0/name", json!("Web"), "name in body should match"),
                ("/spec/retention", json!({"succeededLimit": 0}), "should be greater than or equal to 1"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn commands() {
    in_a_namespace("admission", async |place| {
        let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
        let user = run(&mut place.kubectl(&whoami)).await.unwrap();
        let base = json!({
            "apiVersion": "switchyard.dev/v1alpha1", "kind": "Command", "metadata": {"name": "promote"},
            "spec": {"user": user, "type": "Promote", "revision": "k7w2m9xq4b",
                "targetRef": {"kind": "Rollout", "name": "shop", "uid": "0b5f6a3e"}},
        });
        let supported = "supported values: \"Promote\", \"Abort\", \"Retry\", \"RollbackTo\", \"Resume\"";
        let needed = "name the revision that they are meant for";
        each_is_refused(
            &place,
            &base,
            &[
                ("/spec/user", Value::Null, "spec.user: Required value"),
                ("/spec/user", json!("u".repeat(513)), "may not be more than 512"),
                ("/spec/type", json!("Approve"), supported),
                ("/spec/type", json!("Resume"), "a Resume or a Cancel is meant for no revision"),
                ("/spec/revision", Value::Null, needed),
                ("/spec/revision", json!(""), "spec.revision in body should match"),
                ("/spec/revision", json!("2222222222"), "spec.revision in body should match"),
                ("/spec/targetRef/kind", json!("Pipeline"), "supported values: \"Rollout\""),
                ("/spec/targetRef/uid", Value::Null, "spec.targetRef.uid: Required value"),
                ("/spec/targetRef/name", json!(""), "should be at least 1 chars long"),
                ("/spec/reason", json!("r".repeat(1025)), "may not be more than 1024"),
                ("/spec/environment", json!("production"), "unknown field \"spec.environment\""),
            ],
        )
        .await;
    })
    .await;
}
