//! Pods that do not start: who is asked, what is said, and what is waited for.

use switchyard_api::build::{Class, StepState};

use super::{
    super::{
        reasons::{
            CONTAINER_FAILED_TO_START, IMAGE_PULL_FAILED, POD_FORBIDDEN, POD_IMAGE_INVALID, QUOTA_EXCEEDED, REASONS,
            SECRET_MISSING, TIMEOUT, UNSCHEDULABLE, VOLUME_FAILED,
        },
        *,
    },
    builder::{at, build, failure, job, names, problem, ready, told, unit},
};
use crate::{Answer, Cadence, Measured, Refusal};

#[test]
fn a_pod_that_is_slow_to_start_is_asked_about() {
    let mut seen = build().started().with(unit(), 1, job());
    seen.now = at(2);
    let decision = seen.settle();
    assert_eq!((decision.ask.len(), decision.check_again), (0, Some(at(3))), "most start at once");
    seen.now = at(3);
    let decision = seen.settle();
    let why = Question::Why { job: job().name, uid: job().uid, pod: job().pod };
    assert_eq!(decision.ask.into_iter().collect::<Vec<_>>(), [(why, Cadence::Every(WHY_AGAIN))]);
    for known in [
        job().running("clone"),
        job().ended("clone", 0, ""),
        job().stuck(UNSCHEDULABLE, "0/1 nodes"),
        job().succeeded(),
    ] {
        let mut seen = build().started().with(unit(), 1, known.clone());
        seen.now = at(3);
        assert_eq!(seen.settle().ask.len(), 0, "{known:?}");
    }
}

/// The status of its pod says nothing for ten seconds and more.
#[test]
fn a_pod_that_is_slow_to_start_its_next_container_is_asked_about() {
    let pulling = || job().ended("clone", 0, "").waiting("check");
    let mut seen = build().started().with(unit(), 1, pulling());
    seen.now = at(22);
    let decision = seen.settle();
    assert_eq!((decision.ask.len(), decision.check_again), (0, Some(at(23))), "clone ended at 20");
    seen.now = at(23);
    let mut passing = problem(IMAGE_PULL_FAILED, "check: Failed to pull image \"r.test/none:1\": not found");
    passing.may_pass = true;
    let failed = Answer::Known { at: at(23), value: Measured::Problem(Some(passing)) };
    let mut seen = seen.answered(&failed);
    let decision = seen.settle();
    assert_eq!((ready(&decision).reason.as_str(), names(&decision).len()), (IMAGE_PULL_FAILED, 0), "no verdict yet");
    assert!(ready(&decision).message.contains("r.test/none:1\": not found"), "{}", ready(&decision).message);
    assert_eq!(decision.ask.len(), 1, "it is asked on until the pod says so itself");

    let runs = pulling().running("service-db");
    let mut beside = build().started().with(unit(), 1, runs);
    beside.now = at(23);
    assert_eq!(beside.settle().ask.len(), 1, "what stands beside a check does not count");
    for known in [
        job().ended("clone", 0, "").running("check"),
        job().ended("clone", 0, "").ended("check", 0, ""),
        job().ended("clone", 0, "").ended("check", 0, "").running("service-db"),
    ] {
        let mut seen = seen.clone().with(unit(), 1, known.clone());
        seen.now = at(60);
        let decision = seen.settle();
        assert_eq!((decision.ask.len(), ready(&decision).reason.as_str()), (0, "Checking"), "{known:?}");
    }
}

#[test]
fn what_a_person_may_mend_is_told_at_once_and_waited_for() {
    for reason in [SECRET_MISSING, QUOTA_EXCEEDED, UNSCHEDULABLE, VOLUME_FAILED] {
        let by_pod = build().started().with(unit(), 1, job().stuck(reason, "as the cluster says"));
        let mut by_events = build().started().with(unit(), 1, job().without_pod());
        by_events.now = at(3);
        let by_events = by_events.answered(&told(reason, "as the cluster says"));
        for mut seen in [by_pod, by_events] {
            let decision = seen.settle();
            assert_eq!(ready(&decision).reason, reason);
            assert_eq!(
                decision.status.waiting_for,
                [format!("the pod of check/unit to start: {reason}, as the cluster says")]
            );
            assert_eq!(names(&decision), [""; 0]);
            seen.now = at(1800);
            let decision = seen.settle();
            assert_eq!(failure(&decision), ("check/unit", reason, Class::Timeout));
            let message = &decision.status.failure.as_ref().unwrap().message;
            assert!(message.contains("as the cluster says"), "{message}");
            assert_eq!(decision.status.steps[0].state, StepState::Failed);
        }
        assert!(REASONS.iter().any(|(name, class, _)| *name == reason && *class == Class::Timeout));
    }
}

