//! Which Builds are kept, and what a Build that was skipped means.

use super::*;

#[test]
fn old_builds_go_but_never_one_that_an_environment_refers_to() {
    let mut seen = pipeline();
    (seen.order.succeeded_limit, seen.order.failed_limit) = (1, 1);
    seen.head("1").build("1", Some(true)).settle();
    seen.live("staging").settle();
    for digit in ["2", "3", "4", "5"] {
        seen.head(digit).build(digit, Some(digit == "2")).settle();
        if digit == "2" {
            seen.rejects("staging").settle();
        }
    }
    let decision = seen.settle();
    let gone: Vec<_> = decision.actions.iter().map(|a| format!("{a:?}")).collect();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].contains("shop-3333333-1"), "of the failed ones only the newest beside the last: {gone:?}");
}

#[test]
fn each_limit_counts_its_own() {
    let mut seen = pipeline();
    (seen.order.succeeded_limit, seen.order.failed_limit) = (2, 1);
    for (digit, ended) in [
        ("1", "good"),
        ("2", "bad"),
        ("3", "skipped"),
        ("4", "good"),
        ("5", "bad"),
        ("6", "skipped"),
        ("7", "good"),
        ("8", "good"),
    ] {
        seen.head(digit);
        match ended {
            "skipped" => seen.skipped(digit),
            _ => seen.build(digit, Some(ended == "good")),
        };
        seen.settle();
        seen.builds.values_mut().filter(|b| b.created == at(2)).for_each(|b| b.created = at(digit.parse().unwrap()));
    }
    let gone = |decision: &Decision<Pipeline>| -> Vec<String> {
        let name = |a: &Action| match a {
            Action::DeleteBuild { name, .. } => Some(name.chars().nth(5).unwrap().to_string()),
            Action::CreateBuild { .. } => None,
        };
        decision.actions.iter().filter_map(name).collect()
    };
    // The newest, 8, is what staging is to run: it does not count.
    assert_eq!(gone(&seen.settle()), ["1", "2", "3"]);
    seen.order.failed_limit = 9;
    assert_eq!(gone(&seen.settle()), ["1"]);
}

#[test]
fn a_pipeline_that_forgot_what_its_environments_run_deletes_nothing() {
    let mut seen = pipeline();
    seen.order.failed_limit = 1;
    seen.head("1").build("1", Some(false)).build("2", Some(false)).build("3", Some(false)).settle();
    let surplus = |seen: &mut Observed| seen.settle().actions.len();
    assert_eq!(surplus(&mut seen.clone()), 1);
    seen.rollout("staging").live = Some(7);
    assert_eq!(surplus(&mut seen), 0);
}

#[test]
fn what_only_some_paths_want_is_compared_with_the_last_good_build_and_may_be_skipped() {
    let base = |decision: &Decision<Pipeline>| match decision.actions.first() {
        Some(Action::CreateBuild { base, .. }) => base.clone(),
        other => panic!("{other:?}"),
    };
    let mut seen = pipeline();
    assert_eq!(base(&seen.head("1").settle()), None);
    seen.order.paths = true;
    assert_eq!(base(&seen.settle()), None, "nothing was built well yet");
    seen.build("1", Some(true)).settle();
    assert_eq!(base(&seen.head("2").settle()), Some(commit("1")));
    let before = seen.settle().status;
    let decision = seen.skipped("2").settle();
    assert_eq!(
        (condition(&decision, condition::BUILT).status, condition(&decision, condition::BUILT).reason.as_str()),
        (State::True, "Skipped")
    );
    assert_eq!(seen.wanted("staging").as_deref(), Some("shop-1111111-1"), "the candidate stays");
    let told: Vec<String> = Pipeline::events(&before, &decision.status).into_iter().map(|e| e.reason).collect();
    assert_eq!(told, ["BuildSkipped"]);
    assert!(!decision.status.waiting_for.iter().any(|w| w.contains("failed")), "{:?}", decision.status.waiting_for);
    assert_eq!(base(&seen.head("3").settle()), Some(commit("1")), "and so does the base");
    seen.order.paths = false;
    assert_eq!(base(&seen.settle()), None, "negative control");
}
