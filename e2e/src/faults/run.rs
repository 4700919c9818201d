//! One case, from an empty namespace to the verdict.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    case::Case,
    control_plane::ControlPlane,
    history::Change,
    judge::{Subject, judge},
    observer::revision_of,
    workload::{DRAIN, End, NAME},
};
use crate::{
    hosted::Hosted,
    place::{Place, suffix},
    proxy::Write,
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

/// Runs a case. At most so many writes are allowed; none: it is a measure for others.
pub async fn run(plane: &ControlPlane, case: Case, allowed: Option<usize>) -> Result<Outcome> {
    let began = Instant::now();
    let place = plane.place(&format!("f-{}", suffix())).await?;
    let hosted = Hosted::start(plane.setup(&place)?, crate::proxy::Plan::NEVER).await?;
    let mut outcome = Outcome::default();
    if let Err(error) = story(case, &place, &hosted).await {
        outcome.violations.push(format!("{error:#}\n{}\n{}", hosted.tail(), place.explain().await));
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
    let history = history(plane, &place).await?;
    outcome.revisions = history.len();
    let subject = Subject { name: NAME.to_owned(), drain: DRAIN };
    outcome.violations.extend(judge(&history, &subject).iter().map(ToString::to_string));
    place.remove().await?;
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

async fn story(case: Case, place: &Place, hosted: &Hosted) -> Result<()> {
    let workload = case.workload;
    workload.prepare(place).await?;
    if let Some(end) = workload.before() {
        rest(place, hosted, &end).await.context("before the story")?;
    }
    hosted.plan(case.plan);
    workload.tell(place).await?;
    rest(place, hosted, &workload.end()).await.context("the goal is not reached, or it does not fall silent")
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

async fn history(plane: &ControlPlane, place: &Place) -> Result<Vec<Change>> {
    let list: Value = place.get(&format!("/api/v1/namespaces/{}/services", place.namespace)).await?;
    plane.observer.take(&place.namespace, revision_of(&list).context("a list has a version")?).await
}
