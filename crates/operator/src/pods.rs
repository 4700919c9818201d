//! What a pod's status means, for people and for counts.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Ready by its own word, and staying.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let ready = conditions.clone().any(|c| c.type_ == "Ready" && c.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// Nothing of it will run again.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Waiting reasons that are the normal course of things.
const NORMAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Why a pod does not start or is not ready, in the cluster's words; none while nothing is wrong yet.
pub fn problem(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unschedulable {
        let reason = condition.reason.clone().unwrap_or_default();
        return Some(sentence(&reason, condition.message.as_deref()));
    }
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.clone().find_map(waiting).or_else(|| containers.clone().find_map(unready))
}

fn waiting(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().filter(|r| !NORMAL.contains(&r.as_str()))?;
    let last = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    let last = last.map(|t| format!(" (last exit code {})", t.exit_code)).unwrap_or_default();
    Some(format!("{}: {}{last}", container.name, sentence(&reason, waiting.message.as_deref())))
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
