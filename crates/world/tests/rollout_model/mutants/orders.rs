//! Rules of what people order.

use switchyard_decide::{
    Kind as _,
    rollout::{Observed, Rollout},
};

use super::{driver, is_answer, is_select, with_eyes_for};
use crate::{
    NO,
    bounds::{Bounds, Ordered, Start},
    properties::{ANSWERED, PROMOTED, RETRIED},
    rules::{Write, acts, plan},
    run::{Check, check},
};

/// An order is taken as one that fences nothing off.
fn fences_nothing(seen: &mut Observed) {
    seen.memory.handled.values_mut().for_each(|h| h.fences.clear());
}

#[test]
fn an_abort_answered_before_it_is_void() {
    let rules = driver(|seen, was| {
        let writes = plan(seen, was);
        if writes.iter().any(|w| matches!(w, Write::Report { .. })) {
            return writes;
        }
        let mut lied = seen.clone();
        fences_nothing(&mut lied);
        let answers = acts(Rollout::decide(&lied)).filter(is_answer);
        answers.chain(writes.into_iter().filter(|w| !is_answer(w))).collect()
    });
    let bounds = Bounds { orders: 1, crashes: 1, ..NO };
    let mutant = Check::mutant("mutant: an Abort is answered before it is void", rules, bounds, ANSWERED);
    check(&mutant.from(Start::Nominated).ordering(&[Ordered::Abort]));
}

#[test]
fn a_retry_that_is_the_same_try() {
    let rules = driver(|seen, was| {
        let mut writes = plan(seen, was);
        for write in &mut writes {
            if let Write::Report { memory, .. } = write {
                memory.attempts.clear();
            }
        }
        writes
    });
    let bounds = Bounds { orders: 2, ..NO };
    let mutant = Check::mutant("mutant: a Retry is no new try", rules, bounds, RETRIED);
    check(&mutant.from(Start::Nominated).ordering(&[Ordered::Abort, Ordered::Retry]));
}

#[test]
fn a_switch_nobody_promoted() {
    let rules = driver(|seen, was| {
        let automatic = |seen: &mut Observed| {
            if let Ok(order) = &mut seen.order {
                order.manual = false;
            }
        };
        with_eyes_for(is_select, automatic, seen, was)
    });
    let mutant = Check::mutant("mutant: goes live without a Promote", rules, Bounds { edits: 1, ..NO }, PROMOTED);
    check(&mutant.manual());
}
