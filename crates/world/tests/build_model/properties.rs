//! What must never be, what must always be possible, and what has to be reached for that to mean anything.

use stateright::Property;
use switchyard_api::build::Class;

use crate::{
    bounds::{Bounds, Shape, Start},
    history::Breach,
    model::State,
    protocol::Protocol,
};

pub const ALONE: &str = "no step has two unfinished Jobs";
pub const FEW: &str = "no step has more Jobs than 1 + retries";
pub const WISE: &str = "what a pod told by itself is never tried again";
pub const ENDED: &str = "once the end is remembered, its leader makes no Job";
pub const FINAL: &str = "what is remembered of an end never changes";
pub const CANCELLED: &str = "once a Cancel is acknowledged, its leader makes no Job";
pub const LOST: &str = "a Build that began and lost its status makes no Job";
pub const CHECKED: &str = "no image is built before every check passed";
pub const SERVED: &str = "nothing counts that the registry did not serve";
pub const FINITE: &str = "a bounded number of faults causes a bounded number of writes";
pub const SETTLES: &str = "fair rounds settle on an end, with nothing left that runs";
pub const PERMIT: &str = "permit never vetoes what decide proposes, whatever the age of what it saw";

fn never(breach: Breach, name: &'static str) -> Property<Protocol> {
    // A closure that captures cannot be a property: one for each.
    macro_rules! has_not {
        ($($breach:ident),*) => { match breach { $(Breach::$breach => {
            Property::always(name, |_: &Protocol, s: &State| !s.history.has(Breach::$breach))
        })* } };
    }
    has_not!(RanOn, RanCancelled, RanLost, Unchecked, Changed, Unserved, Vetoed)
}

pub fn all(bounds: Bounds, shape: Shape) -> Vec<Property<Protocol>> {
    let mut all: Vec<Property<Protocol>> = vec![
        Property::always(ALONE, |p: &Protocol, s: &State| p.facts(s.truth).alone),
        Property::always(FEW, |p: &Protocol, s: &State| p.facts(s.truth).few),
        Property::always(WISE, |p: &Protocol, s: &State| s.history.stuck || p.facts(s.truth).wise),
        never(Breach::RanLost, LOST),
        never(Breach::Unchecked, CHECKED),
        never(Breach::Unserved, SERVED),
        never(Breach::Vetoed, PERMIT),
        Property::always(FINITE, |p: &Protocol, s: &State| p.facts(s.truth).bounded),
        Property::always(SETTLES, Protocol::settles),
    ];
    let mut when = |possible: bool, property: Property<Protocol>| {
        if possible {
            all.push(property);
        }
    };
    // A status that was lost remembers no end.
    when(bounds.lost == 0, never(Breach::Changed, FINAL));
    // What a deposed leader remembers, its successor may not see yet.
    when(bounds.deposed == 0 && bounds.crashes == 0, never(Breach::RanOn, ENDED));
    when(bounds.deposed == 0 && bounds.orders > 0, never(Breach::RanCancelled, CANCELLED));
    reached(bounds, shape, &mut all);
    all
}

fn reached(bounds: Bounds, shape: Shape, all: &mut Vec<Property<Protocol>>) {
    let mut when = |possible: bool, property: Property<Protocol>| {
        if possible {
            all.push(property);
        }
    };
    when(true, Property::sometimes("it ends well", |p: &Protocol, s: &State| p.facts(s.truth).good));
    let retries = bounds.evicted + bounds.gone + bounds.unpulled > 0 && bounds.ticks > 0 && shape.retries > 0;
    when(
        retries && !shape.hasty,
        Property::sometimes("a further attempt passes", |p: &Protocol, s: &State| p.facts(s.truth).retried),
    );
    when(
        bounds.unchanged > 0,
        Property::sometimes("it is skipped", |p: &Protocol, s: &State| p.facts(s.truth).skipped),
    );
    when(
        bounds.broken + bounds.replaced > 0,
        Property::sometimes("it fails", |p: &Protocol, s: &State| p.facts(s.truth).failed == Some(Class::User)),
    );
    when(
        bounds.orders > 0,
        Property::sometimes("a Cancel is acknowledged", |_: &Protocol, s: &State| s.history.cancelled),
    );
    when(
        bounds.lost > 0 && (bounds.orders == 0 || shape.start != Start::Nothing),
        Property::sometimes("it ends as lost", |p: &Protocol, s: &State| p.facts(s.truth).failed == Some(Class::Lost)),
    );
    when(
        shape.hasty && bounds.ticks > 1,
        Property::sometimes("it takes too long", |p: &Protocol, s: &State| {
            p.facts(s.truth).failed == Some(Class::Timeout) && p.facts(s.truth).finished
        }),
    );
}
