//! Hears every change from etcd itself: past the API server, its caches and ours.

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    time::Instant,
};

use super::history::{Change, read};

/// How long etcd may take to tell of what has happened.
const LATEST: Duration = Duration::from_secs(30);

/// Ends with its value.
pub struct Observer {
    heard: Arc<Mutex<BTreeMap<String, Vec<Change>>>>,
    reached: watch::Receiver<i64>,
    ended: tokio::task::JoinHandle<Result<()>>,
    _watch: Child,
}

impl Observer {
    /// `curl` is a curl that reaches etcd at `url` (it may be one in another network namespace).
    pub async fn start(mut curl: Command, url: &str) -> Result<Self> {
        let key = |text: &str| serde_json::to_value(ByteString(text.as_bytes().to_vec()));
        // All that the API server keeps: whatever begins with /registry/.
        let all = json!({"create_request": {"key": key("/registry/")?, "range_end": key("/registry0")?}});
        curl.args(["--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--data", &all.to_string()]);
        curl.arg(format!("{url}/v3/watch"));
        let mut child = curl.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("start curl")?;
        let output = child.stdout.take().context("curl has an output")?;
        let (tell, mut reached) = watch::channel(0);
        let heard: Arc<Mutex<BTreeMap<String, Vec<Change>>>> = Arc::default();
        let kept = heard.clone();
        let began = Instant::now();
        let ended = tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Some(line) = lines.next_line().await? {
                let (now, changes) = read(&line, began.elapsed())?;
                let mut heard = kept.lock().unwrap();
                for change in changes {
                    heard.entry(change.namespace.clone()).or_default().push(change);
                }
                tell.send_replace(now);
            }
            anyhow::bail!("the watch of etcd ended")
        });
        // The first line says that the watch is there.
        tokio::time::timeout(LATEST, reached.changed())
            .await
            .context("etcd does not answer")?
            .context("the watch of etcd")?;
        Ok(Self { heard, reached, ended, _watch: child })
    }

    /// The history of a namespace up to this revision at least, which is forgotten by that.
    pub async fn take(&self, namespace: &str, revision: i64) -> Result<Vec<Change>> {
        anyhow::ensure!(!self.ended.is_finished(), "the observer of etcd has ended");
        let mut reached = self.reached.clone();
        let up_to = tokio::time::timeout(LATEST, reached.wait_for(|now| *now >= revision)).await;
        up_to.with_context(|| format!("etcd did not tell of revision {revision}"))?.context("the watch of etcd")?;
        Ok(self.heard.lock().unwrap().remove(namespace).unwrap_or_default())
    }
}

/// The revision that etcd is at, as a list tells it.
pub fn revision_of(list: &Value) -> Option<i64> {
    list.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}
