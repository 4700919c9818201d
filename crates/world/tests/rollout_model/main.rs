//! The switch protocol under a model checker, with the `decide` of the product and the world of this crate.
//!
//! # What is modelled
//! The Rollout (spec and memory), the live Service (selector and record), the preview Service, Commands, each
//! revision's Deployment, the Jobs of its checks, and pods with what the slices list are seven parts that a leader
//! sees at seven ages ([`parts::Part`]): any part of its view may lag for any time. A round decides from the view and
//! plans its writes as the driver does: memory alone, or what is told of a pause and the actions in order; each lands by
//! itself, conditional on the version that the view had, with anything in between; a refusal ends the round. A leader
//! that dies leaves the rest of its round behind, to land late and in any order. A deposed leader goes on with a view
//! of its own. People edit, spoil, resize and pause the spec, give Commands at any moment, take the record or the
//! whole Service or the status away, change the selector, and scale Deployments; pods get ready one by one and lose
//! it; Jobs pass or fail; the slice controller lags; time comes in ticks. [`bounds::Bounds`] says how often each may
//! happen; [`bounds::Shape`] from where and to what kind of Rollout. Not all at once: each exploration has its own.
//!
//! # What holds
//! [`properties`]: safety in every state, and from every state fair rounds settle (checkers that follow paths miss
//! livelocks; a bounded number of writes catches those that fair rounds would hide). What has to be reached for this
//! to mean anything is a property too. In which form:
//!
//! - The model assumes less than the operator does. Of the live reads there is one, the Rollout's, after the Service,
//!   where the record has no live revision; the wait for one's own writes and the other live reads are left out, and
//!   nothing breaks. Two promises need more ([`run::Check::careful`]): that a pause and a RollbackTo keep everything else
//!   from going live needs the Service and then the Rollout read live while something is withheld, and the Rollout
//!   while a candidate stands. That the preview shows nobody's pods being taken needs the look before a Retire, which
//!   is a step of its own ([`run::Check::previewed`]).
//! - A lost record brings back the confirmed revision. Together with a dead or deposed leader it may bring back an
//!   older one that was confirmed once (the confirmation was still under way): never an unproven one.
//! - A lost status forgets what was confirmed, promoted and held. What the record gave up stays given up, and whatever
//!   goes live went all the way.
//! - `permit` never vetoes what `decide` proposes, also where the view's parts are of different ages.
//! - After `replicas: 0` nothing is said about being served: a write that was decided then may land later.
//!
//! # What is not
//! More than three revisions and two pods; ports; checks other than jobs (their measurements are counted in the same
//! place); `promoteAfter`; windows. Timers are shorter than a tick or endless; a tick is longer than the slice
//! controller lags, as the drain has to be. Fairness is assumed, not chosen: one round of it per state, twice, with every
//! revision healthy and with all but the wanted one. Sentences, who ordered what, and all of the history but which
//! revisions were promoted are dropped from memories ([`parts::Parts::essence`]): no rule reads them.
//!
//! # Negative controls
//! [`mutants`]: each leaves one rule out and has to break a property.
//!
//! `cargo test -p switchyard-world --test rollout_model -- --nocapture` prints the states of each bound.
//! `make model` adds the large ones. With `SWITCHYARD_MODEL_STEPS=1` a control's counterexample is told step by step.
//! `SWITCHYARD_MODEL_BOUNDS="e2 c1 t1"` explores one more, see
//! [`from_env`].
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bounds;
mod facts;
mod history;
#[path = "../interned/mod.rs"]
mod interned;
mod model;
mod mutants;
mod parts;
mod properties;
mod protocol;
mod rules;
mod run;

use std::time::Duration;

use bounds::{Bounds, Ordered, Start};
use run::{Check, check};

const NO: Bounds = Bounds {
    edits: 0,
    resized: 0,
    mistakes: 0,
    crashes: 0,
    unready: 0,
    ticks: 0,
    erased: 0,
    tampered: 0,
    deposed: 0,
    orders: 0,
    pauses: 0,
    failing: 0,
    forgotten: 0,
    deleted: 0,
    scaled: 0,
};

