//! Steps in every order, and what each leads to.

use std::fmt;

use stateright::{Model, Property};

use crate::{
    parts::{FOREIGN, Id, NAMES, NONE, Name, Part, View},
    properties::{self, History},
    protocol::{Change, Protocol},
};

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The spec wants another revision.
    pub edits: u8,
    /// The spec wants 0, 1 or 2 pods.
    pub resized: u8,
    /// The spec becomes invalid (the edit that mends it counts as an edit).
    pub mistakes: u8,
    /// The operator dies; what it had still to write may land later, in any order.
    pub crashes: u8,
    /// Pods of a revision lose their readiness.
    pub unready: u8,
    /// Time passes: a deadline, a patience, a drain.
    pub ticks: u8,
    /// The record is removed from the live Service; the selector stays.
    pub erased: u8,
    /// Somebody changes the selector.
    pub tampered: u8,
    /// Rounds of a deposed leader with caches of its own.
    pub deposed: u8,
}

impl Bounds {
    pub fn of(&mut self, letter: &str) -> &mut u8 {
        match letter {
            "e" => &mut self.edits,
            "r" => &mut self.resized,
            "m" => &mut self.mistakes,
            "c" => &mut self.crashes,
            "u" => &mut self.unready,
            "t" => &mut self.ticks,
            "x" => &mut self.erased,
            "f" => &mut self.tampered,
            "d" => &mut self.deposed,
            _ => panic!("no bound is called {letter}"),
        }
    }
}
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounds = *self;
        let used = ["e", "r", "m", "c", "u", "t", "x", "f", "d"].into_iter().map(|l| (l, *bounds.of(l)));
        let used: Vec<String> = used.filter(|(_, n)| *n > 0).map(|(l, n)| format!("{l}{n}")).collect();
        f.write_str(&used.join(" "))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only the Rollout is there.
    Nothing,
    /// Revision 1 is live and confirmed.
    Settled,
    /// And revision 2 is the candidate, claimed.
    Nominated,
    /// And revision 2 is live instead, not confirmed yet.
    OnTrial,
    /// And revision 2 has pods: it was claimed, and superseded before it was live.
    Superseded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slices {
    /// The live slices follow the selector at once; the drain takes no time. (What is *seen* of them lags all the same.)
    Prompt,
    /// The slice controller reads, and writes later, within a tick; the drain takes a tick.
    Slow,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    pub view: View,
    /// What is left of the round.
    pub plan: Id,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub truth: View,
    pub tick: u8,
    pub leaders: [Leader; 2],
    /// Writes of the dead.
    pub zombies: Id,
    /// What the slice controller read last.
    pub read: Name,
    pub left: Bounds,
    pub history: History,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Edit(Name),
    Spoil,
    Resize(u8),
    Sync(usize, Part),
    Round(usize),
    Next(usize),
    Crash,
    Zombie(Id),
    Ready(Name),
    Unready(Name),
    SlicesRead,
    SlicesWrite,
    Tick,
    Erase,
    Tamper,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let truth = self.first();
        let leader = Leader { view: truth, plan: 0 };
        let guest = if self.bounds.deposed > 0 { leader } else { Leader::default() };
        let facts = self.facts(truth);
        let history = History::new(facts);
        let (leaders, left) = ([leader, guest], self.bounds);
        vec![State { truth, tick: 0, leaders, zombies: 0, read: facts.selects, left, history }]
    }

    fn actions(&self, s: &State, out: &mut Vec<Step>) {
        let facts = self.facts(s.truth);
        for name in NAMES {
            let nothing_of_2 = matches!(self.start, Start::Nothing | Start::Settled);
            let untouched = nothing_of_2 && s.left.edits == self.bounds.edits; // 2 and 3 are alike until one was wanted
            if s.left.edits > 0 && facts.wanted != name && (name == 2 || !untouched) {
                out.push(Step::Edit(name));
            }
            if facts.up.has(name) && !facts.current.has(name) {
                out.push(Step::Ready(name));
            }
            if s.left.unready > 0 && facts.serving.has(name) {
                out.push(Step::Unready(name));
            }
        }
        if s.left.mistakes > 0 && facts.wanted != NONE {
            out.push(Step::Spoil);
        }
        if let Some(replicas) = facts.replicas.filter(|_| s.left.resized > 0) {
            out.extend([0, 1, 2].into_iter().filter(|n| *n != replicas).map(Step::Resize));
        }
        for (i, leader) in s.leaders.iter().enumerate() {
            if i == 1 && s.left.deposed == 0 && leader.plan == 0 {
                continue;
            }
            out.extend(Part::ALL.into_iter().filter(|p| p.differs(s.truth, leader.view)).map(|p| Step::Sync(i, p)));
            out.push(if leader.plan == 0 { Step::Round(i) } else { Step::Next(i) });
        }
        if s.left.crashes > 0 && s.leaders[0].plan != 0 {
            out.push(Step::Crash);
        }
        let mut zombies = (*self.lists.get(s.zombies)).clone();
        zombies.dedup();
        out.extend(zombies.into_iter().map(Step::Zombie));
        let caught_up = s.read == facts.selects && facts.listed == s.read;
        if self.slices == Slices::Slow {
            if s.read != facts.selects {
                out.push(Step::SlicesRead);
            }
            if facts.listed != s.read {
                out.push(Step::SlicesWrite);
            }
        }
        if s.left.ticks > 0 && (caught_up || self.slices == Slices::Prompt) {
            out.push(Step::Tick);
        }
        if s.left.erased > 0 && facts.recorded {
            out.push(Step::Erase);
        }
        if s.left.tampered > 0 && facts.there && facts.selects != FOREIGN {
            out.push(Step::Tamper);
        }
    }

    fn next_state(&self, s: &State, step: Step) -> Option<State> {
        let mut n = *s;
        self.step(&mut n, step);
        if self.slices == Slices::Prompt {
            let facts = self.facts(n.truth);
            n.read = facts.selects;
            if facts.listed != n.read {
                n.truth = self.change(n.truth, Change::List(n.read));
            }
        }
        n.history.learn(self.facts(n.truth));
        if n.left.deposed == 0 && n.leaders[1].plan == 0 {
            n.leaders[1] = Leader::default(); // gone, with what it saw
        }
        (n != *s).then_some(n)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self.bounds)
    }
}

