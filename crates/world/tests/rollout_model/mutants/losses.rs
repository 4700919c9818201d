//! Rules of what was lost.

use switchyard_decide::rollout::Observed;

use super::{driver, with_eyes};
use crate::{
    NO,
    bounds::{Bounds, Start},
    properties::{FENCED, LOSS},
    run::{Check, check},
};

#[test]
fn a_record_that_gives_nothing_up() {
    let rules = driver(|seen, was| {
        let forgiving = |seen: &mut Observed| {
            let failed = seen.memory.failed.clone();
            if let Some(record) = seen.service.as_mut().and_then(|s| s.record.as_mut()) {
                record.void.retain(|r, _| failed.contains_key(r));
            }
        };
        with_eyes(forgiving, seen, was)
    });
    let bounds = Bounds { unready: 1, ticks: 1, forgotten: 1, ..NO };
    let mutant = Check::mutant("mutant: void counts only while it is remembered why", rules, bounds, FENCED);
    check(&mutant.from(Start::OnTrial));
}

#[test]
fn a_new_service_goes_on_with_what_is_wanted() {
    let rules = driver(|seen, was| {
        let unproven = |seen: &mut Observed| {
            if seen.record().live.is_none() {
                seen.memory.confirmed = None;
            }
        };
        with_eyes(unproven, seen, was)
    });
    let bounds = Bounds { edits: 1, deleted: 1, ..NO };
    check(&Check::mutant("mutant: a new Service begins with what is wanted", rules, bounds, LOSS));
}
