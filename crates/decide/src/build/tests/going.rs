//! How a Build goes well.

use switchyard_api::{
    build::{Phase, ScanStatus, StepState},
    condition::State,
};

use super::{
    super::*,
    builder::{
        COMMIT, DIGEST, FINDINGS, OTHER, at, build, check, cloned, job, names, passed, pushed, ready, saved, served,
        unit, web,
    },
};

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
    assert_eq!((ready(&decision).status, decision.check_again), (State::True, None));
    assert_eq!(decision.status.commit.unwrap().as_str(), COMMIT);

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
    assert_eq!(decision.status.waiting_for, ["the last words of the pod of check/unit"]);
}

#[test]
fn checks_run_side_by_side_unless_one_comes_after_another() {
    let mut seen = build().then("lint", &[]).then("quality", &["unit", "lint"]).started();
    assert_eq!(names(&seen.settle()), ["Run check/lint 1", "Run check/unit 1"]);
    let mut seen = seen.checked();
    let decision = seen.settle();
    assert_eq!(names(&decision), ["Run check/lint 1"], "one of the two it follows has not passed");
    assert_eq!(
        decision.status.waiting_for,
        ["a Job for check/lint", "check/lint to pass, before check/quality starts"]
    );
    let mut seen = seen.with(check("lint"), 1, job().succeeded());
    assert_eq!(names(&seen.settle()), ["Run check/quality 1"]);
    let mut seen = seen.with(check("quality"), 1, job().succeeded());
    assert_eq!(names(&seen.settle()), ["Run image/web 1"]);
}

#[test]
fn artifacts_are_kept_by_their_digest() {
    let mut seen = build();
    seen.check("unit").keeps = true;
    let mut seen =
        seen.started().with(unit(), 1, job().ended("check", 0, "").ended("save", 0, &saved(OTHER)).succeeded());
    let decision = seen.settle();
    assert_eq!(decision.status.memory.artifacts["unit"].as_str(), OTHER);
    assert_eq!(names(&decision), ["Run image/web 1"]);
}

#[test]
fn a_gate_passes_by_its_servers_word() {
    let mut seen = build();
    seen.check("unit").gate = true;
    let good = job().ended("check", 0, "").ended("quality", 0, &passed("quality gate Sonar way: OK")).succeeded();
    let mut seen = seen.started().with(unit(), 1, good);
    assert_eq!(names(&seen.settle()), ["Run image/web 1"]);
}

#[test]
fn a_scan_that_passes_is_told_with_its_counts() {
    let good = job().ended("scan", 0, "").ended("push", 0, &pushed(Some(FINDINGS))).succeeded();
    let mut seen = build().scanned().started().checked().with(web(), 1, good).answered(&served(DIGEST));
    let decision = seen.settle();
    let scan = ScanStatus { image: "web".into(), critical: 0, high: 1, medium: 2, low: 3, unknown: 4, fixable: 1 };
    assert_eq!((decision.status.phase, decision.status.scans), (Some(Phase::Succeeded), vec![scan]));
}

#[test]
fn the_phase_is_that_of_the_image_that_is_behind() {
    let mut seen = build().started();
    seen.order.images.push(ImageOrder { name: "api".into(), repository: "r.test/api".into(), secret: None });
    let mut seen = seen.checked();
    for (web_runs, api_runs, phase) in [
        ("clone", "push", Phase::Building),
        ("build", "scan", Phase::Building),
        ("scan", "push", Phase::Scanning),
        ("push", "push", Phase::Pushing),
    ] {
        let api = Step::Image("api".into());
        seen = seen.with(web(), 1, job().running(web_runs)).with(api, 1, job().running(api_runs));
        assert_eq!(seen.settle().status.phase, Some(phase), "{web_runs} {api_runs}");
    }
}

#[test]
fn a_step_tells_when_it_ran_and_where_its_log_is() {
    let mut seen = build().started();
    seen.order.log_url = Some("https://logs.test/?ns={namespace}&pod={pod}&container={container}".into());
    let mut seen = seen.with(unit(), 1, job().ended("clone", 0, &cloned()).running("check"));
    let step = seen.settle().status.steps.remove(0);
    assert_eq!((step.start_time, step.finish_time, step.state), (Some(at(10)), None, StepState::Running));
    assert_eq!(step.logs_url.as_deref(), Some("https://logs.test/?ns=shop&pod=pod&container=check"));

    let mut seen = seen.checked();
    seen.jobs.clear();
    let step = seen.settle().status.steps.remove(0);
    assert_eq!((step.start_time, step.pod.as_deref()), (Some(at(10)), Some("pod")), "its pod is gone, the link stays");
    assert!(step.logs_url.is_some());

    let late = job().ended("clone", 1, "no report").failed();
    let mut seen = build().retries(0).started();
    seen.order.log_url = Some("https://logs.test/{container}".into());
    let mut seen = seen.with(unit(), 1, late);
    let step = seen.settle().status.steps.remove(0);
    assert_eq!((step.finish_time, step.state), (Some(at(20)), StepState::Failed));
    assert_eq!(step.logs_url.as_deref(), Some("https://logs.test/clone"), "of the container that failed");
}

#[test]
fn each_run_is_noted_once() {
    let mut seen = build().started().with(unit(), 1, job().running("clone"));
    seen.settle();
    let noted = seen.memory.clone();
    let mut seen = seen.with(unit(), 1, job().ended("clone", 0, "").running("check"));
    seen.now = at(40);
    assert_eq!(seen.settle().status.memory, noted, "a container more is no reason to write");
}
