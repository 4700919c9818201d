//! From a head to every environment, and what stops on the way.

mod retention;

use switchyard_api::{
    Duration,
    build::BuiltImage,
    condition::{self, State},
    pipeline::{Ended, EnvironmentState, Head},
};

use super::*;
use crate::{Answer, Measured, Refusal, Unreachable};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000_i64.saturating_add(seconds.saturating_mul(1000)))
}
fn commit(digit: &str) -> CommitId {
    digit.repeat(40).parse().unwrap()
}

/// A Pipeline with staging and production, and one Rollout in each.
fn pipeline() -> Observed {
    let environment = |name: &str, after: &[&str]| EnvironmentOrder {
        name: name.into(),
        rollouts: vec![format!("{name}/shop")],
        after: after.iter().map(|a| (*a).to_owned()).collect(),
    };
    let taking = RolloutSeen { names_us: true, ..RolloutSeen::default() };
    Observed {
        now: at(0),
        name: "shop/shop".into(),
        order: Order {
            url: "https://git.test/shop.git".into(),
            branch: None,
            secret: None,
            interval: Duration::from_mins(1),
            paths: false,
            environments: vec![environment("staging", &[]), environment("production", &["staging"])],
            succeeded_limit: 10,
            failed_limit: 5,
            suspend: false,
        },
        memory: Memory::default(),
        builds: BTreeMap::new(),
        rollouts: ["staging/shop", "production/shop"].map(|n| (n.to_owned(), taking.clone())).into(),
        answers: BTreeMap::new(),
        refused: None,
    }
}

impl Observed {
    fn settle(&mut self) -> Decision<Pipeline> {
        for _ in 0..8 {
            let decision = Pipeline::decide(self);
            assert_eq!(Pipeline::decide(self), decision, "the same facts decide the same");
            let text = serde_json::to_string(self).unwrap();
            assert_eq!(*self, serde_json::from_str(&text).unwrap(), "facts survive a log line");
            if decision.status.memory == self.memory {
                for action in &decision.actions {
                    assert_eq!(Pipeline::permit(self, action), Ok(()), "{action:?}");
                }
                return decision;
            }
            self.memory = decision.status.memory;
        }
        panic!("memory never rests");
    }
    fn head(&mut self, digit: &str) -> &mut Self {
        let value = Measured::Head { branch: "main".into(), commit: commit(digit) };
        self.answers = [(self.order.question(), Answer::Known { at: at(1), value })].into();
        self
    }
    fn unreachable(&mut self, why: Unreachable) -> &mut Self {
        self.answers = [(self.order.question(), Answer::Unreachable { since: at(1), why })].into();
        self
    }
    /// The Build of this commit, as the caches show it.
    fn build(&mut self, digit: &str, ended: Option<bool>) -> &mut Self {
        let name = format!("shop-{}-1", digit.repeat(7));
        let image = BuiltImage {
            name: "web".into(),
            repository: "r.test/shop".into(),
            digest: DIGEST.parse().unwrap(),
            tags: vec![],
        };
        let message = (ended == Some(false)).then(|| "CheckFailed: check unit ended with exit code 1".to_owned());
        let build = BuildSeen {
            uid: format!("uid-{digit}"),
            created: at(2),
            commit: Some(commit(digit)),
            conflict: None,
            ended: ended.map(|succeeded| Ended { succeeded, skipped: false, message }),
            version: Some(format!("1.{digit}.0")),
            images: if ended == Some(true) { vec![image] } else { vec![] },
            waiting: Some("check/unit: check is running".into()),
        };
        self.builds.insert(name, build);
        self
    }
    /// The Build of this commit ended without building anything.
    fn skipped(&mut self, digit: &str) -> &mut Self {
        self.build(digit, Some(false));
        let build = self.builds.get_mut(&format!("shop-{}-1", digit.repeat(7))).unwrap();
        build.ended = Some(Ended { succeeded: false, skipped: true, message: None });
        self
    }
    fn rollout(&mut self, environment: &str) -> &mut RolloutSeen {
        self.rollouts.get_mut(&format!("{environment}/shop")).unwrap()
    }
    /// The Rollout took the environment's release and serves it.
    fn live(&mut self, environment: &str) -> &mut Self {
        let sequence = self.memory.environments[environment].release.as_ref().unwrap().sequence;
        let rollout = self.rollout(environment);
        (rollout.taken, rollout.live, rollout.healthy) = (Some(sequence), Some(sequence), true);
        self
    }
    fn rejects(&mut self, environment: &str) -> &mut Self {
        let sequence = self.memory.environments[environment].release.as_ref().unwrap().sequence;
        let rollout = self.rollout(environment);
        rollout.taken = Some(sequence);
        rollout.rejected.insert(sequence);
        rollout.message = Some("a new template or release: k7w2m9xq4b was given up".into());
        self
    }
    fn wanted(&mut self, environment: &str) -> Option<String> {
        self.settle();
        self.memory.environments[environment].release.as_ref().map(|r| r.build.clone())
    }
}

