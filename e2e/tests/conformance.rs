//! What the model assumes of the API server is so: random steps end in the same state in the world of the model and on
//! a real API server, refusals included. Here the operator's own hands write, and no operator runs.
//!
//! Compared after every step: how the write ended; of the Rollout the order and the memory; of the live Service whose it
//! is, selector and record; of the preview Service the same but a record; of each revision which objects and Jobs exist,
//! claim, pods wanted, releases, and whose they are; Commands that were not answered. Pods are not: that controllers make
//! them is Kubernetes' part, so nodes take none of these, and what the live Service's slices list is written by hand.
//! Some Rollouts have a preview (which an edit may take away and give back) with checks by Jobs or by a Prometheus whose
//! answers are made up; of some the Service was there before.
//!
//! `SWITCHYARD_SEED` is another beginning, `SWITCHYARD_CONFORMANCE_SEQUENCES` another number of sequences. A sequence is
//! told again by its own seed alone.

#[path = "conformance/real.rs"]
mod real;
#[path = "conformance/state.rs"]
mod state;
#[path = "conformance/steps.rs"]
mod steps;
#[path = "conformance/versions.rs"]
mod versions;

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;
use futures::{Stream, StreamExt as _};
use switchyard_api::{Rollout, Timestamp};
use switchyard_decide::{
    Refusal, Version,
    rollout::{Action, Order, Record, Selects},
};
use switchyard_e2e::{
    hosted::without_the_installed_one,
    place::{Place, in_a_namespace},
};
use switchyard_operator::rollout::RolloutHands;
use switchyard_world::rollout::{Cluster, Service, Setting};
use tokio::sync::Mutex;

use crate::{
    real::Real,
    state::State,
    steps::{Step, Teller, on_world, revision},
    versions::{Object, Versions, of_the_world},
};

const SEED: u64 = 11;
const SEQUENCES: usize = 48;
const AT_ONCE: usize = 6;
/// Steps of anything, after up to so many of an operator that nothing disturbs.
const STEPS: usize = 12;
const UNDISTURBED: usize = 14;
/// Templates that a Rollout may want.
const TEMPLATES: usize = 3;
/// How often a write is sent again that came to nothing since a controller of Kubernetes had written meanwhile.
const AGAIN: usize = 20;
/// Both take the installed operator away for a while.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What one side is made to do wrong, to see that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twist {
    None,
    /// The world takes a write on a Deployment whatever its version.
    WorldWithoutVersions,
    /// The world does not look before a Retire.
    WorldDoesNotLook,
    /// Every write reaches the API server with the version there is.
    WritesWithoutVersions,
}

/// How a write ended: words differ.
fn class(outcome: &Result<(), Refusal>) -> &'static str {
    match outcome {
        Ok(()) => "done",
        Err(Refusal::Stale) => "Stale",
        Err(Refusal::Owned(_)) => "Owned",
        Err(Refusal::Denied(_)) => "Denied",
        Err(Refusal::Invalid(_)) => "Invalid",
        Err(Refusal::Unavailable { .. }) => "Unavailable",
    }
}

fn kind(step: &Step) -> &'static str {
    match step {
        Step::Act(Action::CreateService) => "CreateService",
        Step::Act(Action::Record { select: Some(_), .. }) => "Record, select",
        Step::Act(Action::Record { select: None, .. }) => "Record",
        Step::Act(Action::Deploy { .. }) => "Deploy",
        Step::Act(Action::Expose { .. }) => "Expose",
        Step::Act(Action::Claim { .. }) => "Claim",
        Step::Act(Action::Scale { .. }) => "Scale",
        Step::Act(Action::Retire { .. }) => "Retire",
        Step::Act(Action::Delete { at: Some(_), .. }) => "Delete",
        Step::Act(Action::Delete { at: None, .. }) => "Delete, the Service",
        Step::Act(Action::CreatePreview) => "CreatePreview",
        Step::Act(Action::Preview { .. }) => "Preview",
        Step::Act(Action::Check { .. }) => "Check",
        Step::Act(Action::Answer { .. }) => "Answer",
        Step::Order(_) => "Command",
        Step::Report { .. } => "Report",
        Step::Edit { .. } => "edit",
        Step::List(_) => "slices",
        Step::LoseRecord => "lost record",
        Step::Tamper => "foreign selector",
        Step::SelectElsewhere(_) => "foreign Service",
        Step::Squat(_) | Step::SquatService => "foreign child",
        Step::Wait => "time",
    }
}

/// The object that the step writes under a version.
fn written(step: &Step) -> Option<Object> {
    match step {
        Step::Act(action) => match action {
            Action::Record { .. } => Some(Object::Service),
            Action::Claim { revision, .. }
            | Action::Scale { revision, .. }
            | Action::Retire { revision, .. }
            | Action::Delete { revision, .. } => Some(Object::Deployment(*revision)),
            Action::Preview { .. } => Some(Object::Preview),
            Action::Answer { uid, .. } => Some(Object::Command(uid.clone())),
            Action::CreateService
            | Action::CreatePreview
            | Action::Deploy { .. }
            | Action::Expose { .. }
            | Action::Check { .. } => None,
        },
        Step::Report { .. } => Some(Object::Rollout),
        Step::Edit { .. }
        | Step::List(_)
        | Step::LoseRecord
        | Step::Tamper
        | Step::SelectElsewhere(_)
        | Step::Squat(_)
        | Step::SquatService
        | Step::Wait
        | Step::Order(_) => None,
    }
}

