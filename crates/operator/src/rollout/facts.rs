//! From Kubernetes objects to facts. Chooses nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    core::v1::{Pod, Service as K8sService},
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::ResourceExt;
use switchyard_api::{Pipeline, Revision, Timestamp, command::CommandType, names, rollout::ReleaseRef};
use switchyard_decide::{
    Version,
    rollout::{Command, CommandOrder, Deployment, Offer, OfferedRelease, Seen},
};

use super::{Children, checks};
use crate::{commands, pods};

/// The label by which a slice names its Service (Kubernetes, EndpointSlices).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What a Pipeline offers: the release of the environment that names this Rollout.
pub fn offer(pipeline: &Pipeline, namespace: &str, name: &str) -> Offer {
    let own = pipeline.namespace().unwrap_or_default();
    let names_us = |e: &&switchyard_api::pipeline::Environment| {
        e.rollout_refs.iter().any(|r| r.name == name && r.namespace.as_deref().unwrap_or(&own) == namespace)
    };
    let environment = pipeline.spec.environments.iter().find(names_us);
    let releases = pipeline.status.iter().flat_map(|s| &s.releases);
    let release = environment.and_then(|e| releases.filter(|r| r.environment == e.name).max_by_key(|r| r.sequence));
    Offer {
        uid: pipeline.uid().unwrap_or_default(),
        names_us: environment.is_some(),
        release: release.map(|r| OfferedRelease {
            sequence: r.sequence,
            build: r.build.clone(),
            version: r.version.clone(),
            commit: r.commit.clone(),
            images: r.images.iter().map(|i| (i.name.clone(), format!("{}@{}", i.repository, i.digest))).collect(),
        }),
    }
}

pub fn revision(revision: Revision, uid: &str, children: &Children) -> Seen {
    let of = |labels: &BTreeMap<String, String>| {
        labels.get(names::LABEL_REVISION).map(String::as_str) == Some(revision.as_str())
    };
    let deployment = children.deployments.iter().find(|d| of(d.labels()));
    let service = children.services.iter().find(|s| of(s.labels()));
    let pods: Vec<&Pod> = children.pods.iter().map(AsRef::as_ref).filter(|p| of(p.labels())).collect();
    let owners = deployment.map(|d| d.labels()).into_iter().chain(service.map(|s| s.labels()));
    let conflict = owners.filter_map(|l| l.get(names::LABEL_OWNER_UID)).find(|owner| *owner != uid).map(|owner| {
        format!("objects of revision {revision} belong to another Rollout (uid {owner}): delete them, or choose another name")
    });
    Seen {
        deployment: deployment.map(|d| Deployment {
            version: Version::new(d.resource_version().unwrap_or_default()),
            created: d.creation_timestamp().map_or_else(Timestamp::default, |t| t.0.into()),
            claim: d.annotations().get(names::ANNOTATION_CLAIM).map(Version::new),
            replicas: d.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1),
            current: current(d, &of, children) && pods.iter().all(|p| p.metadata.deletion_timestamp.is_none()),
            releases: releases(d.annotations()),
        }),
        exposed: service.is_some(),
        ready: service.map_or(0, |s| ready(s, &pods, children)),
        problem: problem(deployment.map(AsRef::as_ref), &pods),
        addresses: service.map_or_else(Vec::new, |s| checks::addresses(s, &pods, children)),
        jobs: checks::jobs(revision, uid, children),
        conflict,
    }
}

fn releases(annotations: &BTreeMap<String, String>) -> Vec<ReleaseRef> {
    annotations.get(names::ANNOTATION_RELEASE).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The controllers have seen the last change. Where ReplicaSets were read, theirs too: a ReplicaSet that still works
/// off an older count may delete pods that were counted as ready.
fn current(
    deployment: &k8s_openapi::api::apps::v1::Deployment,
    of: &impl Fn(&BTreeMap<String, String>) -> bool,
    children: &Children,
) -> bool {
    let status = deployment.status.as_ref();
    let seen = status.and_then(|s| s.observed_generation).unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0);
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let sets = children.replica_sets.iter().flatten().filter(|r| of(r.labels()));
    let settled = sets.clone().all(|r| {
        r.status.as_ref().and_then(|s| s.observed_generation).unwrap_or(0) >= r.metadata.generation.unwrap_or(0)
    });
    let scaled =
        children.replica_sets.is_none() || sets.filter_map(|r| r.spec.as_ref()?.replicas).sum::<i32>() == wanted;
    seen && settled && scaled
}

pub fn slices<'a>(service: &str, children: &'a Children) -> impl Iterator<Item = &'a EndpointSlice> {
    let service = service.to_owned();
    let named = move |s: &&EndpointSlice| s.labels().get(SERVICE_NAME) == Some(&service);
    children.slices.iter().map(AsRef::as_ref).filter(named)
}

/// An endpoint is ready when it says so or says nothing (`discovery/v1` EndpointConditions).
pub fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)
}

pub fn pod_uid(endpoint: &Endpoint) -> Option<&String> {
    endpoint.target_ref.as_ref()?.uid.as_ref()
}

