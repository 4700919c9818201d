//! Each way to fail, and what follows.

use switchyard_api::{
    build::Class,
    condition::{self, State},
    report::{self, Reason},
};

use super::{
    super::{
        reasons::{
            BASE_IMAGE_UNAVAILABLE, BASE_IMAGE_UNREACHABLE, BUILD_FAILED, CHECK_FAILED, CHILD_CONFLICT,
            DIGEST_MISMATCH, DISK_FULL, DOCKERFILE_INVALID, DOCKERFILE_MISSING, IGNORE_FILE_INVALID, JOB_INVALID, LOST,
            OUT_OF_MEMORY, POD_LOST, REASONS, SCAN_FAILED, SCAN_UNAVAILABLE, STEP_FAILED, TIMEOUT, hint,
        },
        *,
    },
    builder::{
        DIGEST, FINDINGS, OTHER, at, build, cloned, complained, failure, job, names, pushed, saved, served, unit, web,
    },
};
use crate::{Answer, Refusal, Unreachable};

/// What a Job left, the reason, and the class.
type Way = (Step, Job, &'static str, Class);
/// What a Job left, and what the spec asks for.
type Missing = (Step, Job, fn(&mut Observed));

fn checks() -> Vec<Way> {
    let reported = |reason: Reason| job().ended("clone", 1, &complained(reason)).failed();
    vec![
        (unit(), job().ended("check", 1, "1 failed, 3 passed").failed(), CHECK_FAILED, Class::User),
        (unit(), job().ended("check", 137, "").failed(), CHECK_FAILED, Class::User),
        (
            unit(),
            job().ended("check", 128, "exec: \"pytest\": not found").reason("StartError").failed(),
            CHECK_FAILED,
            Class::User,
        ),
        // A service beside it is ended with it.
        (unit(), job().ended("service-db", 137, "").ended("check", 1, "").failed(), CHECK_FAILED, Class::User),
        (unit(), job().ended("check", 137, "").reason("OOMKilled").failed(), OUT_OF_MEMORY, Class::User),
        (unit(), reported(Reason::GitAuthenticationFailed), "GitAuthenticationFailed", Class::User),
        (unit(), reported(Reason::GitRefNotFound), "GitRefNotFound", Class::User),
        (unit(), reported(Reason::CommitNotFound), "CommitNotFound", Class::User),
        (unit(), reported(Reason::GitHostUnreachable), "GitHostUnreachable", Class::Infrastructure),
        (unit(), reported(Reason::DiskFull), DISK_FULL, Class::Infrastructure),
        (
            unit(),
            job().ended("quality", 1, &complained(Reason::QualityGateFailed)).failed(),
            "QualityGateFailed",
            Class::Policy,
        ),
        (unit(), job().ended("clone", 1, "Segmentation fault").failed(), STEP_FAILED, Class::Infrastructure),
        (unit(), job().ended("save", 1, &saved(DIGEST)).failed(), STEP_FAILED, Class::Infrastructure),
        (
            unit(),
            job().running("check").lost("Evicted, The node was low on resource: memory").failed(),
            POD_LOST,
            Class::Infrastructure,
        ),
        (unit(), job().ended("check", 137, "").lost("Evicted").failed(), POD_LOST, Class::Infrastructure),
        // Asked to end, it ended by itself, with a code of its own.
        (unit(), job().ended("check", 1, "").lost("Evicted").failed(), POD_LOST, Class::Infrastructure),
        (
            unit(),
            job()
                .ended("check", 137, "")
                .lost("Evicted, Usage of EmptyDir volume \"src\" exceeds the limit \"1Gi\".")
                .failed(),
            DISK_FULL,
            Class::Infrastructure,
        ),
        (
            unit(),
            job().failed().lost("Evicted, Pod ephemeral local storage usage exceeds the total limit"),
            DISK_FULL,
            Class::Infrastructure,
        ),
        (
            unit(),
            job().running("check").failed_as("DeadlineExceeded: Job was active longer than specified deadline"),
            TIMEOUT,
            Class::Timeout,
        ),
        (unit(), job().ended("check", 137, "").failed_as("DeadlineExceeded"), TIMEOUT, Class::Timeout),
        (unit(), job().ended("check", 2, "").failed_as("DeadlineExceeded"), CHECK_FAILED, Class::User),
    ]
}

fn images() -> Vec<Way> {
    let kaniko = |log: &str| job().ended("clone", 0, &cloned()).ended("build", 1, log).failed();
    let trivy = |log: &str| job().ended("build", 0, "").ended("scan", 1, log).failed();
    let reported = |reason: Reason| job().ended("push", 1, &complained(reason)).failed();
    vec![
        (web(), kaniko("error building image: dockerfile parse error on line 2"), DOCKERFILE_INVALID, Class::User),
        (
            web(),
            kaniko(
                "      --verbosity string\n\nUse \"executor [command] --help\" for more information about a command.\n\n",
            ),
            DOCKERFILE_MISSING,
            Class::User,
        ),
        (web(), kaniko("MANIFEST_UNKNOWN: manifest unknown"), BASE_IMAGE_UNAVAILABLE, Class::User),
        (
            web(),
            kaniko("GET https://r/v2/x: unexpected status code 403 Forbidden"),
            BASE_IMAGE_UNAVAILABLE,
            Class::User,
        ),
        (
            web(),
            kaniko("TOOMANYREQUESTS: you have reached your pull rate limit"),
            BASE_IMAGE_UNREACHABLE,
            Class::Infrastructure,
        ),
        (
            web(),
            kaniko("GET https://r/v2/x: unexpected status code 503 Service Unavailable"),
            BASE_IMAGE_UNREACHABLE,
            Class::Infrastructure,
        ),
        (
            web(),
            kaniko("Get https://r/v2/: dial tcp 1.2.3.4:443: refused"),
            BASE_IMAGE_UNREACHABLE,
            Class::Infrastructure,
        ),
        (
            web(),
            kaniko("error building image: write /out/blobs/x: no space left on device"),
            DISK_FULL,
            Class::Infrastructure,
        ),
        (web(), kaniko("error building image: failed to execute command: exit status 3"), BUILD_FAILED, Class::User),
        // What a RUN printed decides nothing.
        (
            web(),
            kaniko(
                "pip: dial tcp: i/o timeout\nerror building image: error building stage: failed to execute command: exit status 1",
            ),
            BUILD_FAILED,
            Class::User,
        ),
        (web(), job().ended("build", 137, "").reason("OOMKilled").failed(), OUT_OF_MEMORY, Class::User),
        (
            web(),
            trivy(
                "T\tFATAL\tFatal error\trun error: init error: DB error: failed to download vulnerability DB: 1 error \
                 occurred:\n\t* Get \"https://db.test/v2/\": dial tcp: connection refused\n\n\n",
            ),
            SCAN_UNAVAILABLE,
            Class::Infrastructure,
        ),
        (
            web(),
            trivy("T\tFATAL\tFatal error\tflag error: ignore file not found: /src/x"),
            IGNORE_FILE_INVALID,
            Class::User,
        ),
        // What its log says before it fails decides nothing.
        (
            web(),
            trivy("T\tINFO\tno DB error here\nT\tFATAL\tFatal error\timage scan error: no valid manifest"),
            SCAN_FAILED,
            Class::Infrastructure,
        ),
        (web(), job().ended("sbom", 1, "report error").failed(), SCAN_FAILED, Class::Infrastructure),
        (web(), reported(Reason::VulnerableImage), "VulnerableImage", Class::Policy),
        (web(), reported(Reason::PushDenied), "PushDenied", Class::User),
        (web(), reported(Reason::RegistryRepositoryNotFound), "RegistryRepositoryNotFound", Class::User),
        (web(), reported(Reason::TagImmutable), "TagImmutable", Class::User),
        (web(), reported(Reason::RegistryRateLimited), "RegistryRateLimited", Class::Infrastructure),
        (web(), reported(Reason::RegistryUnavailable), "RegistryUnavailable", Class::Infrastructure),
        (
            web(),
            job().ended("login", 1, &complained(Reason::RegistryCredentialInvalid)).failed(),
            "RegistryCredentialInvalid",
            Class::User,
        ),
        (web(), job().ended("push", 0, "no report").succeeded(), STEP_FAILED, Class::Infrastructure),
    ]
}

fn failures() -> Vec<Way> {
    checks().into_iter().chain(images()).collect()
}

/// A Build at the step.
fn before(step: &Step) -> Observed {
    if *step == web() { build().started().checked() } else { build().started() }
}

#[test]
fn every_failure_has_a_reason_a_class_a_sentence_and_a_hint() {
    for (step, job, reason, class) in failures() {
        let mut seen = before(&step).retries(0).with(step.clone(), 1, job.clone());
        let status = seen.settle().status;
        let failure = status.failure.unwrap_or_else(|| panic!("{job:?} did not fail"));
        assert_eq!((failure.reason.as_str(), failure.class), (reason, class), "{job:?}");
        assert!(!failure.message.is_empty() && failure.step.starts_with(&step.to_string()), "{failure:?}");
        assert!(failure.hint.is_some_and(|hint| !hint.is_empty()), "{reason}");
        let stalled = status.conditions.iter().find(|c| c.kind == condition::STALLED).unwrap();
        assert_eq!((stalled.status, stalled.reason.as_str()), (State::True, reason));
    }
}

#[test]
fn a_reason_has_one_class_whoever_gives_it() {
    let ours = |name: &str| REASONS.iter().find(|(reason, ..)| *reason == name).map(|(_, class, _)| *class);
    let both: Vec<_> = report::Reason::ALL.iter().filter_map(|r| Some((r, ours(r.as_str())?))).collect();
    assert!(both.len() > 1, "{both:?}");
    for (reason, class) in both {
        let retried = reason.class() == report::Class::Infrastructure;
        assert_eq!(retried, class == Class::Infrastructure, "{reason}");
    }
    let names: std::collections::BTreeSet<&str> = REASONS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), REASONS.len(), "each stands once");
    assert!(report::Reason::ALL.iter().all(|r| !hint(*r).is_empty()));
}