/// The same step under the version that the object has in the world.
fn with_the_version_there_is(step: &Step, world: &Cluster) -> Step {
    let now = of_the_world(world);
    let mut step = step.clone();
    let Some(current) = written(&step).and_then(|object| now.get(&object)) else { return step };
    match &mut step {
        Step::Act(
            Action::Record { at, .. }
            | Action::Claim { at, .. }
            | Action::Scale { at, .. }
            | Action::Retire { at, .. }
            | Action::Delete { at: Some(at), .. }
            | Action::Preview { at, .. }
            | Action::Answer { at, .. },
        )
        | Step::Report { at, .. } => at.clone_from(current),
        Step::Act(
            Action::CreateService
            | Action::CreatePreview
            | Action::Deploy { .. }
            | Action::Expose { .. }
            | Action::Check { .. }
            | Action::Delete { at: None, .. },
        )
        | Step::Edit { .. }
        | Step::List(_)
        | Step::LoseRecord
        | Step::Tamper
        | Step::SelectElsewhere(_)
        | Step::Squat(_)
        | Step::SquatService
        | Step::Wait
        | Step::Order(_) => {}
    }
    step
}

/// One Rollout in both.
struct Pair {
    world: Cluster,
    real: Real,
    versions: Versions,
    orders: Vec<Order>,
    twist: Twist,
    /// Each step, in the world's versions, and how it ended.
    told: Vec<String>,
}

type Counts = BTreeMap<(&'static str, &'static str), usize>;

impl Pair {
    async fn new(place: &Place, hands: &Arc<RolloutHands>, mut rollout: Rollout, twist: Twist) -> Self {
        let real = Real::create(place, hands, &rollout).await;
        let orders: Vec<Order> = (0..TEMPLATES)
            .map(|number| {
                rollout.spec.template = real::template(number);
                Order::parse(&rollout, &place.namespace).unwrap()
            })
            .collect();
        let setting = Setting {
            name: format!("{}/{}", place.namespace, real.name),
            uid: real.uid.clone(),
            started: Timestamp::default(),
            offers: BTreeMap::new(),
        };
        let mut world = Cluster::new(setting, orders[0].clone(), Timestamp::default());
        if orders[0].referred {
            let record = Some(Record { owner: real.uid.clone(), ..Record::default() });
            let version = Version::new("1");
            world.service = Some(Service { version, foreign: None, record, selects: Selects::Nobody });
        }
        let mut versions = Versions::default();
        versions.learn(&world, &real.versions().await);
        Self { world, real, versions, orders, twist, told: vec![] }
    }

    /// Takes the step on both sides; an error says where they part.
    async fn take(&mut self, step: &Step) -> Result<&'static str, String> {
        let before = self.world.clone();
        let expected = self.on_world(step);
        let found = self.on_real(&before, step).await;
        if let Step::Order(order) = step {
            self.world.command(self.real.order(*order).await);
        }
        self.told.push(format!("{step:?}: {}", class(&found)));
        self.real.caught_up().await;
        self.versions.learn(&self.world, &self.real.versions().await);
        if class(&expected) != class(&found) {
            return Err(format!("the world says {expected:?}, the API server {found:?}"));
        }
        let expected_state = State::of(&self.world.see());
        let found_state = State::of(&self.real.see().await).translated(&self.versions);
        if expected_state != found_state {
            return Err(format!("the world has\n{expected_state:#?}\nthe API server\n{found_state:#?}"));
        }
        Ok(class(&found))
    }

    fn on_world(&mut self, step: &Step) -> Result<(), Refusal> {
        let deployment = matches!(written(step), Some(Object::Deployment(_)));
        match (self.twist, step) {
            (Twist::WorldWithoutVersions, step) if deployment => {
                let step = with_the_version_there_is(step, &self.world);
                on_world(&mut self.world, &step, &self.orders)
            }
            (Twist::WorldDoesNotLook, Step::Act(action @ Action::Retire { .. })) => self.world.write(action),
            (
                Twist::None | Twist::WorldWithoutVersions | Twist::WorldDoesNotLook | Twist::WritesWithoutVersions,
                step,
            ) => on_world(&mut self.world, step, &self.orders),
        }
    }

    async fn on_real(&mut self, before: &Cluster, step: &Step) -> Result<(), Refusal> {
        let step = match self.twist {
            Twist::WritesWithoutVersions => with_the_version_there_is(step, before),
            Twist::None | Twist::WorldWithoutVersions | Twist::WorldDoesNotLook => step.clone(),
        };
        let mut again = 0;
        loop {
            let now = self.real.versions().await;
            self.versions.learn(before, &now);
            let really = match &step {
                Step::Act(action) => Step::Act(self.versions.action(action)),
                Step::Report { at, memory } => Step::Report {
                    at: self.versions.real(Object::Rollout, at),
                    memory: Box::new(self.versions.real_memory(memory)),
                },
                other => other.clone(),
            };
            let outcome = self.real.take(&really, &self.orders).await;
            // Nobody but a controller of Kubernetes writes here, and never what is compared.
            let interfered = async || {
                let Some(object) = written(&step) else { return false };
                self.real.versions().await.get(&object) != now.get(&object)
            };
            if outcome == Err(Refusal::Stale) && again < AGAIN && interfered().await {
                again += 1;
                self.real.caught_up().await;
                continue;
            }
            return outcome;
        }
    }
}

