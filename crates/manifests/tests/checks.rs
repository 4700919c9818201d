//! The Job of a check: what it takes over from the template of the revision, and what it must not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod objects;

use std::collections::BTreeSet;

use objects::{check_run, checked_template, full_rollout, migrate, small_rollout, understood};
use serde_json::{Value, json};
use switchyard_api::{Revision, check::Moment};
use switchyard_manifests::check::{Run, job, job_name};

fn made(template: &Value) -> Value {
    job(&small_rollout(), template, check_run(), &migrate()).unwrap()
}

#[test]
fn it_runs_one_container_with_another_command_and_all_that_container_has() {
    let job = made(&checked_template());
    let pod = &job["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "neither sidecars nor what serves beside it");
    let container = &containers[0];
    assert_eq!((&container["command"], &container["args"]), (&json!(["flask", "db"]), &json!(["upgrade"])));
    for kept in ["image", "env", "envFrom", "volumeMounts", "resources", "securityContext", "workingDir"] {
        assert_eq!(container[kept], checked_template()["spec"]["containers"][0][kept], "{kept}");
        assert!(!container[kept].is_null(), "{kept}");
    }
    for kept in ["volumes", "serviceAccountName", "imagePullSecrets", "nodeSelector", "tolerations", "securityContext"]
    {
        assert_eq!(pod[kept], checked_template()["spec"][kept], "{kept}");
        assert!(!pod[kept].is_null(), "{kept}");
    }
    for dropped in ["readinessProbe", "livenessProbe", "startupProbe", "ports", "lifecycle"] {
        assert!(container[dropped].is_null(), "{dropped}");
    }
    assert!(pod["initContainers"].is_null() && pod["terminationGracePeriodSeconds"].is_null());
    assert_eq!(understood(&job), job);
}

#[test]
fn an_init_container_serves_as_well_and_a_container_that_is_not_there_does_not() {
    let mut check = migrate();
    check.from_container = "sidecar".to_owned();
    let job = |check: &_| job(&small_rollout(), &checked_template(), check_run(), check);
    let sidecar = job(&check).unwrap();
    let container = &sidecar["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "proxy:1");
    assert!(container["restartPolicy"].is_null(), "a sidecar never ends");
    check.from_container = "nobody".to_owned();
    assert_eq!(job(&check), None);
}

#[test]
fn arguments_alone_leave_the_containers_own_command_and_a_command_alone_drops_its_arguments() {
    let mut check = migrate();
    let run = |check: &_| {
        let job = job(&small_rollout(), &checked_template(), check_run(), check).unwrap();
        let container = job["spec"]["template"]["spec"]["containers"][0].clone();
        (container["command"].clone(), container["args"].clone())
    };
    check.command = vec![];
    assert_eq!(run(&check), (json!(["flask"]), json!(["upgrade"])));
    (check.command, check.args) = (vec!["true".to_owned()], vec![]);
    assert_eq!(run(&check), (json!(["true"]), Value::Null));
}

#[test]
fn no_service_and_no_budget_can_take_its_pod_for_one_that_serves() {
    let job = made(&checked_template());
    let labels = job["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    let keys: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
    let ours = [
        "app.kubernetes.io/managed-by",
        "switchyard.dev/check",
        "switchyard.dev/check-revision",
        "switchyard.dev/owner-uid",
    ];
    assert_eq!(keys, ours.into());
    assert_eq!(job["metadata"]["labels"].as_object(), Some(labels));
}

#[test]
fn it_ends_and_an_eviction_is_no_failure() {
    let spec = made(&checked_template())["spec"].clone();
    assert_eq!((&spec["backoffLimit"], &spec["activeDeadlineSeconds"]), (&json!(2), &json!(300)));
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never", "a policy on failures needs that");
    let ignored = json!([{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]);
    assert_eq!(spec["podFailurePolicy"]["rules"], ignored);
}

/// The rules of Pod Security `restricted` that a pod says yes or no to itself.
fn restricted(pod: &Value) -> bool {
    let volumes = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
        "name",
    ];
    let of_pod = &pod["securityContext"];
    let hosts = ["hostNetwork", "hostPID", "hostIPC"].iter().any(|host| pod[*host] == true);
    let mounts = pod["volumes"].as_array().into_iter().flatten().flat_map(|v| v.as_object().unwrap().keys());
    let containers = pod["containers"].as_array().unwrap().iter().all(|c| {
        let own = &c["securityContext"];
        own["allowPrivilegeEscalation"] == false
            && own["privileged"] != true
            && own["capabilities"]["drop"] == json!(["ALL"])
            && own["capabilities"]["add"].is_null()
            && (own["runAsNonRoot"] == true || (own["runAsNonRoot"].is_null() && of_pod["runAsNonRoot"] == true))
            && of_pod["seccompProfile"]["type"] == "RuntimeDefault"
    });
    containers && !hosts && mounts.into_iter().all(|kind| volumes.contains(&kind.as_str()))
}

#[test]
fn a_restricted_template_makes_a_restricted_job() {
    let template = checked_template();
    assert!(restricted(&template["spec"]));
    assert!(restricted(&made(&template)["spec"]["template"]["spec"]));
    // The rules here do see something.
    for (at, wrong) in [
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/containers/0/securityContext/capabilities/drop", json!([])),
        ("/spec/volumes/0", json!({"name": "cache", "hostPath": {"path": "/"}})),
    ] {
        let mut template = checked_template();
        *template.pointer_mut(at).unwrap() = wrong;
        assert!(!restricted(&made(&template)["spec"]["template"]["spec"]), "{at}");
    }
}

#[test]
fn names_fit_and_differ_by_revision_moment_check_and_run() {
    let mut rollout = small_rollout();
    rollout.metadata.name = Some("a".repeat(52));
    let (base, long) = (check_run(), "c".repeat(30));
    let runs = [
        base,
        Run { revision: Revision::of_hash(&[7; 32]), ..base },
        Run { moment: Moment::Live, ..base },
        Run { check: &long, ..base },
        Run { under: "4712", ..base },
    ];
    let names: BTreeSet<String> = runs.iter().map(|run| job_name(&rollout, *run)).collect();
    assert_eq!(names.len(), runs.len(), "{names:?}");
    assert!(names.iter().all(|n| n.len() <= 63), "{names:?}");
    assert_eq!(job_name(&small_rollout(), base), "shop-k7w2m9xq4b-preview-migrate-4711");
}

#[test]
fn it_goes_with_its_rollout_unless_that_orphans() {
    assert_eq!(made(&checked_template())["metadata"]["ownerReferences"][0]["uid"], "r-uid");
    let orphan = job(&full_rollout(), &checked_template(), check_run(), &migrate()).unwrap();
    assert!(orphan["metadata"]["ownerReferences"].is_null());
    assert_eq!(orphan["metadata"]["labels"]["switchyard.dev/owner-uid"], "r-uid");
}