#[test]
fn only_the_infrastructure_is_tried_again_and_not_for_ever() {
    for (step, job, reason, class) in failures() {
        let mut runs = 1;
        let mut seen = before(&step).with(step.clone(), 1, job.clone());
        while seen.settle().status.failure.is_none() {
            let decision = seen.settle();
            assert!(names(&decision).is_empty(), "a pause comes first");
            seen.now = decision.check_again.unwrap();
            runs += 1;
            assert_eq!(names(&seen.settle()), [format!("Run {step} {runs}")]);
            seen = seen.with(step.clone(), runs, job.clone());
        }
        assert_eq!(runs, if class == Class::Infrastructure { 3 } else { 1 }, "{reason}");
    }
}

#[test]
fn what_a_scan_found_is_told_also_of_an_image_that_does_not_pass() {
    let bad = job().ended("push", 1, &complained(Reason::VulnerableImage)).failed();
    let mut seen = build().scanned().started().checked().with(web(), 1, bad);
    let decision = seen.settle();
    assert_eq!((decision.status.scans[0].high, failure(&decision).0), (1, "image/web: push"));
    assert!(decision.status.images.is_empty());
}

#[test]
fn a_report_that_counts_and_is_missing_fails_the_attempt() {
    let keeps = |seen: &mut Observed| seen.check("unit").keeps = true;
    let gates = |seen: &mut Observed| seen.check("unit").gate = true;
    let scans = |seen: &mut Observed| seen.order.scanned = true;
    let unscanned = job().ended("push", 0, &pushed(None)).succeeded();
    let ways: [Missing; 5] = [
        (unit(), job().ended("check", 0, "").succeeded(), keeps),
        (unit(), job().ended("save", 0, &saved("sha256:short")).succeeded(), keeps),
        (unit(), job().ended("check", 0, "").succeeded(), gates),
        (unit(), job().ended("quality", 0, &saved(DIGEST)).succeeded(), gates),
        (web(), unscanned, scans),
    ];
    for (step, job, asks) in ways {
        let mut seen = before(&step).retries(0).with(step.clone(), 1, job.clone());
        assert_eq!(seen.clone().settle().status.failure, None, "negative control: it is not asked for");
        asks(&mut seen);
        let decision = seen.settle();
        assert_eq!(failure(&decision).1, STEP_FAILED, "{job:?}");
        assert!(decision.status.memory.artifacts.is_empty() && decision.status.memory.pushed.is_empty());
    }
}

