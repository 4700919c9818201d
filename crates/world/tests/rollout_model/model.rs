//! Steps in every order, and what each leads to.

use stateright::{Model, Property};

use crate::{
    bounds::{Bounds, Ordered, Shape, Slices},
    facts::{Facts, at},
    history::History,
    parts::{FOREIGN, Id, NAMES, NONE, Name, Part, Running, View},
    properties,
    protocol::{Change, Protocol},
};

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
    Pause(bool),
    Order(Ordered, Name),
    Sync(usize, Part),
    Round(usize),
    Next(usize),
    Crash,
    Zombie(Id),
    /// So many pods of it are ready.
    Ready(Name, u8),
    Unready(Name),
    JobEnds(Running, bool),
    SlicesRead,
    SlicesWrite,
    Tick,
    Erase,
    Tamper,
    Forget,
    Delete,
    Scale(Name, u8),
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let (truth, before) = self.first();
        let leader = Leader { view: truth, plan: 0 };
        let guest = if self.bounds.deposed > 0 { Leader { view: before, plan: 0 } } else { Leader::default() };
        let facts = self.facts(truth);
        let history = History::new(facts);
        let (leaders, left) = ([leader, guest], self.bounds);
        vec![State { truth, tick: 0, leaders, zombies: 0, read: facts.selects, left, history }]
    }

    fn actions(&self, s: &State, out: &mut Vec<Step>) {
        let facts = self.facts(s.truth);
        self.people(s, &facts, out);
        self.kubernetes(s, &facts, out);
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
    }

    fn next_state(&self, s: &State, step: Step) -> Option<State> {
        let mut n = *s;
        self.step(&mut n, step);
        if self.shape.slices == Slices::Prompt {
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
        properties::all(self.bounds, &self.shape)
    }
}

impl Protocol {
    fn people(&self, s: &State, facts: &Facts, out: &mut Vec<Step>) {
        let untouched = self.shape.begins_without_2() && s.left.edits == self.bounds.edits;
        for name in NAMES {
            if s.left.edits > 0 && facts.wanted != name && (name == 2 || !untouched) {
                out.push(Step::Edit(name));
            }
            if s.left.scaled > 0 && facts.made.has(name) {
                out.extend([0, 2].into_iter().filter(|n| *n != at(facts.scaled, name)).map(|n| Step::Scale(name, n)));
            }
        }
        if s.left.mistakes > 0 && facts.wanted != NONE {
            out.push(Step::Spoil);
        }
        if let Some(replicas) = facts.replicas {
            if s.left.resized > 0 {
                out.extend([0, 1, 2].into_iter().filter(|n| *n != replicas).map(Step::Resize));
            }
            if s.left.pauses > 0 {
                out.push(Step::Pause(!facts.paused));
            }
        }
        if s.left.orders > 0 {
            for ordered in self.shape.orders {
                let named = Shape::named(*ordered, &facts.known());
                out.extend(named.into_iter().map(|n| Step::Order(*ordered, n)));
            }
        }
        if s.left.erased > 0 && facts.recorded {
            out.push(Step::Erase);
        }
        if s.left.tampered > 0 && facts.there && facts.selects != FOREIGN {
            out.push(Step::Tamper);
        }
        if s.left.forgotten > 0 {
            out.push(Step::Forget);
        }
        if s.left.deleted > 0 && facts.there {
            out.push(Step::Delete);
        }
    }

    fn kubernetes(&self, s: &State, facts: &Facts, out: &mut Vec<Step>) {
        for name in NAMES {
            if facts.up.has(name) && !facts.current.has(name) {
                let (has, all) = (at(facts.ready, name), at(facts.scaled, name));
                out.extend((has.max(1)..=all).map(|n| Step::Ready(name, n)));
            }
            if s.left.unready > 0 && facts.serving.has(name) {
                out.push(Step::Unready(name));
            }
        }
        for job in self.parts.list_running(facts.running).iter() {
            out.push(Step::JobEnds(*job, true));
            if s.left.failing > 0 {
                out.push(Step::JobEnds(*job, false));
            }
        }
        let caught_up = s.read == facts.selects && facts.listed == s.read;
        if self.shape.slices == Slices::Slow {
            if s.read != facts.selects {
                out.push(Step::SlicesRead);
            }
            if facts.listed != s.read {
                out.push(Step::SlicesWrite);
            }
        }
        if s.left.ticks > 0 && (caught_up || self.shape.slices == Slices::Prompt) {
            out.push(Step::Tick);
        }
    }

