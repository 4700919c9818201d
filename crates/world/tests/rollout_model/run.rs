//! One exploration: run, counted, told.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::{
    model::{Bounds, Slices, Start},
    protocol::Protocol,
    rules::{Rules, SOUND},
};

pub struct Check {
    name: &'static str,
    pub rules: Rules,
    pub bounds: Bounds,
    pub start: Start,
    pub slices: Slices,
    pub history_limit: i32,
    pub patient: bool,
    /// The property that is to have a counterexample.
    breaks: Option<&'static str>,
    /// Every state is to be reached in this time.
    limit: Option<Duration>,
}

impl Check {
    pub fn sound(name: &'static str, bounds: Bounds) -> Self {
        let (start, slices) = (Start::Settled, Slices::Prompt);
        let (rules, history_limit, patient, limit) = (SOUND, 5, false, None);
        Self { name, rules, bounds, start, slices, history_limit, patient, breaks: None, limit }
    }
    pub fn mutant(name: &'static str, rules: Rules, bounds: Bounds, breaks: &'static str) -> Self {
        Self { rules, breaks: Some(breaks), ..Self::sound(name, bounds) }
    }
    pub fn from(self, start: Start) -> Self {
        Self { start, ..self }
    }
    pub fn slow(self) -> Self {
        Self { slices: Slices::Slow, ..self }
    }
    /// Keeps no revision without pods.
    pub fn forgetful(self) -> Self {
        Self { history_limit: 0, ..self }
    }
    /// Its deadline is further away than all ticks.
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }
    /// Ends after this time, whole or not.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// One at a time: each uses both cores, and its time is told.
static TURN: Mutex<()> = Mutex::new(());

pub fn check(check: &Check) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Check { name, bounds, start, slices, history_limit, patient, breaks, limit, .. } = *check;
    let model = Protocol::new(check);
    let protocol = model.clone();
    let finish = breaks.map_or(HasDiscoveries::AnyFailures, |b| HasDiscoveries::AllOf([b].into()));
    let begun = Instant::now();
    let builder = model.checker().threads(2).finish_when(finish);
    let builder = limit.into_iter().fold(builder, stateright::CheckerBuilder::timeout);
    let checker = builder.spawn_bfs().join();
    let took = begun.elapsed();
    let whole = limit.is_none_or(|limit| took < limit);
    println!(
        "{name} | {bounds} from {start:?}, slices {slices:?}, keeps {history_limit}{} | {} states{} in {took:.1?}",
        if patient { ", patient" } else { "" },
        checker.unique_state_count(),
        if whole { "" } else { " (not all)" },
    );
    let found = checker.discoveries();
    let mut broken = vec![];
    for property in protocol.properties() {
        let is_failure = property.expectation.discovery_is_failure();
        match found.get(property.name) {
            None if is_failure => {}
            None if breaks.is_none() && whole => broken.push(format!("never reached: {}", property.name)),
            None => {}
            Some(path) => {
                let steps = path.clone().into_vec();
                let word = if is_failure { "broken" } else { "reached" };
                println!("  {word}: {}: {} steps", property.name, steps.len());
                if is_failure && breaks.is_none() {
                    broken.push(format!("broken: {}", property.name));
                    for (state, step) in steps.iter().filter_map(|(state, step)| Some((state, (*step)?))) {
                        println!("    {}", protocol.tell(state, step));
                    }
                }
            }
        }
    }
    match breaks {
        Some(property) => assert!(found.contains_key(property), "{name}: nothing breaks: {property}"),
        None => assert!(broken.is_empty(), "{name}: {broken:?}"),
    }
}