#[test]
fn a_digest_that_the_registry_does_not_serve_is_not_accepted() {
    let mut seen = build().started().checked().pushed().answered(&served(OTHER));
    let decision = seen.settle();
    assert_eq!(failure(&decision), ("image/web", DIGEST_MISMATCH, Class::User));
    assert!(decision.status.images.is_empty());
}

#[test]
fn an_unreachable_registry_is_waited_for_in_its_own_words_until_the_timeout() {
    let why = Unreachable::Network("cannot reach r.test: connection refused".into());
    let mut seen = build().started().checked().pushed().answered(&Answer::Unreachable { since: at(1), why });
    let decision = seen.settle();
    assert!(decision.status.waiting_for[0].ends_with("connection refused"), "{:?}", decision.status.waiting_for);
    assert_eq!(decision.check_again, Some(at(1800)));
    seen.now = at(1800);
    let decision = seen.settle();
    assert_eq!(failure(&decision), ("image/web", TIMEOUT, Class::Timeout));
    let message = &decision.status.failure.as_ref().unwrap().message;
    assert!(message.starts_with("not done after 30m") && message.contains("connection refused"), "{message}");
}

#[test]
fn what_fails_stops_what_runs_beside_it() {
    let lint = Step::Check("lint".into());
    let mut seen = build().then("lint", &[]).started().with(unit(), 1, job().ended("check", 1, "no").failed()).with(
        lint.clone(),
        1,
        job().running("check"),
    );
    assert_eq!(names(&seen.settle()), ["Stop check/lint 1", "MarkResult"]);
    seen.jobs.get_mut(&(lint, 1)).unwrap().stopped = true;
    assert_eq!(names(&seen.settle()), ["MarkResult"], "once is enough");
}