    fn step(&self, n: &mut State, step: Step) {
        let facts = self.facts(n.truth);
        let (wanted, replicas, paused) = (facts.wanted, facts.replicas.unwrap_or(self.shape.replicas), facts.paused);
        match step {
            Step::Edit(wanted) => {
                n.truth = self.change(n.truth, Change::Spec { wanted, replicas, paused });
                n.left.edits -= 1;
            }
            Step::Resize(replicas) => {
                n.truth = self.change(n.truth, Change::Spec { wanted, replicas, paused });
                n.left.resized -= 1;
                n.history.rests(replicas == 0);
            }
            Step::Pause(paused) => {
                n.truth = self.change(n.truth, Change::Spec { wanted, replicas, paused });
                n.left.pauses -= 1;
            }
            Step::Spoil => {
                n.truth = self.change(n.truth, Change::Spoil);
                n.left.mistakes -= 1;
            }
            Step::Order(ordered, name) => {
                n.truth = self.change(n.truth, Change::Order(ordered, name));
                n.history.ordered(self.command_order(ordered, name), &self.parts);
                n.left.orders -= 1;
            }
            Step::Sync(i, part) => part.copy(n.truth, &mut n.leaders[i].view),
            Step::Round(i) => self.round(n, i),
            Step::Next(i) => {
                let list = self.lists.get(n.leaders[i].plan);
                let landed = self.land(n, list[0]);
                n.leaders[i].plan = if landed { self.list(&list[1..].to_vec()) } else { 0 };
            }
            Step::Crash => {
                let mut zombies = (*self.lists.get(n.zombies)).clone();
                let left = self.lists.get(n.leaders[0].plan);
                zombies.extend(left.iter().filter(|w| !self.is_look(**w)));
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
            Step::Ready(..) | Step::Unready(_) | Step::JobEnds(..) | Step::Scale(..) => self.pods(n, step),
            Step::SlicesRead => n.read = facts.selects,
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
            Step::Forget => {
                n.truth = self.change(n.truth, Change::Forget);
                n.history.forgets();
                n.left.forgotten -= 1;
            }
            Step::Delete => {
                n.truth = self.change(n.truth, Change::Delete);
                (n.read, n.left.deleted) = (NONE, n.left.deleted - 1);
                n.history.loses_service();
            }
        }
    }

    fn round(&self, n: &mut State, i: usize) {
        let leader = &mut n.leaders[i];
        let live = (self.rules.reads)(&self.facts(leader.view));
        if live.service {
            leader.view.service = n.truth.service;
        }
        if live.rollout {
            leader.view.rollout = n.truth.rollout;
        }
        let planned = self.planned(leader.view, n.tick);
        leader.plan = planned.plan;
        n.history.vetoed(planned.vetoed);
        if i == 1 {
            n.left.deposed -= 1;
        }
    }

    fn pods(&self, n: &mut State, step: Step) {
        match step {
            Step::Ready(name, ready) => {
                n.truth = self.change(n.truth, Change::Ready(name, ready));
                if self.facts(n.truth).current.has(name) {
                    n.history.hurt.remove(name);
                }
            }
            Step::Unready(name) => {
                n.truth = self.change(n.truth, Change::Unready(name));
                n.history.hurt.add(name);
                n.left.unready -= 1;
            }
            Step::JobEnds(job, passed) => {
                n.truth = self.change(n.truth, Change::JobEnds(job, passed));
                n.left.failing -= u8::from(!passed);
            }
            Step::Scale(name, replicas) => {
                if replicas < at(self.facts(n.truth).scaled, name) {
                    n.history.hurt.add(name);
                }
                n.truth = self.change(n.truth, Change::Scale(name, replicas));
                n.left.scaled -= 1;
            }
            Step::Edit(_)
            | Step::Spoil
            | Step::Resize(_)
            | Step::Pause(_)
            | Step::Order(..)
            | Step::Sync(..)
            | Step::Round(_)
            | Step::Next(_)
            | Step::Crash
            | Step::Zombie(_)
            | Step::SlicesRead
            | Step::SlicesWrite
            | Step::Tick
            | Step::Erase
            | Step::Tamper
            | Step::Forget
            | Step::Delete => {}
        }
    }
}
