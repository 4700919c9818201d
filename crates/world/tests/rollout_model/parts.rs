//! A cluster as a few small numbers, so that millions of them fit into memory, and every answer about one is worked
//! out once.

use std::{collections::BTreeMap, sync::Arc};

use switchyard_api::{
    Duration, Revision, Timestamp,
    check::Moment,
    rollout::{HistoryEntry, Memory, Outcome},
    template,
};
use switchyard_decide::{
    Mistake, Version,
    rollout::{JobKey, JobState},
};
use switchyard_world::rollout::{Child, Cluster, Command, Endpoints, Preview, Rollout, Service, Setting};

pub use crate::interned::Id;
use crate::interned::Table;

/// The truth, or what one leader holds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    pub rollout: Id,
    pub service: Id,
    pub preview: Id,
    pub commands: Id,
    pub children: Id,
    pub jobs: Id,
    pub endpoints: Id,
}

/// What a cache watches by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Rollout,
    Service,
    Preview,
    Commands,
    Deployments,
    Jobs,
    Endpoints,
}
impl Part {
    pub const ALL: [Self; 7] =
        [Self::Rollout, Self::Service, Self::Preview, Self::Commands, Self::Deployments, Self::Jobs, Self::Endpoints];

    pub fn of(self, view: &mut View) -> &mut Id {
        match self {
            Self::Rollout => &mut view.rollout,
            Self::Service => &mut view.service,
            Self::Preview => &mut view.preview,
            Self::Commands => &mut view.commands,
            Self::Deployments => &mut view.children,
            Self::Jobs => &mut view.jobs,
            Self::Endpoints => &mut view.endpoints,
        }
    }
    pub fn copy(self, from: View, to: &mut View) {
        let mut from = from;
        *self.of(to) = *self.of(&mut from);
    }
    pub fn differs(self, a: View, b: View) -> bool {
        let (mut a, mut b) = (a, b);
        self.of(&mut a) != self.of(&mut b)
    }
}

/// One of the few revisions there are: 1, 2, 3. 0 is none.
pub type Name = u8;
pub const NAMES: [Name; 3] = [1, 2, 3];
pub const NONE: Name = 0;
pub const FOREIGN: Name = 9;

/// A tick is longer than the time a slice controller lags, and than any patience of the Rollout here.
pub const TICK: Duration = Duration::from_mins(1);

/// A Job that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    pub name: Name,
    pub moment: Moment,
    pub under: u32,
}

type Jobs = BTreeMap<Revision, BTreeMap<JobKey, JobState>>;

#[derive(Default)]
pub struct Parts {
    rollouts: Table<Rollout>,
    services: Table<(Option<Service>, Option<Version>)>,
    previews: Table<Option<Preview>>,
    commands: Table<BTreeMap<String, Command>>,
    children: Table<BTreeMap<Revision, Child>>,
    jobs: Table<Jobs>,
    endpoints: Table<Endpoints>,
    running: Table<Vec<Running>>,
    revisions: Vec<Revision>,
    remembers_history: bool,
}

impl Parts {
    pub fn new(remembers_history: bool) -> Self {
        let revisions = NAMES.iter().map(|n| template::revision(&n.to_string(), &BTreeMap::new())).collect();
        Self { revisions, remembers_history, ..Self::default() }
    }
    pub fn revision(&self, name: Name) -> Revision {
        self.revisions[usize::from(name) - 1]
    }
    pub fn name(&self, revision: Revision) -> Name {
        let found = self.revisions.iter().position(|r| *r == revision).unwrap();
        NAMES[found]
    }

