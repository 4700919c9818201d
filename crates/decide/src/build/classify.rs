//! Why a step failed, and who can do something about it.

use switchyard_api::{
    build::{Class, Failure},
    report::{self, Report},
};

use super::observed::{Container, Job, Step};
use crate::words;

/// Containers that run our worker and leave a report.
const WORKER: [&str; 2] = ["clone", "push"];
/// Last lines of a log that are kept, in characters.
const LOG: usize = 2000;

/// Reasons given here, beside those of a worker's report: what they mean and what to do. The documentation of Build
/// has the same table.
pub const REASONS: &[(&str, Class, &str)] = &[
    (CHECK_FAILED, Class::User, "read the log and mend the source"),
    (OUT_OF_MEMORY, Class::User, "raise resources.limits.memory of the check, or pod.resources for Kaniko"),
    (DOCKERFILE_MISSING, Class::User, "check images[].dockerfile.path and context"),
    (DOCKERFILE_INVALID, Class::User, "correct the Dockerfile"),
    (BASE_IMAGE_UNAVAILABLE, Class::User, "check the FROM line, and name a pull credential in imagePullSecrets"),
    (BASE_IMAGE_UNREACHABLE, Class::Infrastructure, "the registry of the base image did not answer"),
    (BUILD_FAILED, Class::User, "read the log: an instruction of the Dockerfile failed"),
    (POD_LOST, Class::Infrastructure, "the node took the pod away"),
    (STEP_FAILED, Class::Infrastructure, "read the log of the pod"),
    (CHILD_CONFLICT, Class::User, "delete the Job of that name, or make a new Build"),
    (DIGEST_MISMATCH, Class::User, "somebody else pushed that tag meanwhile"),
    (TIMEOUT, Class::Timeout, "raise timeout, or find out what waits"),
    (LOST, Class::Lost, "make a new Build: what this one did is not known any more"),
];
pub const CHECK_FAILED: &str = "CheckFailed";
pub const OUT_OF_MEMORY: &str = "OutOfMemory";
pub const DOCKERFILE_MISSING: &str = "DockerfileMissing";
pub const DOCKERFILE_INVALID: &str = "DockerfileInvalid";
pub const BASE_IMAGE_UNAVAILABLE: &str = "BaseImageUnavailable";
pub const BASE_IMAGE_UNREACHABLE: &str = "BaseImageUnreachable";
pub const BUILD_FAILED: &str = "BuildFailed";
pub const POD_LOST: &str = "PodLost";
pub const STEP_FAILED: &str = "StepFailed";
pub const CHILD_CONFLICT: &str = "ChildConflict";
pub const DIGEST_MISMATCH: &str = "DigestMismatch";
pub const TIMEOUT: &str = "Timeout";
pub const LOST: &str = "StatusLost";

/// A failure by one of our own reasons.
pub fn failure(step: &str, reason: &str, message: impl Into<String>, log: Option<String>) -> Failure {
    let known = REASONS.iter().find(|(name, ..)| *name == reason);
    Failure {
        step: step.to_owned(),
        class: known.map_or(Class::Infrastructure, |(_, class, _)| *class),
        reason: reason.to_owned(),
        message: words::capped(&message.into(), 1024),
        hint: known.map(|(.., hint)| (*hint).to_owned()),
        log,
    }
}

/// Why this Job failed.
pub fn classify(step: &Step, job: &Job) -> Failure {
    let ended = job.containers.iter().filter_map(|c| c.ended.as_ref().map(|e| (c, e)));
    let Some((container, end)) = ended.clone().find(|(_, e)| e.exit_code != 0) else {
        let words = job.lost.clone().or_else(|| job.failed.clone()).unwrap_or_default();
        return if words.contains("DeadlineExceeded") {
            failure(&step.to_string(), TIMEOUT, "the Job ran longer than the Build's timeout", None)
        } else {
            failure(&step.to_string(), POD_LOST, format!("the pod ended before its containers did: {words}"), None)
        };
    };
    let place = format!("{step}: {}", container.name);
    if end.reason == "OOMKilled" {
        return failure(
            &place,
            OUT_OF_MEMORY,
            format!("container {} used more memory than its limit", container.name),
            None,
        );
    }
    if let (Some(lost), true) = (&job.lost, end.exit_code > 128) {
        return failure(&place, POD_LOST, format!("the pod was taken away: {lost}"), None);
    }
    if WORKER.contains(&container.name.as_str()) {
        return reported(&place, &end.message);
    }
    let log = tail(&end.message);
    match step {
        Step::Check(name) => {
            let message = format!("check {name} ended with exit code {}", end.exit_code);
            failure(&place, CHECK_FAILED, message, log)
        }
        Step::Image(name) => {
            let last = end.message.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it left no message");
            let reason = kaniko(last);
            if reason == DOCKERFILE_MISSING {
                let message = format!("image {name}: the source has no file at dockerfile.path");
                return failure(&place, reason, message, None);
            }
            failure(&place, reason, format!("image {name}: {}", last.trim()), log)
        }
    }
}

fn reported(place: &str, message: &str) -> Failure {
    match Report::parse(message) {
        Ok(Report::Failed(failed)) => Failure {
            step: place.to_owned(),
            class: match failed.reason.class() {
                report::Class::User => Class::User,
                report::Class::Infrastructure => Class::Infrastructure,
            },
            reason: failed.reason.to_string(),
            message: failed.message,
            hint: None,
            log: None,
        },
        Ok(Report::Cloned(_) | Report::Pushed(_)) => {
            failure(place, STEP_FAILED, "it reported success and failed", None)
        }
        Err(why) => failure(place, STEP_FAILED, why.to_string(), tail(message)),
    }
}

/// Kaniko has no exit codes of its own: the exit code of a failing RUN is passed on. So its last line is read, and no
/// other: those before it may be the output of a RUN, and say anything. Where it cannot begin, it ends with its usage
/// (whose length pushes the error itself out of the message): its flags are ours, so the Dockerfile is what it misses.
fn kaniko(last: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|w| last.contains(w));
    if has(&["failed to execute command"]) {
        BUILD_FAILED
    } else if has(&["executor [command] --help", "error resolving dockerfile path"]) {
        DOCKERFILE_MISSING
    } else if has(&["dockerfile parse error", "parsing dockerfile", "unknown instruction"]) {
        DOCKERFILE_INVALID
    } else if has(&["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "UNAUTHORIZED", "DENIED", "unexpected status code 401"]) {
        BASE_IMAGE_UNAVAILABLE
    } else if has(&["dial tcp", "TOOMANYREQUESTS", "unexpected status code 5", "i/o timeout", "no such host"]) {
        BASE_IMAGE_UNREACHABLE
    } else {
        BUILD_FAILED
    }
}

fn tail(log: &str) -> Option<String> {
    let log = log.trim();
    let skip = log.chars().count().saturating_sub(LOG);
    (!log.is_empty()).then(|| log.chars().skip(skip).collect())
}

/// The report of a worker's container that ended well.
pub fn report_of(job: &Job, container: &str) -> Option<Report> {
    let ended = |c: &&Container| c.name == container && c.ended.as_ref().is_some_and(|e| e.exit_code == 0);
    let found = job.containers.iter().find(ended)?;
    Report::parse(&found.ended.as_ref()?.message).ok()
}