/// Pods that the slices of the revision's own Service list as ready, that exist, say so themselves, and are not going
/// away; for every port of the Service, since for a named port that a pod lacks the slice just leaves out the port.
fn ready(service: &K8sService, pods: &[&Pod], children: &Children) -> i32 {
    let ports: BTreeSet<Option<&String>> =
        service.spec.iter().flat_map(|s| s.ports.iter().flatten()).map(|p| p.name.as_ref()).collect();
    let whole = |slice: &&EndpointSlice| {
        let has: BTreeSet<Option<&String>> =
            slice.ports.iter().flatten().map(|p| p.name.as_ref().filter(|n| !n.is_empty())).collect();
        ports.is_subset(&has)
    };
    let alive: BTreeSet<&String> =
        pods.iter().filter(|p| pods::is_ready(p)).filter_map(|p| p.metadata.uid.as_ref()).collect();
    let name = service.name_any();
    let listed: BTreeSet<&String> = slices(&name, children)
        .filter(whole)
        .flat_map(|s| &s.endpoints)
        .filter(|e| is_ready(e))
        .filter_map(pod_uid)
        .filter(|uid| alive.contains(uid))
        .collect();
    i32::try_from(listed.len()).unwrap_or(i32::MAX)
}

/// Why a pod is not ready, most telling first.
fn problem(deployment: Option<&k8s_openapi::api::apps::v1::Deployment>, pods: &[&Pod]) -> Option<String> {
    let failing = deployment.and_then(|d| {
        let conditions = d.status.as_ref()?.conditions.as_ref()?;
        let failure = conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
        failure.message.clone()
    });
    failing.or_else(|| pods.iter().find_map(|p| pods::problem(p)))
}

/// What a person ordered, where it was not answered yet. What no Rollout takes, or lacks its revision, is refused at apply.
pub fn command(command: &switchyard_api::Command) -> Option<Command> {
    let spec = &command.spec;
    let order = match (spec.kind, spec.revision) {
        (CommandType::Promote, Some(revision)) => CommandOrder::Promote(revision),
        (CommandType::Abort, Some(revision)) => CommandOrder::Abort(revision),
        (CommandType::Retry, Some(revision)) => CommandOrder::Retry(revision),
        (CommandType::RollbackTo, Some(revision)) => CommandOrder::RollbackTo(revision),
        (CommandType::Resume, _) => CommandOrder::Resume,
        (CommandType::Promote | CommandType::Abort | CommandType::Retry | CommandType::RollbackTo, None)
        | (CommandType::Cancel, _) => return None,
    };
    commands::unanswered(command, order)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const PORTS: [&str; 2] = ["http", "metrics"];

    fn pod(name: &str, ready: &str) -> Value {
        json!({"metadata": {"name": name, "uid": name, "labels": {"switchyard.dev/revision": "k7w2m9xq4b"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
    }
    fn endpoint(pod: &str, conditions: &Value) -> Value {
        json!({"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod, "uid": pod}})
    }
    fn slice(name: &str, ports: &[&str], endpoints: &[Value]) -> Value {
        let ports: Vec<Value> = ports.iter().map(|p| json!({"name": p, "port": 80})).collect();
        json!({"metadata": {"name": name, "labels": {"kubernetes.io/service-name": "shop-k7w2m9xq4b"}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints})
    }
    fn counted(pods: &[Value], slices: &[Value]) -> i32 {
        let service = json!({"metadata": {"name": "shop-k7w2m9xq4b"},
            "spec": {"ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 81}]}});
        let pods: Vec<Pod> = pods.iter().map(|p| serde_json::from_value(p.clone()).unwrap()).collect();
        let slices = slices.iter().map(|s| Arc::new(serde_json::from_value(s.clone()).unwrap())).collect();
        let children = Children { slices, ..Children::default() };
        ready(&serde_json::from_value(service).unwrap(), &pods.iter().collect::<Vec<_>>(), &children)
    }

    #[test]
    fn an_endpoint_counts_once_and_only_with_its_pod_and_every_port() {
        let pods = [pod("a", "True"), pod("b", "True")];
        let yes = json!({"ready": true});
        let both = [endpoint("a", &yes), endpoint("b", &yes)];
        let whole = slice("1", &PORTS, &both);
        assert_eq!(counted(&pods, std::slice::from_ref(&whole)), 2);
        assert_eq!(counted(&pods, &[slice("1", &PORTS, &[endpoint("a", &json!({}))])]), 1, "who says nothing is ready");
        assert_eq!(counted(&pods, &[whole.clone(), slice("2", &PORTS, &both)]), 2, "listed twice, of two families");
        for (what, pods, slices) in [
            ("no slice says so", &pods[..], vec![]),
            (
                "the slice says that it is not",
                &pods[..],
                vec![slice("1", &PORTS, &[endpoint("a", &json!({"ready": false}))])],
            ),
            ("a named port is missing", &pods[..], vec![slice("1", &PORTS[..1], &both)]),
            ("the pod says that it is not", &[pod("a", "False"), pod("b", "False")][..], vec![whole.clone()]),
            ("there is no such pod any more", &[][..], vec![whole]),
        ] {
            assert_eq!(counted(pods, &slices), 0, "{what}");
        }
    }
}
