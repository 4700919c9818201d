//! One exploration: run, counted, told.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::{
    bounds::{Bounds, Shape, Start},
    protocol::Protocol,
    rules::{Rules, SOUND},
};

pub struct Check {
    name: &'static str,
    pub rules: Rules,
    pub bounds: Bounds,
    pub shape: Shape,
    /// The property that is to have a counterexample.
    breaks: Option<&'static str>,
    /// Every state is to be reached in this time.
    limit: Option<Duration>,
}

impl Check {
    pub fn sound(name: &'static str, bounds: Bounds) -> Self {
        Self { name, rules: SOUND, bounds, shape: Shape::PLAIN, breaks: None, limit: None }
    }
    pub fn mutant(name: &'static str, rules: Rules, bounds: Bounds, breaks: &'static str) -> Self {
        Self { rules, breaks: Some(breaks), ..Self::sound(name, bounds) }
    }
    fn shaped(mut self, shape: impl FnOnce(&mut Shape)) -> Self {
        shape(&mut self.shape);
        self
    }
    pub fn from(self, start: Start) -> Self {
        self.shaped(|s| s.start = start)
    }
    pub fn checks(self, checks: u8) -> Self {
        self.shaped(|s| s.checks = checks)
    }
    /// The second check comes after the first, with its artifacts, and is a quality gate; the image is scanned.
    pub fn ordered(self) -> Self {
        self.shaped(|s| (s.checks, s.ordered) = (2, true))
    }
    pub fn retries(self, retries: u8) -> Self {
        self.shaped(|s| s.retries = retries)
    }
    /// The timeout is two ticks.
    pub fn hasty(self) -> Self {
        self.shaped(|s| s.hasty = true)
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
    let Check { name, bounds, shape, breaks, limit, .. } = *check;
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
        "{name} | {bounds} {shape} | {} states{} in {took:.1?}",
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
                    if let Some((state, _)) = steps.last() {
                        println!("    {}", protocol.describe(state));
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
