//! Every body against a golden file, and the rules that no edit of a golden file may break.
//!
//! `UPDATE_GOLDEN=1 cargo test -p switchyard-manifests` writes the files anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod objects;

use std::{collections::BTreeSet, fs, path::PathBuf};

use objects::{
    bodies, full_build, full_rollout, live_service, revision, revision_service, settings, small_rollout, understood,
};
use serde_json::{Value, json};
use switchyard_manifests::{
    build::{self, Step},
    rollout,
};

#[test]
fn bodies_are_as_their_golden_files_say() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = vec![];
    for (name, body) in bodies() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.yaml"));
        let text = serde_saphyr::to_string(&body).unwrap();
        if update {
            fs::write(&path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            different.push(path.display().to_string());
        }
    }
    assert!(different.is_empty(), "not as golden (UPDATE_GOLDEN=1 rewrites): {different:#?}");
}

/// A word that Kubernetes does not know would be dropped without a sound.
#[test]
fn kubernetes_understands_every_field_that_is_ours() {
    for (name, mut body) in bodies() {
        if name == "deployment-full" {
            let container = body.pointer_mut("/spec/template/spec/containers/0").unwrap();
            let strange = container.as_object_mut().unwrap().remove("fieldOfALaterKubernetes");
            assert_eq!(strange, Some(json!({"kept": true})), "what a user wrote stays, known or not");
        }
        assert_eq!(understood(&body), body, "{name}");
    }
}

fn job(name: &str) -> Value {
    bodies().into_iter().find(|(n, _)| *n == name).map(|(_, body)| body).unwrap()
}

fn containers(job: &Value) -> Vec<Value> {
    let spec = &job["spec"]["template"]["spec"];
    [&spec["initContainers"], &spec["containers"]].iter().flat_map(|c| c.as_array().unwrap().clone()).collect()
}

/// The volumes of a container, by its name.
fn mounts(job: &Value, container: &str) -> BTreeSet<String> {
    let container = containers(job).into_iter().find(|c| c["name"] == container).unwrap();
    container["volumeMounts"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_credential_is_in_one_container_and_notes_are_in_ours_alone() {
    let image = job("image-job-full");
    assert_eq!(mounts(&image, "clone"), set(&["src", "steps", "tmp", "git-credential"]));
    assert_eq!(mounts(&image, "build"), set(&["src", "out", "pull-credential"]));
    assert_eq!(mounts(&image, "push"), set(&["out", "steps", "push-credential"]));
    let check = job("check-job");
    assert_eq!(mounts(&check, "clone"), set(&["src", "steps", "tmp", "git-credential"]));
    assert_eq!(mounts(&check, "check"), set(&["src"]));
}

#[test]
fn a_build_pod_has_nothing_of_the_cluster_and_no_more_rights_than_it_needs() {
    for name in ["check-job", "image-job", "image-job-full"] {
        let job = job(name);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!((&job["spec"]["backoffLimit"], &pod["restartPolicy"]), (&json!(0), &json!("Never")), "{name}");
        for container in containers(&job) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}: {container}");
            assert!(security["privileged"].is_null(), "{name}: {container}");
            if container["image"] == settings().worker_image {
                assert_eq!(security["runAsNonRoot"], container["name"] == "clone", "{name}: {container}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}: {container}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}: {container}");
            }
            for mount in container["volumeMounts"].as_array().unwrap() {
                let path = mount["mountPath"].as_str().unwrap();
                assert!(!path.starts_with("/workspace"), "{name}: an image may use {path}");
            }
        }
    }
}