#[test]
fn a_first_deployment() {
    check(&Check::sound("first deployment", Bounds { crashes: 1, unready: 1, ticks: 1, ..NO }).from(Start::Nothing));
    check(&Check::sound("replaced at once", Bounds { edits: 2, ..NO }).from(Start::Nothing));
}

#[test]
fn edits_and_crashes() {
    check(&Check::sound("edits, crash", Bounds { edits: 2, crashes: 1, ..NO }));
    check(&Check::sound("edit, crashes", Bounds { edits: 1, crashes: 2, ..NO }));
    check(&Check::sound("edits, nothing kept", Bounds { edits: 2, crashes: 1, ..NO }).forgetful());
}

#[test]
fn revisions_that_fail() {
    check(&Check::sound("failing", Bounds { edits: 1, crashes: 1, unready: 1, ticks: 1, ..NO }));
    check(&Check::sound("failing twice", Bounds { edits: 2, ticks: 1, ..NO }));
}

#[test]
fn a_lost_record() {
    check(&Check::sound("lost record", Bounds { edits: 2, erased: 1, ..NO }));
    check(&Check::sound("lost record, crash", Bounds { edits: 1, erased: 1, crashes: 1, ..NO }));
    check(&Check::sound("lost record, failing", Bounds { edits: 1, erased: 1, unready: 1, ticks: 1, ..NO }));
}

#[test]
fn people() {
    check(&Check::sound("foreign selector", Bounds { edits: 1, tampered: 1, unready: 1, ticks: 1, ..NO }));
    check(&Check::sound("invalid spec", Bounds { edits: 1, mistakes: 1, unready: 1, ticks: 1, ..NO }));
    check(&Check::sound("invalid spec, lost record", Bounds { edits: 1, mistakes: 1, erased: 1, ticks: 1, ..NO }));
    check(&Check::sound("sizes", Bounds { edits: 1, resized: 2, ..NO }));
}

#[test]
fn slow_slices() {
    check(&Check::sound("slow slices", Bounds { edits: 2, ticks: 1, ..NO }).slow());
}

#[test]
fn a_deposed_leader() {
    check(&Check::sound("deposed", Bounds { edits: 1, deposed: 1, ..NO }));
    check(&Check::sound("deposed, begun", Bounds { deposed: 1, unready: 1, ..NO }).from(Start::Nominated));
    check(&Check::sound("deposed, wanted again", Bounds { deposed: 1, ..NO }).slow().from(Start::WantedAgain));
    check(
        &Check::sound("deposed, on trial", Bounds { deposed: 1, ticks: 1, unready: 1, ..NO })
            .from(Start::OnTrial)
            .patient(),
    );
}

#[test]
fn orders() {
    let bounds = Bounds { edits: 1, orders: 1, ..NO };
    check(&Check::sound("abort", Bounds { crashes: 1, ..bounds }).ordering(&[Ordered::Abort]));
    check(&Check::sound("promote", bounds).manual().ordering(&[Ordered::Promote]));
    check(&Check::sound("roll back", bounds).careful().ordering(&[Ordered::RollbackTo]));
    let twice = Bounds { orders: 2, ..NO };
    check(&Check::sound("abort, retry", twice).from(Start::Nominated).ordering(&[Ordered::Abort, Ordered::Retry]));
    let back = &[Ordered::RollbackTo, Ordered::Resume];
    check(&Check::sound("roll back, resume", Bounds { edits: 1, ..twice }).careful().ordering(back));
}

#[test]
fn pauses() {
    let bounds = Bounds { pauses: 1, crashes: 1, ..NO };
    check(&Check::sound("pause", Bounds { edits: 1, ..bounds }).careful());
}

#[test]
fn checks() {
    let bounds = Bounds { crashes: 1, failing: 1, ..NO };
    check(&Check::sound("checks of a first", Bounds { edits: 1, ..bounds }).checked().from(Start::Nothing));
    check(&Check::sound("checks", Bounds { edits: 1, ..bounds }).checked());
    check(&Check::sound("checks, superseded", Bounds { edits: 2, failing: 1, ..NO }).checked());
    check(&Check::sound("checks, deposed", Bounds { deposed: 1, failing: 1, ..NO }).checked().from(Start::OnTrial));
}

