//! A cluster as a few small numbers.

use std::collections::BTreeMap;

use switchyard_api::{Duration, Timestamp, build::Memory};
use switchyard_decide::build::{BuildResult, CheckOrder, ImageOrder, Order, Source};
use switchyard_world::build::{Build, Cluster, Command, Job, Key, Pod, Served};

pub use crate::interned::Id;
use crate::{bounds::Shape, interned::Table};

/// The truth, or what one leader holds of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    pub build: Id,
    pub jobs: Id,
    pub pods: Id,
    pub commands: Id,
    pub registry: Id,
}

/// What a cache watches by itself. What a registry answered is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Build,
    Jobs,
    Pods,
    Commands,
    Registry,
}
impl Part {
    pub const ALL: [Self; 5] = [Self::Build, Self::Jobs, Self::Pods, Self::Commands, Self::Registry];

    pub fn of(self, view: &mut View) -> &mut Id {
        match self {
            Self::Build => &mut view.build,
            Self::Jobs => &mut view.jobs,
            Self::Pods => &mut view.pods,
            Self::Commands => &mut view.commands,
            Self::Registry => &mut view.registry,
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

/// Longer than the first pause between attempts.
pub const TICK: Duration = Duration::from_mins(1);

pub struct Parts {
    order: Order,
    builds: Table<Build>,
    jobs: Table<BTreeMap<Key, Job>>,
    pods: Table<BTreeMap<Key, Pod>>,
    commands: Table<BTreeMap<String, Command>>,
    registries: Table<BTreeMap<String, Served>>,
}

impl Parts {
    pub fn new(shape: Shape) -> Self {
        Self {
            order: order(shape),
            builds: Table::default(),
            jobs: Table::default(),
            pods: Table::default(),
            commands: Table::default(),
            registries: Table::default(),
        }
    }
    pub fn first(&self) -> Cluster {
        Cluster::new("shop/shop-7f3a91c-1", self.order.clone(), now(0))
    }
    pub fn intern(&self, cluster: &Cluster) -> View {
        let Build { version, memory, marked_started, marked_result } = cluster.build.clone();
        let marked_result = marked_result.map(|r| BuildResult { failure: r.failure.map(wordless), ..r });
        let build = Build { version, memory: essence(&memory), marked_started, marked_result };
        View {
            build: self.builds.id(&build),
            jobs: self.jobs.id(&cluster.jobs),
            pods: self.pods.id(&cluster.pods),
            commands: self.commands.id(&cluster.commands),
            registry: self.registries.id(&cluster.registry),
        }
    }
    pub fn cluster(&self, view: View, tick: u8) -> Cluster {
        Cluster {
            now: now(tick),
            build: (*self.builds.get(view.build)).clone(),
            jobs: (*self.jobs.get(view.jobs)).clone(),
            pods: (*self.pods.get(view.pods)).clone(),
            commands: (*self.commands.get(view.commands)).clone(),
            registry: (*self.registries.get(view.registry)).clone(),
            ..self.first()
        }
    }
}

/// A memory without sentences: no rule reads them, and they would tell apart states that go on alike.
pub fn essence(memory: &Memory) -> Memory {
    let mut memory = memory.clone();
    memory.failure = memory.failure.map(wordless);
    memory.attempts.values_mut().for_each(|a| a.after = None);
    memory
}
fn wordless(failure: switchyard_api::build::Failure) -> switchyard_api::build::Failure {
    switchyard_api::build::Failure { message: String::new(), hint: None, log: None, ..failure }
}

fn order(shape: Shape) -> Order {
    let names = ["unit", "quality"];
    let check = |i: usize| CheckOrder {
        name: names[i].to_owned(),
        after: if shape.ordered && i == 1 { vec![names[0].to_owned()] } else { vec![] },
        keeps: shape.ordered && i == 0,
        gate: shape.ordered && i == 1,
    };
    Order {
        source: Source::Commit("7".repeat(40).parse().unwrap()),
        checks: (0..usize::from(shape.checks)).map(check).collect(),
        images: vec![ImageOrder { name: "web".into(), repository: "r.test/shop".into(), secret: None }],
        scanned: shape.ordered,
        timeout: if shape.hasty { Duration::from_mins(2) } else { Duration::from_mins(30) },
        retries: shape.retries.into(),
        log_url: None,
    }
}

pub fn now(tick: u8) -> Timestamp {
    (0..tick).fold(Timestamp::default(), |t, _| t.plus(TICK))
}
/// The first tick that is not before this.
pub fn tick(now: Timestamp) -> u8 {
    u8::try_from(now.since(Timestamp::default()).as_secs().div_ceil(TICK.as_secs())).unwrap()
}
