//! What must never be, what must always be possible, and what has to be reached for that to mean anything.

use stateright::Property;

use crate::{
    bounds::{Bounds, Ordered, Shape},
    facts::at,
    history::Breach,
    model::State,
    parts::{FOREIGN, NAMES, NONE},
    protocol::Protocol,
};

pub const SERVES: &str = "the selector names what serves";
pub const LISTED: &str = "no slice lists a retired revision";
pub const WORD: &str = "no Select after an acknowledged rejection";
pub const ANSWERED: &str = "no Select after an answered Abort, before a Retry";
pub const FENCED: &str = "no Select of a try that the record gave up, whatever was forgotten";
pub const PAUSED: &str = "no Select of anything new after an acknowledged pause";
pub const HELD: &str = "no Select of anything else after an answered RollbackTo, before a Resume";
pub const PROMOTED: &str = "under manual promotion nothing goes live that nobody promoted";
pub const CHECKED: &str = "nothing goes live that was not checked under its own nomination";
pub const TRIED: &str = "nothing is confirmed that was not checked under its own switch";
pub const RETRIED: &str = "what an answered Retry names may go live";
pub const ENOUGH: &str = "a candidate goes live with the lesser of old and new pods ready";
pub const SHOWN: &str = "what the preview selects has pods";
pub const REJECTED: &str = "a rejected revision is not confirmed any more";
pub const LOSS: &str = "a lost record brings back what is confirmed";
pub const PROVEN: &str = "a lost record brings back what was confirmed once";
pub const FINITE: &str = "a bounded number of faults causes a bounded number of writes";
pub const SETTLES: &str = "fair rounds settle on the goal";
pub const PERMIT: &str = "permit never vetoes what decide proposes, whatever the age of what it saw";

fn never(breach: Breach, name: &'static str) -> Property<Protocol> {
    // A closure that captures cannot be a property: one for each.
    macro_rules! has_not {
        ($($breach:ident),*) => { match breach { $(Breach::$breach => {
            Property::always(name, |_: &Protocol, s: &State| !s.history.has(Breach::$breach))
        })* } };
    }
    has_not!(
        Word,
        Answered,
        Fenced,
        Paused,
        Held,
        Unpromoted,
        Unchecked,
        Unproven,
        Few,
        ByLoss,
        UnprovenByLoss,
        Vetoed,
        Reconfirmed
    )
}

pub fn all(bounds: Bounds, shape: &Shape) -> Vec<Property<Protocol>> {
    let mut all: Vec<Property<Protocol>> = vec![
        Property::always(SERVES, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            let serves = |n| facts.serving.has(n) || s.history.hurt.has(n);
            !s.history.served || s.history.rested || facts.selects == FOREIGN || serves(facts.selects)
        }),
        Property::always(LISTED, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            let there = |n| n == NONE || n == FOREIGN || facts.up.has(n) || s.history.hurt.has(n);
            s.history.rested || there(facts.listed)
        }),
        // A status that forgets may confirm what it had rejected, if that passes again.
        never(Breach::Word, WORD),
        never(Breach::Fenced, FENCED),
        never(Breach::UnprovenByLoss, PROVEN),
        never(Breach::Few, ENOUGH),
        never(Breach::Vetoed, PERMIT),
        Property::always(FINITE, |p: &Protocol, s: &State| p.facts(s.truth).bounded),
        Property::always(SETTLES, Protocol::settles),
    ];
    let mut when = |possible: bool, property: Property<Protocol>| {
        if possible {
            all.push(property);
        }
    };
    // Neither a Retry nor a status that was lost.
    when(!shape.orders(Ordered::Retry) && bounds.forgotten == 0, never(Breach::Reconfirmed, REJECTED));
    when(shape.orders(Ordered::Abort), never(Breach::Answered, ANSWERED));
    when(
        shape.orders(Ordered::Retry),
        Property::always(RETRIED, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            NAMES.into_iter().all(|n| !s.history.retried.has(n) || at(facts.attempts, n) > at(facts.void, n))
        }),
    );
    when(shape.orders(Ordered::RollbackTo), never(Breach::Held, HELD));
    when(bounds.pauses > 0, never(Breach::Paused, PAUSED));
    when(shape.manual, never(Breach::Unpromoted, PROMOTED));
    when(shape.checks_before, never(Breach::Unchecked, CHECKED));
    when(shape.checks_after, never(Breach::Unproven, TRIED));
    // The write of a dead or deposed operator may show for a moment what has no pods any more.
    when(
        shape.preview && bounds.crashes == 0 && bounds.deposed == 0,
        Property::always(SHOWN, |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            s.history.rested || facts.shown == NONE || facts.up.has(facts.shown) || s.history.hurt.has(facts.shown)
        }),
    );
    // A dead operator's confirmation and a lost record can together bring back an older confirmed revision.
    when(bounds.crashes == 0 && bounds.deposed == 0, never(Breach::ByLoss, LOSS));
    reached(bounds, shape, &mut all);
    all
}

fn reached(bounds: Bounds, shape: &Shape, all: &mut Vec<Property<Protocol>>) {
    let mut when = |possible: bool, property: Property<Protocol>| {
        if possible {
            all.push(property);
        }
    };
    when(
        bounds.edits > 0 && !shape.manual,
        Property::sometimes("2 is confirmed and 1 retired", |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            facts.confirmed == 2 && facts.live == 2 && !facts.up.has(1) && s.history.confirmed.has(1)
        }),
    );
    when(
        bounds.ticks > 0 && bounds.forgotten == 0,
        Property::sometimes("a revision is given up for good and has no pods", |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            NAMES.into_iter().any(|n| facts.rejected.has(n) && !facts.up.has(n))
        }),
    );
    when(
        (bounds.ticks > 0 && bounds.unready > 0 || shape.checks_after && bounds.failing > 0) && bounds.edits > 0,
        Property::sometimes("traffic goes back", |_: &Protocol, s: &State| s.history.rolled_back),
    );
    when(
        bounds.erased > 0 || bounds.deleted > 0,
        Property::sometimes("a lost record is restored", |_: &Protocol, s: &State| s.history.restored),
    );
    when(
        bounds.tampered > 0,
        Property::sometimes("a selector is put right", |_: &Protocol, s: &State| s.history.put_right),
    );
    when(
        bounds.pauses > 0,
        Property::sometimes("a pause is acknowledged", |p: &Protocol, s: &State| p.facts(s.truth).says_paused),
    );
    when(
        shape.preview && bounds.edits > 0,
        Property::sometimes("the preview shows a candidate", |p: &Protocol, s: &State| {
            let facts = p.facts(s.truth);
            facts.shown != NONE && facts.shown == facts.candidate
        }),
    );
    for ordered in shape.orders {
        let property = match ordered {
            Ordered::Promote => {
                Property::sometimes("a Promote is done", |_: &Protocol, s: &State| s.history.is_done(0))
            }
            Ordered::Abort => Property::sometimes("an Abort is done", |_: &Protocol, s: &State| s.history.is_done(1)),
            Ordered::Retry => Property::sometimes("a Retry is done", |_: &Protocol, s: &State| s.history.is_done(2)),
            Ordered::RollbackTo => {
                Property::sometimes("a RollbackTo is done", |_: &Protocol, s: &State| s.history.is_done(3))
            }
            Ordered::Resume => Property::sometimes("a Resume is done", |_: &Protocol, s: &State| s.history.is_done(4)),
        };
        when(bounds.orders > 0, property);
    }
}