fn create(digit: &str) -> Action {
    let name = format!("shop-{}-1", digit.repeat(7));
    Action::CreateBuild { name, commit: commit(digit), branch: "main".into(), base: None }
}
fn created(decision: &Decision<Pipeline>) -> Vec<&str> {
    let name = |a: &'_ Action| matches!(a, Action::CreateBuild { .. });
    decision
        .actions
        .iter()
        .filter(|a| name(a))
        .map(|a| match a {
            Action::CreateBuild { name, .. } | Action::DeleteBuild { name, .. } => name.as_str(),
        })
        .collect()
}
fn condition<'a>(decision: &'a Decision<Pipeline>, kind: &str) -> &'a condition::Condition {
    decision.status.conditions.iter().find(|c| c.kind == kind).unwrap()
}

#[test]
fn a_push_goes_from_build_to_staging_to_production() {
    let mut seen = pipeline();
    let decision = seen.settle();
    assert_eq!(decision.ask.len(), 1);
    assert_eq!(condition(&decision, condition::READY).status, State::Unknown, "not asked yet is not unreachable");
    assert_eq!(decision.status.waiting_for, ["the first answer of https://git.test/shop.git"]);

    let decision = seen.head("1").settle();
    assert_eq!(created(&decision), ["shop-1111111-1"]);
    assert_eq!(condition(&decision, condition::READY).status, State::True);

    let decision = seen.build("1", None).settle();
    assert_eq!(created(&decision), [""; 0], "one Build of each head");
    assert_eq!(decision.status.waiting_for, ["Build shop-1111111-1: check/unit: check is running"]);

    let decision = seen.build("1", Some(true)).settle();
    let releases: Vec<_> = decision.status.releases.iter().map(|r| (r.environment.as_str(), r.sequence)).collect();
    assert_eq!(releases, [("staging", 1)]);
    assert_eq!(decision.status.summary.as_deref(), Some("staging - -> 1.1.0, production -"));
    assert_eq!(decision.status.environments[1].waiting_for.as_deref(), Some("the build to do well in staging"));

    let decision = seen.live("staging").settle();
    assert_eq!(decision.status.summary.as_deref(), Some("staging 1.1.0, production - -> 1.1.0"));
    let decision = seen.live("production").settle();
    assert_eq!(decision.status.summary.as_deref(), Some("staging 1.1.0, production 1.1.0"));
    assert_eq!(condition(&decision, condition::PROMOTED).status, State::True);
    assert_eq!(
        (condition(&decision, condition::RECONCILING).status, decision.status.waiting_for.len()),
        (State::False, 0)
    );
}

