//! Facts become memory: here and nowhere else.

use switchyard_api::{
    Duration,
    build::{Attempt, BuiltImage, Class, Failure, Memory},
    report::Report,
};

use super::{
    classify::{self, classify, failure, report_of},
    observed::{Job, Observed, Step},
};
use crate::{Answer, Measured};

/// Before the second attempt; twice as long before each further one.
const BACK_OFF: Duration = Duration::from_secs(10);

pub fn remember(seen: &Observed) -> Memory {
    let mut memory = seen.memory.clone();
    if memory.finished.is_some() {
        return memory;
    }
    if memory.started.is_none() {
        start(seen, &mut memory);
        return memory;
    }
    let steps: Vec<Step> = seen.order.checks().chain(seen.order.images()).collect();
    for step in &steps {
        if let Some(job) = seen.job(&memory, step).cloned() {
            look(seen, &mut memory, step, &job);
        }
    }
    for image in &seen.order.images {
        verify(seen, &mut memory, &image.name);
    }
    finish(seen, &mut memory);
    memory
}

/// A Build that was started once and lost its status is never run again: it takes its result from its annotation, or
/// ends as lost.
fn start(seen: &Observed, memory: &mut Memory) {
    if let Some(result) = &seen.marked_result {
        memory.started = Some(result.started.unwrap_or(result.finished));
        memory.finished = Some(result.finished);
        memory.version.clone_from(&result.version);
        memory.failure.clone_from(&result.failure);
        memory.served = result.images.iter().map(|i| i.name.clone()).collect();
        memory.pushed = result.images.iter().map(|i| (i.name.clone(), i.clone())).collect();
        return;
    }
    memory.started = Some(seen.now);
    if seen.marked_started {
        let message = "it was started before, and its status is gone";
        memory.failure = Some(failure("start", classify::LOST, message, None));
        memory.finished = Some(seen.now);
    }
}

fn look(seen: &Observed, memory: &mut Memory, step: &Step, job: &Job) {
    if let Some(owner) = &job.conflict {
        memory.failure.get_or_insert_with(|| failure(&step.to_string(), classify::CHILD_CONFLICT, owner.clone(), None));
        return;
    }
    if (job.succeeded || job.failed.is_some()) && !job.pod_ended {
        return; // what its containers said is still on its way
    }
    if let Some(Report::Cloned(cloned)) = report_of(job, "clone") {
        memory.version = memory.version.take().or(cloned.version);
    }
    if job.failed.is_some() {
        failed(seen, memory, step, classify(step, job));
    } else if job.succeeded {
        match step {
            Step::Check(name) => {
                memory.passed.insert(name.clone());
            }
            Step::Image(name) => pushed(seen, memory, step, name, job),
        }
    }
}

/// A failure of the infrastructure is tried again, after a pause; any other ends the Build.
fn failed(seen: &Observed, memory: &mut Memory, step: &Step, failure: Failure) {
    let number = Observed::attempt(memory, step);
    if failure.class != Class::Infrastructure || number > seen.order.retries {
        memory.failure.get_or_insert(failure);
        return;
    }
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or(0).min(5);
    let pause = Duration::from_secs(BACK_OFF.as_secs().saturating_mul(2u64.saturating_pow(doublings)));
    let attempt = Attempt {
        number: number.saturating_add(1),
        not_before: Some(seen.now.plus(pause)),
        after: Some(format!("{}: {}", failure.reason, failure.message)),
    };
    memory.attempts.insert(step.to_string(), attempt);
}

/// What the worker says it pushed is a claim until the registry was asked.
fn pushed(seen: &Observed, memory: &mut Memory, step: &Step, name: &str, job: &Job) {
    if memory.pushed.contains_key(name) {
        return;
    }
    let repository = seen.order.images.iter().find(|i| i.name == name).map(|i| i.repository.clone());
    let Some(Report::Pushed(report)) = report_of(job, "push") else {
        let missing = failure(&step.to_string(), classify::STEP_FAILED, "it ended without saying what it pushed", None);
        return failed(seen, memory, step, missing);
    };
    let (Ok(digest), Some(repository)) = (report.digest.parse(), repository) else {
        let message = format!("it says it pushed {:?}, which is no digest", report.digest);
        return failed(seen, memory, step, failure(&step.to_string(), classify::STEP_FAILED, message, None));
    };
    let image = BuiltImage { name: name.to_owned(), repository, digest, tags: report.tags };
    memory.pushed.insert(name.to_owned(), image);
}

fn verify(seen: &Observed, memory: &mut Memory, name: &str) {
    let Some(pushed) = memory.pushed.get(name) else { return };
    let Some(Answer::Known { value: Measured::Digest(served), .. }) = seen.answers.get(&seen.question(pushed)) else {
        return;
    };
    if *served == pushed.digest {
        memory.served.insert(name.to_owned());
    } else {
        let message = format!("pushed {}, but the registry serves {served} under that tag", pushed.digest);
        memory
            .failure
            .get_or_insert_with(|| failure(&format!("image/{name}"), classify::DIGEST_MISMATCH, message, None));
    }
}

fn finish(seen: &Observed, memory: &mut Memory) {
    let all = seen.order.images.iter().all(|i| memory.served.contains(&i.name));
    let late = memory.started.is_some_and(|t| seen.now.since(t) >= seen.order.timeout);
    if memory.failure.is_none() && !all && late {
        let waited = super::status::waiting(seen, memory).into_iter().next();
        let message = format!(
            "not done after {}{}",
            seen.order.timeout,
            waited.map(|w| format!("; it waited for {w}")).unwrap_or_default()
        );
        memory.failure = Some(failure("build", classify::TIMEOUT, message, None));
    }
    if all || memory.failure.is_some() {
        memory.finished = Some(seen.now);
    }
}
