//! What is not built: an image of another CI, and commits that change nothing that is wanted.

use switchyard_api::{build::Phase, condition::State, report::Reason};

use super::{
    super::{reasons, *},
    builder::{
        DIGEST, OTHER, accepted, accepting, at, build, complained, failure, job, names, ready, served, unit, web,
    },
};
use crate::{Answer, Unreachable};

#[test]
fn an_image_of_another_ci_counts_once_its_registry_serves_it() {
    let mut seen = accepting().started();
    let decision = seen.settle();
    assert_eq!((names(&decision).len(), decision.status.phase), (0, Some(Phase::Verifying)), "there is nothing to run");
    let asked = decision.ask.into_keys().next().unwrap();
    assert!(matches!(&asked, Question::Serves { tag: None, digest, .. } if digest.as_str() == DIGEST), "{asked:?}");
    let mut seen = seen.answered(&served(DIGEST));
    let decision = seen.settle();
    assert_eq!((decision.status.phase, decision.status.images.len()), (Some(Phase::Succeeded), 1));
    assert_eq!((decision.status.commit, decision.status.short_commit), (None, None));
}

#[test]
fn one_that_is_to_be_scanned_has_a_job_first() {
    let mut seen = accepting().scanned().started();
    let decision = seen.settle();
    assert_eq!((names(&decision), decision.ask.len()), (vec!["Run image/web 1".to_owned()], 0));
    let mut seen = seen.with(web(), 1, job().running("scan"));
    assert_eq!(seen.settle().status.phase, Some(Phase::Scanning));
    let done = job().ended("scan", 0, "").ended("accept", 0, &accepted(DIGEST)).succeeded();
    let mut seen = seen.with(web(), 1, done).answered(&served(DIGEST));
    let decision = seen.settle();
    assert_eq!((decision.status.phase, decision.status.scans.len()), (Some(Phase::Succeeded), 1));
}

#[test]
fn another_digest_than_the_one_that_was_named_is_not_accepted() {
    let other = job().ended("accept", 0, &accepted(OTHER)).succeeded();
    let mut seen = accepting().scanned().started().with(web(), 1, other);
    let decision = seen.settle();
    assert_eq!(failure(&decision).1, reasons::DIGEST_MISMATCH);
    assert!(decision.status.images.is_empty());
}

#[test]
fn one_that_is_not_there_ends_the_build_and_one_just_pushed_is_waited_for() {
    let missing = Answer::Unreachable { since: at(1), why: Unreachable::Missing("no such digest".into()) };
    let mut seen = accepting().started().answered(&missing);
    assert_eq!(failure(&seen.settle()).1, reasons::IMAGE_NOT_FOUND);
    let mut seen = build().started().checked().pushed().answered(&missing);
    assert_eq!(seen.settle().status.failure, None);
}

#[test]
fn a_commit_that_changes_nothing_that_is_wanted_is_skipped_by_any_steps_word() {
    let unchanged = job().ended("clone", 1, &complained(Reason::NothingChanged)).failed();
    let beside = job().running("check");
    let mut checking = build().then("lint", &[]).started().with(unit(), 1, unchanged.clone());
    checking.jobs.insert((Step::Check("lint".into()), 1), beside);
    let building = build().started().checked().with(web(), 1, unchanged);
    for (mut seen, actions) in [(checking, vec!["Stop check/lint 1", "MarkResult"]), (building, vec!["MarkResult"])] {
        let decision = seen.settle();
        assert_eq!(
            (decision.status.phase, names(&decision)),
            (Some(Phase::Skipped), actions.iter().map(|a| (*a).to_owned()).collect())
        );
        assert_eq!((ready(&decision).status, ready(&decision).reason.as_str()), (State::True, "Skipped"));
        assert!(decision.status.failure.is_none() && decision.status.images.is_empty());

        let Some(Action::MarkResult { result, .. }) = decision.actions.last() else { panic!("no result") };
        let mut restored = build();
        (restored.marked_started, restored.marked_result) = (true, Some((**result).clone()));
        assert_eq!(restored.settle().status.phase, Some(Phase::Skipped), "also where the status was lost");
    }
}

#[test]
fn what_is_parsed_is_what_the_spec_says() {
    let spec = |source: serde_json::Value, scan: serde_json::Value| {
        let mut spec = serde_json::json!({"source": source, "checks": [
            {"name": "unit", "job": {"image": "i", "command": ["true"]}, "artifacts": ["coverage.xml"]},
            {"name": "quality", "after": ["unit"], "sonarQube": {"url": "https://s.test", "projectKey": "shop",
             "token": {"secretKeyRef": {"name": "sonar", "key": "token"}}}}]});
        if !scan.is_null() {
            spec["scan"] = scan;
        }
        serde_json::from_value(spec).unwrap()
    };
    let git = serde_json::json!({"git": {"url": "https://git.test/shop.git", "commit": "7".repeat(40)}});
    let registry =
        serde_json::json!({"registry": {"repository": "r.test/shop", "digest": DIGEST, "secretRef": {"name": "s"}}});
    let none = serde_json::Value::Null;

    let order = Order::parse(&spec(git.clone(), none.clone()), false, Some("")).unwrap();
    let checks: Vec<_> = order.checks.iter().map(|c| (c.name.as_str(), c.after.len(), c.keeps, c.gate)).collect();
    assert_eq!(checks, [("unit", 0, true, false), ("quality", 1, false, true)]);
    assert_eq!((order.scanned, order.log_url), (false, None), "an empty template is none");
    assert!(Order::parse(&spec(git.clone(), serde_json::json!({})), false, None).unwrap().scanned);
    assert!(Order::parse(&spec(git.clone(), none.clone()), true, None).unwrap().scanned, "by the installation");

    let order = Order::parse(&spec(registry.clone(), none.clone()), false, None).unwrap();
    assert_eq!((order.images[0].name.as_str(), order.images[0].secret.as_deref()), ("image", Some("s")));
    assert_eq!((order.images().count(), order.commit()), (0, None));
    let mut both = git;
    both["registry"] = registry["registry"].clone();
    for wrong in [serde_json::json!({}), both] {
        assert_eq!(Order::parse(&spec(wrong, none.clone()), false, None).unwrap_err().field, "source");
    }
}
