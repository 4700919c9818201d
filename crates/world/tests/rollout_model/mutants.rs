//! Negative controls: without each rule of the protocol, a property breaks. So the properties can break, and every
//! rule is needed.

mod gates;
mod losses;
mod orders;
mod switching;

use switchyard_decide::{
    Kind as _,
    rollout::{Action, Observed, Rollout},
};
use switchyard_world::rollout::{self as world, Cluster};

use crate::rules::{self, Rules, Write, acts, plan};

const MUTANT: Rules = Rules { heeds_permit: false, ..rules::SOUND };

fn driver(plan: fn(&Observed, &world::Rollout) -> Vec<Write>) -> Rules {
    Rules { plan, ..MUTANT }
}
fn world(land: fn(&mut Cluster, &Write) -> bool) -> Rules {
    Rules { land, ..MUTANT }
}

/// The round of one that sees something else than there is.
fn with_eyes(lie: fn(&mut Observed), seen: &Observed, was: &world::Rollout) -> Vec<Write> {
    let mut lied = seen.clone();
    lie(&mut lied);
    plan(&lied, was)
}

/// The writes of a round in which only this kind of action is chosen with lying eyes.
fn with_eyes_for(
    chosen: fn(&Write) -> bool,
    lie: fn(&mut Observed),
    seen: &Observed,
    was: &world::Rollout,
) -> Vec<Write> {
    let mut lied = seen.clone();
    lie(&mut lied);
    let mut writes: Vec<Write> = plan(seen, was).into_iter().filter(|w| !chosen(w)).collect();
    if !writes.iter().any(|w| matches!(w, Write::Report { .. })) {
        writes.extend(acts(Rollout::decide(&lied)).filter(chosen));
    }
    writes
}
fn is_retire(write: &Write) -> bool {
    matches!(write, Write::Act(Action::Retire { .. }))
}
fn is_select(write: &Write) -> bool {
    matches!(write, Write::Act(Action::Record { select: Some(_), .. }))
}
fn is_answer(write: &Write) -> bool {
    matches!(write, Write::Act(Action::Answer { .. }))
}
