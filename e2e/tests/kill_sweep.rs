//! The operator is killed before and after each of its writes. Nothing but time is lost.
//!
//! Unless SWITCHYARD_SAMPLE=all asks for every one of them, which takes an hour, a Rollout's writes get one of the two kills
//! each, and of the whole path a few get one: which, says SWITCHYARD_SEED.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Service;
use serde_json::Value;
use switchyard_api::{Build, Pipeline, Rollout};
use switchyard_e2e::{
    app::{Page, Source, pipeline, released_rollout},
    audit::AuditLog,
    forge::Repository,
    hosted::{Hosted, Setup, without_the_installed_one},
    load::{Load, Running},
    place::{Place, in_a_namespace, is_settled},
    proxy::{Fault, Plan, Write},
    state,
    tell::Teller,
};
use tokio::{sync::Mutex, time::Instant};

/// So many stories are told at a time, each in a namespace with an operator of its own.
const AT_ONCE: usize = 6;
/// The same on every run, so that a failure can be seen again; another may be given by SWITCHYARD_SEED.
const SEED: u64 = 7;
/// Of the whole path, which takes a minute, that many faults; SWITCHYARD_SAMPLE may say another number.
const SAMPLE: usize = 6;
/// The operator has come to rest when it has written nothing for this long.
const REST: Duration = Duration::from_secs(3);
const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];
static ALONE: Mutex<()> = Mutex::const_new(());

/// How one run of a story ended.
struct Ending {
    plan: Plan,
    writes: Vec<Write>,
    struck: Option<Write>,
    /// See [`state::of`].
    state: Value,
    took: Duration,
    requests: usize,
    jobs_created: Vec<String>,
}

/// Sends a little load from the moment there is a Service, to see whether it ever fails once it has served.
async fn load_when_it_can(place: &Place, service: &str) -> Running {
    place.until("the Service", 60, async || place.find::<Service>(service).await).await;
    Load::new(place.address_of(service).await, 40).start().unwrap()
}

async fn at_rest(place: &Place, hosted: &Hosted) {
    let mut last = (0, Instant::now());
    place
        .until("the operator comes to rest", 60, async || {
            let count = hosted.writes().0.len();
            if count != last.0 {
                last = (count, Instant::now());
            }
            (last.1.elapsed() > REST).then_some(())
        })
        .await;
}

/// Tells `story` to an operator that dies as planned, and looks at what is there in the end.
async fn run(plan: Plan, name: &str, story: impl AsyncFn(&Place, &Hosted) -> Running) -> Ending {
    let ending: Arc<std::sync::Mutex<Option<Ending>>> = Arc::default();
    let kept = ending.clone();
    in_a_namespace(name, async move |place| {
        let began = Instant::now();
        place.equip().await;
        let audit = AuditLog::from_now(&place.ground);
        let setup = Setup::of_the_test_cluster(&place).await.unwrap();
        let hosted = Hosted::start(setup, plan).await.unwrap();
        let told = AssertUnwindSafe(async {
            let load = story(&place, &hosted).await;
            at_rest(&place, &hosted).await;
            load
        });
        let load = match told.catch_unwind().await {
            Ok(load) => load,
            Err(panic) => {
                let (writes, struck) = hosted.writes();
                eprintln!("--- {plan}: struck at {struck:?}\n{}\n{}", lines(&writes), hosted.tail());
                resume_unwind(panic);
            }
        };
        let took = began.elapsed();
        let report = load.stop().await.from_first_answer();
        assert!(report.counted() > 100 && report.failed() == 0, "{plan}: {report}");
        let (writes, struck) = hosted.writes();
        let state = state::of(&place).await;
        let created = audit.of_the_operator().unwrap().into_iter().filter(|e| {
            e.object_ref.namespace == place.namespace && e.object_ref.resource == "jobs" && e.verb == "create"
        });
        let jobs_created = created.filter(|e| e.response_status.code == 201).map(|e| e.object_ref.name).collect();
        hosted.stop().await.unwrap();
        let requests = report.counted();
        *kept.lock().unwrap() = Some(Ending { plan, writes, struck, state, took, requests, jobs_created });
    })
    .await;
    let ending = ending.lock().unwrap().take();
    ending.expect("a story that ends leaves its ending")
}

fn lines(writes: &[Write]) -> String {
    writes.iter().map(Write::to_string).collect::<Vec<_>>().join("\n")
}

/// First deploy, then an update.
async fn deploy_and_update(place: &Place, _: &Hosted) -> Running {
    let page = |text: &str| Page::new("shop", text).blue_stays("1s", "2s").rollout(&place.ground);
    place.apply(&page("blue")).await.unwrap();
    let load = load_when_it_can(place, "shop").await;
    let blue = place.until_healthy("shop", 120).await.status.unwrap().live.unwrap().revision;
    place.apply(&page("green")).await.unwrap();
    place
        .until_object::<Rollout>("shop", "green is live and all is settled", 120, |rollout| {
            is_settled(rollout) && rollout.status.as_ref().unwrap().live.as_ref().unwrap().revision != blue
        })
        .await;
    place.until("blue's pods are gone", 60, async || place.pods_of(blue.as_str()).await.is_empty().then_some(())).await;
    load
}

