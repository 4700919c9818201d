//! What the steps do, each worked out once.

use std::sync::Arc;

use switchyard_api::{
    Duration,
    check::{Check as Checked, JobCheck},
    rollout::Checks,
};
use switchyard_decide::{
    Kind as _, Version,
    rollout::{Action, Command, CommandOrder, JobKey, Order, PreviewOrder, Rollout, Selects},
};
use switchyard_world::rollout::{Cluster, Round};

use crate::{
    bounds::{Bounds, Ordered, Shape, Slices, Start},
    facts::{Facts, told},
    interned::{Known, Table},
    model::{State, Step},
    parts::{self, FOREIGN, Id, NAMES, NONE, Name, Parts, Running, View},
    rules::{Rules, Write},
    run::Check,
};

/// A change of the truth that is no write of ours.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Spoil,
    Spec { wanted: Name, replicas: u8, paused: bool },
    Ready(Name, u8),
    Unready(Name),
    JobEnds(Running, bool),
    List(Name),
    Erase,
    Tamper,
    Order(Ordered, Name),
    Forget,
    Delete,
    Scale(Name, u8),
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
    pub shape: Shape,
    pub parts: Arc<Parts>,
    pub writes: Arc<Table<Write>>,
    /// Lists of writes. 0 is the empty one.
    pub lists: Arc<Table<Vec<Id>>>,
    memo: Arc<Memo>,
}

impl Protocol {
    pub fn new(check: &Check) -> Self {
        let Check { rules, bounds, shape, .. } = *check;
        let lists = Arc::new(Table::default());
        lists.id(&vec![]);
        let parts = Arc::new(Parts::new(shape.orders(Ordered::RollbackTo)));
        Self { rules, bounds, shape, parts, writes: Arc::default(), lists, memo: Arc::default() }
    }

    pub fn facts(&self, view: View) -> Facts {
        self.memo.facts.or(view, || Facts::of(&self.parts.cluster(view, 0), &self.parts))
    }

    fn order(&self, wanted: Name, replicas: u8, paused: bool) -> Order {
        let Shape { slices, history_limit, patient, manual, preview, checks_before, checks_after, .. } = self.shape;
        let checks = |any: bool| if any { vec![job()] } else { vec![] };
        let service = PreviewOrder { service: "shop-preview".into(), referred: false, replicas: None };
        Order {
            replicas: replicas.into(),
            fingerprint: wanted.to_string(),
            images: vec![],
            progress_deadline: if patient { Duration::from_mins(9) } else { parts::TICK },
            scale_down_delay: Duration::ZERO,
            drain: if slices == Slices::Slow { parts::TICK } else { Duration::ZERO },
            history_limit,
            manual,
            paused,
            preview: preview.then_some(service),
            checks: Checks { preview: checks(checks_before), live: checks(checks_after) },
            ..Order::default()
        }
    }

    /// The truth, and what a deposed leader holds of it.
    pub fn first(&self) -> (View, View) {
        let replicas = self.shape.replicas;
        let mut cluster = Cluster::new(parts::setting(), self.order(1, replicas, false), parts::now(0));
        let (two, start) = (self.parts.revision(2), self.shape.start);
        if start != Start::Nothing {
            assert!(cluster.settle(|_| true, 30).silent);
        }
        if !matches!(start, Start::Nothing | Start::Settled) {
            cluster.edit(Ok(self.order(2, replicas, false)));
        }
        match start {
            Start::Nothing | Start::Settled => {}
            Start::Nominated => rounds_until(&mut cluster, |c| c.is_up(two)),
            Start::OnTrial => rounds_until(&mut cluster, |c| c.selects() == Selects::Revision(two)),
            Start::Superseded | Start::WantedAgain => {
                rounds_until(&mut cluster, |c| c.ready(two) > 0);
                cluster.edit(Ok(self.order(1, replicas, false)));
                rounds_until(&mut cluster, |c| c.rollout.memory.unlisted.contains_key(&two));
            }
        }
        let since = |c: &Cluster| c.service.as_ref().and_then(|s| s.record.as_ref()?.since.clone());
        if start == Start::WantedAgain {
            rounds_until(&mut cluster, |c| since(c).is_none());
        }
        let before = self.parts.intern(&cluster);
        if start == Start::WantedAgain {
            cluster.edit(Ok(self.order(2, replicas, false)));
            let claim = |c: &Cluster| c.deployment(two).and_then(|d| d.claim.clone());
            rounds_until(&mut cluster, |c| since(c).is_some() && claim(c) == since(c));
        }
        assert_eq!(cluster.now, parts::now(0));
        (self.parts.intern(&cluster), before)
    }

