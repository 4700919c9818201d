//! The status that people and programs read.

use switchyard_api::{
    Duration,
    build::{BuildStatus, Memory, Phase, StepState, StepStatus},
    condition::{self, Condition, State, reason},
};

use super::{
    Stage,
    observed::{Job, Observed, Step},
};
use crate::{Answer, Event, words};

pub fn describe(stage: &Stage, seen: &Observed, memory: Memory) -> BuildStatus {
    let done = matches!(stage, Stage::Succeeded | Stage::Failed);
    let duration = memory.started.zip(memory.finished).map(|(from, to)| Duration::from_secs(to.since(from).as_secs()));
    let served = memory.pushed.values().filter(|i| memory.served.contains(&i.name));
    BuildStatus {
        phase: Some(match stage {
            Stage::Starting => Phase::Pending,
            Stage::Checking => Phase::Checking,
            Stage::Building => Phase::Building,
            Stage::Verifying => Phase::Verifying,
            Stage::Succeeded => Phase::Succeeded,
            Stage::Failed => Phase::Failed,
        }),
        version: memory.version.clone(),
        short_commit: Some(seen.order.commit.short().to_owned()),
        start_time: memory.started,
        finish_time: memory.finished,
        duration: duration.map(|d| d.to_string()),
        images: served.cloned().collect(),
        steps: seen.order.checks().chain(seen.order.images()).map(|s| step(&s, seen, &memory)).collect(),
        failure: memory.failure.clone(),
        waiting_for: if done { vec![] } else { waiting(seen, &memory) },
        conditions: conditions(stage, seen, &memory),
        memory,
        ..BuildStatus::default()
    }
}

/// The name of a step as people see it.
fn step(step: &Step, seen: &Observed, memory: &Memory) -> StepStatus {
    let job = seen.job(memory, step);
    let (done, failed) = match step {
        Step::Check(name) => (memory.passed.contains(name), fails(memory, step)),
        Step::Image(name) => (memory.served.contains(name), fails(memory, step)),
    };
    let state = match job {
        _ if done => StepState::Succeeded,
        _ if failed => StepState::Failed,
        Some(_) if memory.finished.is_none() => StepState::Running,
        Some(_) | None => StepState::Waiting,
    };
    let after =
        memory.attempts.get(&step.to_string()).and_then(|a| a.after.clone()).map(|a| format!("tried again after {a}"));
    StepStatus {
        name: step.to_string(),
        state,
        attempt: Observed::attempt(memory, step),
        message: job.filter(|_| !done && !failed).and_then(|j| j.problem.clone()).or(after),
        pod: job.and_then(|j| j.pod.clone()),
    }
}

fn fails(memory: &Memory, step: &Step) -> bool {
    memory.failure.as_ref().is_some_and(|f| f.step.split(':').next() == Some(step.to_string().as_str()))
}

/// In sentences, what would make it move.
pub fn waiting(seen: &Observed, memory: &Memory) -> Vec<String> {
    let open = |s: &Step| match s {
        Step::Check(name) => !memory.passed.contains(name),
        Step::Image(name) => !memory.pushed.contains_key(name),
    };
    let checking = seen.order.checks().any(|s| open(&s));
    let steps = seen.order.checks().chain(seen.order.images().filter(|_| !checking)).filter(open);
    let mut sentences: Vec<String> = steps.map(|s| wait(&s, seen, memory)).collect();
    for pushed in memory.pushed.values().filter(|p| !memory.served.contains(&p.name)) {
        let why = match seen.answers.get(&seen.question(pushed)) {
            Some(Answer::Unreachable { why, .. }) => format!(": {}", why.message()),
            Some(Answer::Known { .. }) | None => String::new(),
        };
        sentences.push(format!("{} to serve {}{why}", pushed.repository, pushed.digest));
    }
    if let Some(sentence) = seen.refused.as_ref().and_then(|(_, refusal)| words::refusal(refusal)) {
        sentences.insert(0, sentence);
    }
    sentences.iter().map(|s| words::capped(s, 1024)).collect()
}

fn wait(step: &Step, seen: &Observed, memory: &Memory) -> String {
    let running = |j: &Job| j.containers.iter().find(|c| c.running).map(|c| c.name.clone());
    match seen.job(memory, step) {
        Some(job) => match (&job.problem, running(job)) {
            (Some(problem), _) => format!("the pod of {step} to start: {problem}"),
            (None, Some(container)) => format!("{step}: {container} is running"),
            (None, None) => format!("the pod of {step} to start"),
        },
        None => match memory.attempts.get(&step.to_string()) {
            Some(attempt) => format!("attempt {} of {step}, after a pause", attempt.number),
            None => format!("a Job for {step}"),
        },
    }
}

fn conditions(stage: &Stage, seen: &Observed, memory: &Memory) -> Vec<Condition> {
    let told = || waiting(seen, memory).join("; ");
    let (ready, moving, reason, message) = match (stage, &memory.failure) {
        (Stage::Succeeded, _) => {
            (State::True, false, reason::SUCCEEDED, "every image is served by its registry".to_owned())
        }
        (Stage::Failed, Some(f)) => (State::False, false, f.reason.as_str(), format!("{}: {}", f.step, f.message)),
        (Stage::Failed, None) => (State::False, false, reason::BUILD_FAILED, String::new()),
        (Stage::Starting, _) => (State::Unknown, true, reason::PROGRESSING, "it is about to start".to_owned()),
        (Stage::Checking, _) => (State::False, true, "Checking", told()),
        (Stage::Building, _) => (State::False, true, reason::BUILDING, told()),
        (Stage::Verifying, _) => (State::False, true, "Verifying", told()),
    };
    let failed = matches!(stage, Stage::Failed);
    let message = words::capped(&message, 2048);
    vec![
        Condition::new(condition::READY, ready, reason, message.clone()),
        Condition::new(condition::RECONCILING, moving, reason, message.clone()),
        Condition::new(condition::STALLED, failed, reason, if failed { message } else { String::new() }),
    ]
}

pub fn events(before: &BuildStatus, after: &BuildStatus) -> Vec<Event> {
    let mut events = vec![];
    if before.memory.started.is_none() && after.memory.started.is_some() {
        events.push(Event::normal("Started", "checks and images will run"));
    }
    for (step, attempt) in &after.memory.attempts {
        if before.memory.attempts.get(step) != Some(attempt) {
            let after = attempt.after.clone().unwrap_or_default();
            events.push(Event::warning("Retried", format!("{step}, attempt {}, after {after}", attempt.number)));
        }
    }
    if before.memory.finished.is_none() && after.memory.finished.is_some() {
        let images = || after.images.iter().map(|i| format!("{}@{}", i.repository, i.digest)).collect::<Vec<_>>();
        events.push(match &after.memory.failure {
            Some(f) => Event::warning(&f.reason, format!("{}: {}", f.step, f.message)),
            None => Event::normal(reason::SUCCEEDED, images().join(", ")),
        });
    }
    events
}
