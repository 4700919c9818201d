//! Why a step failed, by what its Job and its containers left.

use switchyard_api::{
    build::{Class, Failure},
    report::{self, Reason, Report},
};

use super::{
    mask::mask,
    observed::{Container, ContainerEnd, Job, Problem, Step},
    reasons::{
        BASE_IMAGE_UNAVAILABLE, BASE_IMAGE_UNREACHABLE, BUILD_FAILED, CHECK_FAILED, DISK_FULL, DOCKERFILE_INVALID,
        DOCKERFILE_MISSING, IGNORE_FILE_INVALID, OUT_OF_MEMORY, POD_LOST, REASONS, SCAN_FAILED, SCAN_UNAVAILABLE,
        STEP_FAILED, TIMEOUT, hint,
    },
};
use crate::words;

/// Containers that run our worker and leave a report.
const WORKER: [&str; 8] = ["clone", "fetch", "save", "quality", "login", "pull", "push", "accept"];
/// Containers that run Trivy.
const TRIVY: [&str; 2] = ["scan", "sbom"];
/// What the containers beside a check are called.
pub const SERVICE: &str = "service-";
/// Last lines of a log that are kept, in characters.
const LOG: usize = 2000;
/// What became of a pod of which the cluster says by whom.
const TAKEN: &str = "the pod was taken away";
/// From here on an exit code may be a signal's.
const SIGNAL: i32 = 128;

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

/// What keeps a pod from starting, as a failure.
pub fn stuck(step: &Step, problem: &Problem) -> Failure {
    failure(&step.to_string(), &problem.reason, mask(&problem.message), None)
}

/// Why this Job failed. `noted`: why its pod was taken away that is gone now. `gate`: it is a check by a SonarQube server.
pub fn classify(step: &Step, job: &Job, noted: Option<&str>, gate: bool) -> Failure {
    let ended = job.containers.iter().filter_map(|c| c.ended.as_ref().map(|e| (c, e)));
    // A service beside a check is ended with it, by a signal.
    let first = ended.clone().find(|(c, e)| e.exit_code != 0 && !c.name.starts_with(SERVICE));
    let late = job.failed.as_ref().is_some_and(|words| words.contains("DeadlineExceeded"));
    if late && first.is_none_or(|(_, e)| e.exit_code > SIGNAL) {
        return failure(&step.to_string(), TIMEOUT, "the Job ran longer than the Build's timeout", None);
    }
    let Some((container, end)) = first else {
        let lost = job.lost.as_deref().or(noted).map(|lost| (TAKEN, lost));
        let (what, words) =
            lost.unwrap_or(("the pod ended before its containers did", job.failed.as_deref().unwrap_or_default()));
        return taken(&step.to_string(), what, words);
    };
    let place = format!("{step}: {}", container.name);
    if end.reason == "OOMKilled" {
        let message = format!("container {} used more memory than its limit", container.name);
        return failure(&place, OUT_OF_MEMORY, message, None);
    }
    // Asked to end, a program of the user's may end with any code. One of ours says how it ended.
    let ours = WORKER.contains(&container.name.as_str());
    if let (Some(lost), true) = (&job.lost, !ours || end.exit_code > SIGNAL) {
        return taken(&place, TAKEN, lost);
    }
    if ours {
        return reported(&place, &end.message);
    }
    if TRIVY.contains(&container.name.as_str()) {
        return scan(&place, end);
    }
    match step {
        Step::Check(name) => check(name, &place, end, gate),
        Step::Image(name) => image(name, &place, end),
    }
}

/// The pod went, and not by what it ran; `words` are the cluster's.
fn taken(place: &str, what: &str, words: &str) -> Failure {
    // The kubelet's words for one that wrote more than it may, and for a node whose disk is full.
    let disk = ["ephemeral", "EmptyDir volume"].iter().any(|w| words.contains(w));
    failure(place, if disk { DISK_FULL } else { POD_LOST }, format!("{what}: {words}"), None)
}

fn check(name: &str, place: &str, end: &ContainerEnd, gate: bool) -> Failure {
    // The container runtime's words: the command is not in the image, or cannot be run.
    if end.reason == "StartError" || end.reason == "ContainerCannotRun" {
        let message = format!("check {name} cannot start: {}", mask(end.message.trim()));
        return failure(place, CHECK_FAILED, message, None);
    }
    if let (true, Some((reason, why))) = (gate, scanner(&end.message)) {
        return told(place, reason, format!("the scanner of check {name}: {}", mask(why)), tail(&end.message));
    }
    let what = if gate { "the scanner of check" } else { "check" };
    failure(place, CHECK_FAILED, format!("{what} {name} ended with exit code {}", end.exit_code), tail(&end.message))
}

