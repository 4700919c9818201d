//! What serves is protected: from strangers, from loss, from mistakes.

use crate::{
    Version,
    rollout::{Foreign, Record, Selects},
};

use super::{
    builder::{A, B, C, rollout, seconds},
    failing::contended,
};

const NOTHING: [&str; 0] = [];

#[test]
fn a_strangers_selector_is_put_right_three_times_in_ten_minutes() {
    let mut shop = rollout("shop").settled(A).tampered();
    for version in 1..=3 {
        shop = shop.version(version).after(seconds(60));
        assert_eq!(shop.acts(), [format!("record at {version}: live A moved {version}, select A")]);
        shop = shop.next();
    }
    let fourth = shop.version(4).next();
    assert_eq!(fourth.writes(), NOTHING);
    assert_eq!(fourth.condition("Reconciling").split(':').next(), Some("yes SelectorContended"));
    let later = fourth.decide().check_again.unwrap();
    assert_eq!(later, super::builder::noon().plus(seconds(660)), "ten minutes after the first");
    let mut shop = fourth;
    shop.0.now = later;
    assert_eq!(shop.acts(), ["record at 4: live A moved 4, select A"]);
}

#[test]
fn a_selector_is_put_right_before_anything_else() {
    let shop = || rollout("shop").wants(B).live(B).fallback(A).serves(B, 1).serves(A, 1).confirmed(A).failed(B);
    let nobody = shop().selects(Selects::Nobody);
    assert_eq!(nobody.acts(), ["record at 7: live B fallback A moved 7 void B, select B"]);
    let none_live = rollout("shop").candidate(A).claimed(A).tampered();
    assert_eq!(none_live.acts(), NOTHING, "without a live one there is nothing to put right");
    assert_eq!(none_live.pods(A, 1).acts(), ["record at 7: live A moved 7, select A"]);
}

#[test]
fn a_strangers_service_is_never_touched() {
    let foreign =
        |s: &mut crate::rollout::Service| s.foreign = Some(Foreign::Owned("belongs to Rollout cart".to_owned()));
    let rows = [
        rollout("shop").serving(foreign),
        rollout("shop").settled(A).wants(B).serving(foreign),
        rollout("shop").settled(A).tampered().serving(foreign),
        rollout("shop").settled(A).serves(B, 1).unlisted(B).after(seconds(60)).serving(foreign),
    ];
    for scene in rows {
        assert_eq!(scene.acts(), NOTHING);
        assert_eq!(scene.waits_for(), ["Service shop belongs to Rollout cart"]);
    }
}

#[test]
fn another_rollouts_record_says_nothing_of_ours() {
    let theirs = |s: &mut crate::rollout::Service| {
        s.foreign = Some(Foreign::Owned("belongs to Rollout cart".to_owned()));
        s.record.as_mut().unwrap().owner = "uid-of-another".to_owned();
    };
    let shop = rollout("shop").created(A).live(A).serving(theirs).next().after(seconds(60)).next();
    assert!(shop.0.memory.failed.is_empty(), "that their A does not serve here is no fault of our A");
    let status = shop.decide().status;
    assert_eq!((status.live, status.selector.as_str()), (None, ""));
    assert_eq!(shop.condition("Ready"), "no NotLive: no revision is live yet");
}

#[test]
fn a_strangers_child_is_never_adopted() {
    let shop = rollout("shop").settled(A).wants(B).child(B, |c| c.conflict = Some("Deployment x is Helm's".to_owned()));
    assert_eq!(shop.acts(), NOTHING);
    assert_eq!(shop.condition("Stalled"), "yes ChildConflict: Deployment x is Helm's");
}

#[test]
fn a_lost_record_brings_back_the_confirmed_revision() {
    let shop = || rollout("shop").settled(A).wants(B).lost_record();
    assert_eq!(shop().acts(), ["record at 7: candidate A since 7"], "never what is merely wanted");
    assert_eq!(shop().rejected(B).acts(), ["record at 7: candidate A since 7 void B"], "and B is given up again");
    let unproven = shop().selects(Selects::Revision(B.revision())).serves(B, 1);
    assert_eq!(unproven.acts(), ["record at 7: candidate A since 7"], "also when the selector stayed at another");
    let nominated = shop()
        .serving(|s| s.record = Some(Record { owner: "uid-of-us".into(), ..Record::default() }))
        .candidate(A)
        .claimed(A);
    assert_eq!(nominated.acts(), ["record at 7: live A moved 7, select A"], "and never by way of nobody");
    assert_eq!(nominated.pods(A, 0).acts(), NOTHING);
}

#[test]
fn nothing_loses_its_pods_while_the_record_is_lost() {
    let shop = || rollout("shop").settled(A).serves(B, 1).unlisted(B).after(seconds(60)).lost_record();
    for scene in [shop(), shop().rejected(B), shop().scaled(B, 0).pods(B, 0).order(|o| o.history_limit = 0)] {
        assert_eq!(scene.acts(), ["record at 7: candidate A since 7"].map(|s| void_too(&scene, s)));
    }
}
fn void_too(scene: &super::builder::Scene, record: &str) -> String {
    if scene.0.memory.rejected.is_empty() { record.to_owned() } else { format!("{record} void B") }
}

