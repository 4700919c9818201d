//! A person ends a Build.

use switchyard_api::build::{Class, Phase};

use super::{
    super::{reasons::CANCELLED, *},
    builder::{DIGEST, at, build, failure, job, names, served, unit, web},
};

#[test]
fn a_cancel_is_remembered_then_jobs_stop_then_it_is_answered() {
    let mut seen = build().started().with(unit(), 1, job().running("check")).cancelled_by("alice");
    let first = Build::decide(&seen);
    assert_eq!((first.status.memory.handled.len(), first.status.memory.finished), (1, Some(at(0))));
    assert!(!names(&first).iter().any(|n| n.starts_with("Run")));

    let decision = seen.settle();
    assert_eq!(names(&decision), ["Stop check/unit 1", "Answer cancel-alice Done", "MarkResult"]);
    assert_eq!(
        (decision.status.phase, failure(&decision)),
        (Some(Phase::Cancelled), ("build", CANCELLED, Class::Cancelled))
    );
    assert_eq!(decision.status.failure.as_ref().unwrap().message, "cancelled by alice: INC-42");
    assert!(matches!(&decision.actions[1], Action::Answer { message, .. } if message == "cancelled by alice: INC-42"));

    seen.commands.clear();
    seen.jobs.clear();
    assert_eq!(names(&seen.settle()), ["MarkResult"], "and nothing runs again");
}

#[test]
fn one_that_comes_too_late_is_refused() {
    let done = || build().started().checked().pushed().answered(&served(DIGEST));
    let mut late = done();
    late.settle();
    let failed = || build().started().with(unit(), 1, job().ended("check", 1, "").failed());
    for (mut seen, phase) in [
        (late.cancelled_by("alice"), Phase::Succeeded),
        (done().cancelled_by("alice"), Phase::Succeeded),
        (failed().cancelled_by("alice"), Phase::Failed),
    ] {
        let decision = seen.settle();
        assert_eq!((decision.status.phase, names(&decision)[0].as_str()), (Some(phase), "Answer cancel-alice Refused"));
    }
}

#[test]
fn of_two_at_once_both_are_done_and_of_one_after_the_other_only_the_first() {
    let seen = build().started().cancelled_by("alice");
    let both = names(&seen.clone().cancelled_by("bob").settle());
    assert_eq!(both, ["Answer cancel-alice Done", "Answer cancel-bob Done", "MarkResult"]);
    let mut seen = seen;
    seen.settle();
    let one = names(&seen.cancelled_by("bob").settle());
    assert_eq!(one, ["Answer cancel-alice Done", "Answer cancel-bob Refused", "MarkResult"]);
}

#[test]
fn one_of_a_build_that_was_not_seen_before_is_heeded_before_anything_runs() {
    let mut seen = build().cancelled_by("alice");
    let decision = seen.settle();
    assert_eq!(names(&decision), ["Answer cancel-alice Done", "MarkResult"]);
    let mut seen = build().started().checked().with(web(), 1, job().running("push")).cancelled_by("alice");
    assert_eq!(names(&seen.settle()), ["Stop image/web 1", "Answer cancel-alice Done", "MarkResult"]);
}