    pub fn planned(&self, view: View, tick: u8) -> Planned {
        self.memo.planned.or((view, tick), || {
            let cluster = self.parts.cluster(view, tick);
            let seen = cluster.see();
            let mut writes = (self.rules.plan)(&seen, &cluster.rollout);
            let permitted = |w: &Write| match w {
                Write::Report { .. } | Write::Tell { .. } | Write::Look(_) => true,
                Write::Act(action) => Rollout::permit(&seen, action).is_ok(),
            };
            let allowed = writes.iter().take_while(|w| permitted(w)).count();
            let vetoed = allowed < writes.len();
            if self.rules.heeds_permit {
                writes.truncate(allowed);
            }
            let steps: Vec<Write> = writes.into_iter().flat_map(|w| self.with_look(w)).collect();
            Planned { plan: self.list(&steps.iter().map(|w| self.writes.id(&self.essence(w))).collect()), vetoed }
        })
    }
    fn with_look(&self, write: Write) -> impl Iterator<Item = Write> {
        let looked_at = match &write {
            Write::Act(action @ (Action::Retire { .. } | Action::Delete { .. })) if self.rules.looks => Some(action),
            Write::Act(_) | Write::Report { .. } | Write::Tell { .. } | Write::Look(_) => None,
        };
        looked_at.cloned().map(Write::Look).into_iter().chain([write])
    }
    /// Without what tells apart memories that no rule tells apart.
    fn essence(&self, write: &Write) -> Write {
        match write.clone() {
            Write::Report { at, memory } => Write::Report { at, memory: self.parts.essence(&memory) },
            Write::Act(Action::Answer { command, uid, at, state, .. }) => {
                Write::Act(Action::Answer { command, uid, at, state, message: String::new() })
            }
            other @ (Write::Tell { .. } | Write::Look(_) | Write::Act(_)) => other,
        }
    }
    pub fn list(&self, writes: &Vec<Id>) -> Id {
        self.lists.id(writes)
    }
    pub fn is_look(&self, write: Id) -> bool {
        matches!(&*self.writes.get(write), Write::Look(_))
    }

