//! From Jobs and pods to facts. Chooses nothing.

use k8s_openapi::{
    api::{
        batch::v1::{Job as K8sJob, JobCondition},
        core::v1::{ContainerState, ContainerStatus, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use switchyard_api::{Build, Timestamp, command::CommandType, names};
use switchyard_decide::build::{Command, CommandOrder, Container, ContainerEnd, Job};

use super::stuck;
use crate::{commands, pods};

/// The deadline of a Job that is to end now, in seconds since it began: the shortest that Kubernetes takes.
pub const NOW: i64 = 1;

/// `pod` is the newest of the Job's: one that went away is replaced by the Job controller.
pub fn job(job: &K8sJob, pod: Option<&Pod>, build: &Build) -> Job {
    let owner = job.labels().get(names::LABEL_OWNER_UID);
    let conflict = (owner != build.metadata.uid.as_ref())
        .then(|| format!("Job {} belongs to somebody else: delete it, or make a new Build", job.name_any()));
    Job {
        name: job.name_any(),
        uid: job.uid().unwrap_or_default(),
        created: job.creation_timestamp().map_or_else(Timestamp::default, |time| time.0.into()),
        conflict,
        stopped: is_stopped(job),
        succeeded: condition(job, "Complete").is_some(),
        failed: condition(job, "Failed").map(words),
        pod: pod.map(ResourceExt::name_any),
        pod_ended: pod.is_none_or(pods::has_ended),
        lost: pod.and_then(pods::lost),
        problem: pod.and_then(stuck::of_pod),
        containers: pod.map(containers).unwrap_or_default(),
    }
}

/// It is about to end.
fn is_stopped(job: &K8sJob) -> bool {
    let deadline = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    deadline == Some(NOW) || job.metadata.deletion_timestamp.is_some()
}

/// Nothing of it will run any more.
pub fn has_ended(job: &K8sJob) -> bool {
    condition(job, "Complete").or_else(|| condition(job, "Failed")).is_some()
}

fn condition<'a>(job: &'a K8sJob, kind: &str) -> Option<&'a JobCondition> {
    let mut conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.find(|c| c.type_ == kind && c.status == "True")
}

fn words(condition: &JobCondition) -> String {
    [condition.reason.clone(), condition.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// In the order they run: init containers one after the other, then the rest.
fn containers(pod: &Pod) -> Vec<Container> {
    let status = pod.status.as_ref();
    let of = |list: Option<&Vec<ContainerStatus>>, spec: Vec<&String>| {
        let list = list.cloned().unwrap_or_default();
        let found = spec.into_iter().filter_map(|name| list.iter().find(|c| c.name == *name));
        found.map(container).collect::<Vec<_>>()
    };
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten().map(|c| &c.name).collect();
    let main = spec.map(|s| s.containers.iter().map(|c| &c.name).collect()).unwrap_or_default();
    let mut all = of(status.and_then(|s| s.init_container_statuses.as_ref()), init);
    all.extend(of(status.and_then(|s| s.container_statuses.as_ref()), main));
    all
}

fn container(status: &ContainerStatus) -> Container {
    let time = |time: Option<&Time>| time.map(|time| Timestamp::from(time.0));
    // One that is started again and again shows its last end until then.
    let state = status.state.as_ref();
    let running = state.and_then(|s| s.running.as_ref());
    let terminated = state.and_then(|s| s.terminated.as_ref());
    let started = running.map(|r| r.started_at.as_ref()).or_else(|| terminated.map(|t| t.started_at.as_ref()));
    Container {
        name: status.name.clone(),
        running: running.is_some(),
        started: time(started.flatten()),
        finished: time(terminated.and_then(|t| t.finished_at.as_ref())),
        ended: state.and_then(end),
    }
}

fn end(state: &ContainerState) -> Option<ContainerEnd> {
    state.terminated.as_ref().map(|t| ContainerEnd {
        exit_code: t.exit_code,
        reason: t.reason.clone().unwrap_or_default(),
        message: t.message.clone().unwrap_or_default(),
    })
}

/// What a person ordered, where it was not answered yet. What no Build takes is refused at apply.
pub fn command(command: &switchyard_api::Command) -> Option<Command> {
    match command.spec.kind {
        CommandType::Cancel => commands::unanswered(command, CommandOrder::Cancel),
        CommandType::Promote
        | CommandType::Abort
        | CommandType::Retry
        | CommandType::RollbackTo
        | CommandType::Resume => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_come_in_the_order_they_run_with_the_times_that_the_kubelet_gives() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {
                "initContainers": [{"name": "clone"}, {"name": "service-db"}],
                "containers": [{"name": "check"}],
            },
            "status": {
                "containerStatuses": [
                    {"name": "check", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                     "state": {"waiting": {"reason": "PodInitializing"}}},
                ],
                "initContainerStatuses": [
                    {"name": "service-db", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                     "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}}},
                    {"name": "clone", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                     "state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": "{}",
                               "startedAt": "2026-01-01T00:00:01Z", "finishedAt": "2026-01-01T00:00:02Z"}}},
                ],
            },
        }))
        .unwrap();
        let found = containers(&pod);
        let at = |second: u8| Some(format!("2026-01-01T00:00:0{second}Z").parse::<Timestamp>().unwrap());
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["clone", "service-db", "check"]);
        assert_eq!(found.iter().map(|c| c.started).collect::<Vec<_>>(), [at(1), at(3), None]);
        assert_eq!(found.iter().map(|c| c.finished).collect::<Vec<_>>(), [at(2), None, None]);
        assert_eq!(found.iter().map(|c| c.running).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(found[0].ended.as_ref().map(|e| e.message.as_str()), Some("{}"));
    }

    #[test]
    fn a_job_is_stopped_by_the_shortest_deadline_or_by_being_deleted() {
        let stopped = |metadata: serde_json::Value, deadline: i64| {
            let spec = json!({"activeDeadlineSeconds": deadline, "template": {}});
            is_stopped(&serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap())
        };
        assert!(stopped(json!({}), NOW));
        assert!(stopped(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), 1800));
        assert!(!stopped(json!({}), 1800));
    }

    #[test]
    fn a_job_is_over_once_its_controller_says_so_and_not_when_it_begins_to_end() {
        let job = |kind: &str| -> K8sJob {
            let condition = json!({"type": kind, "status": "True", "reason": "DeadlineExceeded", "message": "late"});
            serde_json::from_value(json!({"metadata": {"name": "j"}, "status": {"conditions": [condition]}})).unwrap()
        };
        assert!(has_ended(&job("Complete")) && has_ended(&job("Failed")));
        assert!(!has_ended(&job("FailureTarget")), "its pods still end");
        assert!(!is_stopped(&job("Failed")));
        assert_eq!(words(condition(&job("Failed"), "Failed").unwrap()), "DeadlineExceeded: late");
    }
}