/// One sequence; an error tells it.
async fn sequence(
    place: &Place,
    hands: &Arc<RolloutHands>,
    seed: u64,
    number: usize,
    twist: Twist,
) -> Result<Counts, String> {
    let mut random = Rng::with_seed(seed);
    let shape = random.choice(real::SHAPES).unwrap();
    let rollout = real::rollout(&format!("shop-{number}"), shape);
    let mut pair = Pair::new(place, hands, rollout, twist).await;
    let mut teller = Teller::new(random, pair.orders.clone());
    let undisturbed = teller.random.usize(0..=UNDISTURBED);
    let mut counts = Counts::new();
    let mut ended = Ok(());
    for number in 0..undisturbed + STEPS {
        let step = teller.next(&pair.world, number < undisturbed);
        match pair.take(&step).await {
            Ok(class) => *counts.entry((kind(&step), class)).or_default() += 1,
            Err(why) => {
                let names = pair.orders.iter().zip(["A", "B", "C"]);
                let story = pair.told.join("\n  ");
                let text =
                    format!("SWITCHYARD_SEED={seed} SWITCHYARD_CONFORMANCE_SEQUENCES=1, {shape:?}\n  {story}\n{why}");
                ended = Err(names.fold(text, |text, (order, name)| text.replace(revision(order).as_str(), name)));
                break;
            }
        }
    }
    pair.real.remove().await;
    ended.map(|()| counts)
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Sequences, some at a time; what each came to.
async fn sequences(place: &Place, number: usize, twist: Twist) -> impl Stream<Item = Result<Counts, String>> {
    let seed = setting("SWITCHYARD_SEED").unwrap_or(SEED);
    let hands = Arc::new(real::hands(place).await);
    let place = place.clone();
    let each = (0..number).map(move |n| {
        let seed = seed.wrapping_add(u64::try_from(n).unwrap());
        let (place, hands) = (place.clone(), Arc::clone(&hands));
        async move { sequence(&place, &hands, seed, n, twist).await }
    });
    futures::stream::iter(each).buffer_unordered(AT_ONCE)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn the_world_and_an_api_server_end_alike() {
    let _alone = ALONE.lock().await;
    let number = setting("SWITCHYARD_CONFORMANCE_SEQUENCES").unwrap_or(SEQUENCES);
    without_the_installed_one(async || {
        in_a_namespace("conformance", async |place| {
            let ended: Vec<Result<Counts, String>> = sequences(&place, number, Twist::None).await.collect().await;
            let wrong: Vec<&String> = ended.iter().filter_map(|e| e.as_ref().err()).collect();
            let mut counts = Counts::new();
            for (what, n) in ended.iter().flatten().flatten() {
                *counts.entry(*what).or_default() += n;
            }
            let steps: usize = counts.values().sum();
            println!("{steps} steps in {number} sequences ended alike:");
            for ((kind, class), n) in &counts {
                println!("  {kind}, {class}: {n}");
            }
            assert!(
                wrong.is_empty(),
                "{} of {number} parted:\n{}",
                wrong.len(),
                wrong.iter().map(|w| w.as_str()).collect::<Vec<_>>().join("\n\n")
            );
            if number >= SEQUENCES {
                let seen = |kind: &str, class: &str| counts.keys().any(|(k, c)| *k == kind && *c == class);
                for kind in
                    ["CreateService", "Record", "Record, select", "Deploy", "Expose", "Claim", "Scale", "Retire"]
                {
                    assert!(seen(kind, "done") && seen(kind, "Stale"), "{kind}: this says little");
                }
                for class in ["Denied", "Invalid"] {
                    assert!(counts.keys().any(|(_, c)| *c == class), "nothing was {class}: this says little");
                }
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_world_or_a_writer_that_forgets_its_conditions_is_found_out() {
    let _alone = ALONE.lock().await;
    without_the_installed_one(async || {
        for twist in [Twist::WorldWithoutVersions, Twist::WorldDoesNotLook, Twist::WritesWithoutVersions] {
            in_a_namespace("conformance", async |place| {
                let parted = sequences(&place, SEQUENCES, twist).await.filter_map(async |ended| ended.err());
                let first = std::pin::pin!(parted).next().await.expect("nothing parted, so nothing would be found");
                println!("{twist:?} is found out:\n{first}");
            })
            .await;
        }
    })
    .await;
}
