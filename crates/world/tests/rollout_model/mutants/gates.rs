//! Rules of checks, promotion, pause and preview, and of how many pods are enough.

use switchyard_api::check::Moment;
use switchyard_decide::{
    Kind as _,
    rollout::{JobState, Observed, Rollout},
};

use super::{MUTANT, driver, is_retire, is_select, with_eyes, with_eyes_for};
use crate::{
    NO,
    bounds::{Bounds, Ordered, Start},
    properties::{CHECKED, ENOUGH, PAUSED, PROMOTED, SHOWN, TRIED},
    rules::{Write, plan, tell},
    run::{Check, check},
};

#[test]
fn a_check_of_another_nomination() {
    let rules = driver(|seen, was| {
        let count_all = |seen: &mut Observed| {
            let since = seen.record().since;
            for jobs in seen.revisions.values_mut().map(|r| &mut r.jobs) {
                let done = jobs.iter().find(|(_, state)| **state == JobState::Passed).map(|(key, _)| key.clone());
                if let (Some(mut key), Some(since)) = (done, since.clone()) {
                    key.under = since;
                    jobs.insert(key, JobState::Passed);
                }
            }
        };
        with_eyes(count_all, seen, was)
    });
    let bounds = Bounds { edits: 3, ..NO };
    check(&Check::mutant("mutant: a check of another nomination counts", rules, bounds, CHECKED).checked_before());
}

#[test]
fn a_first_revision_without_checks() {
    let rules = driver(|seen, was| {
        let unchecked = |seen: &mut Observed| {
            if let Ok(order) = &mut seen.order {
                order.checks.preview.clear();
            }
        };
        if seen.record().live.is_none() { with_eyes(unchecked, seen, was) } else { plan(seen, was) }
    });
    let mutant = Check::mutant("mutant: the first revision is not checked", rules, NO, CHECKED);
    check(&mutant.checked_before().from(Start::Nothing));
}

#[test]
fn a_live_check_that_fails_is_ignored() {
    let rules = driver(|seen, was| {
        let all_is_well = |seen: &mut Observed| {
            let jobs = seen.revisions.values_mut().flat_map(|r| &mut r.jobs);
            for (_, state) in jobs.filter(|(key, _)| key.moment == Moment::Live) {
                if matches!(state, JobState::Failed(_)) {
                    *state = JobState::Passed;
                }
            }
        };
        with_eyes(all_is_well, seen, was)
    });
    let mutant = Check::mutant("mutant: a failed live check is ignored", rules, Bounds { failing: 1, ..NO }, TRIED);
    check(&mutant.checked_after().from(Start::OnTrial));
}

#[test]
fn confirmed_while_the_check_runs() {
    let rules = driver(|seen, was| {
        let unchecked = |seen: &mut Observed| {
            if let Ok(order) = &mut seen.order {
                order.checks.live.clear();
            }
        };
        with_eyes(unchecked, seen, was)
    });
    let mutant = Check::mutant("mutant: confirmed before its check ends", rules, NO, TRIED);
    check(&mutant.checked_after().from(Start::OnTrial));
}

#[test]
fn a_promote_of_another_revision() {
    let rules = driver(|seen, was| {
        let any = |seen: &mut Observed| {
            if let (Some(promoted), Some(r)) =
                (&mut seen.memory.promoted, seen.service.as_ref().and_then(|s| s.record.as_ref()?.candidate))
            {
                promoted.revision = r;
            }
        };
        with_eyes_for(is_select, any, seen, was)
    });
    let bounds = Bounds { edits: 2, orders: 1, ..NO };
    let mutant = Check::mutant("mutant: a Promote of another revision counts", rules, bounds, PROMOTED);
    check(&mutant.manual().ordering(&[Ordered::Promote]));
}

#[test]
fn a_pause_told_before_the_withdrawal() {
    let rules = driver(|seen, was| {
        let mut withdrawn = seen.clone();
        if let Some(record) = withdrawn.service.as_mut().and_then(|s| s.record.as_mut()) {
            record.candidate = None;
        }
        let said = tell(was, &Rollout::decide(&withdrawn));
        let writes = plan(seen, was).into_iter().filter(|w| !matches!(w, Write::Tell { .. }));
        said.into_iter().chain(writes).collect()
    });
    let bounds = Bounds { pauses: 1, crashes: 1, ..NO };
    let mutant = Check::mutant("mutant: Paused is said before the withdrawal", rules, bounds, PAUSED);
    check(&mutant.careful().from(Start::Nominated));
}

#[test]
fn retire_ignores_the_preview() {
    let rules = driver(|seen, was| with_eyes_for(is_retire, |seen| seen.preview = None, seen, was));
    let mutant = Check::mutant("mutant: Retire ignores the preview", rules, Bounds { edits: 2, ..NO }, SHOWN);
    let mut mutant = mutant.previewed();
    mutant.rules.looks = false;
    check(&mutant);
}

#[test]
fn retire_without_a_look() {
    let mut mutant = Check::mutant("mutant: Retire by a cached preview", MUTANT, Bounds { edits: 2, ..NO }, SHOWN);
    mutant = mutant.previewed();
    mutant.rules.looks = false;
    check(&mutant);
}

#[test]
fn one_pod_is_enough() {
    let rules = driver(|seen, was| {
        let few = |seen: &mut Observed| {
            if let Ok(order) = &mut seen.order {
                order.replicas = 1;
            }
        };
        with_eyes_for(is_select, few, seen, was)
    });
    let mutant = Check::mutant("mutant: one ready pod is enough", rules, Bounds { edits: 1, ..NO }, ENOUGH);
    check(&mutant.two_pods());
}