/// SonarQube's scanner ends alike whatever it fails of, so the errors in its log are read: where it could not talk to the
/// server, that is no fault of the source. The words are those of its versions 4 to 8.
fn scanner(log: &str) -> Option<(Reason, &str)> {
    let errors =
        || log.lines().filter_map(|l| l.split_once("ERROR")).map(|(_, said)| said.trim_start_matches([':', ']', ' ']));
    let with = |words: &[&str]| errors().find(|said| words.iter().any(|w| said.contains(w)));
    let refused = with(&["failed with HTTP 401", "failed with HTTP 403", "Not authorized", "not authorized to "]);
    let absent =
        || with(&["Failed to query server version", "can not be reached", "failed with HTTP 5", "Call to URL ["]);
    let refused = refused.map(|said| (Reason::SonarQubeUnauthorized, said));
    refused.or_else(|| absent().map(|said| (Reason::SonarQubeUnavailable, said)))
}

fn image(name: &str, place: &str, end: &ContainerEnd) -> Failure {
    let last = end.message.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it left no message");
    let reason = kaniko(last);
    if reason == DOCKERFILE_MISSING {
        return failure(place, reason, format!("image {name}: the source has no file at dockerfile.path"), None);
    }
    failure(place, reason, format!("image {name}: {}", mask(last.trim())), tail(&end.message))
}

fn reported(place: &str, message: &str) -> Failure {
    match Report::parse(message) {
        Ok(Report::Failed(failed)) => told(place, failed.reason, failed.message, None),
        Ok(Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_) | Report::Passed(_)) => {
            failure(place, STEP_FAILED, "it reported success and failed", None)
        }
        Err(why) => failure(place, STEP_FAILED, why.to_string(), tail(message)),
    }
}

/// A failure by one of a worker's reasons.
fn told(place: &str, reason: Reason, message: String, log: Option<String>) -> Failure {
    let class = match reason.class() {
        report::Class::User => Class::User,
        report::Class::Policy => Class::Policy,
        report::Class::Infrastructure => Class::Infrastructure,
    };
    let hint = Some(hint(reason).to_owned());
    Failure { step: place.to_owned(), class, reason: reason.to_string(), message, hint, log }
}

/// Kaniko has no exit codes of its own: the exit code of a failing RUN is passed on. So its last line is read, and no
/// other: those before it may be the output of a RUN, and say anything. Where it cannot begin, it ends with its usage
/// (whose length pushes the error itself out of the message): its flags are ours, so the Dockerfile is what it misses.
fn kaniko(last: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|w| last.contains(w));
    if has(&["no space left on device"]) {
        DISK_FULL
    } else if has(&["failed to execute command"]) {
        BUILD_FAILED
    } else if has(&["executor [command] --help", "error resolving dockerfile path"]) {
        DOCKERFILE_MISSING
    } else if has(&["dockerfile parse error", "parsing dockerfile", "unknown instruction"]) {
        DOCKERFILE_INVALID
    } else if has(&["TOOMANYREQUESTS", "unexpected status code 429", "unexpected status code 5"]) {
        BASE_IMAGE_UNREACHABLE
    } else if has(&["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "UNAUTHORIZED", "DENIED", "unexpected status code 40"]) {
        BASE_IMAGE_UNAVAILABLE
    } else if has(&["dial tcp", "i/o timeout", "no such host", "connection refused", "TLS handshake"]) {
        BASE_IMAGE_UNREACHABLE
    } else {
        BUILD_FAILED
    }
}

/// Trivy is not asked to judge, so where it fails it could not scan. What it failed of stands in the last line that is
/// marked FATAL and in those after it; before that, its log.
fn scan(place: &str, end: &ContainerEnd) -> Failure {
    let fatal = end.message.rfind("\tFATAL\t").and_then(|at| end.message.get(at..));
    let last = end.message.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it left no message");
    let words = fatal.map_or(last, |f| f.trim_start_matches("\tFATAL\t").trim_start_matches("Fatal error\t"));
    let said = words.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    let reason = if has(&["no space left on device"]) {
        DISK_FULL
    } else if has(&["ignore file not found", "yaml decode error"]) {
        IGNORE_FILE_INVALID
    } else if has(&["DB error", "Java DB"]) {
        SCAN_UNAVAILABLE
    } else {
        SCAN_FAILED
    };
    failure(place, reason, format!("Trivy: {}", mask(&said)), tail(&end.message))
}

/// The last lines, without what looks like a secret.
fn tail(log: &str) -> Option<String> {
    let masked = mask(log.trim());
    let skip = masked.chars().count().saturating_sub(LOG);
    (!masked.is_empty()).then(|| masked.chars().skip(skip).collect())
}

/// The report of a worker's container that ended well.
pub fn report_of(job: &Job, container: &str) -> Option<Report> {
    let ended = |c: &&Container| c.name == container && c.ended.as_ref().is_some_and(|e| e.exit_code == 0);
    let found = job.containers.iter().find(ended)?;
    Report::parse(&found.ended.as_ref()?.message).ok()
}

/// What a worker's container says why it failed.
pub fn complaint_of(job: &Job) -> Option<report::Failed> {
    let ours = |c: &&Container| WORKER.contains(&c.name.as_str());
    let failed = |c: &Container| c.ended.as_ref().filter(|e| e.exit_code != 0).map(|e| Report::parse(&e.message));
    job.containers.iter().filter(ours).filter_map(failed).find_map(|report| match report {
        Ok(Report::Failed(failed)) => Some(failed),
        Ok(Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_) | Report::Passed(_)) | Err(_) => None,
    })
}
