//! What people read, and that no secret is in it.

use switchyard_api::{build::BuildStatus, condition::State};

use super::{
    super::{reasons::CHECK_FAILED, *},
    builder::{at, build, job, names, ready, unit, web},
};

#[test]
fn logs_and_messages_of_strangers_are_masked() {
    let secret = "hunter2-hunter2-hunter2";
    let log = format!("fatal: https://bob:{secret}@git.test\nDB_PASSWORD={secret}\nAuthorization: Basic {secret}");
    let failing = job().ended("check", 1, &log).failed();
    let pulling = job().stuck(reasons::IMAGE_PULL_FAILED, &format!("https://x:{secret}@r.test/v2"));
    let waiting = job().stuck(reasons::VOLUME_FAILED, &format!("mount //nas: password={secret}"));
    let kaniko = job().ended("build", 1, &format!("error building image: https://x:{secret}@r.test")).failed();
    for (step, job) in [(unit(), failing), (unit(), pulling), (unit(), waiting), (web(), kaniko)] {
        let seen = if step == web() { build().started().checked() } else { build().started() };
        let mut seen = seen.retries(0).with(step, 1, job);
        let told = serde_json::to_string(&seen.settle().status).unwrap();
        assert!(told.contains("***") && !told.contains("hunter2"), "{told}");
        seen.now = at(1800);
        let told = serde_json::to_string(&seen.settle().status).unwrap();
        assert!(told.contains("***") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn only_the_last_lines_of_a_log_are_kept() {
    let log = format!("{}the end", "a line\n".repeat(1000));
    let mut seen = build().started().with(unit(), 1, job().ended("check", 1, &log).failed());
    let kept = seen.settle().status.failure.unwrap().log.unwrap();
    assert!(kept.chars().count() == 2000 && kept.ends_with("the end"));
}

#[test]
fn what_is_waited_for_is_told_between_attempts_and_containers() {
    let lost = job().lost("Evicted").failed();
    let mut seen = build().started().with(unit(), 1, lost);
    let decision = seen.settle();
    let why = "PodLost: the pod was taken away: Evicted";
    assert_eq!(decision.status.waiting_for, [format!("attempt 2 of check/unit, after a pause: {why}")]);
    assert_eq!(decision.status.steps[0].message.as_deref(), Some(format!("tried again after {why}").as_str()));
    assert_eq!(ready(&decision).reason, reasons::POD_LOST);
    let mut again = seen.clone().with(unit(), 2, job().running("clone"));
    assert_eq!(ready(&again.settle()).reason, "Checking");
    let mut seen = build().started().with(unit(), 1, job().ended("clone", 0, ""));
    assert_eq!(seen.settle().status.waiting_for, ["check/unit: the next container"]);
    let mut seen = build().started().with(unit(), 1, job());
    assert_eq!(seen.settle().status.waiting_for, ["the pod of check/unit to start"]);
    assert_eq!((ready(&seen.settle()).status, names(&seen.settle()).len()), (State::False, 0));
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
    assert_eq!((events.len(), events[0].warning, events[0].reason.as_str()), (1, true, CHECK_FAILED));
}
