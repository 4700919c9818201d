//! The status that people and programs read.

use switchyard_api::{
    Duration,
    build::{Attempt, BuildStatus, Memory, Phase, StepState, StepStatus},
    condition::{self, Condition, State, reason},
};

use super::{
    Action, Stage,
    mask::mask,
    observed::{Job, Observed, Problem, Source, Step},
    reasons,
};
use crate::{Answer, Event, Refusal, words};

/// Why a Build is Ready that built nothing.
const SKIPPED: &str = "Skipped";
/// What its message says.
const UNCHANGED: &str = "nothing of the wanted paths changed since the base";

pub fn describe(stage: &Stage, seen: &Observed, memory: Memory) -> BuildStatus {
    let duration = memory.started.zip(memory.finished).map(|(from, to)| Duration::from_secs(to.since(from).as_secs()));
    let served = memory.pushed.values().filter(|i| memory.served.contains(&i.name));
    BuildStatus {
        phase: Some(phase(stage, seen, &memory)),
        version: memory.version.clone(),
        short_commit: seen.order.commit().map(|c| c.short().to_owned()),
        commit: seen.order.commit().cloned(),
        start_time: memory.started,
        finish_time: memory.finished,
        duration: duration.map(|d| d.to_string()),
        images: if memory.failure.is_some() { vec![] } else { served.cloned().collect() },
        steps: seen.order.steps().map(|s| step(&s, seen, &memory)).collect(),
        scans: memory.scans.values().cloned().collect(),
        failure: memory.failure.clone(),
        waiting_for: if stage.is_final() { vec![] } else { waiting(seen, &memory) },
        conditions: conditions(stage, seen, &memory),
        memory,
        ..BuildStatus::default()
    }
}

/// While images are built, the one that is behind says where the Build is.
fn phase(stage: &Stage, seen: &Observed, memory: &Memory) -> Phase {
    match stage {
        Stage::Starting => Phase::Pending,
        Stage::Checking => Phase::Checking,
        Stage::Building => {
            let of = |step: &Step| match seen.job(memory, step).and_then(running) {
                Some("push" | "accept") => 2,
                Some("pull" | "scan" | "sbom") => 1,
                Some(_) | None => 0,
            };
            match open(seen, memory).iter().map(of).min() {
                Some(2) => Phase::Pushing,
                Some(1) => Phase::Scanning,
                Some(_) | None => Phase::Building,
            }
        }
        Stage::Verifying => Phase::Verifying,
        Stage::Succeeded => Phase::Succeeded,
        Stage::Skipped => Phase::Skipped,
        Stage::Failed => Phase::Failed,
        Stage::Cancelled => Phase::Cancelled,
    }
}

/// The container that runs: of several, the last, since those beside it are services.
fn running(job: &Job) -> Option<&str> {
    job.containers.iter().rev().find(|c| c.running).map(|c| c.name.as_str())
}

/// Steps whose turn has come and that are not done.
pub fn open(seen: &Observed, memory: &Memory) -> Vec<Step> {
    let checks = seen.order.checks.iter().filter(|c| !memory.passed.contains(&c.name));
    let passed = |names: &[String]| names.iter().all(|n| memory.passed.contains(n));
    if checks.clone().next().is_some() {
        return checks.filter(|c| passed(&c.after)).map(|c| Step::Check(c.name.clone())).collect();
    }
    seen.order.images().filter(|s| matches!(s, Step::Image(name) if !memory.pushed.contains_key(name))).collect()
}

/// What keeps a step from starting: of its pod, or of its Job.
pub fn problem(seen: &Observed, memory: &Memory, step: &Step) -> Option<Problem> {
    let refused = || match &seen.refused {
        Some((Action::Run { step: of, .. }, Refusal::Denied(why))) if of == step && why.contains("exceeded quota") => {
            Some(Problem { reason: reasons::QUOTA_EXCEEDED.to_owned(), message: why.clone(), may_pass: false })
        }
        Some(_) | None => None,
    };
    match seen.job(memory, step) {
        Some(job) => seen.problem(job).map(|p| Problem { message: mask(&p.message), ..p.clone() }),
        None => refused(),
    }
}

/// A step as people see it.
fn step(step: &Step, seen: &Observed, memory: &Memory) -> StepStatus {
    let job = seen.job(memory, step);
    let run = memory.runs.get(&step.to_string());
    let done = match step {
        Step::Check(name) => memory.passed.contains(name),
        Step::Image(name) => memory.served.contains(name),
    };
    let failed = memory.failure.as_ref().filter(|f| f.step.split(": ").next() == Some(step.to_string().as_str()));
    let state = match job {
        _ if done => StepState::Succeeded,
        _ if failed.is_some() => StepState::Failed,
        Some(_) if memory.finished.is_none() => StepState::Running,
        Some(_) | None => StepState::Waiting,
    };
    let after = memory.attempts.get(&step.to_string()).and_then(|a| a.after.clone());
    let problem = problem(seen, memory, step).filter(|_| !done && failed.is_none() && memory.finished.is_none());
    let pod = run.and_then(|r| r.pod.clone()).or_else(|| job.and_then(|j| j.pod.clone()));
    let container = failed.and_then(|f| f.step.split_once(": ")).map(|(_, container)| container);
    StepStatus {
        name: step.to_string(),
        state,
        attempt: Observed::attempt(memory, step),
        start_time: run.and_then(|r| r.started),
        finish_time: run.and_then(|r| r.finished),
        message: problem.map(|p| sentence(&p)).or(after.map(|a| format!("tried again after {a}"))),
        logs_url: pod.as_ref().and_then(|pod| logs_url(seen, step, pod, container)),
        pod,
    }
}

