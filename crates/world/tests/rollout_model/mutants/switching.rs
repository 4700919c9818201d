//! Rules of the switch itself.

use switchyard_api::{Duration, Revision};
use switchyard_decide::rollout::{Action, Observed};
use switchyard_world::rollout as world_of;

use super::{MUTANT, driver, is_retire, with_eyes_for, world};
use crate::{
    NO,
    bounds::{Bounds, Start},
    properties::{LISTED, LOSS, REJECTED, SERVES, WORD},
    rules::{Live, Rules, Write, land, plan},
    run::{Check, check},
};

/// Revision 2 goes live or nearly so, fails, and the operator dies once.
const FAILURE: Bounds = Bounds { edits: 1, crashes: 1, unready: 1, ticks: 1, ..NO };

#[test]
fn status_without_a_version() {
    let rules = world(|cluster, write| match write {
        Write::Report { memory, .. } => cluster.report(&cluster.rollout.version.clone(), memory).is_ok(),
        Write::Act(_) | Write::Tell { .. } | Write::Look(_) => land(cluster, write),
    });
    let bounds = Bounds { edits: 0, ..FAILURE };
    let mutant = Check::mutant("mutant: the status is written without a version", rules, bounds, REJECTED);
    check(&mutant.from(Start::OnTrial));
}

#[test]
fn select_without_a_version() {
    let rules = world(|cluster, write| match (write, &cluster.service) {
        (Write::Act(Action::Record { next, select: Some(select), .. }), Some(service)) => {
            let (at, next, select) = (service.version.clone(), next.clone(), Some(select.clone()));
            cluster.write(&Action::Record { at, next, select }).is_ok()
        }
        _ => land(cluster, write),
    });
    check(&Check::mutant("mutant: Select without the Service's version", rules, FAILURE, WORD));
}

#[test]
fn acknowledged_without_withdrawal() {
    let rules = driver(|seen, was| {
        let mut seen = seen.clone();
        let failed: Vec<_> = seen.memory.failed.keys().copied().collect();
        if let Some(record) = seen.service.as_mut().and_then(|s| s.record.as_mut()) {
            record.void.extend(failed.into_iter().map(|r| (r, 1)));
        }
        plan(&seen, was)
    });
    check(&Check::mutant("mutant: acknowledges before the Service fences off", rules, FAILURE, WORD));
}

#[test]
fn withdrawn_without_void() {
    let rules = Rules {
        plan: |seen, was| {
            let mut seen = seen.clone();
            let failed: Vec<_> = seen.memory.failed.keys().copied().collect();
            if let Some(record) = seen.service.as_mut().and_then(|s| s.record.as_mut()) {
                let fenced = |r: &Revision| record.candidate != Some(*r) && record.fallback != Some(*r);
                let fenced: Vec<_> = failed.into_iter().filter(fenced).collect();
                record.void.extend(fenced.into_iter().map(|r| (r, 1)));
            }
            plan(&seen, was)
        },
        land: |cluster, write| {
            let landed = land(cluster, write);
            if let Some(record) = cluster.service.as_mut().and_then(|s| s.record.as_mut()) {
                record.void.clear();
            }
            landed
        },
        ..MUTANT
    };
    let bounds = Bounds { unready: 1, ticks: 1, deposed: 3, ..NO };
    check(&Check::mutant("mutant: withdrawn is as good as void", rules, bounds, WORD).from(Start::OnTrial).patient());
}

#[test]
fn retire_without_a_version() {
    let rules = world(|cluster, write| match write {
        Write::Act(Action::Retire { revision, .. }) => {
            let Some(at) = cluster.deployment(*revision).map(|d| d.version.clone()) else { return false };
            cluster.write(&Action::Retire { revision: *revision, at }).is_ok()
        }
        Write::Act(_) | Write::Report { .. } | Write::Tell { .. } | Write::Look(_) => land(cluster, write),
    });
    let bounds = Bounds { edits: 3, crashes: 1, ..NO };
    check(&Check::mutant("mutant: Retire without the Deployment's version", rules, bounds, SERVES));
}