impl Protocol {
    fn step(&self, n: &mut State, step: Step) {
        match step {
            Step::Edit(name) => {
                let replicas = self.facts(n.truth).replicas.unwrap_or(1);
                n.truth = self.change(n.truth, Change::Spec(name, replicas));
                n.left.edits -= 1;
            }
            Step::Resize(replicas) => {
                n.truth = self.change(n.truth, Change::Spec(self.facts(n.truth).wanted, replicas));
                n.left.resized -= 1;
                n.history.rests(replicas == 0);
            }
            Step::Spoil => {
                n.truth = self.change(n.truth, Change::Spoil);
                n.left.mistakes -= 1;
            }
            Step::Sync(i, part) => part.copy(n.truth, &mut n.leaders[i].view),
            Step::Round(i) => {
                let leader = &mut n.leaders[i];
                if self.rules.loss_reads_live && self.facts(leader.view).live == NONE {
                    leader.view.rollout = n.truth.rollout;
                }
                let planned = self.planned(leader.view, n.tick);
                leader.plan = planned.plan;
                n.history.vetoed |= planned.vetoed;
                if i == 1 {
                    n.left.deposed -= 1;
                }
            }
            Step::Next(i) => {
                let list = self.lists.get(n.leaders[i].plan);
                let landed = self.land(n, list[0]);
                n.leaders[i].plan = if landed { self.list(&list[1..].to_vec()) } else { 0 };
            }
            Step::Crash => {
                let mut zombies = (*self.lists.get(n.zombies)).clone();
                zombies.extend(self.lists.get(n.leaders[0].plan).iter());
                zombies.sort_unstable();
                (n.zombies, n.leaders[0].plan) = (self.list(&zombies), 0);
                n.left.crashes -= 1;
            }
            Step::Zombie(write) => {
                let mut zombies = (*self.lists.get(n.zombies)).clone();
                zombies.remove(zombies.iter().position(|z| *z == write).unwrap());
                n.zombies = self.list(&zombies);
                self.land(n, write);
            }
            Step::Ready(name) => {
                n.truth = self.change(n.truth, Change::Ready(name));
                n.history.hurt.remove(name);
            }
            Step::Unready(name) => {
                n.truth = self.change(n.truth, Change::Unready(name));
                n.history.hurt.add(name);
                n.left.unready -= 1;
            }
            Step::SlicesRead => n.read = self.facts(n.truth).selects,
            Step::SlicesWrite => n.truth = self.change(n.truth, Change::List(n.read)),
            Step::Tick => {
                n.tick += 1;
                n.left.ticks -= 1;
            }
            Step::Erase => {
                n.truth = self.change(n.truth, Change::Erase);
                n.history.erased = true;
                n.left.erased -= 1;
            }
            Step::Tamper => {
                n.truth = self.change(n.truth, Change::Tamper);
                n.left.tampered -= 1;
            }
        }
    }
}