#[test]
fn a_problem_that_was_mended_is_forgotten() {
    let mut seen = build().started().with(unit(), 1, job().without_pod());
    seen.now = at(3);
    let mut seen = seen.answered(&told(QUOTA_EXCEEDED, "exceeded quota"));
    assert_eq!(ready(&seen.settle()).reason, QUOTA_EXCEEDED);
    let nothing = Answer::Known { at: at(8), value: Measured::Problem(None) };
    for mut mended in [seen.clone().answered(&nothing), seen.with(unit(), 1, job().running("clone"))] {
        assert_eq!(ready(&mended.settle()).reason, "Checking");
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_tried_again_once_the_job_before_has_ended() {
    for reason in [IMAGE_PULL_FAILED, CONTAINER_FAILED_TO_START] {
        let stuck = || job().ended("clone", 0, "").stuck(reason, "check: ImagePullBackOff, not found");
        let mut seen = build().started().with(unit(), 1, stuck());
        let decision = seen.settle();
        assert_eq!(names(&decision), ["Stop check/unit 1"]);
        let before = format!("{reason}: check: ImagePullBackOff, not found");
        assert_eq!(decision.status.waiting_for, [format!("the Job of check/unit before attempt 2 to end: {before}")]);
        assert_eq!(ready(&decision).reason, reason, "also between two attempts");

        seen.now = at(60);
        assert_eq!(names(&seen.settle()), ["Stop check/unit 1"], "the pause is over, and the Job is not");
        let mut ended = seen.clone().with(unit(), 1, stuck().failed_as("DeadlineExceeded"));
        assert_eq!(names(&ended.settle()), ["Run check/unit 2"]);
        let mut gone = seen;
        gone.jobs.clear();
        assert_eq!(names(&gone.settle()), ["Run check/unit 2"]);
    }
}

#[test]
fn an_image_that_can_never_be_pulled_fails_the_build_after_all_attempts() {
    let stuck = job().stuck(IMAGE_PULL_FAILED, "check: ImagePullBackOff, not found");
    let mut seen = build().retries(0).started().with(unit(), 1, stuck);
    let decision = seen.settle();
    assert_eq!(failure(&decision), ("check/unit", IMAGE_PULL_FAILED, Class::Infrastructure));
    assert_eq!(names(&decision), ["Stop check/unit 1", "MarkResult"]);
}

#[test]
fn what_no_other_try_can_mend_ends_the_build() {
    for reason in [POD_IMAGE_INVALID, POD_FORBIDDEN] {
        let mut seen = build().started().with(unit(), 1, job().without_pod());
        seen.now = at(3);
        let decision = seen.answered(&told(reason, "violates PodSecurity")).settle();
        assert_eq!(failure(&decision), ("check/unit", reason, Class::User));
        assert_eq!(names(&decision), ["Stop check/unit 1", "MarkResult"]);
    }
}

#[test]
fn a_job_that_a_quota_keeps_out_is_told_like_a_pod() {
    let mut seen = build().started();
    let run = Action::Run { step: unit(), attempt: 1 };
    seen.refused = Some((run.clone(), Refusal::Denied("jobs.batch is forbidden: exceeded quota: few".into())));
    let decision = seen.settle();
    assert_eq!(ready(&decision).reason, QUOTA_EXCEEDED);
    assert!(decision.status.waiting_for[0].starts_with("a Job for check/unit: QuotaExceeded, jobs.batch is"));
    assert_eq!((decision.status.waiting_for.len(), names(&decision)), (1, vec!["Run check/unit 1".to_owned()]));

    seen.refused = Some((run, Refusal::Denied("admission webhook says no".into())));
    assert_eq!(seen.settle().status.waiting_for[0], "the API server does not allow it: admission webhook says no");
    seen.now = at(1800);
    let decision = seen.settle();
    assert_eq!(failure(&decision), ("check/unit", TIMEOUT, Class::Timeout));
    assert!(decision.status.failure.unwrap().message.contains("admission webhook says no"));
}
