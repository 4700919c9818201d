//! One Build, step by step, and what becomes of each way to fail.

mod builder;

use switchyard_api::{
    build::{Class, Phase, StepState},
    condition,
    report::{self, Failed, Reason, Report},
};

use self::builder::{DIGEST, OTHER, at, build, cloned, job, names, served, unit, web};
use super::*;
use crate::{Answer, Refusal, Unreachable, build::classify};

#[test]
fn a_build_goes_from_check_to_image_to_the_registrys_word() {
    let mut seen = build();
    let first = Build::decide(&seen);
    assert_eq!((first.actions.len(), first.status.phase), (0, Some(Phase::Pending)), "the start is remembered first");

    let decision = seen.settle();
    assert_eq!(names(&decision), ["MarkStarted", "Run check/unit 1"]);
    assert_eq!(decision.status.waiting_for, ["a Job for check/unit"]);

    let mut seen = seen.started().with(unit(), 1, job().ended("clone", 0, &cloned()).running("check"));
    let decision = seen.settle();
    assert_eq!(decision.status.waiting_for, ["check/unit: check is running"]);
    assert_eq!((decision.status.version.as_deref(), names(&decision).len()), (Some("1.4.0"), 0));

    let mut seen = seen.checked();
    let decision = seen.settle();
    assert_eq!((names(&decision), decision.status.phase), (vec!["Run image/web 1".to_owned()], Some(Phase::Building)));

    let mut seen = seen.pushed();
    let decision = seen.settle();
    assert_eq!(
        (decision.actions.len(), decision.ask.len()),
        (0, 1),
        "a digest is a claim until the registry serves it"
    );
    assert_eq!(decision.status.waiting_for, [format!("r.test/shop to serve {DIGEST}")]);
    assert!(decision.status.images.is_empty());

    let mut seen = seen.answered(&served(DIGEST));
    let decision = seen.settle();
    assert_eq!((names(&decision), decision.status.phase), (vec!["MarkResult".to_owned()], Some(Phase::Succeeded)));
    assert_eq!(decision.status.images[0].digest.as_str(), DIGEST);
    assert!(decision.status.waiting_for.is_empty() && decision.ask.is_empty());
    assert!(decision.status.steps.iter().all(|s| s.state == StepState::Succeeded));
    let ready = decision.status.conditions.iter().find(|c| c.kind == condition::READY).unwrap();
    assert_eq!(ready.status, condition::State::True);

    seen.jobs.clear();
    seen.now = at(100_000);
    assert_eq!(seen.settle().status.phase, Some(Phase::Succeeded), "finished is finished, also without its pods");
}

#[test]
fn a_job_is_not_judged_before_its_pod() {
    let mut early = job().ended("clone", 0, &cloned());
    early.failed = Some("BackoffLimitExceeded".into());
    let mut seen = build().started().with(unit(), 1, early);
    let decision = seen.settle();
    assert_eq!((decision.status.failure, decision.status.memory.attempts.len()), (None, 0));
}

