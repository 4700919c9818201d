//! Faults on the real kubelet: a sample of what `make faults` does in full on played pods, judged by etcd in the same way.
//! And a control: an operator whose writes are not conditional any more does what must never happen, and is seen to.

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
const AT_ONCE: usize = 6;
static ALONE: Mutex<()> = Mutex::const_new(());

async fn one(ground: &Arc<Ground>, observer: &Observer, case: Case, most: Option<usize>) -> Outcome {
    let place = Place::create(ground.clone(), &format!("e2e-faults-{}", suffix())).await.unwrap();
    place.equip_to_pull().await;
    let setup = Setup::of_the_test_cluster(&place).await.unwrap();
    run(&Scene { place, setup, observer, pods: Pods::Real }, case, most).await.unwrap()
}

fn line(case: Case, outcome: &Outcome) -> String {
    let struck = outcome.struck.as_deref().unwrap_or("not reached");
    let (writes, revisions) = (outcome.writes.len(), outcome.revisions);
    let wrong = outcome.violations.join("\n");
    format!("{case}: {struck}; {writes} writes, {revisions} revisions, {:.0} s {wrong}", outcome.seconds)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_sample_of_all_faults_on_the_real_kubelet() {
    let _alone = ALONE.lock().await;
    let setting = |name: &str| std::env::var(name).ok()?.parse().ok();
    let seed = setting("SWITCHYARD_SEED").unwrap_or(SEED);
    let sample = setting("SWITCHYARD_SAMPLE").and_then(|n| usize::try_from(n).ok()).unwrap_or(SAMPLE);
    without_the_installed_one(async || {
        let tell = Teller::new();
        let ground = Arc::new(Ground::of_the_test_cluster().await.unwrap());
        let mut curl = ground.command("nsenter");
        curl.arg(format!("--net={}", ground.setting("NETNS"))).args(["--", "curl"]);
        let observer = Observer::start(curl, ground.setting("ETCD")).await.unwrap();
        let clean = Workload::ALL.map(|workload| {
            let (ground, observer) = (&ground, &observer);
            async move {
                let case = Case { workload, plan: Plan::NEVER };
                (case, one(ground, observer, case, None).await)
            }
            .boxed_local()
        });
        let clean: Vec<_> = futures::stream::iter(clean).buffer_unordered(AT_ONCE).collect().await;
        let mut writes = BTreeMap::new();
        for (case, outcome) in clean {
            tell.say(&line(case, &outcome));
            assert!(outcome.violations.is_empty(), "{case} goes wrong without a fault");
            writes.insert(case.workload, outcome.writes.len());
        }
        let mut cases: Vec<Case> = writes.iter().flat_map(|(workload, writes)| all_of(*workload, *writes)).collect();
        tell.say(&format!("a sample of {sample} of {} plans, by seed {seed}", cases.len()));
        fastrand::Rng::with_seed(seed).shuffle(&mut cases);
        cases.truncate(sample);
        let runs = cases.into_iter().map(|case| {
            let most = allowed(writes[&case.workload]);
            let (ground, observer) = (&ground, &observer);
            async move { (case, AssertUnwindSafe(one(ground, observer, case, Some(most))).catch_unwind().await) }
                .boxed_local()
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
        assert!(reached * 10 >= sample * 8, "{reached} of {sample} faults were reached: this says little");
    })
    .await;
}

/// Needs no node, and no test cluster but what it is built of.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs what the test cluster is built of"]
async fn a_control_without_conditions_on_its_writes_is_seen_to_go_wrong() {
    let _alone = ALONE.lock().await;
    let plane = ControlPlane::start(&root().join("target/e2e/faults/control")).await.unwrap();
    let workload = Workload::Superseded;
    let clean = run(&plane.scene().await.unwrap(), Case { workload, plan: Plan::NEVER }, None).await.unwrap();
    assert!(clean.violations.is_empty(), "{:?}", clean.violations);
    let patches = clean.writes.iter().enumerate().filter(|(_, w)| w.contains("PATCH") && !w.contains("/status"));
    let cases: Vec<Case> =
        patches.map(|(i, _)| Case { workload, plan: Plan::at(Fault::Latest, i + 1).unconditional() }).collect();
    let runs = cases.iter().map(|case| {
        let plane = &plane;
        async move { (case, run(&plane.scene().await.unwrap(), *case, None).await.unwrap()) }
    });
    let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    for (case, outcome) in &ended {
        println!("{}", line(**case, outcome));
    }
    let judged = ended.iter().flat_map(|(_, outcome)| &outcome.violations).filter(|v| v.starts_with("at ")).count();
    assert!(judged > 0, "nobody noticed that no write was conditional");
}
