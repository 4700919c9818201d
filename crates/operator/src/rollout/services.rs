//! The Services that a switch moves, as facts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service as K8sService;
use kube::ResourceExt;
use switchyard_api::{Revision, names};
use switchyard_decide::{
    Version,
    rollout::{Foreign, Preview, Record, Selects, Service},
};

use super::{
    Children,
    facts::{is_ready, pod_uid, slices},
};

pub fn record(service: &K8sService) -> Option<Record> {
    serde_json::from_str(service.annotations().get(names::ANNOTATION_SWITCH)?).ok()
}

/// Whose Rollout it is that looks, and whether the Service was there before it.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub uid: &'a str,
    pub rollout: &'a str,
    pub referred: bool,
}

pub fn live(service: &K8sService, owner: Owner<'_>, children: &Children) -> Service {
    let selects = selects(service, owner);
    let revisions: BTreeMap<&String, Revision> = children
        .pods
        .iter()
        .filter_map(|p| Some((p.metadata.uid.as_ref()?, p.labels().get(names::LABEL_REVISION)?.parse().ok()?)))
        .collect();
    let mut listed: BTreeMap<Revision, i32> = BTreeMap::new();
    let mut strangers: i32 = 0;
    for endpoint in slices(&service.name_any(), children).flat_map(|s| &s.endpoints) {
        match pod_uid(endpoint).and_then(|uid| revisions.get(uid)) {
            // Of what is selected only ready endpoints count; of anything else each one that is still listed.
            Some(r) if selects == Selects::Revision(*r) && !is_ready(endpoint) => {}
            Some(r) => {
                let count = listed.entry(*r).or_default();
                *count = count.saturating_add(1);
            }
            None => strangers = strangers.saturating_add(1),
        }
    }
    let record = record(service);
    // One that was never ours has no record to lose.
    let untouched = owner.referred && record.is_none() && unselective(service);
    Service {
        version: Version::new(service.resource_version().unwrap_or_default()),
        foreign: foreign(service, owner, record.as_ref()),
        record: if untouched { Some(Record::default()) } else { record },
        selects,
        listed,
        strangers,
    }
}

pub fn preview(service: &K8sService, owner: Owner<'_>) -> Preview {
    Preview {
        version: Version::new(service.resource_version().unwrap_or_default()),
        foreign: foreign(service, owner, None),
        selects: selects(service, owner),
    }
}

fn selector(service: &K8sService) -> BTreeMap<String, String> {
    service.spec.as_ref().and_then(|s| s.selector.clone()).unwrap_or_default()
}

/// It has no selector at all.
fn unselective(service: &K8sService) -> bool {
    selector(service).is_empty()
}

fn selects(service: &K8sService, owner: Owner<'_>) -> Selects {
    let selector = selector(service);
    if owner.referred && selector.is_empty() {
        return Selects::Nobody;
    }
    let ours = selector.len() == 2 && selector.get(names::LABEL_ROLLOUT).map(String::as_str) == Some(owner.rollout);
    let revision = selector.get(names::LABEL_REVISION).filter(|_| ours);
    match revision.map(String::as_str) {
        Some(names::NOBODY) => Selects::Nobody,
        Some(text) => text.parse().map_or_else(|_| Selects::Foreign(text.to_owned()), Selects::Revision),
        None => Selects::Foreign(selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")),
    }
}

/// Why the Service is not this Rollout's to write.
fn foreign(service: &K8sService, owner: Owner<'_>, record: Option<&Record>) -> Option<Foreign> {
    if service.metadata.deletion_timestamp.is_some() {
        return Some(Foreign::Owned("is being deleted".to_owned()));
    }
    let claimed = record.map(|r| r.owner.as_str()).filter(|o| !o.is_empty());
    let labelled = service.labels().get(names::LABEL_OWNER_UID).map(String::as_str);
    match claimed.or(labelled) {
        Some(other) if other != owner.uid => {
            Some(Foreign::Owned(format!("belongs to another Rollout (uid {other}): delete it, or choose another name")))
        }
        Some(_) if !owner.referred && !watched(service, owner) => {
            let (label, rollout) = (names::LABEL_ROLLOUT, owner.rollout);
            Some(Foreign::Owned(format!("has lost a label: put back {label}={rollout}")))
        }
        Some(_) => unsuitable(service),
        None if owner.referred => unsuitable(service).or_else(|| selector_owned(service, owner)),
        None => Some(Foreign::Owned("was not made by this Rollout: delete it, or choose another name".to_owned())),
    }
}

/// It has the label by which it and its slices are watched: without it, what it lists would not be seen.
fn watched(service: &K8sService, owner: Owner<'_>) -> bool {
    service.labels().get(names::LABEL_ROLLOUT).is_some_and(|rollout| rollout == owner.rollout)
}

/// It cannot carry a switch: it selects no pods, or sends traffic to those that are not ready.
fn unsuitable(service: &K8sService) -> Option<Foreign> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return Some(Foreign::Unsuitable("is of type ExternalName, which selects no pods".to_owned()));
    }
    (spec.publish_not_ready_addresses == Some(true)).then(|| {
        Foreign::Unsuitable("has publishNotReadyAddresses: traffic would go to pods that are not ready".to_owned())
    })
}

