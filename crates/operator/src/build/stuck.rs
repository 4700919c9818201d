//! Why a build pod does not start: the cluster's words, sorted into the reasons that a decision knows.
//!
//! What passes by itself within seconds is no problem yet: a Secret that the kubelet is about to read, a service account
//! that is about to be made. If it stays, the cluster says so in other words. A first try at an image that failed is one
//! that may pass.
//!
//! Sources: the kubelet (`pkg/kubelet/container/sync_result.go`, `pkg/kubelet/images/types.go`,
//! `pkg/kubelet/events/event.go`), the Job controller's `FailedCreate`, and admission's messages.

use k8s_openapi::api::core::v1::{Event, Pod};
use switchyard_decide::build::{
    Problem,
    reasons::{
        CONTAINER_FAILED_TO_START, IMAGE_PULL_FAILED, POD_FORBIDDEN, POD_IMAGE_INVALID, QUOTA_EXCEEDED, SECRET_MISSING,
        UNSCHEDULABLE, VOLUME_FAILED,
    },
};

use crate::pods::{self, Waiting};

/// A network that is being set up answers some first tries with an error.
const SANDBOX_TRIES: i32 = 3;

/// A service may find that what it needs is not there yet.
const RESTARTS: i32 = 2;

/// By the status of the pod.
pub fn of_pod(pod: &Pod) -> Option<Problem> {
    if pods::has_ended(pod) {
        return None;
    }
    if let Some(message) = pods::unschedulable(pod) {
        // Our reason is the cluster's word.
        let why = message.strip_prefix("Unschedulable, ").unwrap_or(&message);
        return Some(problem(UNSCHEDULABLE, why));
    }
    pods::waiting(pod).find_map(|waiting| of_container(&waiting)).or_else(|| of_service(pod))
}

/// What a check is to talk to ends again and again before the check begins. In a pod that restarts nothing else the kubelet
/// shows it as ended rather than as waiting (`ShouldContainerBeRestarted` asks the pod alone).
fn of_service(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let begun =
        status.container_statuses.iter().flatten().any(|c| c.state.as_ref().is_some_and(|s| s.waiting.is_none()));
    let mut services = status.init_container_statuses.iter().flatten().filter(|c| c.name.starts_with("service-"));
    services.find_map(|service| {
        let ended =
            service.state.as_ref()?.terminated.as_ref().filter(|_| !begun && service.restart_count >= RESTARTS)?;
        let message = format!("{}: it ended with exit code {}, again and again", service.name, ended.exit_code);
        Some(problem(CONTAINER_FAILED_TO_START, message))
    })
}

fn of_container(waiting: &Waiting) -> Option<Problem> {
    let (message, told) = (&waiting.message, |reason| Some(problem(reason, waiting.sentence())));
    match waiting.reason.as_str() {
        // Tried again by itself; back-off is the verdict.
        "ErrImagePull" | "RegistryUnavailable" | "SignatureValidationFailed" => {
            Some(passing(IMAGE_PULL_FAILED, waiting.sentence()))
        }
        "ImagePullBackOff" | "ImageInspectError" => told(IMAGE_PULL_FAILED),
        "InvalidImageName" | "ErrImageNeverPull" => told(POD_IMAGE_INVALID),
        "CreateContainerConfigError" if is_early(message) => None,
        "CreateContainerConfigError" if names_what_is_missing(message) => told(SECRET_MISSING),
        _ => told(CONTAINER_FAILED_TO_START),
    }
}

/// By Events: of a Job that has no pod, or of a pod. None: they say nothing, or nothing that lasts.
pub fn of_events(events: &[Event]) -> Option<Problem> {
    let mut newest: Vec<&Event> = events.iter().collect();
    newest.sort_by_key(|event| std::cmp::Reverse(time(event)));
    let seen = |reason: &str| newest.iter().any(|e| e.reason.as_deref() == Some(reason));
    // What is mounted and set up before the first container starts is past once one did.
    let (scheduled, started) = (seen("Scheduled"), seen("Started"));
    newest.iter().find_map(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        match event.reason.as_deref()? {
            "FailedCreate" => of_create(message),
            "FailedScheduling" if !scheduled => Some(problem(UNSCHEDULABLE, message)),
            "Failed" => of_pull(event, &newest),
            _ if started => None,
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" if is_early(message) => None,
            "FailedMount" if names_what_is_missing(message) => Some(problem(SECRET_MISSING, message)),
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => Some(problem(VOLUME_FAILED, message)),
            "FailedCreatePodSandBox" if event.count.is_some_and(|count| count >= SANDBOX_TRIES) => {
                Some(problem(CONTAINER_FAILED_TO_START, message))
            }
            _ => None,
        }
    })
}

