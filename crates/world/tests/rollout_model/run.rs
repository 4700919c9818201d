//! One exploration: run, counted, told.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::{
    bounds::{Bounds, Ordered, Shape, Slices, Start},
    protocol::Protocol,
    rules::{Rules, SOUND, care_reads_live},
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
    pub fn slow(self) -> Self {
        self.shaped(|s| s.slices = Slices::Slow)
    }
    /// Keeps no revision without pods.
    pub fn forgetful(self) -> Self {
        self.shaped(|s| s.history_limit = 0)
    }
    /// Its deadline is further away than all ticks.
    pub fn patient(self) -> Self {
        self.shaped(|s| s.patient = true)
    }
    pub fn two_pods(self) -> Self {
        self.shaped(|s| s.replicas = 2)
    }
    pub fn manual(self) -> Self {
        self.shaped(|s| s.manual = true)
    }
    pub fn checked_before(self) -> Self {
        self.shaped(|s| s.checks_before = true)
    }
    pub fn checked_after(self) -> Self {
        self.shaped(|s| s.checks_after = true)
    }
    pub fn checked(self) -> Self {
        self.checked_before().checked_after()
    }
    /// With a preview Service; and before pods are taken away the Services are looked at.
    pub fn previewed(mut self) -> Self {
        self.rules.looks = true;
        self.shaped(|s| s.preview = true)
    }
    /// People give these Commands.
    pub fn ordering(self, orders: &'static [Ordered]) -> Self {
        self.shaped(|s| s.orders = orders)
    }
    /// Rounds read live what the operator reads live.
    pub fn careful(mut self) -> Self {
        self.rules.reads = care_reads_live;
        self
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
                }
                if is_failure && (breaks.is_none() || std::env::var_os("SWITCHYARD_MODEL_STEPS").is_some()) {
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