/// The nomination stands, and the Deployment seems to have its claim: any, or if it ever had one.
fn claimed(seen: &Observed, was: &world_of::Rollout, ever: bool) -> Vec<Write> {
    let mut seen = seen.clone();
    let record = seen.record();
    if let Some(candidate) = record.candidate
        && let Some(deployment) = seen.revisions.get_mut(&candidate).and_then(|r| r.deployment.as_mut())
        && (!ever || deployment.claim.is_some())
    {
        deployment.claim = record.since;
    }
    plan(&seen, was)
}

#[test]
fn select_without_a_claim() {
    let bounds = Bounds { edits: 3, crashes: 1, ..NO };
    let rules = driver(|seen, was| claimed(seen, was, false));
    check(&Check::mutant("mutant: Select without a claim", rules, bounds, SERVES));
}

#[test]
fn an_old_claim() {
    let bounds = Bounds { edits: 3, crashes: 1, ..NO };
    let rules = driver(|seen, was| claimed(seen, was, true));
    check(&Check::mutant("mutant: an old claim is good enough", rules, bounds, SERVES));
}

#[test]
fn readiness_from_before_the_claim() {
    let rules = driver(|seen, was| {
        let mut seen = seen.clone();
        for deployment in seen.revisions.values_mut().filter_map(|r| r.deployment.as_mut()) {
            deployment.current = true;
        }
        plan(&seen, was)
    });
    check(&Check::mutant("mutant: readiness from before the claim", rules, Bounds { edits: 3, ..NO }, SERVES));
}

#[test]
fn retire_ignores_the_fallback() {
    let rules = driver(|seen, was| {
        let hide = |seen: &mut Observed| {
            if let Some(record) = seen.service.as_mut().and_then(|s| s.record.as_mut()) {
                record.fallback = None;
            }
        };
        with_eyes_for(is_retire, hide, seen, was)
    });
    check(&Check::mutant(
        "mutant: Retire ignores the fallback",
        rules,
        Bounds { edits: 1, unready: 1, ticks: 1, ..NO },
        SERVES,
    ));
}

#[test]
fn retire_does_not_compare() {
    let rules = driver(|seen, was| {
        let hide = |seen: &mut Observed| {
            for deployment in seen.revisions.values_mut().filter_map(|r| r.deployment.as_mut()) {
                deployment.claim = None;
            }
        };
        with_eyes_for(is_retire, hide, seen, was)
    });
    let bounds = Bounds { edits: 1, deposed: 1, ..NO };
    check(
        &Check::mutant("mutant: Retire with a Service older than the claim", rules, bounds, SERVES)
            .from(Start::Superseded),
    );
}

#[test]
fn no_drain() {
    let rules = driver(|seen, was| {
        let mut seen = seen.clone();
        if let Ok(order) = &mut seen.order {
            order.drain = Duration::ZERO;
        }
        plan(&seen, was)
    });
    check(&Check::mutant("mutant: no drain", rules, Bounds { edits: 2, ..NO }, LISTED).slow());
}

#[test]
fn a_drain_that_outlives_a_switch() {
    let rules = driver(|seen, was| {
        let mut seen = seen.clone();
        let moved = seen.record().moved.map(|v| v.as_str().to_owned());
        seen.memory.unlisted.values_mut().for_each(|u| u.moved.clone_from(&moved));
        plan(&seen, was)
    });
    let bounds = Bounds { ticks: 1, deposed: 1, ..NO };
    let mutant = Check::mutant("mutant: a drain that outlives a switch", rules, bounds, LISTED);
    check(&mutant.slow().from(Start::WantedAgain));
}

#[test]
fn a_lost_record_and_a_cached_rollout() {
    let rules = Rules { reads: |_| Live { service: false, rollout: false }, ..MUTANT };
    let bounds = Bounds { edits: 2, erased: 1, ..NO };
    check(&Check::mutant("mutant: record lost, Rollout from the cache", rules, bounds, LOSS));
}