    pub fn change(&self, view: View, change: Change) -> View {
        self.memo.changed.or((view, change), || {
            let mut cluster = self.parts.cluster(view, 0);
            let revision = |name| self.parts.revision(name);
            match change {
                Change::Spoil => cluster.edit(Err(parts::mistake())),
                Change::Spec { wanted, replicas, paused } => cluster.edit(Ok(self.order(wanted, replicas, paused))),
                Change::Ready(name, ready) => {
                    cluster.some_become_ready(revision(name), ready.into());
                }
                Change::Unready(name) => cluster.pod_fails(revision(name)),
                Change::JobEnds(job, passed) => {
                    let Running { name, moment, under } = job;
                    let key = JobKey { moment, name: "check".into(), under: Version::new(under.to_string()) };
                    cluster.job_ends(revision(name), &key, passed);
                }
                Change::List(NONE) => cluster.endpoints.listed = Selects::Nobody,
                Change::List(FOREIGN) => cluster.endpoints.listed = foreign(),
                Change::List(name) => cluster.endpoints.listed = Selects::Revision(revision(name)),
                Change::Erase => cluster.lose_record(),
                Change::Tamper => cluster.tamper(foreign()),
                Change::Order(ordered, name) => {
                    let uid = (cluster.commands.len() + 1).to_string();
                    cluster.command(self.command(uid, ordered, name));
                }
                Change::Forget => cluster.lose_status(),
                Change::Delete => cluster.lose_service(),
                Change::Scale(name, replicas) => cluster.scale(revision(name), replicas.into()),
            }
            self.parts.intern(&cluster)
        })
    }
    pub fn command_order(&self, ordered: Ordered, name: Name) -> CommandOrder {
        let revision = |name| self.parts.revision(name);
        match ordered {
            Ordered::Promote => CommandOrder::Promote(revision(name)),
            Ordered::Abort => CommandOrder::Abort(revision(name)),
            Ordered::Retry => CommandOrder::Retry(revision(name)),
            Ordered::RollbackTo => CommandOrder::RollbackTo(revision(name)),
            Ordered::Resume => CommandOrder::Resume,
        }
    }
    fn command(&self, uid: String, ordered: Ordered, name: Name) -> Command {
        let order = self.command_order(ordered, name);
        Command { name: uid.clone(), uid, version: Version::new("1"), order, user: "alice".into(), reason: None }
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
            let truth = std::mem::replace(&mut state.truth, after);
            match &*self.writes.get(write) {
                Write::Report { .. } => state.history.reported(before, self.facts(after), &self.shape),
                Write::Act(action) => self.note(state, truth, before, action),
                Write::Tell { .. } | Write::Look(_) => {}
            }
        }
        landed
    }

    fn note(&self, state: &mut State, truth: View, before: Facts, action: &Action) {
        let history = &mut state.history;
        match action {
            Action::Record { select: Some(Selects::Revision(to)), .. } => {
                history.selected(self.parts.name(*to), before, &self.shape);
            }
            Action::Retire { revision, .. }
            | Action::Delete { revision, .. }
            | Action::Scale { revision, replicas: 0, .. }
            | Action::Claim { revision, replicas: 0, .. } => history.hurt.remove(self.parts.name(*revision)),
            Action::Answer { uid, state, .. } => {
                let command = self.parts.cluster(truth, 0).commands[uid].order.order;
                history.answered(command, *state, &self.parts);
            }
            Action::CreateService
            | Action::Record { .. }
            | Action::Deploy { .. }
            | Action::Expose { .. }
            | Action::Claim { .. }
            | Action::Scale { .. }
            | Action::CreatePreview
            | Action::Preview { .. }
            | Action::Check { .. } => {}
        }
    }

    /// From here, with no more faults, the product as it is falls silent where it should.
    pub fn settles(&self, state: &State) -> bool {
        [true, false].into_iter().all(|all_healthy| self.settles_if(state.truth, state.tick, all_healthy).is_ok())
    }

    /// Every revision gets ready, or each but the one wanted now; and why it does not settle, as far as it is known.
    pub fn settles_if(&self, view: View, tick: u8, all_healthy: bool) -> Result<(), &'static str> {
        let wanted = self.facts(view).wanted;
        let ill = (!all_healthy && wanted != NONE).then(|| self.parts.revision(wanted));
        let (mut view, mut tick) = (view, tick);
        let mut way = vec![];
        let settles = loop {
            if let Some(known) = self.memo.settles.get(&(view, tick, all_healthy)) {
                break if known { Ok(()) } else { Err("as before") };
            }
            way.push((view, tick, all_healthy));
            if way.len() > 80 {
                break Err("it goes on for ever");
            }
            let mut cluster = self.parts.cluster(view, tick);
            let round = cluster.round(|r| Some(r) != ill);
            match round {
                Round::Silent => break cluster.rests(|r| Some(r) != ill),
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

    fn written(&self, write: Id) -> String {
        let text = match &*self.writes.get(write) {
            Write::Report { at, memory } => format!("report at {}: {}", at.as_str(), told(memory, None)),
            Write::Tell { at, paused } => format!("tell at {}: paused {paused}", at.as_str()),
            Write::Look(action) => format!("look before {action:?}"),
            Write::Act(action) => format!("{action:?}"),
        };
        self.named(text)
    }
    fn named(&self, text: String) -> String {
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
    /// Where a way ends.
    pub fn describe(&self, state: &State) -> String {
        let cluster = self.parts.cluster(state.truth, state.tick);
        let record = cluster.service.as_ref().and_then(|s| s.record.as_ref());
        let ends = [true, false].map(|healthy| self.settles_if(state.truth, state.tick, healthy));
        self.named(format!("{} {ends:?}", told(&cluster.rollout.memory, record)))
    }
}

fn job() -> Checked {
    let job =
        JobCheck { from_container: "web".into(), command: vec![], args: vec![], retries: 0, timeout: parts::TICK };
    Checked { name: "check".into(), job: Some(job), http: None, prometheus: None }
}

fn rounds_until(cluster: &mut Cluster, reached: impl Fn(&Cluster) -> bool) {
    while !reached(cluster) {
        assert_ne!(cluster.round(|_| true), Round::Silent);
    }
}

fn foreign() -> Selects {
    Selects::Foreign("app=other".into())
}
