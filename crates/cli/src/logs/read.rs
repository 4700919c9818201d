//! Reading the log of one container, from its beginning to its end.

use futures::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use tokio::sync::{mpsc, watch};

use super::{
    line::{Position, plain, prefix, split},
    order::{Run, State},
};
use crate::access::{Access, Asked, Error};

/// So often a log that cannot be had is asked for again.
const TRIES: u32 = 5;

/// Where lines go.
pub type Lines = mpsc::Sender<String>;

/// The log of one container.
pub struct Reader {
    access: Access,
    pods: Api<Pod>,
    pod: String,
    container: String,
    prefix: String,
    position: Position,
}

impl Reader {
    pub fn new(access: &Access, run: &Run, container: &str) -> Self {
        Self {
            access: access.clone(),
            pods: access.api(),
            pod: run.pod.clone(),
            container: container.to_owned(),
            prefix: prefix(&run.step, container),
            position: Position::default(),
        }
    }

    /// What there is; with `follow` until the container ends, or the connection.
    pub async fn read(&mut self, follow: bool, lines: &Lines) -> Result<(), Error> {
        let parameters = LogParams {
            container: Some(self.container.clone()),
            follow,
            since_time: self.position.resume(),
            timestamps: true,
            ..LogParams::default()
        };
        let asked = Asked { verb: "get", resource: "pods/log", name: Some(&self.pod) };
        let stream = self.access.call(asked, self.pods.log_stream(&self.pod, &parameters)).await?;
        let mut stream = std::pin::pin!(stream);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            // A cut ends the stream like its end does: whoever follows asks again.
            let Ok(1..) = stream.read_until(b'\n', &mut bytes).await else { return Ok(()) };
            let text = String::from_utf8_lossy(&bytes);
            let (time, text) = split(text.trim_end_matches('\n'));
            if time.is_none_or(|time| self.position.is_new(time)) {
                let line = format!("{}{}", self.prefix, plain(text));
                lines.send(line).await.map_err(|_| Error::Closed)?;
            }
        }
    }

    /// Until the container has ended and its log was read to the end, or its pod is gone.
    pub async fn follow(mut self, mut runs: watch::Receiver<Vec<Run>>, lines: Lines) -> Result<(), Error> {
        let mut failures: u32 = 0;
        loop {
            let state = state(&runs.borrow_and_update(), &self.pod, &self.container);
            let Some(state) = state else { return Ok(()) };
            let read = match state {
                State::Never => return Ok(()),
                State::Waiting => Ok(()),
                State::Running => self.read(true, &lines).await,
                State::Ended => self.read(false, &lines).await,
            };
            match read {
                // What was written between the cut and the end was read just now.
                Ok(()) if state == State::Ended => return Ok(()),
                Ok(()) => failures = 0,
                Err(error @ (Error::Forbidden { .. } | Error::Closed)) => return Err(error),
                // It is gone.
                Err(error) if state == State::Ended && !error.is_passing() => return Ok(()),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures >= TRIES {
                        let _ = lines.send(format!("{}(its log cannot be read: {error})", self.prefix)).await;
                        return Ok(());
                    }
                }
            }
            // The next look at the pods says how it stands.
            if runs.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}

/// None: the pod is gone.
fn state(runs: &[Run], pod: &str, container: &str) -> Option<State> {
    let run = runs.iter().find(|run| run.pod == pod)?;
    run.containers.iter().find(|c| c.name == container).map(|c| c.state)
}
