//! What came of each case, kept so that a run that was cut short goes on where it was.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchyard_api::names::hex;

use super::{case::Case, run::Outcome};
use crate::{install::binary, process};

/// A folder with a file for each case, of one operator: another one begins anew.
pub struct Results {
    folder: PathBuf,
}

/// What is kept of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub case: String,
    pub struck: Option<String>,
    pub writes: Vec<String>,
    pub revisions: usize,
    pub violations: Vec<String>,
    pub seconds: f64,
}

impl Results {
    /// Of the operator as it is built.
    pub fn of_this_operator(folder: &Path) -> Result<Self> {
        let path = binary("switchyard-operator");
        let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let folder = folder.join(hex(&Sha256::digest(&bytes), 12));
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn file(&self, case: Case) -> PathBuf {
        self.folder.join(case.to_string().replace('/', "_")).with_extension("json")
    }

    pub fn find(&self, case: Case) -> Option<Kept> {
        serde_json::from_slice(&std::fs::read(self.file(case)).ok()?).ok()
    }

    /// Whether there is nothing left to find out about it.
    pub fn is_done(&self, case: Case) -> bool {
        self.find(case).is_some_and(|kept| kept.violations.is_empty())
    }

    pub fn keep(&self, case: Case, outcome: &Outcome) -> Result<Kept> {
        let kept = Kept {
            case: case.to_string(),
            struck: outcome.struck.clone(),
            writes: outcome.writes.clone(),
            revisions: outcome.revisions,
            violations: outcome.violations.clone(),
            seconds: outcome.seconds,
        };
        // Whole or not at all.
        let (file, draft) = (self.file(case), self.folder.join("draft"));
        let draft = draft.with_extension(kept.case.replace('/', "_"));
        std::fs::write(&draft, serde_json::to_vec_pretty(&kept)?)?;
        std::fs::rename(draft, file)?;
        Ok(kept)
    }
}

/// Of all these cases together: what is published. `seconds` is how long the machine was at it.
pub async fn summary(kept: &BTreeMap<Case, Kept>, seconds: u64) -> Result<Value> {
    let mut workloads: BTreeMap<&str, (usize, usize, usize, usize, usize)> = BTreeMap::new();
    let mut faults: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for (case, kept) in kept {
        let workload = workloads.entry(case.workload.name()).or_default();
        let Some((fault, _)) = case.plan.fault else {
            workload.0 = kept.writes.len();
            continue;
        };
        let fault = faults.entry(fault.name()).or_default();
        let (reached, wrong) = (usize::from(kept.struck.is_some()), usize::from(!kept.violations.is_empty()));
        (workload.1, workload.2, workload.3, workload.4) =
            (workload.1 + 1, workload.2 + reached, workload.3 + wrong, workload.4 + kept.revisions);
        (fault.0, fault.1, fault.2) = (fault.0 + 1, fault.1 + reached, fault.2 + wrong);
    }
    let by_workload: BTreeMap<_, _> = workloads
        .iter()
        .map(|(name, (writes, plans, reached, wrong, revisions))| {
            (name, json!({"writes": writes, "plans": plans, "reached": reached, "withViolations": wrong, "revisionsRead": revisions}))
        })
        .collect();
    let by_fault: BTreeMap<_, _> = faults
        .iter()
        .map(|(name, (plans, reached, wrong))| {
            (name, json!({"plans": plans, "reached": reached, "withViolations": wrong}))
        })
        .collect();
    let plans: usize = workloads.values().map(|w| w.1).sum();
    let wrong: Vec<_> = kept.values().filter(|k| !k.violations.is_empty()).map(|k| k.case.clone()).collect();
    Ok(json!({
        "commit": commit().await,
        "machine": machine(),
        "plans": plans,
        "reached": workloads.values().map(|w| w.2).sum::<usize>(),
        "withViolations": wrong,
        "seconds": seconds,
        "secondsOfPlans": kept.values().map(|k| k.seconds).sum::<f64>().round(),
        "workloads": by_workload,
        "faults": by_fault,
    }))
}

/// With a plus where files differ from it.
async fn commit() -> String {
    let git =
        async |arguments: &[&str]| process::run(process::command("git").args(arguments)).await.unwrap_or_default();
    let head = git(&["rev-parse", "--short=12", "HEAD"]).await;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).await;
    format!("{}{}", head.trim(), if changed.is_empty() { "" } else { "+" })
}

fn machine() -> String {
    let of = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = of("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 20;
    format!("{cores} cores of {}, {memory} GiB", of("/proc/cpuinfo", "model name"))
}