/// Of `$(NAME)` in an argument Kubernetes makes a variable's value, and of `$$` one dollar.
#[test]
fn arguments_reach_the_container_as_written() {
    let arguments = |container: &str| {
        let job = job("image-job-full");
        let container = containers(&job).into_iter().find(|c| c["name"] == container).unwrap();
        container["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(arguments("build").contains(&"--build-arg=FLAVOUR=$$(HOME) costs 5$$".to_owned()));
    assert!(arguments("push").contains(&"$$(version)".to_owned()));
    assert!(arguments("push").contains(&"$$(branch)-$$(short)".to_owned()));
    for argument in arguments("build").iter().chain(&arguments("push")) {
        assert_eq!(argument.matches('$').count() % 2, 0, "{argument}");
    }
}

#[test]
fn kaniko_cannot_push() {
    let job = job("image-job-full");
    let kaniko = containers(&job).into_iter().find(|c| c["name"] == "build").unwrap();
    let args: Vec<&str> = kaniko["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert!(args.contains(&"--no-push") && !args.iter().any(|a| a.contains("destination")), "{args:?}");
    assert!(args.contains(&"--context=dir:///src/web") && args.contains(&"--dockerfile=/src/web/Dockerfile"));
}

#[test]
fn names_fit_and_differ_by_attempt() {
    let long = "a".repeat(253);
    let names: BTreeSet<String> = [Step::Check("unit"), Step::Image("unit")]
        .iter()
        .flat_map(|step| [1, 2].map(|attempt| step.job_name(&long, attempt)))
        .collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|n| n.len() <= 63), "{names:?}");
    assert_eq!(Step::Image("web").job_name("shop-7f3a91c-1", 1), "shop-7f3a91c-1-image-web-1");

    let mut build = full_build();
    build.metadata.name = Some(long);
    let job = build::check_job(&build, &build.spec.recipe.checks[0], 1, &settings());
    for (_, value) in job["metadata"]["labels"].as_object().unwrap() {
        assert!(value.as_str().unwrap().len() <= 63, "{value}");
    }
}

#[test]
fn a_timeout_becomes_whole_seconds_that_kubernetes_accepts() {
    let deadline = |timeout: &str| {
        let mut build = full_build();
        build.spec.recipe.timeout = timeout.parse().unwrap();
        build::check_job(&build, &build.spec.recipe.checks[0], 1, &settings())["spec"]["activeDeadlineSeconds"].clone()
    };
    assert_eq!(deadline("1h30m"), json!(5400));
    assert_eq!(deadline("0s"), json!(1));
    assert_eq!(deadline("999999999h"), json!(i32::MAX));
}

#[test]
fn the_live_service_selects_nobody_at_first_and_a_users_labels_do_not_win() {
    let service = live_service(&full_rollout(), "{}");
    assert_eq!(
        service["spec"]["selector"],
        json!({"switchyard.dev/rollout": "shop", "switchyard.dev/revision": "none"})
    );
    assert_eq!(service["metadata"]["labels"]["switchyard.dev/rollout"], "shop");
    assert_eq!(service["metadata"]["labels"]["team"], "shop");
}

#[test]
fn an_orphaning_rollout_owns_nothing() {
    let of = |r: &switchyard_api::Rollout| {
        [rollout::deployment(r, revision(), &[].into(), &[]), revision_service(r), live_service(r, "{}")]
    };
    for body in of(&full_rollout()) {
        assert!(body["metadata"]["ownerReferences"].is_null(), "{body}");
        assert_eq!(body["metadata"]["labels"]["switchyard.dev/owner-uid"], "r-uid", "matched by uid all the same");
    }
    for body in of(&small_rollout()) {
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "r-uid", "{body}");
    }
}

#[test]
fn only_containers_without_a_hook_get_one_and_the_pod_gets_as_much_more_time() {
    let spec = |r: &switchyard_api::Rollout| {
        rollout::deployment(r, revision(), &[].into(), &[])["spec"]["template"]["spec"].clone()
    };
    let full = spec(&full_rollout());
    assert_eq!(full["containers"][0]["lifecycle"], json!({"preStop": {"sleep": {"seconds": 5}}}));
    assert_eq!(full["containers"][1]["lifecycle"], json!({"preStop": {"exec": {"command": ["drain"]}}}));
    assert!(full["initContainers"][0]["lifecycle"].is_null());
    assert_eq!(full["terminationGracePeriodSeconds"], 65);
    assert_eq!(spec(&small_rollout())["terminationGracePeriodSeconds"], 35);

    let mut without = small_rollout();
    without.spec.strategy.blue_green.drain.pre_stop = switchyard_api::rollout::PreStop::None;
    assert_eq!(spec(&without), without.spec.template["spec"]);
}