#[test]
fn a_lost_status_is_taken_from_the_result_or_ends_the_build_and_never_runs_it_again() {
    let good = job().ended("scan", 0, "").ended("push", 0, &pushed(Some(FINDINGS))).succeeded();
    let mut done = build().scanned().started().checked().with(web(), 1, good).answered(&served(DIGEST));
    let Some(Action::MarkResult { result, .. }) = done.settle().actions.pop() else { panic!("no result") };

    let mut restored = build().scanned();
    (restored.marked_started, restored.marked_result) = (true, Some(*result));
    let decision = restored.settle();
    assert_eq!(names(&decision), [""; 0]);
    assert_eq!((decision.status.images[0].digest.as_str(), decision.status.scans.len()), (DIGEST, 1));

    let mut lost = build().with(unit(), 2, job().running("check"));
    lost.marked_started = true;
    let decision = lost.settle();
    assert_eq!(failure(&decision), ("start", LOST, Class::Lost));
    assert_eq!(names(&decision), ["Stop check/unit 2", "MarkResult"], "also of an attempt that it forgot");
}

#[test]
fn a_job_of_somebody_else_ends_the_build_and_is_left_alone() {
    let foreign = job().foreign("Job shop-7f3a91c-1-check-unit-1 belongs to somebody else");
    let mut seen = build().started().with(unit(), 1, foreign);
    let decision = seen.settle();
    assert_eq!(failure(&decision).1, CHILD_CONFLICT);
    assert_eq!(names(&decision), ["MarkResult"]);
}

#[test]
fn a_job_that_the_api_server_will_never_take_ends_the_build() {
    let run = Action::Run { step: unit(), attempt: 1 };
    for (refusal, reason) in [
        (Refusal::Owned("Job x belongs to somebody else".into()), CHILD_CONFLICT),
        (Refusal::Invalid("spec.template.spec.containers[0].env[0].name: Required value".into()), JOB_INVALID),
    ] {
        let mut seen = build().started();
        seen.refused = Some((run.clone(), refusal));
        assert_eq!(failure(&seen.settle()), ("check/unit", reason, Class::User));
    }
    for passing in [Refusal::Stale, Refusal::Unavailable { retry_after_seconds: None }, Refusal::Denied("no".into())] {
        let mut seen = build().started();
        seen.refused = Some((run.clone(), passing));
        assert_eq!(names(&seen.settle()), ["Run check/unit 1"]);
    }
}

#[test]
fn why_a_pod_was_taken_away_is_known_after_it_is_gone() {
    let words = "EvictionByEvictionAPI, Eviction API: evicting";
    let mut seen = build().retries(1).started().with(unit(), 1, job().running("check").lost(words));
    seen.settle();
    let gone = || Job { pod: None, ..job().failed_as("BackoffLimitExceeded: Job has reached the specified limit") };
    let told = |seen: &mut Observed| seen.settle().status.steps[0].message.clone().unwrap_or_default();
    let mut stayed = seen.clone().with(unit(), 1, job().running("check"));
    stayed.settle();
    assert!(told(&mut stayed.with(unit(), 1, gone())).contains("BackoffLimitExceeded"), "it was not evicted after all");

    let mut seen = seen.with(unit(), 1, gone());
    assert_eq!(told(&mut seen), format!("tried again after PodLost: the pod was taken away: {words}"));
    let failed = seen.with(unit(), 2, gone()).settle();
    assert_eq!(failure(&failed), ("check/unit", POD_LOST, Class::Infrastructure));
    let message = failed.status.failure.unwrap().message;
    assert!(message.contains("BackoffLimitExceeded") && !message.contains("Eviction"), "another pod: {message}");
}
