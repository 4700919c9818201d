//! A cluster as four small numbers, so that millions of them fit into memory, and every answer about one is worked
//! out once.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, RwLock},
};

use switchyard_api::{Duration, Revision, Timestamp, template};
use switchyard_decide::{Mistake, rollout::Order};
use switchyard_world::rollout::{Child, Cluster, Endpoints, Rollout, Service, Setting};

pub type Id = u32;
type Numbered<T> = (HashMap<Arc<T>, Id>, Vec<Arc<T>>);

/// Values by number and numbers by value.
pub struct Table<T>(RwLock<Numbered<T>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}
impl<T: Eq + Hash + Clone> Table<T> {
    pub fn id(&self, value: &T) -> Id {
        if let Some(id) = self.0.read().unwrap().0.get(value) {
            return *id;
        }
        let (ids, values) = &mut *self.0.write().unwrap();
        let next = Id::try_from(values.len()).unwrap();
        let value = Arc::new(value.clone());
        *ids.entry(value.clone()).or_insert_with(|| {
            values.push(value);
            next
        })
    }
    pub fn get(&self, id: Id) -> Arc<T> {
        self.0.read().unwrap().1[id as usize].clone()
    }
}

/// What was asked before.
pub struct Known<K, V>(RwLock<HashMap<K, V>>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}
impl<K: Eq + Hash, V: Copy> Known<K, V> {
    pub fn get(&self, key: &K) -> Option<V> {
        self.0.read().unwrap().get(key).copied()
    }
    pub fn insert(&self, key: K, value: V) {
        self.0.write().unwrap().insert(key, value);
    }
    pub fn or(&self, key: K, work_out: impl FnOnce() -> V) -> V {
        self.get(&key).unwrap_or_else(|| {
            let value = work_out();
            self.insert(key, value);
            value
        })
    }
}

/// The truth, or what one leader holds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    pub rollout: Id,
    pub service: Id,
    pub children: Id,
    pub endpoints: Id,
}

/// What a cache watches by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Rollout,
    Service,
    Deployments,
    Endpoints,
}
impl Part {
    pub const ALL: [Self; 4] = [Self::Rollout, Self::Service, Self::Deployments, Self::Endpoints];

    pub fn of(self, view: &mut View) -> &mut Id {
        match self {
            Self::Rollout => &mut view.rollout,
            Self::Service => &mut view.service,
            Self::Deployments => &mut view.children,
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

#[derive(Default)]
pub struct Parts {
    rollouts: Table<Rollout>,
    services: Table<Option<Service>>,
    children: Table<BTreeMap<Revision, Child>>,
    endpoints: Table<Endpoints>,
    revisions: Vec<Revision>,
}

impl Parts {
    pub fn new() -> Self {
        let revisions = NAMES.iter().map(|n| template::revision(&n.to_string(), &BTreeMap::new())).collect();
        Self { revisions, ..Self::default() }
    }
    pub fn revision(&self, name: Name) -> Revision {
        self.revisions[usize::from(name) - 1]
    }
    pub fn name(&self, revision: Revision) -> Name {
        let found = self.revisions.iter().position(|r| *r == revision).unwrap();
        NAMES[found]
    }

    pub fn intern(&self, cluster: &Cluster) -> View {
        View {
            rollout: self.rollouts.id(&cluster.rollout),
            service: self.services.id(&cluster.service),
            children: self.children.id(&cluster.children),
            endpoints: self.endpoints.id(&cluster.endpoints),
        }
    }
    pub fn cluster(&self, view: View, tick: u8) -> Cluster {
        Cluster {
            now: now(tick),
            setting: setting(),
            rollout: (*self.rollouts.get(view.rollout)).clone(),
            service: (*self.services.get(view.service)).clone(),
            preview: None,
            commands: BTreeMap::new(),
            answers: BTreeMap::new(),
            children: (*self.children.get(view.children)).clone(),
            endpoints: (*self.endpoints.get(view.endpoints)).clone(),
        }
    }
}

pub fn mistake() -> Mistake {
    Mistake { field: "spec".into(), value: "?".into(), fix: "mend it".into() }
}
/// What time there is to lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    pub deadline: Duration,
    pub drain: Duration,
}
pub fn order(wanted: Name, replicas: i32, patience: Patience, history_limit: i32) -> Order {
    Order {
        replicas,
        fingerprint: wanted.to_string(),
        images: vec![],
        progress_deadline: patience.deadline,
        scale_down_delay: Duration::ZERO,
        drain: patience.drain,
        history_limit,
        ..Order::default()
    }
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
