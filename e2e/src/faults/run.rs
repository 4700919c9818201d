//! One case, from an empty namespace to the verdict.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::time::Instant;

use super::{case::Case, history::Change, observer::revision_of, scene::Scene, workload::End};
use crate::{
    hosted::Hosted,
    place::Place,
    proxy::{Plan, Write},
};

/// The operator has come to rest when it has written nothing for this long.
const REST: Duration = Duration::from_secs(3);
/// By then every story is over, the longest fault (a watch that falls silent for 55 s) included.
const OVER: Duration = Duration::from_mins(4);
const LOOK: Duration = Duration::from_millis(100);

/// How a case went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The write at which the fault struck; none: it was never reached.
    pub struck: Option<String>,
    /// Everything that was written, in order.
    pub writes: Vec<String>,
    /// Revisions that the judge read.
    pub revisions: usize,
    /// What was wrong. Nothing is what is wanted.
    pub violations: Vec<String>,
    pub seconds: f64,
}

/// At most so many writes, where there are so many without a fault: each fault may cost a few, and no more.
pub fn allowed(clean: usize) -> usize {
    2 * clean + 10
}

/// Runs a case, and takes the place away. At most so many writes are allowed; none: it is a measure for others.
pub async fn run(scene: &Scene<'_>, case: Case, allowed: Option<usize>) -> Result<Outcome> {
    let began = Instant::now();
    let hosted = Hosted::start(scene.setup.clone(), Plan::NEVER).await?;
    let mut outcome = Outcome::default();
    if let Err(error) = story(case, scene, &hosted).await {
        outcome.violations.push(format!("{error:#}\n{}\n{}", hosted.tail(), scene.place.explain().await));
    }
    let (writes, struck) = hosted.writes();
    outcome.struck = struck.as_ref().map(Write::to_string);
    outcome.writes = writes.iter().map(Write::to_string).collect();
    if let Some(allowed) = allowed.filter(|allowed| writes.len() > *allowed) {
        outcome.violations.push(format!("{} writes, of {allowed} at most", writes.len()));
    }
    if let Err(error) = hosted.stop().await {
        outcome.violations.push(format!("{error:#}"));
    }
    let history = history(scene).await?;
    outcome.revisions = history.len();
    outcome.violations.extend(case.workload.judge(scene, &history).await?.iter().map(ToString::to_string));
    scene.place.remove().await?;
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

async fn story(case: Case, scene: &Scene<'_>, hosted: &Hosted) -> Result<()> {
    let workload = case.workload;
    workload.prepare(scene).await?;
    if let Some(end) = workload.before() {
        rest(&scene.place, hosted, &end).await.context("before the story")?;
    }
    hosted.plan(case.plan);
    workload.tell(scene).await?;
    rest(&scene.place, hosted, &workload.end()).await.context("the goal is not reached, or it does not fall silent")
}

/// Waits until it has come to this end and nothing is written any more.
async fn rest(place: &Place, hosted: &Hosted, end: &End) -> Result<()> {
    let resting = async {
        let mut last = (usize::MAX, Instant::now());
        loop {
            let count = hosted.writes().0.len();
            if count != last.0 || !hosted.is_through() || !end.is_there(place).await {
                last = (count, Instant::now());
            }
            if last.1.elapsed() > REST {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(OVER, resting).await.with_context(|| format!("after {} s", OVER.as_secs()))
}

async fn history(scene: &Scene<'_>) -> Result<Vec<Change>> {
    let namespace = &scene.place.namespace;
    let list: Value = scene.place.get(&format!("/api/v1/namespaces/{namespace}/services")).await?;
    scene.observer.take(namespace, revision_of(&list).context("a list has a version")?).await
}