#[test]
fn a_preview() {
    check(&Check::sound("preview", Bounds { edits: 2, ..NO }).previewed().checked_before());
    check(&Check::sound("preview, crash", Bounds { edits: 1, crashes: 1, ..NO }).previewed().checked_before());
    check(
        &Check::sound("preview, failing", Bounds { edits: 1, unready: 1, ticks: 1, ..NO }).previewed().checked_before(),
    );
}

#[test]
fn a_lost_status() {
    let bounds = Bounds { forgotten: 1, ..NO };
    check(&Check::sound("lost status", Bounds { edits: 1, crashes: 1, ..bounds }));
    check(&Check::sound("lost status, checks", Bounds { edits: 1, failing: 1, ..bounds }).checked());
    let failing = Bounds { unready: 1, ticks: 1, ..bounds };
    check(&Check::sound("lost status, failing", failing).from(Start::OnTrial));
}

#[test]
fn a_deleted_service() {
    let bounds = Bounds { edits: 1, deleted: 1, ..NO };
    check(&Check::sound("deleted Service", bounds));
    check(&Check::sound("deleted Service, crash", Bounds { edits: 0, crashes: 1, ..bounds }).from(Start::Nominated));
    check(&Check::sound("deleted Service, failing", Bounds { ticks: 1, ..bounds }));
}

#[test]
fn pods() {
    check(&Check::sound("two pods", Bounds { edits: 1, unready: 1, ticks: 1, ..NO }).two_pods());
    check(&Check::sound("two pods, sizes", Bounds { edits: 1, resized: 1, ..NO }).two_pods());
    check(&Check::sound("scaled by others", Bounds { edits: 1, scaled: 1, ..NO }));
    check(&Check::sound("scaled by others, crash", Bounds { scaled: 1, crashes: 1, ..NO }).from(Start::Nominated));
}

#[test]
#[ignore = "half an hour and some gigabytes: make model"]
fn full() {
    let each = |c: Check| check(&c.within(Duration::from_mins(2)));
    each(Check::sound("edits, crash", Bounds { edits: 3, crashes: 1, ..NO }));
    each(Check::sound("edits, nothing kept", Bounds { edits: 3, ..NO }).forgetful());
    each(Check::sound("first, edits, ticks", Bounds { edits: 2, ticks: 1, ..NO }).from(Start::Nothing));
    each(Check::sound("failing", Bounds { edits: 2, crashes: 1, unready: 1, ticks: 1, ..NO }));
    each(Check::sound("lost record, crash", Bounds { edits: 2, erased: 1, crashes: 1, ..NO }));
    each(Check::sound("lost record, failing", Bounds { edits: 2, erased: 1, unready: 1, ticks: 1, ..NO }));
    each(Check::sound("lost record, deposed", Bounds { edits: 1, erased: 1, deposed: 1, ..NO }));
    each(Check::sound("invalid spec", Bounds { edits: 2, mistakes: 1, ticks: 1, ..NO }));
    each(Check::sound("sizes, failing", Bounds { edits: 1, resized: 2, unready: 1, ticks: 1, ..NO }));
    each(Check::sound("sizes, crash", Bounds { edits: 2, resized: 1, crashes: 1, ..NO }));
    each(Check::sound("slow slices, crash", Bounds { edits: 2, crashes: 1, ticks: 1, ..NO }).slow());
    each(Check::sound("slow slices, ticks", Bounds { edits: 2, unready: 1, ticks: 2, ..NO }).slow());
    each(Check::sound("deposed, superseded", Bounds { edits: 1, deposed: 1, ..NO }).from(Start::Superseded));
    let again = Bounds { edits: 1, deposed: 1, ticks: 1, ..NO };
    each(Check::sound("deposed, slow slices", again).slow().from(Start::Superseded));
    let trial = Bounds { unready: 1, ticks: 1, deposed: 3, ..NO };
    each(Check::sound("deposed for long, on trial", trial).from(Start::OnTrial).patient());
}

