use serde_json::{Value, json};

use super::*;

fn build(status: Value) -> Build {
    let check =
        |name: &str, after: &[&str]| json!({"name": name, "after": after, "job": {"image": "x", "command": ["x"]}});
    let image = |name: &str| json!({"name": name, "repository": format!("registry.example.com/{name}")});
    let spec = json!({
        "source": {"git": {"url": "https://example.com/shop.git", "commit": "c".repeat(40)}},
        "checks": [check("unit", &[]), check("quality", &["unit"])], "images": [image("web"), image("api")],
    });
    let mut object = json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Build", "metadata": {"name": "shop-1"}, "spec": spec,
    });
    if !status.is_null() {
        object["status"] = status;
    }
    serde_json::from_value(object).unwrap()
}

/// `containers` with the state of each: `running` and the like.
fn pod(step: &str, name: &str, second: u32, phase: &str, containers: &[(&str, Value)]) -> Pod {
    let status = |(name, state): &(&str, Value)| json!({"name": name, "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": state});
    let (last, first) = containers.split_last().unwrap();
    let container = |(name, _): &(&str, Value)| {
        let beside = name.starts_with("service-");
        json!({"name": name, "restartPolicy": beside.then_some("Always")})
    };
    serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {ANNOTATION_STEP: step},
            "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z")},
        "spec": {"initContainers": first.iter().map(container).collect::<Vec<_>>(), "containers": [container(last)]},
        "status": {"phase": phase,
            "initContainerStatuses": first.iter().map(status).collect::<Vec<_>>(), "containerStatuses": [status(last)]},
    }))
    .unwrap()
}

fn running() -> Value {
    json!({"running": {}})
}
fn ended() -> Value {
    json!({"terminated": {"exitCode": 0}})
}
fn waiting() -> Value {
    json!({"waiting": {"reason": "PodInitializing"}})
}

#[test]
fn steps_come_as_they_run_and_attempts_one_after_the_other() {
    let one = |step: &str, name: &str, second: u32| pod(step, name, second, "Running", &[("clone", running())]);
    let stranger = Pod { metadata: kube::api::ObjectMeta::default(), ..one("image/web/1", "stranger", 0) };
    let pods = vec![
        one("image/api/1", "api", 9),
        one("image/web/10", "web-10", 12),
        one("image/web/2", "web-2", 11),
        // A node was lost, and the Job made another pod for the same attempt.
        one("image/web/1", "web-1-again", 10),
        one("image/web/1", "web-1", 8),
        stranger,
        one("check/quality/1", "quality", 1),
        one("check/unit/1", "unit", 2),
    ];
    let names: Vec<String> = runs(&build(Value::Null), &pods).into_iter().map(|run| run.pod).collect();
    assert_eq!(names, ["unit", "quality", "web-1", "web-1-again", "web-2", "web-10", "api"]);
}

#[test]
fn an_image_that_another_built_is_a_step_too() {
    let digest = format!("sha256:{}", "d".repeat(64));
    let build: Build = serde_json::from_value(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Build", "metadata": {"name": "shop-1"},
        "spec": {"source": {"registry": {"name": "web", "repository": "registry.example.com/shop", "digest": digest}}},
    }))
    .unwrap();
    assert_eq!(steps(&build), ["image/web"]);
}

#[test]
fn a_container_has_a_log_once_it_has_started() {
    let states = [("clone", ended()), ("service-db", running()), ("check", waiting())];
    let found = run(&pod("check/unit/1", "unit", 0, "Pending", &states)).unwrap();
    let states: Vec<_> = found.containers.iter().map(|c| (c.name.as_str(), c.beside, c.state)).collect();
    let expected =
        [("clone", false, State::Ended), ("service-db", true, State::Running), ("check", false, State::Waiting)];
    assert_eq!(states, expected);
    assert!(!found.is_over());
}