/// From the push on.
async fn push_to_live(place: &Place, _: &Hosted) -> Running {
    let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
    repository.commit(&Source::good(&place.ground, "one"), "feat: a page").await.unwrap();
    place.apply(&released_rollout(&place.ground, &Page::new("shop", "").blue_stays("1s", "2s"), "shop")).await.unwrap();
    place.apply(&pipeline(place, "shop", &repository.url, &["shop"])).await.unwrap();
    let load = load_when_it_can(place, "shop").await;
    place.until_healthy("shop", 300).await;
    repository.commit(&Source::good(&place.ground, "two"), "feat: a second page").await.unwrap();
    place
        .until("two builds, the second one live", 300, async || {
            let builds = place.list::<Build>("").await.len();
            let rollout = place.find::<Rollout>("shop").await.filter(is_settled)?;
            let pipeline = place.find::<Pipeline>("shop").await?.status?;
            let live = rollout.status?.live?.releases.first()?.sequence;
            let released = pipeline.releases.first()?.sequence;
            (builds == 2 && live == released && live > 1 && pipeline.waiting_for.is_empty()).then_some(())
        })
        .await;
    load
}

/// Tells the story once for each plan, some at a time. Every run has to end well, and as `check` wants it.
async fn sweep(
    name: &str,
    plans: Vec<Plan>,
    at_once: usize,
    story: impl AsyncFn(&Place, &Hosted) -> Running + Copy,
    check: impl Fn(&Ending) -> Vec<String>,
) {
    let tell = Teller::new();
    let runs = futures::stream::iter(plans).map(|plan| AssertUnwindSafe(run(plan, name, story)).catch_unwind());
    let mut runs = runs.buffer_unordered(at_once);
    let (mut wrong, mut reached, mut all) = (Vec::new(), 0, 0);
    while let Some(ended) = runs.next().await {
        all += 1;
        let Ok(ending) = ended else {
            wrong.push("a run did not come to its end: see above".to_owned());
            continue;
        };
        let struck = ending.struck.as_ref().map_or_else(|| "not reached".to_owned(), Write::to_string);
        let (writes, seconds) = (ending.writes.len(), ending.took.as_secs());
        tell.say(&format!("{}: {struck}; {writes} writes, {} requests, {seconds} s", ending.plan, ending.requests));
        reached += usize::from(ending.struck.is_some());
        let found = check(&ending);
        if !found.is_empty() {
            let what = format!("{}, struck at {struck}:\n  {}", ending.plan, found.join("\n  "));
            tell.say(&what);
            wrong.push(what);
        }
    }
    tell.say(&format!("{reached} of {all} faults were reached"));
    assert!(wrong.is_empty(), "{} of {all} runs ended differently:\n{}", wrong.len(), wrong.join("\n"));
    assert!(reached * 10 >= all * 8, "most faults were not reached: this says little");
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn all_are_wanted() -> bool {
    setting("SWITCHYARD_SAMPLE").as_deref() == Some("all")
}

fn random() -> fastrand::Rng {
    let seed = setting("SWITCHYARD_SEED").and_then(|s| s.parse().ok()).unwrap_or(SEED);
    println!("the sample has seed {seed}");
    fastrand::Rng::with_seed(seed)
}

/// A Job that was created twice, for whatever reason.
fn twice(ending: &Ending) -> Vec<String> {
    let mut jobs = ending.jobs_created.clone();
    jobs.sort();
    let pairs = jobs.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| format!("the Job {} was created twice", pair[0])).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_rollout_survives_a_kill_at_each_of_its_writes() {
    let _alone = ALONE.lock().await;
    without_the_installed_one(async || {
        let clean = run(Plan::NEVER, "kill", deploy_and_update).await;
        println!("without a fault, {} s:\n{}", clean.took.as_secs(), lines(&clean.writes));
        let again = run(Plan::NEVER, "kill", deploy_and_update).await;
        let noise = state::differences(&clean.state, &again.state);
        assert!(noise.is_empty(), "two runs without a fault end differently:\n{}", noise.join("\n"));
        let mut random = random();
        let plans = (1..=clean.writes.len()).flat_map(|n| {
            let kills = if all_are_wanted() { KILLS.to_vec() } else { random.choice(KILLS).into_iter().collect() };
            kills.into_iter().map(move |kill| Plan::at(kill, n))
        });
        let plans = plans.collect();
        sweep("kill", plans, AT_ONCE, deploy_and_update, |ending| state::differences(&clean.state, &ending.state))
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn the_whole_path_survives_kills_at_some_of_its_writes() {
    let _alone = ALONE.lock().await;
    without_the_installed_one(async || {
        let clean = run(Plan::NEVER, "kill-path", push_to_live).await;
        println!("without a fault, {} s:\n{}", clean.took.as_secs(), lines(&clean.writes));
        assert_eq!(clean.jobs_created.len(), 4, "a check and an image, twice: {:?}", clean.jobs_created);
        let number = setting("SWITCHYARD_SAMPLE").and_then(|s| s.parse().ok()).unwrap_or(SAMPLE);
        let sample = if all_are_wanted() { usize::MAX } else { number };
        let mut random = random();
        let mut all: Vec<Plan> = (1..=clean.writes.len()).flat_map(|n| KILLS.map(|kill| Plan::at(kill, n))).collect();
        random.shuffle(&mut all);
        all.truncate(sample);
        // Digests and commits differ from run to run, so the ends are not compared; that there is one release live,
        // built once, is part of the story.
        sweep("kill-path", all, 3, push_to_live, |ending| {
            let mut wrong = twice(ending);
            if ending.jobs_created.len() != 4 {
                wrong.push(format!("one Job for each step: {:?}", ending.jobs_created));
            }
            wrong
        })
        .await;
    })
    .await;
}
