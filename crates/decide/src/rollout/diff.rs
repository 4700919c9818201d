//! From what is seen to what should exist: the writes, protective ones first.

use switchyard_api::rollout::Memory;

use super::{Action, Layout, Observed, commands, memory};

pub fn diff(seen: &Observed, remembered: &Memory, layout: &Layout) -> Vec<Action> {
    let mut actions = vec![];
    if layout.service && seen.service.is_none() {
        actions.push(Action::CreateService);
    }
    if let (Some((next, select)), Some(service)) = (&layout.record, &seen.service) {
        actions.push(Action::Record { at: service.version.clone(), next: next.clone(), select: select.clone() });
    }
    for (revision, replicas) in &layout.replicas {
        if let Some(deployment) = seen.deployment(*revision).filter(|d| d.replicas != *replicas) {
            actions.push(Action::Scale { revision: *revision, at: deployment.version.clone(), replicas: *replicas });
        }
    }
    actions.extend(commands::answers(seen, remembered));
    if let (Some(revision), Ok(order)) = (layout.revision, &seen.order) {
        let there = seen.revisions.get(&revision);
        let fingerprint = || order.fingerprint.clone();
        if there.is_none_or(|r| r.deployment.is_none())
            && let Ok(images) = order.resolve(remembered)
        {
            let releases = memory::releases(seen, remembered, revision);
            actions.push(Action::Deploy { revision, fingerprint: fingerprint(), images, releases });
        }
        if there.is_none_or(|r| !r.exposed) {
            actions.push(Action::Expose { revision, fingerprint: fingerprint() });
        }
    }
    if let Some((revision, claim)) = &layout.claim
        && let Some(deployment) = seen.deployment(*revision)
    {
        let replicas = layout.candidate_replicas.unwrap_or(deployment.replicas);
        if deployment.claim.as_ref() != Some(claim) || deployment.replicas != replicas {
            let (at, claim) = (deployment.version.clone(), claim.clone());
            actions.push(Action::Claim { revision: *revision, at, claim, replicas });
        }
    }
    if let (Some(selects), Ok(order)) = (&layout.preview, &seen.order) {
        let created = order.preview.as_ref().is_some_and(|p| !p.referred);
        match &seen.preview {
            None if created => actions.push(Action::CreatePreview),
            Some(preview) if preview.foreign.is_none() && preview.selects != *selects => {
                actions.push(Action::Preview { at: preview.version.clone(), select: selects.clone() });
            }
            Some(_) | None => {}
        }
    }
    for (revision, job) in &layout.jobs {
        actions.push(Action::Check { revision: *revision, job: job.clone() });
    }
    for revision in &layout.retire {
        if let Some(deployment) = seen.deployment(*revision) {
            actions.push(Action::Retire { revision: *revision, at: deployment.version.clone() });
        }
    }
    for revision in &layout.delete {
        let at = seen.deployment(*revision).map(|d| d.version.clone());
        actions.push(Action::Delete { revision: *revision, at });
    }
    actions
}