#[test]
fn nothing_more_starts_in_a_pod_that_is_over() {
    let states = [("clone", ended()), ("build", waiting()), ("push", waiting())];
    let over = run(&pod("image/web/1", "web", 0, "Failed", &states)).unwrap();
    assert!(over.is_over());
    let of_each: Vec<State> = over.containers.iter().map(|c| c.state).collect();
    assert_eq!(of_each, [State::Ended, State::Never, State::Never]);
    assert!(!run(&pod("image/web/1", "web", 0, "Running", &states)).unwrap().is_over());
}

fn failed() -> Build {
    build(json!({
        "phase": "Failed",
        "conditions": [{"type": "Ready", "status": "False", "reason": "BuildFailed", "message": "image/web: RUN make: exit 2"}],
        "steps": [
            {"name": "check/unit", "state": "Succeeded", "attempt": 1, "pod": "unit", "logsURL": "https://logs/unit"},
            {"name": "image/web", "state": "Failed", "attempt": 2, "pod": "web-2"},
            {"name": "image/api", "state": "Waiting", "attempt": 1},
        ],
        "failure": {"step": "image/web: build", "class": "User", "reason": "BuildFailed",
            "message": "RUN make: exit 2", "hint": "read failure.log", "log": "make: no rule\nmake: stop"},
    }))
}

#[test]
fn what_ran_and_has_no_pod_is_gone() {
    let attempt_before = pod("image/web/1", "web-1", 0, "Failed", &[("clone", ended())]);
    let build = failed();
    let there = runs(&build, &[attempt_before]);
    let found: Vec<_> = gone(&build, &there).into_iter().map(|g| (g.step, g.pod, g.container, g.url, g.log)).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        found,
        [
            ("check/unit".to_owned(), text("unit"), None, text("https://logs/unit"), None),
            ("image/web".to_owned(), text("web-2"), text("build"), None, text("make: no rule\nmake: stop")),
        ],
        "and a step that never ran is not"
    );
    let unit = pod("check/unit/1", "unit", 0, "Succeeded", &[("clone", ended())]);
    assert!(gone(&build, &runs(&build, &[unit])).iter().all(|g| g.step != "check/unit"));
}

#[test]
fn the_last_lines_say_how_it_ended() {
    let ending = ending(&failed()).unwrap();
    let lines = ["build/shop-1 Failed, BuildFailed: image/web: RUN make: exit 2", "hint: read failure.log"];
    assert_eq!((ending.well, ending.lines), (false, lines.map(str::to_owned).to_vec()));

    let digest = format!("sha256:{}", "d".repeat(64));
    let good = build(json!({
        "phase": "Succeeded",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "every image is served"}],
        "images": [{"name": "web", "repository": "registry.example.com/web", "digest": digest, "tags": ["1.2.0"]}],
    }));
    let lines = [
        "build/shop-1 Succeeded: every image is served".to_owned(),
        format!("web: registry.example.com/web@{digest} (1.2.0)"),
    ];
    let found = super::ending(&good).unwrap();
    assert_eq!((found.well, found.lines), (true, lines.to_vec()));
}

#[test]
fn only_a_build_that_goes_on_has_no_end() {
    let of = |phase: &str, stalled: &str| {
        let condition = json!({"type": "Stalled", "status": stalled, "reason": "Unreadable", "message": ""});
        ending(&build(json!({"phase": phase, "conditions": [condition]}))).map(|ending| ending.well)
    };
    assert_eq!(ending(&build(Value::Null)), None);
    for phase in ["Pending", "Checking", "Building", "Scanning", "Pushing", "Verifying"] {
        assert_eq!(of(phase, "False"), None, "{phase}");
    }
    assert_eq!(of("Pending", "True"), Some(false), "nothing will change it");
    for (phase, well) in [("Succeeded", true), ("Skipped", true), ("Failed", false), ("Cancelled", false)] {
        assert_eq!(of(phase, "False"), Some(well), "{phase}");
    }
}
