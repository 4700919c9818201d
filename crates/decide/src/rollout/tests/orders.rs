//! What people order by Commands.

use switchyard_api::{
    condition::reason,
    rollout::{Outcome, Promoted},
};

use super::builder::{A, B, C, Scene, rollout, seconds};
use crate::rollout::CommandOrder::{Abort, Promote, Resume, Retry, RollbackTo};

const NOTHING: [&str; 0] = [];

fn under_way() -> Scene {
    rollout("shop").settled(A).wants(B).candidate(B).claimed(B).progressed(B, 0)
}
fn switched() -> Scene {
    rollout("shop").wants(B).live(B).serves(B, 1).confirmed(A).fallback(A).serves(A, 1).pods(B, 0)
}

#[test]
fn an_abort_is_acknowledged_only_once_the_service_fences_it_off() {
    let shop = under_way().ordered("stop", Abort(B.revision())).next();
    assert_eq!(shop.0.memory.failed[&B.revision()].reason, reason::ABORTED);
    assert_eq!(shop.acts(), ["record at 7: live A void B"], "and no answer yet");
    let fenced = shop.record(|r| (r.candidate, r.since) = (None, None)).void(B).next();
    assert_eq!(fenced.acts(), ["answer stop: Done, B is given up"]);
    let told = fenced.told().next();
    assert_eq!((told.acts(), told.0.memory.handled.len()), (vec![], 0));
    assert_eq!(told.0.memory.history[0].by.as_deref(), Some("alice"));
}

#[test]
fn an_abort_after_the_switch_goes_back() {
    let shop = switched().ordered("stop", Abort(B.revision())).next();
    assert_eq!(shop.acts(), ["record at 7: live A moved 7 void B, select A"]);
    assert_eq!(shop.0.memory.history[0].outcome, Outcome::RolledBack);
}

#[test]
fn an_abort_of_what_is_not_under_way_does_nothing() {
    let refused = under_way().ordered("stop", Abort(A.revision())).acts();
    assert!(refused.iter().any(|a| a.starts_with("answer stop: Refused, A is confirmed")), "{refused:?}");
    let stale = under_way().ordered("stop", Abort(C.revision())).acts();
    assert!(stale.contains(&"answer stop: Stale, C is not on its way to live".to_owned()), "{stale:?}");
    let again = rollout("shop").settled(A).wants(B).rejected(B).void(B).ordered("stop", Abort(B.revision()));
    assert_eq!(again.acts(), ["answer stop: Stale, B was given up already"]);
}

#[test]
fn a_retry_begins_the_next_try() {
    let shop = rollout("shop").settled(A).wants(B).rejected(B).void(B).created(B);
    assert_eq!(shop.acts(), NOTHING);
    let retried = shop.clone().ordered("again", Retry(B.revision())).next();
    assert_eq!(retried.0.memory.attempt(B.revision()), 2);
    assert_eq!(
        retried.acts(),
        ["record at 7: live A candidate B since 7 void B", "answer again: Done, B is tried again"]
    );
    let unfenced = under_way().failed(B).ordered("again", Retry(B.revision()));
    assert!(unfenced.acts().iter().all(|a| !a.starts_with("answer")), "not before the last try is fenced off");
    assert_eq!(shop.ordered("again", Retry(A.revision())).acts(), ["answer again: Stale, A was not given up"]);
}

#[test]
fn going_back_holds_until_resume() {
    let shop = rollout("shop").wants(B).settled(B).created(A).memory(|m| {
        m.history = vec![switchyard_api::rollout::HistoryEntry {
            revision: A.revision(),
            outcome: Outcome::Promoted,
            time: switchyard_api::Timestamp::default(),
            by: None,
            releases: vec![],
        }];
    });
    let back = shop.clone().ordered("back", RollbackTo(A.revision())).next();
    assert_eq!(back.0.memory.held.as_ref().unwrap().revision, A.revision());
    assert_eq!(back.0.memory.failed[&B.revision()].reason, reason::ROLLED_BACK);
    assert_eq!(back.acts(), ["record at 7: live B candidate A since 7 void B"]);
    let there = back.void(B).claimed(A).candidate(A).pods(A, 1).next();
    assert!(there.acts().contains(&"record at 7: live A moved 7 void B, select A".to_owned()), "{:?}", there.acts());
    let alice = || Promoted { revision: A.revision(), by: "alice".into(), reason: None };
    let held = rollout("shop").wants(C).settled(A).memory(|m| m.held = Some(alice()));
    assert_eq!(held.acts(), NOTHING, "nothing new goes live");
    assert_eq!(held.waits_for(), ["a Command of type Resume: alice went back to A"]);
    let promoted = held.clone().ordered("go", Promote(C.revision())).acts();
    assert!(promoted[0].starts_with("answer go: Refused, alice went back to A"), "{promoted:?}");
    let resumed = held.ordered("on", Resume).next();
    assert_eq!(resumed.acts(), ["answer on: Done, A is no longer held", "deploy C from c", "expose C from c"]);
    let never = shop.clone().created(C).ordered("back", RollbackTo(C.revision())).acts();
    assert_eq!(never, ["answer back: Refused, C was never confirmed"]);
    let gone = shop.ordered("back", RollbackTo(C.revision())).acts();
    assert_eq!(gone, ["answer back: Stale, C is no longer kept (spec.revisionHistoryLimit)"]);
}

#[test]
fn an_order_is_obeyed_once() {
    let shop = rollout("shop").settled(A).ordered("on", Resume).next();
    let again = shop.clone().next();
    assert_eq!(again.0.memory, shop.0.memory);
    assert_eq!(again.acts(), ["answer on: Stale, nothing is held"]);
    assert_eq!(again.after(seconds(60)).told().next().0.memory.handled.len(), 0);
}
