//! Which logs there are, and in which order they belong.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use switchyard_api::{
    Build,
    build::{Phase, StepState},
    condition::{READY, STALLED, State as Truth},
    names::ANNOTATION_STEP,
};

/// One pod of a Build: an attempt at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `check/unit`, `image/web`.
    pub step: String,
    pub attempt: i32,
    pub pod: String,
    /// As they start.
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    /// It runs beside the others, such as a database: it does not end before they do.
    pub beside: bool,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not started, and has no log.
    Waiting,
    Running,
    Ended,
    /// Its pod is over, and it had not started: it never will.
    Never,
}

impl Run {
    pub fn is_over(&self) -> bool {
        self.containers.iter().all(|c| matches!(c.state, State::Ended | State::Never))
    }
}

/// The steps of a Build in the order in which they may run: a check comes after those that it names.
pub fn steps(build: &Build) -> Vec<String> {
    let recipe = &build.spec.recipe;
    let checks = recipe.checks.iter().map(|c| format!("check/{}", c.name));
    let accepted = build.spec.source.registry.iter().map(|image| &image.name);
    let images = recipe.images.iter().map(|image| &image.name).chain(accepted).map(|name| format!("image/{name}"));
    checks.chain(images).collect()
}

/// The pods of a Build in that order, each step's attempts one after the other.
pub fn runs(build: &Build, pods: &[Pod]) -> Vec<Run> {
    let steps = steps(build);
    let place = |step: &str| steps.iter().position(|s| s == step).unwrap_or(steps.len());
    let mut runs: Vec<_> = pods.iter().filter_map(|pod| Some((pod.creation_timestamp(), run(pod)?))).collect();
    runs.sort_by(|(a_time, a), (b_time, b)| {
        let key = |run: &Run| (place(&run.step), run.attempt);
        key(a).cmp(&key(b)).then_with(|| a_time.cmp(b_time)).then_with(|| a.pod.cmp(&b.pod))
    });
    runs.into_iter().map(|(_, run)| run).collect()
}

/// None: it is no pod of a step, or has nothing in it.
fn run(pod: &Pod) -> Option<Run> {
    let (step, attempt) = pod.annotations().get(ANNOTATION_STEP)?.rsplit_once('/')?;
    let spec = pod.spec.as_ref()?;
    let status = pod.status.as_ref();
    let of = |statuses: Option<&Vec<ContainerStatus>>, name: &str| {
        statuses.into_iter().flatten().find(|s| s.name == name).map_or(State::Waiting, state)
    };
    // A pod that is over starts no container any more.
    let over = status.and_then(|s| s.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
    let settled = |state: State| match state {
        State::Waiting if over => State::Never,
        State::Running if over => State::Ended,
        State::Waiting | State::Running | State::Ended | State::Never => state,
    };
    let first = spec.init_containers.iter().flatten().map(|c| Container {
        name: c.name.clone(),
        beside: c.restart_policy.as_deref() == Some("Always"),
        state: settled(of(status.and_then(|s| s.init_container_statuses.as_ref()), &c.name)),
    });
    let then = spec.containers.iter().map(|c| Container {
        name: c.name.clone(),
        beside: false,
        state: settled(of(status.and_then(|s| s.container_statuses.as_ref()), &c.name)),
    });
    let containers = first.chain(then).collect();
    Some(Run { step: step.to_owned(), attempt: attempt.parse().ok()?, pod: pod.name_any(), containers })
}

fn state(status: &ContainerStatus) -> State {
    let now = status.state.as_ref();
    // One that is started again has a log of its end before.
    let before = status.last_state.as_ref().is_some_and(|s| s.terminated.is_some());
    match now {
        Some(state) if state.terminated.is_some() => State::Ended,
        Some(state) if state.running.is_some() => State::Running,
        Some(_) | None if before => State::Running,
        Some(_) | None => State::Waiting,
    }
}

/// Steps that ran and have no pod among these, with what is known of them.
pub fn gone(build: &Build, runs: &[Run]) -> Vec<Gone> {
    let Some(status) = &build.status else { return vec![] };
    let ran = status.steps.iter().filter(|s| s.state != StepState::Waiting || s.pod.is_some());
    let lost = ran.filter(|step| !runs.iter().any(|run| run.step == step.name && run.attempt == step.attempt));
    lost.map(|step| {
        let failure = status.failure.as_ref().filter(|f| part(&f.step).0 == step.name);
        let container = failure.and_then(|f| part(&f.step).1).map(str::to_owned);
        let log = failure.and_then(|f| f.log.clone());
        Gone { step: step.name.clone(), pod: step.pod.clone(), url: step.logs_url.clone(), container, log }
    })
    .collect()
}

/// A step whose pod is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub step: String,
    pub pod: Option<String>,
    /// Where its log is kept.
    pub url: Option<String>,
    /// The container that failed, and its last lines.
    pub container: Option<String>,
    pub log: Option<String>,
}

/// `image/web: push` is a step and a container.
fn part(step: &str) -> (&str, Option<&str>) {
    step.split_once(": ").map_or((step, None), |(step, container)| (step, Some(container)))
}

/// How a Build ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub well: bool,
    /// One line, and what to do about it.
    pub lines: Vec<String>,
}

/// None: it goes on.
pub fn ending(build: &Build) -> Option<Ending> {
    let status = build.status.as_ref()?;
    let condition = |kind: &str| status.conditions.iter().find(|c| c.kind == kind);
    let ended = match status.phase {
        Some(Phase::Succeeded | Phase::Skipped | Phase::Failed | Phase::Cancelled) => true,
        Some(
            Phase::Pending
            | Phase::Checking
            | Phase::Building
            | Phase::Scanning
            | Phase::Pushing
            | Phase::Verifying,
        )
        // Stored by another version, which nothing here will change.
        | None => condition(STALLED).is_some_and(|c| c.status == Truth::True),
    };
    if !ended {
        return None;
    }
    let well = matches!(status.phase, Some(Phase::Succeeded | Phase::Skipped));
    let mut lines = vec![said(build)];
    for image in &status.images {
        let tags = if image.tags.is_empty() { String::new() } else { format!(" ({})", image.tags.join(", ")) };
        lines.push(format!("{}: {}@{}{tags}", image.name, image.repository, image.digest));
    }
    lines.extend(status.failure.iter().filter_map(|f| f.hint.as_ref()).map(|hint| format!("hint: {hint}")));
    Some(Ending { well, lines })
}

/// `build/shop-1 Failed, CheckFailed: check/unit: ...`
pub fn said(build: &Build) -> String {
    let name = build.name_any();
    let Some(status) = &build.status else { return format!("build/{name}: nobody has looked at it yet") };
    let phase = status.phase.map_or_else(|| "Unknown".to_owned(), |phase| format!("{phase:?}"));
    match status.conditions.iter().find(|c| c.kind == READY) {
        Some(ready) if ready.reason == phase => format!("build/{name} {phase}: {}", ready.message),
        Some(ready) => format!("build/{name} {phase}, {}: {}", ready.reason, ready.message),
        None => format!("build/{name} {phase}"),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