#[test]
fn what_is_live_but_not_healthy_goes_no_further() {
    let mut seen = pipeline();
    seen.head("1").build("1", Some(true)).settle();
    seen.live("staging").rollout("staging").healthy = false;
    assert_eq!(seen.wanted("production"), None);
}

#[test]
fn a_failed_build_is_told_and_nothing_is_released() {
    let mut seen = pipeline();
    let decision = seen.head("1").build("1", Some(false)).settle();
    assert!(decision.status.releases.is_empty());
    assert_eq!(condition(&decision, condition::READY).status, State::True, "a red test must not hang a sync wave");
    assert_eq!(condition(&decision, condition::BUILT).status, State::False);
    assert!(decision.status.waiting_for[0].contains("exit code 1"), "{:?}", decision.status.waiting_for);
    assert_eq!(created(&seen.head("2").settle()), ["shop-2222222-1"], "the next commit goes on");
}

#[test]
fn a_running_build_is_finished_then_only_the_newest_head_is_taken() {
    let mut seen = pipeline();
    seen.head("1").build("1", None).settle();
    assert_eq!(created(&seen.head("2").settle()), [""; 0]);
    let decision = seen.head("3").build("1", Some(true)).settle();
    assert_eq!(created(&decision), ["shop-3333333-1"]);
    assert_eq!(seen.wanted("staging").as_deref(), Some("shop-1111111-1"), "what is good goes live meanwhile");
}

#[test]
fn a_rejected_build_stays_where_it_is_and_the_next_goes_on() {
    let mut seen = pipeline();
    seen.head("1").build("1", Some(true)).settle();
    seen.live("staging").settle();
    seen.live("production").settle();
    seen.head("2").build("2", Some(true)).settle();
    let decision = seen.rejects("staging").settle();
    assert_eq!(decision.status.environments[0].state, EnvironmentState::Rejected);
    assert_eq!(decision.status.summary.as_deref(), Some("staging 1.1.0 (1.2.0 rejected), production 1.1.0"));
    assert_eq!(condition(&decision, condition::PROMOTED).reason, condition::reason::REJECTED);
    assert!(decision.status.waiting_for[0].starts_with("staging: Rollout staging/shop: a new template"));
    assert_eq!(seen.wanted("staging").as_deref(), Some("shop-2222222-1"), "it does not go back by a release");
    assert_eq!(seen.wanted("production").as_deref(), Some("shop-1111111-1"));
    seen.head("3").build("3", Some(true)).settle();
    assert_eq!(seen.wanted("staging").as_deref(), Some("shop-3333333-1"));
}

#[test]
fn an_environment_that_depends_on_nothing_goes_its_own_way() {
    let mut seen = pipeline();
    seen.order.environments[1].after.clear();
    seen.head("1").build("1", Some(true)).settle();
    seen.rejects("staging");
    assert_eq!(seen.wanted("production").as_deref(), Some("shop-1111111-1"));
}

#[test]
fn several_rollouts_are_live_when_all_are() {
    let mut seen = pipeline();
    seen.order.environments[0].rollouts.push("staging/worker".into());
    seen.head("1").build("1", Some(true)).settle();
    let decision = seen.live("staging").settle();
    assert_eq!(
        decision.status.environments[0].waiting_for.as_deref(),
        Some("Rollout staging/worker, which does not exist")
    );
    assert_eq!(seen.wanted("production"), None);
    let worker = seen.rollouts["staging/shop"].clone();
    seen.rollouts.insert("staging/worker".into(), RolloutSeen { names_us: false, ..worker.clone() });
    assert_eq!(seen.wanted("production"), None, "both sides must name each other");
    seen.rollouts.insert("staging/worker".into(), worker);
    assert_eq!(seen.wanted("production").as_deref(), Some("shop-1111111-1"));
}

#[test]
fn a_branch_set_back_is_not_built_again() {
    let mut seen = pipeline();
    seen.head("1").build("1", Some(true)).settle();
    seen.head("2").build("2", Some(true)).settle();
    seen.builds.clear();
    let decision = seen.head("1").settle();
    assert_eq!(created(&decision), [""; 0]);
    assert_eq!(seen.wanted("staging").as_deref(), Some("shop-1111111-1"));
}

