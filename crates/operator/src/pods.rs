//! What a pod's status means, for people and for counts.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Ready by its own word, and staying.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let ready = conditions.clone().any(|c| c.type_ == "Ready" && c.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// The exit code of the first container that failed.
pub fn exit_code(pod: &Pod) -> Option<i32> {
    let ended = containers(pod).filter_map(|c| Some(c.state.as_ref()?.terminated.as_ref()?.exit_code));
    ended.into_iter().find(|code| *code != 0)
}

/// Nothing of it will run again.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Waiting reasons that are the normal course of things.
const NORMAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Why a pod is not ready, in the cluster's words; none while nothing is wrong yet.
pub fn problem(pod: &Pod) -> Option<String> {
    cannot_start(pod).or_else(|| containers(pod).find_map(unready))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_ref());
    let main = status.and_then(|s| s.container_statuses.as_ref());
    init.into_iter().flatten().chain(main.into_iter().flatten())
}

/// Why a pod does not start, in the cluster's words.
pub fn cannot_start(pod: &Pod) -> Option<String> {
    unschedulable(pod).or_else(|| waiting(pod).next().map(|waiting| waiting.sentence()))
}

/// Why it has no node.
pub fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let condition = conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    Some(sentence(&condition.reason.clone().unwrap_or_default(), condition.message.as_deref()))
}

/// Why a container does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub container: String,
    pub reason: String,
    /// May be empty.
    pub message: String,
    /// How it ended the last time.
    pub last_exit_code: Option<i32>,
}

impl Waiting {
    pub fn sentence(&self) -> String {
        let last = self.last_exit_code.map(|code| format!(" (last exit code {code})")).unwrap_or_default();
        format!("{}: {}{last}", self.container, sentence(&self.reason, Some(&self.message)))
    }
}

/// The containers that wait, where that is not the normal course of things.
pub fn waiting(pod: &Pod) -> impl Iterator<Item = Waiting> {
    containers(pod).filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let last = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
        Some(Waiting {
            container: container.name.clone(),
            reason: waiting.reason.clone().filter(|r| !NORMAL.contains(&r.as_str()))?,
            message: waiting.message.clone().unwrap_or_default(),
            last_exit_code: last.map(|t| t.exit_code),
        })
    })
}

fn unready(container: &ContainerStatus) -> Option<String> {
    let running = container.state.as_ref()?.running.is_some();
    let restarted = container.restart_count > 0;
    let unready = running && !container.ready && container.started != Some(false);
    unready.then(|| {
        let restarts = if restarted { format!(", after {} restarts", container.restart_count) } else { String::new() };
        format!("{}: runs, and its readiness probe does not succeed{restarts}", container.name)
    })
}

fn sentence(reason: &str, message: Option<&str>) -> String {
    match message.filter(|m| !m.is_empty()) {
        Some(message) => format!("{reason}, {message}"),
        None => reason.to_owned(),
    }
}

/// Why the pod as a whole was taken away: evicted, preempted, its node gone.
pub fn lost(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let disrupted = status.conditions.iter().flatten().find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    let reason = status.reason.clone().or_else(|| disrupted.and_then(|c| c.reason.clone()))?;
    let message = status.message.clone().or_else(|| disrupted.and_then(|c| c.message.clone()));
    Some(sentence(&reason, message.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }
    fn container(state: &serde_json::Value) -> serde_json::Value {
        serde_json::json!({"name": "web", "image": "i", "imageID": "", "ready": false, "restartCount": 2, "state": state})
    }

    #[test]
    fn a_running_step_is_no_problem_and_an_unready_server_is() {
        let running = pod(&serde_json::json!({"containerStatuses": [container(&serde_json::json!({"running": {}}))]}));
        assert_eq!(cannot_start(&running), None);
        assert!(problem(&running).unwrap().contains("readiness probe does not succeed, after 2 restarts"));
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_told_in_the_clusters_words() {
        let unschedulable = serde_json::json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]});
        assert_eq!(cannot_start(&pod(&unschedulable)).unwrap(), "Unschedulable, 0/1 nodes are available");
        let waiting = |reason: &str| {
            let state = serde_json::json!({"waiting": {"reason": reason, "message": "no such image"}});
            pod(&serde_json::json!({"initContainerStatuses": [container(&state)]}))
        };
        assert_eq!(cannot_start(&waiting("ImagePullBackOff")).unwrap(), "web: ImagePullBackOff, no such image");
        assert_eq!(cannot_start(&waiting("PodInitializing")), None, "the normal course of things");
    }

    #[test]
    fn a_pod_that_was_taken_away_says_by_what() {
        let evicted = pod(&serde_json::json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}));
        assert_eq!(lost(&evicted).unwrap(), "Evicted, low on memory");
        assert!(has_ended(&evicted) && !has_ended(&pod(&serde_json::json!({"phase": "Running"}))));
    }
}
