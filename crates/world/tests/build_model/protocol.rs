//! What the steps do, each worked out once.

use std::sync::Arc;

use switchyard_api::build::Memory;
use switchyard_decide::{
    Kind as _, Version,
    build::{Action, Build, Command, CommandOrder, Problem, Step as BuildStep, reasons},
};
use switchyard_world::build::{Cluster, Fate, Key, Outcome, Pod, Round, Served};

use crate::{
    bounds::{Bounds, Shape, Start},
    facts::{Facts, Name},
    history::From,
    interned::{Known, Table},
    model::{State, Step},
    parts::{self, Id, Parts, View},
    rules::{Rules, Write},
    run::Check,
};

/// A change of the truth that is no write of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Starts(Name),
    Sticks(Name, bool),
    Ends(Name, Outcome),
    Goes(Name),
    Follows(Name),
    Serves(bool),
    Cancel,
    Lose,
}

#[derive(Clone, Copy)]
pub struct Planned {
    pub plan: Id,
    pub vetoed: bool,
    pub runs: bool,
}

/// What a view makes possible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Open {
    /// Pods that go on, and whether they run already, or are stuck.
    pub pods: Vec<(Name, bool, bool)>,
    /// Jobs that the Job controller has something to do about.
    pub behind: Vec<Name>,
    /// The registry has not been asked, and would be.
    pub unserved: bool,
}

#[derive(Default)]
struct Memo {
    planned: Known<(View, u8), Planned>,
    landed: Known<(View, u8, Id), (bool, View)>,
    changed: Known<(View, Change, u8), View>,
    facts: Known<View, Facts>,
    mute: Known<View, bool>,
    open: Known<View, Id>,
    settles: Known<(View, u8, Fate), bool>,
}

#[derive(Clone)]
pub struct Protocol {
    pub rules: Rules,
    pub bounds: Bounds,
    pub shape: Shape,
    pub parts: Arc<Parts>,
    pub writes: Arc<Table<Write>>,
    /// Lists of writes. 0 is the empty one.
    pub lists: Arc<Table<Vec<Id>>>,
    opens: Arc<Table<Open>>,
    memories: Arc<Table<Memory>>,
    steps: Arc<Vec<BuildStep>>,
    memo: Arc<Memo>,
}

impl Protocol {
    pub fn new(check: &Check) -> Self {
        let Check { rules, bounds, shape, .. } = *check;
        let lists = Arc::new(Table::default());
        lists.id(&vec![]);
        let parts = Arc::new(Parts::new(shape));
        let steps = Arc::new(parts.first().order.steps().collect());
        Self {
            rules,
            bounds,
            shape,
            parts,
            writes: Arc::default(),
            lists,
            opens: Arc::default(),
            memories: Arc::default(),
            steps,
            memo: Arc::default(),
        }
    }

    pub fn facts(&self, view: View) -> Facts {
        self.memo.facts.or(view, || Facts::of(&self.parts.cluster(view, 0), &self.memories))
    }
    pub fn is_mute(&self, view: View) -> bool {
        self.memo.mute.or(view, || self.parts.cluster(view, 0).is_mute())
    }
    fn key(&self, name: Name) -> Key {
        (self.steps[usize::from(name.0)].clone(), name.1.into())
    }
    fn name(&self, key: &Key) -> Name {
        let step = self.steps.iter().position(|s| *s == key.0).unwrap();
        (u8::try_from(step).unwrap(), u8::try_from(key.1).unwrap())
    }

    pub fn first(&self) -> View {
        let mut cluster = self.parts.first();
        let reached = |c: &Cluster| match self.shape.start {
            Start::Nothing => true,
            Start::Begun => !c.jobs.is_empty(),
            Start::Building => c.jobs.keys().any(|(step, _)| matches!(step, BuildStep::Image(_))),
        };
        while !reached(&cluster) {
            let keys: Vec<Key> = cluster.jobs.keys().cloned().collect();
            for key in &keys {
                cluster.pod_ends(key, Outcome::Passed);
            }
            assert!(matches!(cluster.round(Fate::Hangs), Round::Wrote(_)));
        }
        self.parts.intern(&cluster)
    }

    pub fn planned(&self, view: View, tick: u8) -> Planned {
        self.memo.planned.or((view, tick), || {
            let seen = self.parts.cluster(view, tick).see();
            let mut writes = (self.rules.plan)(&seen);
            let permitted = |w: &Write| match w {
                Write::Report { .. } | Write::Look(_) => true,
                Write::Act(action) => Build::permit(&seen, action).is_ok(),
            };
            let allowed = writes.iter().take_while(|w| permitted(w)).count();
            let vetoed = allowed < writes.len();
            if self.rules.heeds_permit {
                writes.truncate(allowed);
            }
            let runs = writes.iter().any(Write::is_run);
            let steps: Vec<Write> = writes.into_iter().flat_map(|w| self.with_look(w)).collect();
            let plan = self.lists.id(&steps.iter().map(|w| self.writes.id(&essence(w))).collect());
            Planned { plan, vetoed, runs }
        })
    }
    fn with_look(&self, write: Write) -> impl Iterator<Item = Write> {
        let looked_at = match &write {
            Write::Act(action @ Action::Run { attempt, .. }) if self.rules.looks && *attempt > 1 => Some(action),
            Write::Act(_) | Write::Report { .. } | Write::Look(_) => None,
        };
        looked_at.cloned().map(Write::Look).into_iter().chain([write])
    }
    pub fn is_look(&self, write: Id) -> bool {
        matches!(&*self.writes.get(write), Write::Look(_))
    }