#[test]
fn a_record_lost_before_anything_was_confirmed_waits_for_a_person() {
    let shop = rollout("shop").live(A).serves(A, 1).wants(B).lost_record();
    assert_eq!(shop.acts(), NOTHING);
    assert!(shop.waits_for()[0].contains("switchyard.dev/switch"), "{:?}", shop.waits_for());
}

#[test]
fn a_mistake_in_the_spec_stops_no_protection() {
    let ill =
        rollout("shop").wants(B).live(B).fallback(A).serves(B, 1).serves(A, 1).confirmed(A).pods(B, 0).listed(B, 0);
    let rows = [
        ("put right", rollout("shop").settled(A).tampered(), vec!["record at 7: live A moved 7, select A"]),
        ("go back", ill.clone().next().after(seconds(30)), vec!["record at 7: live A moved 7 void B, select A"]),
        ("go back, failed before", ill.failed(B), vec!["record at 7: live A moved 7 void B, select A"]),
        ("bring it up", rollout("shop").candidate(A).scaled(A, 2).confirmed(A), vec!["claim A under 6 with 2 at 5"]),
        ("bring back", rollout("shop").settled(A).lost_record(), vec!["record at 7: candidate A since 7"]),
        (
            "nothing new goes live",
            rollout("shop").settled(A).candidate(B).claimed(B).pods(B, 1),
            vec!["record at 7: live A"],
        ),
    ];
    for (what, scene, writes) in rows {
        let scene = scene.mistaken();
        assert_eq!(scene.acts(), writes, "{what}");
    }
    let said = rollout("shop").settled(A).mistaken();
    let sentence = "spec.images.containers: \"wbe\": name a container of the template";
    assert_eq!(said.waits_for(), [format!("the spec to be corrected: {sentence}")]);
    assert_eq!(said.condition("Stalled"), format!("yes InvalidSpec: {sentence}"));
    assert_eq!(said.condition("Ready"), "yes Healthy: A serves with 1 ready pods");
}

#[test]
fn scaling() {
    let shop = || rollout("shop").replicas(3).settled(A);
    let trial = || rollout("shop").replicas(3).wants(B).live(B).fallback(A).serves(B, 3).serves(A, 3).confirmed(A);
    assert_eq!(shop().replicas(5).acts(), ["scale A to 5 at 5"], "live at once");
    assert_eq!(shop().replicas(2).acts(), ["scale A to 2 at 5"]);
    assert_eq!(trial().replicas(5).acts().len(), 2, "the way back follows up at once");
    assert_eq!(trial().replicas(2).listed(B, 1).acts(), ["scale B to 2 at 5"], "and down only after confirmation");
    assert_eq!(trial().confirmed_now(B).replicas(2).acts().len(), 2);
    let next = shop().wants(B).candidate(B).claimed(B).replicas(5);
    assert_eq!(next.acts(), ["scale A to 5 at 5", "claim B under 6 with 5 at 5"], "the candidate by a claim");
    let enough = trial().replicas(5).listed(B, 3).remembers();
    assert_eq!(enough.confirmed.unwrap().revision, B.revision(), "what it was switched with is enough");
}

#[test]
fn at_no_replicas_nothing_is_switched_or_judged() {
    let rest = || rollout("shop").settled(A).replicas(0);
    assert_eq!(rest().acts(), ["scale A to 0 at 5"]);
    assert_eq!(rest().scaled(A, 0).pods(A, 0).listed(A, 0).wants(B).after(seconds(3600)).acts(), NOTHING);
    let trial = rollout("shop").live(A).scaled(A, 0).replicas(0).next().after(seconds(3600)).next();
    assert!(trial.0.memory.failed.is_empty() && trial.0.memory.confirmed.is_none());
    let first = rollout("shop").service().replicas(0);
    assert_eq!(first.acts(), NOTHING);
    assert_eq!(first.waits_for(), ["spec.replicas to be more than 0"]);
}

#[test]
fn what_is_live_and_gone_is_made_again() {
    let mut shop = rollout("shop").settled(A);
    shop.0.revisions.clear();
    assert_eq!(shop.acts(), ["deploy A from a", "expose A from a"]);
    assert_eq!(shop.created(A).acts(), ["scale A to 1 at 5"]);
}

#[test]
fn a_revision_is_made_of_its_own_template_only() {
    let mut shop = rollout("shop").settled(A).wants(B).lost_record();
    shop.0.revisions.clear();
    assert_eq!(shop.acts(), NOTHING, "the spec wants B: A cannot be made from it");
    let said = "A to be restored: its Deployment is gone, and the spec describes another";
    assert_eq!(shop.waits_for(), [said]);
}

#[test]
fn the_selector_of_a_contended_service_is_left_alone() {
    let shop = contended(rollout("shop").settled(A).wants(C));
    assert!(shop.acts().iter().all(|w| !w.contains("select")), "{:?}", shop.acts());
    assert_eq!(shop.0.service.as_ref().unwrap().version, Version::new("23"));
}