#[test]
#[ignore = "half an hour and some gigabytes: make model"]
fn full_of_orders_and_losses() {
    use Ordered::{Abort, Promote, Resume, Retry, RollbackTo};
    let each = |c: Check| check(&c.within(Duration::from_mins(2)));
    let orders = Bounds { edits: 1, orders: 2, crashes: 1, ..NO };
    each(Check::sound("abort, retry", orders).ordering(&[Abort, Retry]));
    each(
        Check::sound("promote, abort, retry", Bounds { orders: 3, ..orders })
            .manual()
            .ordering(&[Promote, Abort, Retry]),
    );
    each(Check::sound("roll back", orders).careful().ordering(&[RollbackTo, Resume]));
    let deposed = Bounds { edits: 1, orders: 1, deposed: 2, ..NO };
    each(Check::sound("roll back, deposed", deposed).careful().from(Start::Nominated).ordering(&[RollbackTo]));
    each(Check::sound("pause", Bounds { edits: 2, pauses: 2, crashes: 1, ..NO }).careful());
    each(Check::sound("checks", Bounds { edits: 2, crashes: 1, failing: 1, ..NO }).checked());
    each(
        Check::sound("checks, deposed", Bounds { edits: 1, deposed: 1, failing: 1, ..NO })
            .checked()
            .from(Start::OnTrial),
    );
    each(Check::sound("preview", Bounds { edits: 2, crashes: 1, ..NO }).previewed().checked_before());
    each(Check::sound("preview, checks", Bounds { edits: 2, failing: 1, ..NO }).previewed().checked());
    each(Check::sound("lost status", Bounds { edits: 2, crashes: 1, forgotten: 1, ..NO }));
    each(Check::sound("lost status, deposed", Bounds { edits: 1, deposed: 1, forgotten: 1, ..NO }));
    each(
        Check::sound("lost status, checks", Bounds { edits: 1, crashes: 1, failing: 1, forgotten: 1, ..NO }).checked(),
    );
    each(Check::sound("deleted Service", Bounds { edits: 1, crashes: 1, deleted: 1, ..NO }));
    each(Check::sound("two pods", Bounds { edits: 2, unready: 1, ticks: 1, ..NO }).two_pods());
    each(Check::sound("two pods, sizes, crash", Bounds { edits: 1, resized: 1, crashes: 1, ..NO }).two_pods());
    each(Check::sound("scaled by others", Bounds { edits: 1, scaled: 1, crashes: 1, ..NO }));
}

/// A number behind each letter of [`Bounds`] (edits, resized, mistakes, crashes, unready, ticks, x erased, f tampered,
/// deposed, orders, pauses, j failing, l forgotten, s deleted, g scaled), and words: for a start (nothing, begun, live,
/// past, again), `slow`, `keep0`, `patient`, `pods`, `manual`, `checked`, `preview`, `careful`; Commands: abort, promote, back.
#[test]
fn from_env() {
    let Ok(words) = std::env::var("SWITCHYARD_MODEL_BOUNDS") else { return };
    let seconds = std::env::var("SWITCHYARD_MODEL_SECONDS").map_or(300, |s| s.parse().unwrap());
    let mut asked = Check::sound("asked", NO).within(Duration::from_secs(seconds));
    for word in words.split_whitespace() {
        asked = match word {
            "nothing" => asked.from(Start::Nothing),
            "begun" => asked.from(Start::Nominated),
            "live" => asked.from(Start::OnTrial),
            "past" => asked.from(Start::Superseded),
            "again" => asked.from(Start::WantedAgain),
            "slow" => asked.slow(),
            "keep0" => asked.forgetful(),
            "patient" => asked.patient(),
            "pods" => asked.two_pods(),
            "manual" => asked.manual(),
            "checked" => asked.checked(),
            "preview" => asked.previewed(),
            "careful" => asked.careful(),
            "abort" => asked.ordering(&[Ordered::Abort, Ordered::Retry]),
            "promote" => asked.ordering(&[Ordered::Promote, Ordered::Abort, Ordered::Retry]),
            "back" => asked.ordering(&[Ordered::RollbackTo, Ordered::Resume]),
            _ => {
                let (letter, number) = word.split_at(1);
                *asked.bounds.of(letter) = number.parse().unwrap();
                asked
            }
        };
    }
    check(&asked);
}