/// A try at an image, of which the status of the pod says nothing yet. None: a later one was good.
fn of_pull(event: &Event, all: &[&Event]) -> Option<Problem> {
    let message = event.message.as_deref()?;
    let (image, _) = message.strip_prefix("Failed to pull image \"")?.split_once('"')?;
    let there = |e: &&&Event| {
        let named = e.message.as_ref().is_some_and(|m| m.contains(&format!("\"{image}\"")));
        named && e.reason.as_deref() == Some("Pulled") && time(e) > time(event)
    };
    if all.iter().any(|e| there(&e)) {
        return None;
    }
    let place = event.involved_object.field_path.as_deref().and_then(|p| p.split_once('{'));
    let container = place.map(|(_, name)| format!("{}: ", name.trim_end_matches('}'))).unwrap_or_default();
    Some(passing(IMAGE_PULL_FAILED, format!("{container}{message}")))
}

fn time(event: &Event) -> Option<jiff::Timestamp> {
    let series = event.series.as_ref().and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0);
    let times = [event.last_timestamp.as_ref().map(|t| t.0), event.event_time.as_ref().map(|t| t.0), series];
    times.into_iter().flatten().max()
}

/// What the Job controller was told when it made the pod. What is neither about the namespace's limits nor about the
/// pod is the API server's own trouble, which passes.
fn of_create(message: &str) -> Option<Problem> {
    let has = |words: &str| message.contains(words);
    let reason = if has("exceeded quota") || has("failed quota") || has("insufficient quota") {
        QUOTA_EXCEEDED
    } else if has("looking up service account") {
        return None;
    } else if has(" is forbidden: ") || has(" denied the request") || has(" is invalid: ") {
        POD_FORBIDDEN
    } else {
        return None;
    };
    // Before that stands the name of a pod that never was, another with each try.
    let why = [" is forbidden: ", " is invalid: "].iter().find_map(|words| message.split_once(words));
    Some(problem(reason, why.map_or(message, |(_, why)| why)))
}

/// It does not exist, or lacks the key; a `ConfigMap` as well as a Secret.
fn names_what_is_missing(message: &str) -> bool {
    let kind = ["secret", "Secret", "configmap", "ConfigMap"].iter().any(|kind| message.contains(kind));
    let missing = ["not found", "couldn't find key", "non-existent"].iter().any(|words| message.contains(words));
    kind && missing
}

/// The kubelet has not read it yet.
fn is_early(message: &str) -> bool {
    ["not registered", "failed to sync", "have not yet been read"].iter().any(|words| message.contains(words))
}

fn problem(reason: &str, message: impl Into<String>) -> Problem {
    Problem { reason: reason.to_owned(), message: message.into(), may_pass: false }
}

