//! What Jobs and their containers tell, taken into memory.

use switchyard_api::{
    Digest, Duration, Timestamp,
    build::{Attempt, BuiltImage, Class, Failure, Memory, Run, ScanStatus},
    report::{Findings, Reason, Report},
};

use super::{
    classify::{classify, complaint_of, failure, report_of, stuck},
    observed::{Job, Observed, Problem, Source, Step},
    reasons::{
        CHILD_CONFLICT, CONTAINER_FAILED_TO_START, DIGEST_MISMATCH, IMAGE_PULL_FAILED, JOB_INVALID, POD_FORBIDDEN,
        POD_IMAGE_INVALID, STEP_FAILED,
    },
};
use crate::{Refusal, words};

/// Before the second attempt; twice as long before each further one.
const BACK_OFF: Duration = Duration::from_secs(10);

/// A problem that waiting does not mend.
fn is_verdict(problem: &Problem) -> bool {
    let verdicts = [IMAGE_PULL_FAILED, CONTAINER_FAILED_TO_START, POD_IMAGE_INVALID, POD_FORBIDDEN];
    !problem.may_pass && verdicts.contains(&problem.reason.as_str())
}

/// What the Job of a step's attempt tells now.
pub fn look(seen: &Observed, memory: &mut Memory, step: &Step, job: &Job) {
    if let Some(owner) = &job.conflict {
        memory.failure.get_or_insert_with(|| failure(&step.to_string(), CHILD_CONFLICT, owner.clone(), None));
        return;
    }
    run(memory, step, job, seen.now);
    if job.has_ended() && !job.pod_ended {
        return; // what its containers said is still on its way
    }
    if let Some(Report::Cloned(cloned)) = report_of(job, "clone") {
        memory.version = memory.version.take().or(cloned.version);
    }
    if job.failed.is_some() {
        gone_wrong(seen, memory, step, job);
    } else if job.succeeded {
        match step {
            Step::Check(name) => passed(seen, memory, step, name, job),
            Step::Image(name) => pushed(seen, memory, step, name, job),
        }
    } else if let Some(problem) = seen.problem(job).filter(|p| is_verdict(p)) {
        failed(seen, memory, step, stuck(step, problem));
    }
}

/// When it began and ended, in which pod, and why that was taken away: a pod may be gone before its Job has failed.
fn run(memory: &mut Memory, step: &Step, job: &Job, now: Timestamp) {
    if !job.has_begun() && job.lost.is_none() {
        return;
    }
    let run = memory.runs.entry(step.to_string()).or_default();
    if job.pod.is_some() {
        run.lost = job.lost.as_ref().map(|words| words::capped(words, 1024));
    }
    if !job.has_begun() {
        return;
    }
    if run.pod != job.pod || run.started.is_none() {
        let started = job.containers.iter().filter_map(|c| c.started).min();
        let lost = run.lost.take();
        *run = Run { started: Some(started.unwrap_or(now)), finished: None, pod: job.pod.clone(), lost };
    }
    if job.has_ended() && job.pod_ended && run.finished.is_none() {
        run.finished = Some(job.containers.iter().filter_map(|c| c.finished).max().unwrap_or(now));
    }
}

fn gone_wrong(seen: &Observed, memory: &mut Memory, step: &Step, job: &Job) {
    let complaint = complaint_of(job);
    if let (Step::Image(name), Some(findings)) = (step, complaint.as_ref().and_then(|c| c.scan)) {
        memory.scans.insert(name.clone(), scan_status(name, &findings));
    }
    if complaint.is_some_and(|c| c.reason == Reason::NothingChanged) {
        memory.skipped = true;
        return;
    }
    let gate = |name: &String| seen.order.checks.iter().any(|c| c.name == *name && c.gate);
    let gate = matches!(step, Step::Check(name) if gate(name));
    let noted = memory.runs.get(&step.to_string()).and_then(|run| run.lost.as_deref()).filter(|_| job.pod.is_none());
    failed(seen, memory, step, classify(step, job, noted, gate));
}

fn scan_status(image: &str, findings: &Findings) -> ScanStatus {
    let Findings { critical, high, medium, low, unknown, fixable } = *findings;
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    ScanStatus {
        image: image.to_owned(),
        critical: count(critical),
        high: count(high),
        medium: count(medium),
        low: count(low),
        unknown: count(unknown),
        fixable: count(fixable),
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
    if let Some(run) = memory.runs.get_mut(&step.to_string()) {
        run.lost = None; // it was that attempt's
    }
}

/// It ended without the report that counts.
fn mute(seen: &Observed, memory: &mut Memory, step: &Step, message: impl Into<String>) {
    failed(seen, memory, step, failure(&step.to_string(), STEP_FAILED, message, None));
}

fn passed(seen: &Observed, memory: &mut Memory, step: &Step, name: &str, job: &Job) {
    let Some(order) = seen.order.checks.iter().find(|c| c.name == name) else { return };
    if memory.passed.contains(name) {
        return;
    }
    if order.gate && !matches!(report_of(job, "quality"), Some(Report::Passed(_))) {
        return mute(seen, memory, step, "it ended without the quality gate's verdict");
    }
    if order.keeps {
        let digest: Option<Digest> = match report_of(job, "save") {
            Some(Report::Saved(saved)) => saved.digest.parse().ok(),
            Some(Report::Cloned(_) | Report::Pushed(_) | Report::Passed(_) | Report::Failed(_)) | None => None,
        };
        let Some(digest) = digest else {
            return mute(seen, memory, step, "it ended without saying where its artifacts are");
        };
        memory.artifacts.insert(name.to_owned(), digest);
    }
    memory.passed.insert(name.to_owned());
}

/// What the worker says it pushed is a claim until the registry was asked.
fn pushed(seen: &Observed, memory: &mut Memory, step: &Step, name: &str, job: &Job) {
    if memory.pushed.contains_key(name) {
        return;
    }
    let repository = seen.order.images.iter().find(|i| i.name == name).map(|i| i.repository.clone());
    let Some(Report::Pushed(report)) = report_of(job, "push").or_else(|| report_of(job, "accept")) else {
        return mute(seen, memory, step, "it ended without saying what it pushed");
    };
    let (Ok(digest), Some(repository)) = (report.digest.parse::<Digest>(), repository) else {
        return mute(seen, memory, step, format!("it says it pushed {:?}, which is no digest", report.digest));
    };
    if let Source::Image { digest: wanted } = &seen.order.source
        && *wanted != digest
    {
        let message = format!("{digest} was accepted, not {wanted}");
        memory.failure.get_or_insert_with(|| failure(&step.to_string(), DIGEST_MISMATCH, message, None));
        return;
    }
    if seen.order.scanned {
        let Some(findings) = report.scan else {
            return mute(seen, memory, step, "it ended without saying what the scan found");
        };
        memory.scans.insert(name.to_owned(), scan_status(name, &findings));
    }
    let image = BuiltImage { name: name.to_owned(), repository, digest, tags: report.tags };
    memory.pushed.insert(name.to_owned(), image);
}

/// What the API server said to the last Run: some of it would be said again to any other.
pub fn refused(seen: &Observed, memory: &mut Memory) {
    let Some((super::Action::Run { step, .. }, refusal)) = &seen.refused else { return };
    let (reason, message) = match refusal {
        Refusal::Owned(owner) => (CHILD_CONFLICT, owner),
        Refusal::Invalid(message) => (JOB_INVALID, message),
        Refusal::Stale | Refusal::Denied(_) | Refusal::Unavailable { .. } => return,
    };
    memory.failure.get_or_insert_with(|| failure(&step.to_string(), reason, message.clone(), None));
}
