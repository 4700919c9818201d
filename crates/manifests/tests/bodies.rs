//! Every body against a golden file, and the rules that no edit of a golden file may break.
//!
//! `UPDATE_GOLDEN=1 cargo test -p switchyard-manifests` writes the files anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod objects;

use std::{collections::BTreeSet, fs, path::PathBuf};

use objects::{
    bodies, full_build, full_rollout, live_service, revision, revision_service, settings, small_rollout, understood,
};
use serde_json::json;
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
    let job = build::check_job(&build, &build.spec.recipe.checks[0], 1, &settings()).unwrap();
    for (_, value) in job["metadata"]["labels"].as_object().unwrap() {
        assert!(value.as_str().unwrap().len() <= 63, "{value}");
    }
}

#[test]
fn a_timeout_becomes_whole_seconds_that_kubernetes_accepts() {
    let deadline = |timeout: &str| {
        let mut build = full_build();
        build.spec.recipe.timeout = timeout.parse().unwrap();
        let job = build::check_job(&build, &build.spec.recipe.checks[0], 1, &settings()).unwrap();
        job["spec"]["activeDeadlineSeconds"].clone()
    };
    // A minute later than the timeout, which the operator keeps itself.
    assert_eq!(deadline("1h30m"), json!(5460));
    assert_eq!(deadline("0s"), json!(60));
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
