//! `make faults`: every fault at each write of every workload, several at a time, and what the judge of etcd says.

use std::{collections::BTreeMap, env, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use switchyard_e2e::{
    faults::{
        case::{Case, Shard, all_of},
        control_plane::ControlPlane,
        results::{Kept, Results, summary},
        run::{allowed, run},
        workload::Workload,
    },
    ground::root,
    proxy::Plan,
    tell::Teller,
};

/// They mostly wait, for a Lease or for a story's own delays.
const AT_ONCE: usize = 8;

struct Wanted {
    /// These alone, however often they were run before.
    cases: Vec<Case>,
    workloads: Vec<Workload>,
    shard: Shard,
    at_once: usize,
}

impl Wanted {
    fn from_env() -> Result<Self> {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let list =
            |name: &str| text(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let workloads: Vec<Workload> = list("WORKLOAD").iter().map(|w| w.parse()).collect::<Result<_>>()?;
        Ok(Self {
            cases: list("PLAN").iter().map(|case| case.parse()).collect::<Result<_>>()?,
            workloads: if workloads.is_empty() { Workload::all().collect() } else { workloads },
            shard: text("SHARD").map_or(Ok(Shard::WHOLE), |shard| shard.parse())?,
            at_once: text("AT_ONCE").map_or(Ok(AT_ONCE), |n| n.parse()).context("the number in AT_ONCE")?,
        })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let wanted = Wanted::from_env()?;
    let tell = Teller::new();
    let folder = root().join("target/e2e/faults");
    let results = Results::of_this_operator(&folder)?;
    tell.say("starting the control plane");
    let plane = ControlPlane::start(&folder.join("plane")).await?;
    if !wanted.cases.is_empty() {
        return replay(&plane, &results, &wanted.cases, &tell).await;
    }
    let clean = clean(&plane, &results, &wanted, &tell).await?;
    let cases: Vec<Case> = clean.iter().flat_map(|(workload, writes)| all_of(*workload, *writes)).collect();
    let mine = cases.iter().copied().enumerate().filter(|(i, _)| wanted.shard.holds(*i)).map(|(_, case)| case);
    let (done, open): (Vec<Case>, Vec<Case>) = mine.partition(|case| results.is_done(*case));
    tell.say(&format!("{} plans in all; {} to run, {} done before", cases.len(), open.len(), done.len()));
    let mut wrong = 0;
    let runs = open
        .iter()
        .map(|case| async { (*case, one(&plane, &results, *case, clean.get(&case.workload).copied()).await) });
    let mut runs = futures::stream::iter(runs).buffer_unordered(wanted.at_once);
    let (mut count, total) = (0, open.len());
    while let Some((case, kept)) = runs.next().await {
        let kept = kept.with_context(|| format!("run {case}"))?;
        count += 1;
        wrong += usize::from(!kept.violations.is_empty());
        tell.say(&format!("{count}/{total} {}", line(&kept)));
    }
    publish(&results, &clean, &cases, tell.seconds(), &folder).await?;
    tell.say(&format!("{} plans run, {wrong} with violations", open.len()));
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn one(plane: &ControlPlane, results: &Results, case: Case, clean: Option<usize>) -> Result<Kept> {
    let outcome = run(&plane.scene().await?, case, clean.map(allowed)).await?;
    results.keep(case, &outcome)
}

fn line(kept: &Kept) -> String {
    let struck = kept.struck.as_deref().unwrap_or("not reached");
    let numbers = format!("{} writes, {} revisions, {:.0} s", kept.writes.len(), kept.revisions, kept.seconds);
    let verdict = if kept.violations.is_empty() {
        "ok".to_owned()
    } else {
        format!("VIOLATIONS\n{}", kept.violations.join("\n"))
    };
    format!("{}: {struck}; {numbers}: {verdict}", kept.case)
}

/// How many writes each workload takes without a fault.
async fn clean(
    plane: &ControlPlane,
    results: &Results,
    wanted: &Wanted,
    tell: &Teller,
) -> Result<BTreeMap<Workload, usize>> {
    let runs = wanted.workloads.iter().map(|workload| async {
        let case = Case { workload: *workload, plan: Plan::NEVER };
        match results.find(case).filter(|kept| kept.violations.is_empty()) {
            Some(kept) => Ok((*workload, kept)),
            None => one(plane, results, case, None).await.map(|kept| (*workload, kept)),
        }
    });
    let mut runs = futures::stream::iter(runs).buffer_unordered(wanted.at_once);
    let mut clean = BTreeMap::new();
    while let Some(ended) = runs.next().await {
        let (workload, kept) = ended?;
        tell.say(&format!("{}\n{}", line(&kept), kept.writes.join("\n")));
        anyhow::ensure!(kept.violations.is_empty(), "{workload} goes wrong without a fault");
        clean.insert(workload, kept.writes.len());
    }
    Ok(clean)
}

/// Only these, one after the other, with everything that was written.
async fn replay(plane: &ControlPlane, results: &Results, cases: &[Case], tell: &Teller) -> Result<ExitCode> {
    let mut wrong = false;
    for case in cases {
        let clean = results.find(Case { plan: Plan::NEVER, ..*case }).map(|kept| kept.writes.len());
        let kept = one(plane, results, *case, clean).await?;
        wrong |= !kept.violations.is_empty();
        tell.say(&format!("{}\n{}", kept.writes.join("\n"), line(&kept)));
    }
    // Controls are to go wrong.
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Once every plan of all workloads has been run on this operator, in however many parts.
async fn publish(
    results: &Results,
    clean: &BTreeMap<Workload, usize>,
    cases: &[Case],
    seconds: u64,
    folder: &std::path::Path,
) -> Result<()> {
    let all = cases.iter().copied().chain(clean.keys().map(|w| Case { workload: *w, plan: Plan::NEVER }));
    let kept: BTreeMap<Case, Kept> = all.filter_map(|case| Some((case, results.find(case)?))).collect();
    let text = format!("{:#}\n", summary(&kept, Duration::from_secs(seconds).as_secs()).await?);
    let whole = kept.len() == cases.len() + clean.len() && clean.len() == Workload::all().count();
    let file: PathBuf = if whole { root().join("docs/results/faults.json") } else { folder.join("part.json") };
    std::fs::create_dir_all(file.parent().context("a file lies in a folder")?)?;
    std::fs::write(&file, text)?;
    println!("written: {}", file.strip_prefix(root()).unwrap_or(&file).display());
    Ok(())
}