/// (what the Job left, reason, class)
fn failures() -> Vec<(Step, Job, &'static str, Class)> {
    let worker = |reason| Report::Failed(Failed { reason, message: "in a sentence".into() }).to_message();
    let kaniko = |log: &str| job().ended("clone", 0, &cloned()).ended("build", 1, log).failed();
    let mut lost = job().running("check").failed();
    lost.lost = Some("Evicted: the node was low on memory".into());
    let mut evicted = job().ended("check", 137, "").failed();
    evicted.lost = Some("Evicted".into());
    let mut late = job().running("check").failed();
    late.failed = Some("DeadlineExceeded: Job was active longer than specified deadline".into());
    vec![
        (unit(), job().ended("check", 1, "1 failed, 3 passed").failed(), classify::CHECK_FAILED, Class::User),
        (unit(), job().ended("check", 137, "").failed(), classify::CHECK_FAILED, Class::User),
        (unit(), job().ended("check", 137, "").reason("OOMKilled").failed(), classify::OUT_OF_MEMORY, Class::User),
        (
            unit(),
            job().ended("clone", 1, &worker(Reason::GitAuthenticationFailed)).failed(),
            "GitAuthenticationFailed",
            Class::User,
        ),
        (
            unit(),
            job().ended("clone", 1, &worker(Reason::GitHostUnreachable)).failed(),
            "GitHostUnreachable",
            Class::Infrastructure,
        ),
        (unit(), job().ended("clone", 1, "Segmentation fault").failed(), classify::STEP_FAILED, Class::Infrastructure),
        (unit(), lost, classify::POD_LOST, Class::Infrastructure),
        (unit(), evicted, classify::POD_LOST, Class::Infrastructure),
        (unit(), late, classify::TIMEOUT, Class::Timeout),
        (
            web(),
            kaniko("error building image: dockerfile parse error on line 2"),
            classify::DOCKERFILE_INVALID,
            Class::User,
        ),
        (
            web(),
            kaniko(
                "      --verbosity string\n\nUse \"executor [command] --help\" for more information about a command.\n\n",
            ),
            classify::DOCKERFILE_MISSING,
            Class::User,
        ),
        (web(), kaniko("MANIFEST_UNKNOWN: manifest unknown"), classify::BASE_IMAGE_UNAVAILABLE, Class::User),
        (
            web(),
            kaniko("Get https://r/v2/: dial tcp 1.2.3.4:443: refused"),
            classify::BASE_IMAGE_UNREACHABLE,
            Class::Infrastructure,
        ),
        (
            web(),
            kaniko("error building image: failed to execute command: exit status 3"),
            classify::BUILD_FAILED,
            Class::User,
        ),
        // What a RUN printed decides nothing.
        (
            web(),
            kaniko(
                "pip: dial tcp: i/o timeout\nerror building image: error building stage: failed to execute command: exit status 1",
            ),
            classify::BUILD_FAILED,
            Class::User,
        ),
        (web(), job().ended("push", 1, &worker(Reason::PushDenied)).failed(), "PushDenied", Class::User),
        (web(), job().ended("push", 0, "no report").succeeded(), classify::STEP_FAILED, Class::Infrastructure),
    ]
}

#[test]
fn every_failure_has_a_reason_a_class_and_a_sentence() {
    for (step, job, reason, class) in failures() {
        let mut seen = build();
        seen.order.retries = 0;
        let mut seen = seen.started();
        if step == web() {
            seen = seen.checked();
            seen.settle();
        }
        let mut seen = seen.with(step.clone(), 1, job.clone());
        let status = seen.settle().status;
        let failure = status.failure.unwrap_or_else(|| panic!("{job:?} did not fail"));
        assert_eq!((failure.reason.as_str(), failure.class), (reason, class), "{job:?}");
        assert!(!failure.message.is_empty() && failure.step.starts_with(&step.to_string()), "{failure:?}");
        let stalled = status.conditions.iter().find(|c| c.kind == condition::STALLED).unwrap();
        assert_eq!((stalled.status, stalled.reason.as_str()), (condition::State::True, reason));
    }
}

#[test]
fn a_reason_has_one_class_whoever_gives_it() {
    let ours = |name: &str| classify::REASONS.iter().find(|(reason, ..)| *reason == name).map(|(_, class, _)| *class);
    let both: Vec<_> = report::Reason::ALL.iter().filter_map(|r| Some((r, ours(r.as_str())?))).collect();
    assert!(both.len() > 1, "{both:?}");
    for (reason, class) in both {
        let retried = reason.class() == report::Class::Infrastructure;
        assert_eq!(retried, class == Class::Infrastructure, "{reason}");
    }
}