    pub fn intern(&self, cluster: &Cluster) -> View {
        let rollout = Rollout { memory: self.essence(&cluster.rollout.memory), ..cluster.rollout.clone() };
        let jobs: Jobs = cluster.children.iter().map(|(r, c)| (*r, c.jobs.clone())).collect();
        let jobs = jobs.into_iter().filter(|(_, jobs)| !jobs.is_empty()).collect();
        let idle = |c: &Child| Child { jobs: BTreeMap::new(), ..c.clone() };
        View {
            rollout: self.rollouts.id(&rollout),
            service: self.services.id(&(cluster.service.clone(), cluster.gone.clone())),
            preview: self.previews.id(&cluster.preview),
            commands: self.commands.id(&cluster.commands),
            children: self.children.id(&cluster.children.iter().map(|(r, c)| (*r, idle(c))).collect()),
            jobs: self.jobs.id(&jobs),
            endpoints: self.endpoints.id(&cluster.endpoints),
        }
    }
    pub fn cluster(&self, view: View, tick: u8) -> Cluster {
        let (service, gone) = (*self.services.get(view.service)).clone();
        let mut children = (*self.children.get(view.children)).clone();
        for (revision, jobs) in self.jobs.get(view.jobs).iter() {
            if let Some(child) = children.get_mut(revision) {
                child.jobs.clone_from(jobs);
            }
        }
        Cluster {
            now: now(tick),
            setting: setting(),
            rollout: (*self.rollouts.get(view.rollout)).clone(),
            service,
            gone,
            preview: (*self.previews.get(view.preview)).clone(),
            commands: (*self.commands.get(view.commands)).clone(),
            answers: BTreeMap::new(),
            children,
            endpoints: (*self.endpoints.get(view.endpoints)).clone(),
        }
    }

    /// A memory without what no rule reads, which would tell apart states that go on alike: sentences, who ordered
    /// something, and of the history all but which revisions were promoted once (a RollbackTo reads that).
    pub fn essence(&self, memory: &Memory) -> Memory {
        let mut memory = memory.clone();
        for failed in memory.failed.values_mut() {
            (failed.reason, failed.message, failed.releases) = (String::new(), String::new(), vec![]);
        }
        for result in memory.checked.iter_mut().flat_map(|c| c.results.values_mut()) {
            result.said = String::new();
        }
        memory.handled.values_mut().for_each(|h| h.message = String::new());
        let promoted = memory.history.iter().filter(|h| h.outcome == Outcome::Promoted && self.remembers_history);
        let mut promoted: Vec<Revision> = promoted.map(|h| h.revision).collect();
        promoted.sort_unstable();
        promoted.dedup();
        let (outcome, time) = (Outcome::Promoted, now(0));
        let told = |revision| HistoryEntry { revision, outcome, time, by: None, releases: vec![] };
        memory.history = promoted.into_iter().map(told).collect();
        memory
    }

    /// The Jobs that run.
    pub fn running(&self, cluster: &Cluster) -> Id {
        let all = cluster.children.iter().flat_map(|(r, c)| c.jobs.iter().map(move |job| (*r, job)));
        let running = all.filter(|(_, (_, state))| matches!(state, JobState::Running(_)));
        let told =
            running.map(|(r, (key, _))| Running { name: self.name(r), moment: key.moment, under: number(&key.under) });
        self.running.id(&told.collect())
    }
    pub fn list_running(&self, id: Id) -> Arc<Vec<Running>> {
        self.running.get(id)
    }
}

pub fn number(version: &Version) -> u32 {
    version.as_str().parse().unwrap()
}
pub fn mistake() -> Mistake {
    Mistake { field: "spec".into(), value: "?".into(), fix: "mend it".into() }
}
pub fn setting() -> Setting {
    Setting { name: "default/shop".into(), uid: "us".into(), started: now(0), offers: BTreeMap::new() }
}
pub fn now(tick: u8) -> Timestamp {
    (0..tick).fold(Timestamp::default(), |t, _| t.plus(TICK))
}
/// The first tick that is not before this.
pub fn tick(now: Timestamp) -> u8 {
    u8::try_from(now.since(Timestamp::default()).as_secs().div_ceil(TICK.as_secs())).unwrap()
}