    pub fn open(&self, view: View) -> Arc<Open> {
        let id = self.memo.open.or(view, || {
            let cluster = self.parts.cluster(view, 0);
            let pods = cluster.going_on();
            let pods = pods.map(|(k, p)| (self.name(k), *p == Pod::Running, matches!(p, Pod::Stuck(_)))).collect();
            let behind = |key: &&Key| {
                let mut after = cluster.clone();
                after.job_follows(key);
                after != cluster
            };
            let behind = cluster.jobs.keys().filter(behind).map(|key| self.name(key)).collect();
            let unserved = !cluster.build.memory.pushed.is_empty() && cluster.registry.is_empty();
            self.opens.id(&Open { pods, behind, unserved })
        });
        self.opens.get(id)
    }

    pub fn change(&self, view: View, change: Change, tick: u8) -> View {
        self.memo.changed.or((view, change, tick), || {
            let mut cluster = self.parts.cluster(view, tick);
            match change {
                Change::Starts(name) => cluster.pod_starts(&self.key(name)),
                Change::Sticks(name, verdict) => {
                    let reason = if verdict { reasons::IMAGE_PULL_FAILED } else { reasons::QUOTA_EXCEEDED };
                    let problem = Problem { reason: reason.to_owned(), message: String::new(), may_pass: false };
                    cluster.pod_sticks(&self.key(name), &problem);
                }
                Change::Ends(name, outcome) => cluster.pod_ends(&self.key(name), outcome),
                Change::Goes(name) => cluster.pod_goes(&self.key(name)),
                Change::Follows(name) => cluster.job_follows(&self.key(name)),
                Change::Serves(pushed) => {
                    cluster.registry_serves("web", if pushed { Served::AsPushed } else { Served::SomethingElse });
                }
                Change::Cancel => {
                    let uid = (cluster.commands.len() + 1).to_string();
                    let (name, version) = (uid.clone(), Version::new("1"));
                    let (order, user) = (CommandOrder::Cancel, "alice".to_owned());
                    cluster.command(Command { uid, name, version, order, user, reason: None });
                }
                Change::Lose => cluster.lose_status(),
            }
            self.parts.intern(&cluster)
        })
    }

    /// One write reaches the API server; whether it was accepted.
    pub fn land(&self, state: &mut State, write: Id, from: From) -> bool {
        let (landed, after) = self.memo.landed.or((state.truth, state.tick, write), || {
            let mut cluster = self.parts.cluster(state.truth, state.tick);
            let landed = (self.rules.land)(&mut cluster, &self.writes.get(write));
            (landed, self.parts.intern(&cluster))
        });
        if landed {
            let (before, now) = (self.facts(state.truth), self.facts(after));
            state.history.landed(before, now, &self.writes.get(write), from);
            state.truth = after;
        }
        landed
    }

    /// From here, with no more faults, the product as it is falls silent where it should.
    pub fn settles(&self, state: &State) -> bool {
        FATES.into_iter().all(|fate| self.settles_as(state.truth, state.tick, fate).is_ok())
    }
    pub fn settles_as(&self, view: View, tick: u8, fate: Fate) -> Result<(), &'static str> {
        let (mut view, mut tick) = (view, tick);
        let mut way = vec![];
        let settles = loop {
            if let Some(known) = self.memo.settles.get(&(view, tick, fate)) {
                break if known { Ok(()) } else { Err("as before") };
            }
            way.push((view, tick, fate));
            if way.len() > 80 {
                break Err("it goes on for ever");
            }
            let mut cluster = self.parts.cluster(view, tick);
            match cluster.round(fate) {
                Round::Silent => break cluster.rests(),
                Round::Wrote(_) | Round::Waited(_) => {}
            }
            view = self.parts.intern(&cluster);
            tick = parts::tick(cluster.now);
        };
        for known in way {
            self.memo.settles.insert(known, settles.is_ok());
        }
        settles
    }

    /// A step as people read it.
    pub fn tell(&self, state: &State, step: Step) -> String {
        let written = |write: Id| format!("{:?}", self.writes.get(write));
        match step {
            Step::Next(i) => format!("{i} writes {}", written(self.lists.get(state.leaders[i].plan)[0])),
            Step::Zombie(write) => format!("the dead write {}", written(write)),
            Step::Sync(..)
            | Step::Round(_)
            | Step::Crash
            | Step::Starts(_)
            | Step::Sticks(..)
            | Step::Ends(..)
            | Step::Goes(_)
            | Step::Follows(_)
            | Step::Serves(_)
            | Step::Tick
            | Step::Cancel
            | Step::Lose => format!("{step:?}"),
        }
    }
    /// Where a way ends.
    pub fn describe(&self, state: &State) -> String {
        let ends = FATES.map(|fate| self.settles_as(state.truth, state.tick, fate));
        let Cluster { build, jobs, pods, .. } = self.parts.cluster(state.truth, state.tick);
        format!("{build:?} {jobs:?} {pods:?} {:?} {ends:?}", state.history)
    }
}

const FATES: [Fate; 3] = [Fate::Ends(Outcome::Passed), Fate::Ends(Outcome::Evicted), Fate::Hangs];

fn essence(write: &Write) -> Write {
    match write.clone() {
        Write::Report { at, memory } => Write::Report { at, memory: parts::essence(&memory) },
        Write::Act(Action::Answer { command, uid, at, state, .. }) => {
            Write::Act(Action::Answer { command, uid, at, state, message: String::new() })
        }
        other @ (Write::Look(_) | Write::Act(_)) => other,
    }
}
