//! What checks have to go by: the Jobs of a revision, and where its pods listen.

use std::collections::BTreeMap;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod, core::v1::Service as K8sService};
use kube::ResourceExt;
use switchyard_api::{Revision, names};
use switchyard_decide::rollout::{Address, JobKey, JobState, Port};

use super::{
    Children,
    facts::{is_ready, pod_uid, slices},
};
use crate::pods;

pub fn jobs(revision: Revision, uid: &str, children: &Children) -> BTreeMap<JobKey, JobState> {
    let ours = |job: &&Job| {
        job.labels().get(names::LABEL_CHECK_REVISION).map(String::as_str) == Some(revision.as_str())
            && job.labels().get(names::LABEL_OWNER_UID).map(String::as_str) == Some(uid)
    };
    let key = |job: &Job| serde_json::from_str(job.annotations().get(names::ANNOTATION_CHECK)?).ok();
    let jobs = children.check_jobs.iter().map(AsRef::as_ref).filter(ours);
    jobs.filter_map(|job| Some((key(job)?, state(job, children)))).collect()
}

fn state(job: &Job, children: &Children) -> JobState {
    let pods: Vec<&Pod> = children
        .check_pods
        .iter()
        .map(AsRef::as_ref)
        .filter(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.metadata.uid.as_ref()))
        .collect();
    let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
    let is = |kind: &str| conditions.clone().find(|c| c.type_ == kind && c.status == "True");
    if is("Complete").is_some() {
        return JobState::Passed;
    }
    match is("Failed") {
        Some(failed) => {
            let name = job.name_any();
            let reason = failed.reason.clone().unwrap_or_default();
            let how = match (reason.as_str(), pods.iter().find_map(|p| pods::exit_code(p))) {
                ("DeadlineExceeded", _) => "it ran out of time".to_owned(),
                (_, Some(code)) => format!("exit code {code}"),
                (_, None) => failed.message.clone().unwrap_or(reason),
            };
            JobState::Failed(format!("{how} (kubectl logs job/{name})"))
        }
        None => JobState::Running(pods.iter().find_map(|p| pods::cannot_start(p))),
    }
}

/// Where the ready endpoints of a revision's own Service listen, in the order of their addresses.
pub fn addresses(service: &K8sService, alive: &[&Pod], children: &Children) -> Vec<Address> {
    let spec: Vec<(Option<&String>, u16)> = service
        .spec
        .iter()
        .flat_map(|s| s.ports.iter().flatten())
        .filter_map(|p| Some((p.name.as_ref(), u16::try_from(p.port).ok()?)))
        .collect();
    let mut found: BTreeMap<std::net::IpAddr, BTreeMap<Option<&String>, u16>> = BTreeMap::new();
    for slice in slices(&service.name_any(), children) {
        let ports = slice.ports.iter().flatten();
        let ports =
            ports.filter_map(|p| Some((p.name.as_ref().filter(|n| !n.is_empty()), u16::try_from(p.port?).ok()?)));
        for endpoint in slice.endpoints.iter().filter(|e| is_ready(e)) {
            let lives = pod_uid(endpoint)
                .is_some_and(|uid| alive.iter().any(|p| p.metadata.uid.as_ref() == Some(uid) && pods::is_ready(p)));
            let ip = endpoint.addresses.first().and_then(|a| a.parse().ok()).filter(|_| lives);
            if let Some(ip) = ip {
                found.entry(ip).or_default().extend(ports.clone());
            }
        }
    }
    let address = |(ip, pods): (_, BTreeMap<Option<&String>, u16>)| {
        let ports = spec
            .iter()
            .filter_map(|(name, service)| Some(Port { name: name.cloned(), service: *service, pod: *pods.get(name)? }));
        Address { ip, ports: ports.collect() }
    };
    found.into_iter().map(address).collect()
}
