//! A sample of what `make faults` does in full, judged by etcd in the same way: of Rollouts on the real kubelet, of Builds
//! on played pods. And controls: an operator whose writes are not conditional any more does what must never happen, and is
//! seen to.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt as _, StreamExt as _};
use switchyard_e2e::{
    faults::{
        case::{Case, all_of},
        control_plane::ControlPlane,
        observer::Observer,
        run::{Outcome, allowed, run},
        scene::{Pods, Scene},
        workload::Workload,
    },
    ground::{Ground, root},
    hosted::{Setup, without_the_installed_one},
    place::{Place, suffix},
    proxy::{Fault, Plan},
    tell::Teller,
};
use tokio::sync::Mutex;

/// The same on every run, so that a failure can be seen again; another may be given by SWITCHYARD_SEED.
const SEED: u64 = 7;
/// Of all plans, that many; SWITCHYARD_SAMPLE says otherwise.
const SAMPLE: usize = 30;
/// Of the plans of Builds.
const SAMPLE_OF_BUILDS: usize = 10;
const AT_ONCE: usize = 6;
static ALONE: Mutex<()> = Mutex::const_new(());

async fn one(ground: &Arc<Ground>, observer: &Observer, case: Case, most: Option<usize>) -> Outcome {
    let place = Place::create(ground.clone(), &format!("e2e-faults-{}", suffix())).await.unwrap();
    place.equip_to_pull().await;
    let setup = Setup::of_the_test_cluster(&place).await.unwrap();
    run(&Scene { place, setup, observer, pods: Pods::Real, registry: None }, case, most).await.unwrap()
}

fn line(case: Case, outcome: &Outcome) -> String {
    let struck = outcome.struck.as_deref().unwrap_or("not reached");
    let (writes, revisions) = (outcome.writes.len(), outcome.revisions);
    let wrong = outcome.violations.join("\n");
    format!("{case}: {struck}; {writes} writes, {revisions} revisions, {:.0} s {wrong}", outcome.seconds)
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs these workloads without a fault, and then so many of all their plans.
async fn sample(workloads: &[Workload], size: usize, one: impl AsyncFn(Case, Option<usize>) -> Outcome) {
    let (tell, one) = (Teller::new(), &one);
    let seed = setting("SWITCHYARD_SEED").unwrap_or(SEED);
    let clean = workloads.iter().map(|workload| {
        let case = Case { workload: *workload, plan: Plan::NEVER };
        async move { (case, one(case, None).await) }.boxed_local()
    });
    let clean: Vec<_> = futures::stream::iter(clean).buffer_unordered(AT_ONCE).collect().await;
    let mut writes = BTreeMap::new();
    for (case, outcome) in clean {
        tell.say(&line(case, &outcome));
        assert!(outcome.violations.is_empty(), "{case} goes wrong without a fault");
        writes.insert(case.workload, outcome.writes.len());
    }
    let mut cases: Vec<Case> = writes.iter().flat_map(|(workload, writes)| all_of(*workload, *writes)).collect();
    tell.say(&format!("a sample of {size} of {} plans, by seed {seed}", cases.len()));
    fastrand::Rng::with_seed(seed).shuffle(&mut cases);
    cases.truncate(size);
    let runs = cases.into_iter().map(|case| {
        let most = allowed(writes[&case.workload]);
        async move { (case, AssertUnwindSafe(one(case, Some(most))).catch_unwind().await) }.boxed_local()
    });
    let mut runs = futures::stream::iter(runs).buffer_unordered(AT_ONCE);
    let (mut wrong, mut reached) = (Vec::new(), 0);
    while let Some((case, ended)) = runs.next().await {
        let Ok(outcome) = ended else {
            wrong.push(format!("{case} did not come to its end"));
            continue;
        };
        tell.say(&line(case, &outcome));
        reached += usize::from(outcome.struck.is_some());
        if !outcome.violations.is_empty() {
            wrong.push(case.to_string());
        }
    }
    assert!(wrong.is_empty(), "run again by `make faults PLAN=...`, on played pods: {}", wrong.join(", "));
    assert!(reached * 10 >= size * 8, "{reached} of {size} faults were reached: this says little");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_sample_of_all_faults_on_the_real_kubelet() {
    let _alone = ALONE.lock().await;
    let size = setting("SWITCHYARD_SAMPLE").and_then(|n| usize::try_from(n).ok()).unwrap_or(SAMPLE);
    without_the_installed_one(async || {
        let ground = Arc::new(Ground::of_the_test_cluster().await.unwrap());
        let mut curl = ground.command("nsenter");
        curl.arg(format!("--net={}", ground.setting("NETNS"))).args(["--", "curl"]);
        let observer = Observer::start(curl, ground.setting("ETCD")).await.unwrap();
        sample(&Workload::ROLLOUTS, size, async |case, most| one(&ground, &observer, case, most).await).await;
    })
    .await;
}

/// Needs no node, and no test cluster but what it is built of.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what the test cluster is built of"]
async fn a_sample_of_the_faults_of_builds_on_played_pods() {
    let _alone = ALONE.lock().await;
    let plane = ControlPlane::start(&root().join("target/e2e/faults/builds")).await.unwrap();
    sample(&Workload::BUILDS, SAMPLE_OF_BUILDS, async |case, most| {
        run(&plane.scene().await.unwrap(), case, most).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what the test cluster is built of"]
async fn a_control_without_conditions_on_its_writes_is_seen_to_go_wrong() {
    let _alone = ALONE.lock().await;
    let plane = ControlPlane::start(&root().join("target/e2e/faults/control")).await.unwrap();
    let patches = |write: &str| write.contains("PATCH") && !write.contains("/status");
    assert!(goes_wrong(&plane, Workload::Superseded, patches).await, "nobody noticed that no switch was conditional");
    let statuses = |write: &str| write.contains("/status");
    assert!(goes_wrong(&plane, Workload::Build, statuses).await, "nobody noticed that no status was conditional");
}

/// Whether the judge finds anything where such a write arrives last, and no write is conditional.
async fn goes_wrong(plane: &ControlPlane, workload: Workload, is_such: impl Fn(&str) -> bool) -> bool {
    let clean = run(&plane.scene().await.unwrap(), Case { workload, plan: Plan::NEVER }, None).await.unwrap();
    assert!(clean.violations.is_empty(), "{:?}", clean.violations);
    let such = clean.writes.iter().enumerate().filter(|(_, write)| is_such(write));
    let cases: Vec<Case> =
        such.map(|(i, _)| Case { workload, plan: Plan::at(Fault::Latest, i + 1).unconditional() }).collect();
    let runs =
        cases.iter().map(|case| async move { (case, run(&plane.scene().await.unwrap(), *case, None).await.unwrap()) });
    let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    for (case, outcome) in &ended {
        println!("{}", line(**case, outcome));
    }
    ended.iter().flat_map(|(_, outcome)| &outcome.violations).any(|v| v.starts_with("at "))
}
