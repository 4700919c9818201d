//! What the steps do, each worked out once.

use std::sync::Arc;

use switchyard_api::{Duration, rollout::Memory};
use switchyard_decide::{
    Kind as _,
    rollout::{Action, Order, Rollout, Selects},
};
use switchyard_world::rollout::{Cluster, Round};

use crate::{
    model::{Bounds, Slices, Start, State, Step},
    parts::{self, FOREIGN, Id, Known, NAMES, NONE, Name, Parts, Patience, Table, View},
    properties::Facts,
    rules::{Rules, Write},
    run::Check,
};

/// A change of the truth that is no write of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Spoil,
    Spec(Name, u8),
    Ready(Name),
    Unready(Name),
    List(Name),
    Erase,
    Tamper,
}

#[derive(Clone, Copy)]
pub struct Planned {
    pub plan: Id,
    pub vetoed: bool,
}

#[derive(Default)]
struct Memo {
    planned: Known<(View, u8), Planned>,
    landed: Known<(View, u8, Id), (bool, View)>,
    changed: Known<(View, Change), View>,
    facts: Known<View, Facts>,
    settles: Known<(View, u8, bool), bool>,
}

#[derive(Clone)]
pub struct Protocol {
    pub rules: Rules,
    pub bounds: Bounds,
    pub start: Start,
    pub slices: Slices,
    pub history_limit: i32,
    /// The deadline is further away than all ticks there are.
    pub patient: bool,
    pub parts: Arc<Parts>,
    pub writes: Arc<Table<Write>>,
    /// Lists of writes. 0 is the empty one.
    pub lists: Arc<Table<Vec<Id>>>,
    memo: Arc<Memo>,
}

impl Protocol {
    pub fn new(check: &Check) -> Self {
        let Check { rules, bounds, start, slices, history_limit, patient, .. } = *check;
        let lists = Arc::new(Table::default());
        lists.id(&vec![]);
        let (parts, writes, memo) = (Arc::new(Parts::new()), Arc::default(), Arc::default());
        Self { rules, bounds, start, slices, history_limit, patient, parts, writes, lists, memo }
    }

    pub fn facts(&self, view: View) -> Facts {
        self.memo.facts.or(view, || Facts::of(&self.parts.cluster(view, 0), &self.parts))
    }

    fn order(&self, wanted: Name, replicas: u8) -> Order {
        let drain = if self.slices == Slices::Slow { parts::TICK } else { Duration::ZERO };
        let deadline = if self.patient { Duration::from_mins(9) } else { parts::TICK };
        parts::order(wanted, replicas.into(), Patience { deadline, drain }, self.history_limit)
    }

    pub fn first(&self) -> View {
        let mut cluster = Cluster::new(parts::setting(), self.order(1, 1), parts::now(0));
        let two = self.parts.revision(2);
        if self.start != Start::Nothing {
            assert!(cluster.settle(|_| true, 20).silent);
        }
        if matches!(self.start, Start::Nominated | Start::OnTrial | Start::Superseded) {
            cluster.edit(Ok(self.order(2, 1)));
        }
        match self.start {
            Start::Nothing | Start::Settled => {}
            Start::Nominated => rounds_until(&mut cluster, |c| c.is_up(two)),
            Start::OnTrial => rounds_until(&mut cluster, |c| c.selects() == Selects::Revision(two)),
            Start::Superseded => {
                rounds_until(&mut cluster, |c| c.ready(two) > 0);
                cluster.edit(Ok(self.order(1, 1)));
                rounds_until(&mut cluster, |c| c.rollout.memory.unlisted.contains_key(&two));
            }
        }
        assert_eq!(cluster.now, parts::now(0));
        self.parts.intern(&cluster)
    }

    pub fn planned(&self, view: View, tick: u8) -> Planned {
        self.memo.planned.or((view, tick), || {
            let cluster = self.parts.cluster(view, tick);
            let seen = cluster.see();
            let mut writes = (self.rules.plan)(&seen, cluster.rollout.version);
            let permitted = |w: &Write| match w {
                Write::Report { .. } => true,
                Write::Act(action) => Rollout::permit(&seen, action).is_ok(),
            };
            let allowed = writes.iter().take_while(|w| permitted(w)).count();
            let vetoed = allowed < writes.len();
            if self.rules.heeds_permit {
                writes.truncate(allowed);
            }
            Planned { plan: self.list(&writes.iter().map(|w| self.writes.id(w)).collect()), vetoed }
        })
    }
    pub fn list(&self, writes: &Vec<Id>) -> Id {
        self.lists.id(writes)
    }

