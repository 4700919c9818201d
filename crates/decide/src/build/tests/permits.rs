//! What must never happen, whatever the rules say.

use switchyard_api::build::{BuiltImage, Failure};

use super::{
    super::{reasons::CHECK_FAILED, *},
    builder::{DIGEST, OTHER, at, build, check, job, unit, web},
};

fn run(step: Step, attempt: i32) -> Action {
    Action::Run { step, attempt }
}
fn allowed(seen: &Observed, action: &Action) -> bool {
    Build::permit(seen, action).is_ok()
}
fn why(seen: &Observed, action: &Action) -> &'static str {
    Build::permit(seen, action).unwrap_err().0
}

#[test]
fn nothing_runs_that_must_not() {
    let seen = build().started();
    assert!(allowed(&seen, &run(unit(), 1)));
    assert_eq!(why(&build(), &run(unit(), 1)), "a Build would run that does not remember its start");
    assert!(allowed(&seen, &run(unit(), 3)));
    assert_eq!(why(&seen, &run(unit(), 4)), "more attempts than retries allow");
    let busy = build().started().with(unit(), 1, job().running("check"));
    assert_eq!(why(&busy, &run(unit(), 2)), "a step would have two unfinished Jobs");
    let ended = build().started().with(unit(), 1, job().failed());
    assert!(allowed(&ended, &run(unit(), 2)));
    assert_eq!(why(&ended, &run(unit(), 1)), "a step attempt would have a second Job");

    let ordered = build().then("quality", &["unit"]).started();
    assert_eq!(why(&ordered, &run(web(), 1)), "a check that comes first would be skipped");
    assert_eq!(why(&ordered, &run(check("quality"), 1)), "a check that comes first would be skipped");
    assert!(allowed(&ordered.checked(), &run(check("quality"), 1)));

    let mut over = seen;
    over.memory.failure = Some(classify::failure("build", CHECK_FAILED, "no", None));
    assert_eq!(why(&over, &run(unit(), 1)), "a Build that failed or was cancelled would go on");
    over.memory.finished = Some(at(1));
    assert_eq!(why(&over, &run(unit(), 1)), "a finished Build would run again");
}

#[test]
fn nothing_is_stopped_that_is_waited_for() {
    let mut seen = build().started();
    let stop = |attempt| Action::Stop { step: unit(), attempt, uid: String::new() };
    assert_eq!(why(&seen, &stop(1)), "a Job would be stopped that is still waited for");
    let attempt = switchyard_api::build::Attempt { number: 2, not_before: None, after: None };
    seen.memory.attempts.insert(unit().to_string(), attempt);
    assert!(allowed(&seen, &stop(1)) && !allowed(&seen, &stop(2)));
    seen.memory.finished = Some(at(1));
    assert!(allowed(&seen, &stop(2)));
}

#[test]
fn no_cancel_is_acknowledged_that_was_not_obeyed() {
    let mut seen = build().started().cancelled_by("alice");
    let answer = |uid: &str, state| Action::Answer {
        command: "cancel-alice".into(),
        uid: uid.into(),
        at: Version::new("1"),
        state,
        message: String::new(),
    };
    let done = answer("uid of alice", CommandState::Done);
    assert_eq!(why(&seen, &done), "a Cancel would be answered while the Build may still run");
    seen.memory.finished = Some(at(1));
    assert_eq!(why(&seen, &done), "a Cancel would be acknowledged that was not obeyed");
    assert!(allowed(&seen, &answer("uid of alice", CommandState::Refused)));
    assert_eq!(why(&seen, &answer("uid of bob", CommandState::Refused)), "an answer that nobody waits for");
    let mut seen = build().started().cancelled_by("alice");
    seen.settle();
    assert!(allowed(&seen, &done));
}

#[test]
fn no_result_is_marked_that_is_not_so() {
    let image = |digest: &str| BuiltImage {
        name: "web".into(),
        repository: "r.test/shop".into(),
        digest: digest.parse().unwrap(),
        tags: vec![],
    };
    let result = |images: Vec<BuiltImage>, failure: Option<Failure>| BuildResult {
        started: None,
        finished: at(1),
        version: None,
        images,
        scans: vec![],
        skipped: false,
        failure,
    };
    let mark = |result: &BuildResult| Action::MarkResult { at: Version::new("5"), result: Box::new(result.clone()) };
    let mut seen = build().started();
    let empty = result(vec![], None);
    assert_eq!(why(&seen, &mark(&empty)), "a result of an unfinished Build");
    seen.memory.finished = Some(at(1));
    assert!(allowed(&seen, &mark(&empty)));
    let good = mark(&result(vec![image(DIGEST)], None));
    assert_eq!(why(&seen, &good), "a digest that the registry was not seen to serve");
    seen.memory.served.insert("web".into());
    seen.memory.pushed.insert("web".into(), image(DIGEST));
    assert!(allowed(&seen, &good));
    assert!(!allowed(&seen, &mark(&result(vec![image(OTHER)], None))), "another digest of that name");
    let failure = classify::failure("check/unit", CHECK_FAILED, "no", Some("the log".into()));
    assert_eq!(why(&seen, &mark(&result(vec![], Some(failure)))), "a log in an annotation");
    seen.marked_result = Some(empty.clone());
    assert_eq!(why(&seen, &mark(&empty)), "a write that changes nothing");
}

#[test]
fn a_start_is_marked_once_and_only_after_it_is_remembered() {
    let mark = Action::MarkStarted { at: Version::new("5"), time: at(0) };
    assert_eq!(why(&build(), &mark), "a start that is not remembered");
    let mut seen = build().started();
    assert_eq!(why(&seen, &mark), "a write that changes nothing");
    seen.marked_started = false;
    assert!(allowed(&seen, &mark));
}
