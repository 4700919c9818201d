//! A Build under a model checker, with the `decide` of the product and the world of this crate.
//!
//! # What is modelled
//! The Build (memory and annotations), its Jobs, their pods, Commands, and what the registry answers are five parts that
//! a leader sees at five ages ([`parts::Part`]): any part of its view may lag for any time. A round decides from the
//! view and plans its writes as the driver does: memory alone, or the actions in order; each lands by itself, with
//! anything in between; a refusal ends the round. A leader that dies leaves the write behind that was under way, to land
//! at any later time. A deposed leader goes on with a view of its own. Pods start, hang (what can be waited for, and
//! what is a verdict), pass, fail, find nothing changed, are evicted or deleted; the Job controller lags; the registry
//! answers what was pushed or something else; a person cancels; the status is lost; time comes in ticks.
//! [`bounds::Bounds`] says how often each may happen; [`bounds::Shape`] from where and to what kind of Build. Not all at
//! once: each exploration has its own.
//!
//! # What holds
//! [`properties`]: safety in every state, and from every state fair rounds settle, with pods that pass, that are evicted
//! for ever, and that hang. What has to be reached for this to mean anything is a property too. In which form:
//!
//! - The model assumes less than the operator does: the wait for one's own writes is left out. Two things are read live:
//!   before a further attempt, the Jobs of those before it; and where a Job ended whose pod no cache has, the pods. All
//!   else may lag.
//! - A Job cannot be created on condition of its Build. So a write that was under way when its operator died, or a
//!   deposed leader's, may make a Job of a Build that has ended or was cancelled: it is stopped, and that is what
//!   settling asks for. The leader itself makes none.
//! - A lost status makes no new Job from the round on that sees the loss.
//!
//! # What is not
//! Whole reports and logs; more than two checks and one image; refusals by quota or admission; questions (why a pod does
//! not start is told by its pod here); Jobs of strangers; a Job that somebody deletes. Fairness is assumed, not chosen.
//! Sentences are dropped from memories ([`parts::essence`]): no rule reads them.
//!
//! # Negative controls
//! [`mutants`]: each leaves one rule out and has to break a property.
//!
//! `cargo test -p switchyard-world --test build_model -- --nocapture` prints the states of each bound.
//! `make model` adds the large ones. `SWITCHYARD_MODEL_BOUNDS="e2 c1 t1"` explores one more, see [`from_env`].
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

use bounds::{Bounds, NO, Start};
use run::{Check, check};

#[test]
fn a_build_by_itself() {
    check(&Check::sound("by itself", NO));
    check(&Check::sound("in order", NO).ordered());
    check(&Check::sound("side by side", NO).checks(2));
}

#[test]
fn pods_that_fail() {
    check(&Check::sound("broken", Bounds { broken: 1, crashes: 1, ..NO }).checks(2));
    check(&Check::sound("nothing changed", Bounds { unchanged: 1, crashes: 1, ..NO }).checks(2));
    check(&Check::sound("evicted", Bounds { evicted: 2, ticks: 1, crashes: 1, ..NO }));
    check(&Check::sound("deleted", Bounds { gone: 1, ticks: 1, crashes: 1, ..NO }));
    check(&Check::sound("replaced", Bounds { replaced: 1, crashes: 1, ..NO }).from(Start::Building));
}

#[test]
fn pods_that_do_not_start() {
    check(&Check::sound("not pulled", Bounds { unpulled: 1, ticks: 1, crashes: 1, ..NO }));
    check(&Check::sound("waiting", Bounds { waiting: 1, ticks: 2, ..NO }).hasty());
}

#[test]
fn a_deposed_leader() {
    check(&Check::sound("deposed", Bounds { deposed: 1, ..NO }).checks(0));
    check(&Check::sound("deposed, not pulled", Bounds { deposed: 1, unpulled: 1, ticks: 1, ..NO }).checks(0));
    check(&Check::sound("deposed, evicted", Bounds { deposed: 1, evicted: 1, ticks: 1, ..NO }).checks(0));
}

#[test]
fn a_cancel() {
    check(&Check::sound("cancel", Bounds { orders: 1, crashes: 1, ..NO }));
    check(&Check::sound("cancel, deposed", Bounds { orders: 1, deposed: 1, ..NO }).checks(0).from(Start::Begun));
}

#[test]
fn a_lost_status() {
    check(&Check::sound("lost", Bounds { lost: 1, crashes: 1, ..NO }));
    check(&Check::sound("lost, deposed", Bounds { lost: 1, deposed: 1, ..NO }).checks(0).from(Start::Begun));
    check(&Check::sound("lost, broken", Bounds { lost: 1, broken: 1, ..NO }));
}

#[test]
#[ignore = "minutes and some gigabytes: make model"]
fn full() {
    let each = |c: Check| check(&c.within(Duration::from_mins(2)));
    each(Check::sound("evicted, three times", Bounds { evicted: 3, ticks: 3, crashes: 1, ..NO }).retries(2));
    each(Check::sound("evicted, side by side", Bounds { evicted: 2, ticks: 2, crashes: 1, ..NO }).checks(2));
    each(Check::sound("not pulled, deposed", Bounds { unpulled: 2, ticks: 2, deposed: 2, ..NO }));
    each(Check::sound("not pulled, side by side", Bounds { unpulled: 1, ticks: 1, crashes: 1, ..NO }).checks(2));
    each(Check::sound("in order, evicted", Bounds { evicted: 1, ticks: 1, crashes: 2, ..NO }).ordered());
    each(Check::sound("broken, deposed", Bounds { broken: 1, deposed: 3, ..NO }).checks(2));
    each(Check::sound("cancel, evicted, deposed", Bounds { orders: 1, evicted: 1, ticks: 1, deposed: 2, ..NO }));
    each(Check::sound("two cancels, crashes", Bounds { orders: 2, crashes: 2, ..NO }).checks(2));
    each(Check::sound("lost, evicted", Bounds { lost: 1, evicted: 1, ticks: 1, crashes: 1, ..NO }));
    each(Check::sound("lost twice, deposed", Bounds { lost: 2, deposed: 2, ..NO }));
    each(Check::sound("lost, cancel", Bounds { lost: 1, orders: 1, crashes: 1, ..NO }).from(Start::Begun));
    each(Check::sound("too late, evicted", Bounds { waiting: 1, evicted: 1, ticks: 2, crashes: 1, ..NO }).hasty());
    each(Check::sound("replaced, deposed", Bounds { replaced: 1, deposed: 2, ..NO }).from(Start::Building));
}

/// A number behind each letter of [`Bounds`] (broken, n unchanged, evicted, gone, unpulled, waiting, replaced, ticks,
/// orders, crashes, deposed, lost), and words: `begun`, `building`, `two`, `ordered`, `hasty`, `retries2`.
#[test]
fn from_env() {
    let Ok(words) = std::env::var("SWITCHYARD_MODEL_BOUNDS") else { return };
    let seconds = std::env::var("SWITCHYARD_MODEL_SECONDS").map_or(300, |s| s.parse().unwrap());
    let mut asked = Check::sound("asked", NO).within(Duration::from_secs(seconds));
    for word in words.split_whitespace() {
        asked = match word {
            "begun" => asked.from(Start::Begun),
            "building" => asked.from(Start::Building),
            "two" => asked.checks(2),
            "ordered" => asked.ordered(),
            "hasty" => asked.hasty(),
            "retries2" => asked.retries(2),
            _ => {
                let (letter, number) = word.split_at(1);
                *asked.bounds.of(letter) = number.parse().unwrap();
                asked
            }
        };
    }
    check(&asked);
}
