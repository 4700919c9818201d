//! Where and of what a result was made.

use anyhow::{Context as _, Result};
use serde::Serialize;
use switchyard_e2e::{
    ground::{Ground, root},
    process::{command, run},
};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub commit: String,
    /// Whether anything was changed since.
    pub changed: bool,
    pub processor: String,
    pub cores: usize,
    pub memory: String,
    pub kernel: String,
    pub kubernetes: String,
    pub began: String,
    /// Of the last minute, before and after: more than the bench itself makes, and something else ran beside it.
    pub work_before: String,
    pub work_after: String,
}

impl Machine {
    pub async fn look(ground: &Ground) -> Result<Self> {
        let git = async |arguments: &[&str]| run(command("git").arg("-C").arg(root()).args(arguments)).await;
        let cores = std::thread::available_parallelism().context("count the cores")?;
        let version = ground.client.apiserver_version().await.context("ask for the version of Kubernetes")?;
        Ok(Self {
            commit: git(&["rev-parse", "--short=12", "HEAD"]).await?.trim().to_owned(),
            // What a run writes is no change of what ran.
            changed: !git(&["status", "--porcelain", "--", ".", ":!docs/results"]).await?.trim().is_empty(),
            processor: line("/proc/cpuinfo", "model name")?,
            cores: cores.get(),
            memory: line("/proc/meminfo", "MemTotal")?,
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            kubernetes: version.git_version,
            began: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            work_before: work()?,
            work_after: String::new(),
        })
    }

    pub fn end(&mut self) -> Result<()> {
        self.work_after = work()?;
        Ok(())
    }
}

/// The load average of the last minute.
fn work() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// What stands behind the first `key:`.
fn line(path: &str, key: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let found = text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == key);
    Ok(found.map_or("unknown", |(_, value)| value.trim()).to_owned())
}