#[test]
fn only_the_infrastructure_is_tried_again_and_not_for_ever() {
    for (step, job, reason, class) in failures() {
        let mut seen = build().started();
        if step == web() {
            seen = seen.checked();
            seen.settle();
        }
        let mut runs = 1;
        let mut seen = seen.with(step.clone(), 1, job.clone());
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
fn a_digest_that_the_registry_does_not_serve_is_not_accepted() {
    let mut seen = build().started().checked();
    seen.settle();
    let mut seen = seen.pushed().answered(&served(OTHER));
    let status = seen.settle().status;
    assert_eq!(status.failure.unwrap().reason, classify::DIGEST_MISMATCH);
    assert!(status.images.is_empty());
}

#[test]
fn an_unreachable_registry_is_waited_for_in_its_own_words_until_the_timeout() {
    let mut seen = build().started().checked();
    seen.settle();
    let why = Unreachable::Network("cannot reach r.test: connection refused".into());
    let mut seen = seen.pushed().answered(&Answer::Unreachable { since: at(1), why });
    let decision = seen.settle();
    assert!(decision.status.waiting_for[0].ends_with("connection refused"), "{:?}", decision.status.waiting_for);
    assert_eq!(decision.check_again, Some(at(1800)));
    seen.now = at(1800);
    let failure = seen.settle().status.failure.unwrap();
    assert_eq!((failure.reason.as_str(), failure.class), (classify::TIMEOUT, Class::Timeout));
    assert!(failure.message.contains("connection refused"), "{}", failure.message);
}

#[test]
fn what_fails_stops_what_runs_beside_it() {
    let mut seen = build();
    seen.order.checks.push("lint".into());
    let lint = Step::Check("lint".into());
    let mut seen =
        seen.started().with(unit(), 1, job().ended("check", 1, "no").failed()).with(lint, 1, job().running("check"));
    assert_eq!(names(&seen.settle()), ["Stop check/lint 1", "MarkResult"]);
}

#[test]
fn a_lost_status_is_taken_from_the_result_or_ends_the_build_and_never_runs_it_again() {
    let mut done = build().started().checked();
    done.settle();
    let mut done = done.pushed().answered(&served(DIGEST));
    let Some(Action::MarkResult { result, .. }) = done.settle().actions.pop() else { panic!("no result") };

    let mut restored = build();
    (restored.marked_started, restored.marked_result) = (true, Some(*result));
    let decision = restored.settle();
    assert_eq!((decision.status.phase, names(&decision).len()), (Some(Phase::Succeeded), 0));
    assert_eq!(decision.status.images[0].digest.as_str(), DIGEST);

    let mut lost = build();
    lost.marked_started = true;
    let decision = lost.settle();
    assert_eq!(decision.status.failure.as_ref().unwrap().reason, classify::LOST);
    assert_eq!(names(&decision), ["MarkResult"]);
}

#[test]
fn a_job_of_somebody_else_ends_the_build_and_is_left_alone() {
    let mut foreign = job();
    foreign.conflict = Some("Job shop-7f3a91c-1-check-unit-1 belongs to somebody else".into());
    let mut seen = build().started().with(unit(), 1, foreign);
    let decision = seen.settle();
    assert_eq!(decision.status.failure.as_ref().unwrap().reason, classify::CHILD_CONFLICT);
    assert_eq!(names(&decision), ["MarkResult"]);
}

#[test]
fn a_pod_that_cannot_start_and_a_write_that_is_refused_are_told() {
    let mut stuck = job();
    stuck.problem = Some("Unschedulable, 0/1 nodes are available".into());
    let mut seen = build().started().with(unit(), 1, stuck);
    assert_eq!(
        seen.settle().status.waiting_for,
        ["the pod of check/unit to start: Unschedulable, 0/1 nodes are available"]
    );

    let mut seen = build().started();
    seen.refused = Some((Action::Run { step: unit(), attempt: 1 }, Refusal::Denied("exceeded quota: pods".into())));
    assert_eq!(seen.settle().status.waiting_for[0], "the API server does not allow it: exceeded quota: pods");
}

#[test]
fn permit_vetoes_what_must_never_happen() {
    let run = |step: Step, attempt| Action::Run { step, attempt };
    let mut seen = build().started();
    assert!(Build::permit(&build(), &run(unit(), 1)).is_err(), "not remembered as started");
    assert!(Build::permit(&seen, &run(unit(), 4)).is_err(), "more than 1 + retries");
    let busy = build().started().with(unit(), 1, job().running("check"));
    assert!(Build::permit(&busy, &run(unit(), 2)).is_err(), "two unfinished Jobs for one step");
    let stop = Action::Stop { step: unit(), attempt: 1, uid: String::new() };
    assert!(Build::permit(&seen, &stop).is_err(), "still waited for");
    seen.memory.finished = Some(at(1));
    assert!(Build::permit(&seen, &run(unit(), 1)).is_err(), "a finished Build runs again");
    let image = switchyard_api::build::BuiltImage {
        name: "web".into(),
        repository: "r.test/shop".into(),
        digest: DIGEST.parse().unwrap(),
        tags: vec![],
    };
    let result = BuildResult { started: None, finished: at(1), version: None, images: vec![image], failure: None };
    let mark = Action::MarkResult { at: Version::new("5"), result: Box::new(result) };
    assert!(Build::permit(&seen, &mark).is_err(), "a digest that was not seen to be served");
}

#[test]
fn events_tell_each_thing_once() {
    let mut seen = build();
    let before = BuildStatus::default();
    let started = Build::decide(&seen).status;
    assert_eq!(Build::events(&before, &started).len(), 1);
    assert_eq!(Build::events(&started, &started), []);
    seen.memory = started.memory.clone();
    let mut failed = seen.started().with(unit(), 1, job().ended("check", 1, "no").failed());
    let failed = failed.settle().status;
    let events = Build::events(&started, &failed);
    assert_eq!((events.len(), events[0].warning, events[0].reason.as_str()), (1, true, classify::CHECK_FAILED));
}