    pub fn change(&self, view: View, change: Change) -> View {
        self.memo.changed.or((view, change), || {
            let mut cluster = self.parts.cluster(view, 0);
            match change {
                Change::Spoil => cluster.edit(Err(parts::mistake())),
                Change::Spec(name, replicas) => cluster.edit(Ok(self.order(name, replicas))),
                Change::Ready(name) => {
                    cluster.pods_become_ready(self.parts.revision(name));
                }
                Change::Unready(name) => cluster.pods_fail(self.parts.revision(name)),
                Change::List(NONE) => cluster.endpoints.listed = Selects::Nobody,
                Change::List(FOREIGN) => cluster.endpoints.listed = foreign(),
                Change::List(name) => cluster.endpoints.listed = Selects::Revision(self.parts.revision(name)),
                Change::Erase => cluster.lose_record(),
                Change::Tamper => cluster.tamper(foreign()),
            }
            self.parts.intern(&cluster)
        })
    }

    /// One write reaches the API server; whether it was accepted.
    pub fn land(&self, state: &mut State, write: Id) -> bool {
        let before = self.facts(state.truth);
        let (landed, after) = self.memo.landed.or((state.truth, state.tick, write), || {
            let mut cluster = self.parts.cluster(state.truth, state.tick);
            let landed = (self.rules.land)(&mut cluster, &self.writes.get(write));
            (landed, self.parts.intern(&cluster))
        });
        if landed {
            state.truth = after;
            if let Write::Act(action) = &*self.writes.get(write) {
                self.note(state, before, action);
            }
        }
        landed
    }

    fn note(&self, state: &mut State, before: Facts, action: &Action) {
        let history = &mut state.history;
        match action {
            Action::Record { select: Some(Selects::Revision(to)), .. } => {
                history.selected(self.parts.name(*to), before);
            }
            Action::Retire { revision, .. } | Action::Delete { revision, .. } => {
                history.hurt.remove(self.parts.name(*revision));
            }
            Action::CreateService
            | Action::Record { .. }
            | Action::Deploy { .. }
            | Action::Expose { .. }
            | Action::Claim { .. }
            | Action::Scale { .. }
            | Action::CreatePreview
            | Action::Preview { .. }
            | Action::Check { .. }
            | Action::Answer { .. } => {}
        }
    }

    /// From here, with no more faults, the product as it is falls silent where it should.
    pub fn settles(&self, state: &State) -> bool {
        [true, false].into_iter().all(|all_healthy| self.settles_if(state.truth, state.tick, all_healthy))
    }

    /// Every revision gets ready, or each but the one wanted now.
    fn settles_if(&self, view: View, tick: u8, all_healthy: bool) -> bool {
        let wanted = self.facts(view).wanted;
        let ill = (!all_healthy && wanted != NONE).then(|| self.parts.revision(wanted));
        let (mut view, mut tick) = (view, tick);
        let mut way = vec![];
        let settles = loop {
            if let Some(known) = self.memo.settles.get(&(view, tick, all_healthy)) {
                break known;
            }
            way.push((view, tick, all_healthy));
            if way.len() > 60 {
                break false;
            }
            let mut cluster = self.parts.cluster(view, tick);
            let round = cluster.round(|r| Some(r) != ill);
            match round {
                Round::Silent => break cluster.rests(|r| Some(r) != ill).is_ok(),
                Round::Wrote(_) | Round::Waited(_) => {}
            }
            view = self.parts.intern(&cluster);
            tick = parts::tick(cluster.now);
        };
        for known in way {
            self.memo.settles.insert(known, settles);
        }
        settles
    }

    fn written(&self, write: Id) -> String {
        let text = match &*self.writes.get(write) {
            Write::Report { at, memory } => format!("report at {}: {}", at.as_str(), told(memory)),
            Write::Act(action) => format!("{action:?}"),
        };
        NAMES.into_iter().fold(text, |t, n| t.replace(self.parts.revision(n).as_str(), &format!("r{n}")))
    }

    /// A step as people read it.
    pub fn tell(&self, state: &State, step: Step) -> String {
        if let Step::Next(i) = step {
            return format!("{i} writes {}", self.written(self.lists.get(state.leaders[i].plan)[0]));
        }
        if let Step::Zombie(write) = step {
            return format!("the dead write {}", self.written(write));
        }
        format!("{step:?}")
    }
}

fn rounds_until(cluster: &mut Cluster, reached: impl Fn(&Cluster) -> bool) {
    while !reached(cluster) {
        assert_ne!(cluster.round(|_| true), Round::Silent);
    }
}

fn told(memory: &Memory) -> String {
    let set: Vec<_> = memory.rejected.iter().collect();
    let failed: Vec<_> = memory.failed.keys().collect();
    format!(
        "confirmed {:?} failed {failed:?} rejected {set:?} unlisted {:?} progress {:?} unready {:?}",
        memory.confirmed.map(|c| c.revision),
        memory.unlisted,
        memory.progress.map(|p| (p.revision, p.ready, p.time)),
        memory.unready_since
    )
}
fn foreign() -> Selects {
    Selects::Foreign("app=other".into())
}