/// The kubelet tries again by itself.
fn passing(reason: &str, message: impl Into<String>) -> Problem {
    Problem { may_pass: true, ..problem(reason, message) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Option<Problem> {
        of_pod(&pod(&json!({"phase": "Pending", "initContainerStatuses": [{
            "name": "clone", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
        }]})))
    }

    #[test]
    fn a_service_that_ends_again_and_again_is_told_while_the_check_waits_for_it() {
        let of = |restarts: i32, check: Value| {
            of_pod(&pod(&json!({"phase": "Pending",
                "initContainerStatuses": [{"name": "service-db", "image": "i", "imageID": "", "ready": false,
                    "restartCount": restarts, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}],
                "containerStatuses": [{"name": "check", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": check}]})))
        };
        let waits = || json!({"waiting": {"reason": "PodInitializing"}});
        let told = of(2, waits()).unwrap();
        assert_eq!(told.reason, CONTAINER_FAILED_TO_START);
        assert_eq!(told.message, "service-db: it ended with exit code 1, again and again");
        assert_eq!(of(1, waits()), None, "it may need a moment");
        assert_eq!(of(2, json!({"running": {}})), None, "the check runs");
    }

    fn event(reason: &str, message: &str, second: u8) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "reason": reason, "message": message,
            "lastTimestamp": format!("2026-01-01T00:00:0{second}Z"), "count": 1,
        }))
        .unwrap()
    }

    fn told(events: &[Event]) -> Option<(String, String)> {
        of_events(events).map(|p| (p.reason, p.message))
    }

    /// Messages as Kubernetes 1.34 gives them.
    #[test]
    fn what_a_container_waits_for_is_sorted() {
        let cases = [
            ("ContainerCreating", "", None),
            ("PodInitializing", "", None),
            ("ErrImagePull", "rpc error: code = NotFound", Some(IMAGE_PULL_FAILED)),
            ("ImagePullBackOff", "Back-off pulling image \"no.such/image\"", Some(IMAGE_PULL_FAILED)),
            ("InvalidImageName", "couldn't parse image name \"A:B:C\"", Some(POD_IMAGE_INVALID)),
            ("CreateContainerConfigError", "secret \"test-settings\" not found", Some(SECRET_MISSING)),
            ("CreateContainerConfigError", "configmap \"test-settings\" not found", Some(SECRET_MISSING)),
            ("CreateContainerConfigError", "couldn't find key p in Secret shop/test-db", Some(SECRET_MISSING)),
            ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition", None),
            (
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
                Some(CONTAINER_FAILED_TO_START),
            ),
            ("CrashLoopBackOff", "back-off 10s restarting failed container", Some(CONTAINER_FAILED_TO_START)),
            ("RunContainerError", "failed to start", Some(CONTAINER_FAILED_TO_START)),
        ];
        for (reason, message, expected) in cases {
            assert_eq!(waiting(reason, message).map(|p| p.reason).as_deref(), expected, "{reason}: {message}");
        }
        let told = waiting("ImagePullBackOff", "Back-off pulling image \"x\"").unwrap().message;
        assert_eq!(told, "clone: ImagePullBackOff, Back-off pulling image \"x\"");
    }

    #[test]
    fn a_try_at_an_image_may_pass_and_back_off_is_the_verdict() {
        let may_pass = |reason: &str| waiting(reason, "manifest unknown").unwrap().may_pass;
        assert!(may_pass("ErrImagePull") && may_pass("RegistryUnavailable"));
        assert!(!may_pass("ImagePullBackOff") && !may_pass("InvalidImageName"));
    }

    #[test]
    fn a_pod_without_a_node_says_why_and_one_that_has_ended_has_no_problem() {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                               "message": "0/1 nodes are available: 1 Insufficient memory."});
        let found = of_pod(&pod(&json!({"phase": "Pending", "conditions": [condition]}))).unwrap();
        let expected = "0/1 nodes are available: 1 Insufficient memory.";
        assert_eq!((found.reason.as_str(), found.message.as_str()), (UNSCHEDULABLE, expected));
        assert_eq!(of_pod(&pod(&json!({"phase": "Failed", "conditions": [condition]}))), None);
    }

    #[test]
    fn a_job_without_a_pod_says_why_without_the_name_of_the_pod_that_never_was() {
        let create = |message: &str| told(&[event("FailedCreate", message, 1)]);
        let quota = "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2";
        let found = create(&format!("Error creating: pods \"shop-image-web-1-x7k2p\" is forbidden: {quota}"));
        assert_eq!(found, Some((QUOTA_EXCEEDED.to_owned(), quota.to_owned())));
        let level = "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
        let found = create(&format!("Error creating: pods \"shop-image-web-1-x7k2p\" is forbidden: {level}"));
        assert_eq!(found, Some((POD_FORBIDDEN.to_owned(), level.to_owned())));
        let webhook = "Error creating: admission webhook \"policy.dev\" denied the request: no";
        assert_eq!(create(webhook), Some((POD_FORBIDDEN.to_owned(), webhook.to_owned())));
        for passing in [
            "Error creating: pods \"p\" is forbidden: error looking up service account shop/default: serviceaccount \"default\" not found",
            "Error creating: Internal error occurred: failed calling webhook \"policy.dev\": connection refused",
        ] {
            assert_eq!(create(passing), None, "{passing}");
        }
    }

    /// As the kubelet of Kubernetes 1.34 writes them, for the second container of a pod.
    #[test]
    fn a_try_at_an_image_that_failed_is_told_by_its_event_until_a_later_one_is_good() {
        let failed = |second: u8| {
            let why = "Failed to pull image \"r.test/none:1\": rpc error: code = NotFound desc = not found";
            let mut event = event("Failed", why, second);
            event.involved_object.field_path = Some("spec.containers{check}".to_owned());
            event
        };
        let early = [
            event("Pulled", "Container image \"r.test/worker:1\" already present on machine", 1),
            event("Started", "Started container clone", 2),
            event("Pulling", "Pulling image \"r.test/none:1\"", 3),
        ];
        let all = |more: &[Event]| of_events(&[early.as_slice(), more].concat());
        assert_eq!(all(&[]), None);
        let found = all(&[failed(4), event("Failed", "Error: ErrImagePull", 5)]).unwrap();
        assert_eq!((found.reason.as_str(), found.may_pass), (IMAGE_PULL_FAILED, true));
        let words = "Failed to pull image \"r.test/none:1\": rpc error: code = NotFound desc = not found";
        assert_eq!(found.message, format!("check: {words}"));
        let pulled = |image: &str| event("Pulled", &format!("Successfully pulled image \"{image}\" in 1s"), 6);
        assert_eq!(all(&[failed(4), pulled("r.test/none:1")]), None);
        assert!(all(&[failed(4), pulled("r.test/other:1")]).is_some());
        assert!(all(&[failed(7), pulled("r.test/none:1")]).is_some(), "it was pulled before, for another container");
    }

    #[test]
    fn what_kept_a_pod_from_its_first_container_is_past_once_that_started() {
        let missing = event("FailedMount", "MountVolume.SetUp failed for volume \"g\" : secret \"s\" not found", 3);
        let started = event("Started", "Started container clone", 2);
        assert!(of_events(std::slice::from_ref(&missing)).is_some());
        assert_eq!(of_events(&[missing, started]), None);
    }

    #[test]
    fn the_newest_event_of_a_pod_that_says_something_counts() {
        let missing = "MountVolume.SetUp failed for volume \"git-credential\" : secret \"shop-git\" not found";
        let key = "MountVolume.SetUp failed for volume \"pull-credential\" : references non-existent secret key: .dockerconfigjson";
        let early =
            "MountVolume.SetUp failed for volume \"git-credential\" : object \"shop\"/\"shop-git\" not registered";
        let other = "MountVolume.SetUp failed for volume \"cache\" : rpc error: code = Internal";
        let reason = |events: &[Event]| told(events).map(|(reason, _)| reason);
        assert_eq!(told(&[event("FailedMount", missing, 1)]), Some((SECRET_MISSING.to_owned(), missing.to_owned())));
        assert_eq!(reason(&[event("FailedMount", key, 1)]).as_deref(), Some(SECRET_MISSING));
        assert_eq!(reason(&[event("FailedMount", early, 1)]), None);
        assert_eq!(
            reason(&[event("FailedMount", missing, 1), event("FailedMount", other, 2)]).as_deref(),
            Some(VOLUME_FAILED)
        );
        assert_eq!(
            reason(&[event("FailedMount", missing, 2), event("FailedMount", other, 1)]).as_deref(),
            Some(SECRET_MISSING)
        );
        assert_eq!(reason(&[event("FailedScheduling", "0/1 nodes", 1)]).as_deref(), Some(UNSCHEDULABLE));
        assert_eq!(reason(&[event("FailedScheduling", "0/1 nodes", 1), event("Scheduled", "assigned", 2)]), None);
        let mut sandbox = event("FailedCreatePodSandBox", "no runtime for \"gvisor\" is configured", 1);
        assert_eq!(reason(std::slice::from_ref(&sandbox)), None, "a first try may fail");
        sandbox.count = Some(SANDBOX_TRIES);
        assert_eq!(reason(&[sandbox]).as_deref(), Some(CONTAINER_FAILED_TO_START));
        assert_eq!(reason(&[event("Pulling", "Pulling image", 1)]), None);
    }
}
