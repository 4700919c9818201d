//! Steps in every order, and what each leads to.

use stateright::{Model, Property};
use switchyard_world::build::Outcome;

use crate::{
    bounds::Bounds,
    facts::Name,
    history::{From, History},
    parts::{Id, Part, View},
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
    /// Writes of the dead that were under way.
    pub zombies: Id,
    pub left: Bounds,
    pub history: History,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Sync(usize, Part),
    Round(usize),
    Next(usize),
    Crash,
    Zombie(Id),
    Starts(Name),
    /// Whether it is a verdict, or waited for.
    Sticks(Name, bool),
    Ends(Name, Outcome),
    Goes(Name),
    Follows(Name),
    /// Whether it is what was pushed.
    Serves(bool),
    Tick,
    Cancel,
    Lose,
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let truth = self.first();
        let leader = Leader { view: truth, plan: 0 };
        let guest = if self.bounds.deposed > 0 { leader } else { Leader::default() };
        let (leaders, left) = ([leader, guest], self.bounds);
        vec![State { truth, tick: 0, leaders, zombies: 0, left, history: History::default() }]
    }

    fn actions(&self, s: &State, out: &mut Vec<Step>) {
        self.kubernetes(s, out);
        let mut may = |left: u8, step: Step| {
            if left > 0 {
                out.push(step);
            }
        };
        may(s.left.ticks, Step::Tick);
        may(s.left.orders, Step::Cancel);
        may(s.left.lost, Step::Lose);
        may(u8::from(s.leaders[0].plan != 0) * s.left.crashes, Step::Crash);
        for (i, leader) in s.leaders.iter().enumerate() {
            if i == 1 && s.left.deposed == 0 && leader.plan == 0 {
                continue;
            }
            out.extend(Part::ALL.into_iter().filter(|p| p.differs(s.truth, leader.view)).map(|p| Step::Sync(i, p)));
            out.push(if leader.plan == 0 { Step::Round(i) } else { Step::Next(i) });
        }
        let mut zombies = (*self.lists.get(s.zombies)).clone();
        zombies.dedup();
        out.extend(zombies.into_iter().map(Step::Zombie));
    }

    fn next_state(&self, s: &State, step: Step) -> Option<State> {
        let mut n = *s;
        self.step(&mut n, step);
        n.history.learn(self.facts(n.truth));
        if n.left.deposed == 0 && n.leaders[1].plan == 0 {
            n.leaders[1] = Leader::default(); // gone, with what it saw
        }
        (n != *s).then_some(n)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self.bounds, self.shape)
    }
}

impl Protocol {
    fn kubernetes(&self, s: &State, out: &mut Vec<Step>) {
        let open = self.open(s.truth);
        let left = s.left;
        for (name, runs, stuck) in &open.pods {
            let ways = [
                (1, Outcome::Passed),
                (left.broken, Outcome::Broke),
                (left.unchanged, Outcome::Unchanged),
                (left.evicted, Outcome::Evicted),
            ];
            out.extend(ways.into_iter().filter(|(n, _)| *n > 0).map(|(_, outcome)| Step::Ends(*name, outcome)));
            if !runs {
                out.push(Step::Starts(*name));
            }
            if left.gone > 0 {
                out.push(Step::Goes(*name));
            }
            let sticks = [(left.unpulled, true), (left.waiting, false)];
            let sticks = sticks.into_iter().filter(|(n, _)| *n > 0 && !stuck && !runs);
            out.extend(sticks.map(|(_, verdict)| Step::Sticks(*name, verdict)));
        }
        out.extend(open.behind.iter().map(|name| Step::Follows(*name)));
        if open.unserved {
            out.push(Step::Serves(true));
            if left.replaced > 0 {
                out.push(Step::Serves(false));
            }
        }
    }

    fn step(&self, n: &mut State, step: Step) {
        let mut change = |change: Change| n.truth = self.change(n.truth, change, n.tick);
        match step {
            Step::Sync(i, part) => part.copy(n.truth, &mut n.leaders[i].view),
            Step::Round(i) => self.round(n, i),
            Step::Next(i) => self.next(n, i),
            Step::Crash => {
                let left = self.lists.get(n.leaders[0].plan);
                // Writes go one after the other: only the first of the rest can be under way.
                let under_way = left.first().copied().filter(|w| !self.is_look(*w));
                let mut zombies = (*self.lists.get(n.zombies)).clone();
                zombies.extend(under_way);
                zombies.sort_unstable();
                (n.zombies, n.leaders[0].plan) = (self.lists.id(&zombies), 0);
                n.left.crashes -= 1;
            }
            Step::Zombie(write) => {
                let mut zombies = (*self.lists.get(n.zombies)).clone();
                zombies.remove(zombies.iter().position(|z| *z == write).unwrap());
                n.zombies = self.lists.id(&zombies);
                self.land(n, write, From::Dead);
            }
            Step::Starts(name) => change(Change::Starts(name)),
            Step::Sticks(name, verdict) => {
                change(Change::Sticks(name, verdict));
                n.history.stuck = true;
                n.left.unpulled -= u8::from(verdict);
                n.left.waiting -= u8::from(!verdict);
            }
            Step::Ends(name, outcome) => {
                change(Change::Ends(name, outcome));
                match outcome {
                    Outcome::Passed => {}
                    Outcome::Broke => n.left.broken -= 1,
                    Outcome::Unchanged => n.left.unchanged -= 1,
                    Outcome::Evicted => n.left.evicted -= 1,
                }
            }
            Step::Goes(name) => {
                change(Change::Goes(name));
                n.left.gone -= 1;
            }
            Step::Follows(name) => change(Change::Follows(name)),
            Step::Serves(pushed) => {
                change(Change::Serves(pushed));
                n.left.replaced -= u8::from(!pushed);
            }
            Step::Tick => {
                n.tick += 1;
                n.left.ticks -= 1;
            }
            Step::Cancel => {
                change(Change::Cancel);
                n.left.orders -= 1;
            }
            Step::Lose => {
                n.history.loses(self.facts(n.truth));
                n.truth = self.change(n.truth, Change::Lose, n.tick);
                n.left.lost -= 1;
            }
        }
    }

    fn round(&self, n: &mut State, i: usize) {
        let leader = &mut n.leaders[i];
        if self.rules.reads_pods && self.is_mute(leader.view) {
            leader.view.pods = n.truth.pods;
        }
        let planned = self.planned(leader.view, n.tick);
        leader.plan = planned.plan;
        let view = self.facts(leader.view);
        n.history.planned(view, planned.runs, planned.vetoed);
        if i == 1 {
            n.left.deposed -= 1;
        }
    }

    fn next(&self, n: &mut State, i: usize) {
        let list = self.lists.get(n.leaders[i].plan);
        let landed = self.land(n, list[0], if i == 0 { From::Leader } else { From::Deposed });
        n.leaders[i].plan = if landed { self.lists.id(&list[1..].to_vec()) } else { 0 };
    }
}