#[test]
fn sequences_go_on_above_what_rollouts_recorded() {
    let mut seen = pipeline();
    seen.rollout("production").taken = Some(41);
    seen.head("1").build("1", Some(true)).settle();
    assert_eq!(seen.memory.environments["staging"].release.as_ref().unwrap().sequence, 42);
}

#[test]
fn an_unreachable_source_is_told_in_its_words_and_stops_nothing_else() {
    let mut seen = pipeline();
    seen.head("1").build("1", Some(true)).settle();
    let decision = seen.unreachable(Unreachable::Network("cannot reach git.test".into())).settle();
    let ready = condition(&decision, condition::READY);
    assert_eq!((ready.status, ready.reason.as_str()), (State::False, condition::reason::SOURCE_UNREACHABLE));
    assert_eq!(decision.status.waiting_for[0], "cannot reach git.test");
    seen.live("staging");
    assert_eq!(seen.wanted("production").as_deref(), Some("shop-1111111-1"));
    let decision = seen.unreachable(Unreachable::Secret("may not read".into())).settle();
    assert_eq!(condition(&decision, condition::READY).reason, condition::reason::SECRET_NOT_READABLE);
}

#[test]
fn suspended_starts_nothing_and_forgets_nothing() {
    let mut seen = pipeline();
    seen.order.suspend = true;
    let decision = seen.head("1").settle();
    assert_eq!((created(&decision).len(), seen.memory.head.is_some()), (0, true));
    seen.order.suspend = false;
    assert_eq!(created(&seen.settle()), ["shop-1111111-1"]);
}

#[test]
fn permit_vetoes_what_must_never_happen() {
    let mut seen = pipeline();
    let create = create("1");
    assert!(Pipeline::permit(&seen, &create).is_err(), "not remembered");
    seen.head("1").settle();
    assert_eq!(Pipeline::permit(&seen, &create), Ok(()));
    seen.build("1", None);
    assert!(Pipeline::permit(&seen, &create).is_err(), "a commit built twice at once");
    let delete = Action::DeleteBuild { name: "shop-1111111-1".into(), uid: "uid-1".into() };
    assert!(Pipeline::permit(&seen, &delete).is_err(), "a running Build");
    seen.build("1", Some(true)).settle();
    seen.live("staging").settle();
    assert!(Pipeline::permit(&seen, &delete).is_err(), "a Build that an environment runs");
}

#[test]
fn a_refused_write_is_told() {
    let mut seen = pipeline();
    seen.head("1").settle();
    let create = create("1");
    seen.refused = Some((create, Refusal::Denied("builds is forbidden".into())));
    let decision = seen.settle();
    assert_eq!(decision.status.waiting_for[0], "the API server does not allow it: builds is forbidden");
    assert_eq!(condition(&decision, condition::STALLED).status, State::True);
}

#[test]
fn events_tell_the_difference_of_two_statuses() {
    let mut seen = pipeline();
    let before = PipelineStatus::default();
    let after = seen.head("1").settle().status;
    let reasons = |a: &PipelineStatus, b: &PipelineStatus| {
        Pipeline::events(a, b).into_iter().map(|e| e.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&before, &after), ["CommitSeen", "BuildStarted"]);
    assert_eq!(reasons(&after, &after), [""; 0]);
    let released = seen.build("1", Some(true)).settle().status;
    assert_eq!(reasons(&after, &released), ["BuildSucceeded", "Released"]);
    let live = seen.live("staging").settle().status;
    assert_eq!(reasons(&released, &live), ["Released", "Live"]);
    assert_eq!(after.memory.head, Some(Head { branch: "main".into(), commit: commit("1"), seen: at(1) }));
}