/// A Service that exists already is taken over only if nobody else says what it selects.
fn selector_owned(service: &K8sService, owner: Owner<'_>) -> Option<Foreign> {
    match selects(service, owner) {
        Selects::Nobody | Selects::Revision(_) => None,
        Selects::Foreign(selector) => {
            let fields = service.metadata.managed_fields.iter().flatten();
            let managers: Vec<&String> = fields
                .filter(|f| f.fields_v1.as_ref().is_some_and(|f| f.0.pointer("/f:spec/f:selector").is_some()))
                .filter_map(|f| f.manager.as_ref())
                .collect();
            let manager = managers.first().map_or("somebody else", |m| m.as_str());
            let fix = fix(manager);
            Some(Foreign::SelectorOwned(format!("selects {selector}, which {manager} set: {fix}")))
        }
    }
}

/// How each kind of manager lets go of a selector. Under server-side apply it is one atomic field, so who applies it
/// takes it back whole.
fn fix(manager: &str) -> &'static str {
    let lower = manager.to_lowercase();
    if lower.contains("argocd") || lower.contains("argo-cd") {
        "take spec.selector out of the manifest in Git, and add it to ignoreDifferences of the Application with RespectIgnoreDifferences=true"
    } else if lower.contains("kustomize-controller") || lower.contains("flux") || lower.contains("helm-controller") {
        "take spec.selector out of the manifest in Git: Flux takes back every field that it applies"
    } else if lower.contains("helm") {
        "take spec.selector out of the chart, upgrade the release, and then remove it from the Service"
    } else {
        "take spec.selector out of the manifest that is applied, and remove it from the Service"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OWNER: Owner<'_> = Owner { uid: "u", rollout: "shop", referred: true };

    fn service(spec: &Value, metadata: &Value) -> K8sService {
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }
    fn message(spec: &Value, metadata: &Value, owner: Owner<'_>) -> Option<String> {
        let service = service(spec, metadata);
        foreign(&service, owner, record(&service).as_ref()).map(|f| f.message().to_owned())
    }

    #[test]
    fn an_existing_service_is_taken_over_only_without_a_selector() {
        assert_eq!(message(&json!({}), &json!({}), OWNER), None);
        let own = json!({"selector": {"switchyard.dev/rollout": "shop", "switchyard.dev/revision": "none"}});
        assert_eq!(message(&own, &json!({}), OWNER), None);
        let others = json!({"selector": {"app": "shop"}});
        let fields = json!({"managedFields": [
            {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:ports": {}}}},
            {"manager": "argocd-controller", "fieldsV1": {"f:spec": {"f:selector": {}}}},
        ]});
        let told = message(&others, &fields, OWNER).unwrap();
        assert!(told.contains("app=shop") && told.contains("argocd-controller") && told.contains("ignoreDifferences"));
        assert!(message(&others, &json!({}), OWNER).unwrap().contains("somebody else"));
    }

    #[test]
    fn what_selects_no_pods_or_unready_ones_cannot_carry_a_switch() {
        for spec in [json!({"type": "ExternalName"}), json!({"publishNotReadyAddresses": true})] {
            let foreign = foreign(&service(&spec, &json!({})), OWNER, None);
            assert!(matches!(foreign, Some(Foreign::Unsuitable(_))), "{spec}");
        }
    }

    #[test]
    fn a_service_of_another_rollout_stays_its_own() {
        let theirs = json!({"annotations": {"switchyard.dev/switch": "{\"owner\": \"v\"}"}});
        assert!(message(&json!({}), &theirs, OWNER).unwrap().contains("uid v"));
        let created = Owner { referred: false, ..OWNER };
        assert!(message(&json!({}), &json!({}), created).unwrap().contains("was not made by this Rollout"));
    }

    #[test]
    fn one_of_ours_that_nobody_watches_any_more_is_left_alone() {
        let record = json!({"switchyard.dev/switch": "{\"owner\": \"u\"}"});
        let created = Owner { referred: false, ..OWNER };
        let labelled = json!({"annotations": record, "labels": {"switchyard.dev/rollout": "shop"}});
        assert_eq!(message(&json!({}), &labelled, created), None);
        let told = message(&json!({}), &json!({"annotations": record}), created);
        assert_eq!(told.as_deref(), Some("has lost a label: put back switchyard.dev/rollout=shop"));
    }

    #[test]
    fn one_that_was_never_ours_has_no_record_to_lose() {
        let children = Children::default();
        let untouched = live(&service(&json!({}), &json!({})), OWNER, &children);
        assert_eq!((untouched.record, untouched.selects), (Some(Record::default()), Selects::Nobody));
        let selector = json!({"selector": {"switchyard.dev/rollout": "shop", "switchyard.dev/revision": "none"}});
        assert_eq!(live(&service(&selector, &json!({})), OWNER, &children).record, None, "it was lost");
    }
}