/// Where the log is of the container that failed, or of the one that matters most to people.
fn logs_url(seen: &Observed, step: &Step, pod: &str, failed: Option<&str>) -> Option<String> {
    let template = seen.order.log_url.as_ref()?;
    let namespace = seen.name.split('/').next().unwrap_or_default();
    let container = failed.unwrap_or(match (step, &seen.order.source) {
        (Step::Check(_), _) => "check",
        (Step::Image(_), Source::Commit(_)) => "build",
        (Step::Image(_), Source::Image { .. }) => "scan",
    });
    Some(template.replace("{namespace}", namespace).replace("{pod}", pod).replace("{container}", container))
}

fn sentence(problem: &Problem) -> String {
    format!("{}, {}", problem.reason, problem.message)
}

/// In sentences, what would make it move.
pub fn waiting(seen: &Observed, memory: &Memory) -> Vec<String> {
    let open = open(seen, memory);
    let mut sentences: Vec<String> = open.iter().map(|s| wait(s, seen, memory)).collect();
    for check in seen.order.checks.iter().filter(|c| !memory.passed.contains(&c.name)) {
        let first: Vec<String> =
            check.after.iter().filter(|a| !memory.passed.contains(*a)).map(|a| format!("check/{a}")).collect();
        if !first.is_empty() {
            sentences.push(format!("{} to pass, before check/{} starts", first.join(" and "), check.name));
        }
    }
    for pushed in memory.pushed.values().filter(|p| !memory.served.contains(&p.name)) {
        let why = match seen.answers.get(&seen.serves(pushed)) {
            Some(Answer::Unreachable { why, .. }) => format!(": {}", why.message()),
            Some(Answer::Known { .. }) | None => String::new(),
        };
        sentences.push(format!("{} to serve {}{why}", pushed.repository, pushed.digest));
    }
    let told = open.iter().any(|s| seen.job(memory, s).is_none() && problem(seen, memory, s).is_some());
    let refused = seen.refused.as_ref().filter(|_| !told).and_then(|(_, refusal)| words::refusal(refusal));
    refused.into_iter().chain(sentences).map(|s| words::capped(&s, 1024)).collect()
}

fn wait(step: &Step, seen: &Observed, memory: &Memory) -> String {
    let attempt = memory.attempts.get(&step.to_string());
    match (seen.job(memory, step), problem(seen, memory, step)) {
        (Some(_), Some(problem)) => format!("the pod of {step} to start: {}", sentence(&problem)),
        (None, Some(problem)) => format!("a Job for {step}: {}", sentence(&problem)),
        (Some(job), None) => match running(job) {
            Some(container) => format!("{step}: {container} is running"),
            None if job.has_ended() => format!("the last words of the pod of {step}"),
            None if job.has_begun() => format!("{step}: the next container"),
            None => format!("the pod of {step} to start"),
        },
        (None, None) => match attempt {
            Some(a) if seen.lingers(memory, step) => {
                format!("the Job of {step} before attempt {} to end{}", a.number, because(a))
            }
            Some(a) => format!("attempt {} of {step}, after a pause{}", a.number, because(a)),
            None => format!("a Job for {step}"),
        },
    }
}

fn because(attempt: &Attempt) -> String {
    attempt.after.as_ref().map(|after| format!(": {after}")).unwrap_or_default()
}

/// The reason that a step has for waiting: what keeps it from starting, or what the attempt before failed of.
fn reason_to_wait(seen: &Observed, memory: &Memory, step: &Step) -> Option<String> {
    let before = || {
        let attempt = memory.attempts.get(&step.to_string()).filter(|_| seen.job(memory, step).is_none())?;
        attempt.after.as_ref()?.split_once(": ").map(|(reason, _)| reason.to_owned())
    };
    problem(seen, memory, step).map(|p| p.reason).or_else(before)
}

fn conditions(stage: &Stage, seen: &Observed, memory: &Memory) -> Vec<Condition> {
    let told = || waiting(seen, memory).join("; ");
    let stuck = open(seen, memory).iter().find_map(|s| reason_to_wait(seen, memory, s));
    let going = |reason: &str| (State::False, true, stuck.clone().unwrap_or_else(|| reason.to_owned()), told());
    let (ready, moving, reason, message) = match (stage, &memory.failure) {
        (Stage::Succeeded, _) => {
            (State::True, false, reason::SUCCEEDED.to_owned(), "every image is served by its registry".to_owned())
        }
        (Stage::Skipped, _) => (State::True, false, SKIPPED.to_owned(), UNCHANGED.to_owned()),
        (Stage::Failed | Stage::Cancelled, Some(f)) => {
            (State::False, false, f.reason.clone(), format!("{}: {}", f.step, f.message))
        }
        (Stage::Failed | Stage::Cancelled, None) => {
            (State::False, false, reason::BUILD_FAILED.to_owned(), String::new())
        }
        (Stage::Starting, _) => {
            (State::Unknown, true, reason::PROGRESSING.to_owned(), "it is about to start".to_owned())
        }
        (Stage::Checking, _) => going(reason::CHECKING),
        (Stage::Building, _) => going(reason::BUILDING),
        (Stage::Verifying, _) => going("Verifying"),
    };
    let failed = matches!(stage, Stage::Failed | Stage::Cancelled);
    let message = words::capped(&message, 2048);
    vec![
        Condition::new(condition::READY, ready, &reason, message.clone()),
        Condition::new(condition::RECONCILING, moving, &reason, message.clone()),
        Condition::new(condition::STALLED, failed, &reason, if failed { message } else { String::new() }),
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
            None if after.memory.skipped => Event::normal(SKIPPED, UNCHANGED),
            None => Event::normal(reason::SUCCEEDED, images().join(", ")),
        });
    }
    events
}
