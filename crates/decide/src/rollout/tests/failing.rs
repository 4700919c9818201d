//! Revisions that are given up, and the way back.

use switchyard_api::condition::{STALLED, reason};

use super::builder::{A, B, C, Scene, rollout, seconds};
use crate::rollout::Foreign;

const NOTHING: [&str; 0] = [];

#[test]
fn a_green_that_never_gets_ready_is_given_up_and_blue_stays() {
    let shop = rollout("shop").replicas(3).settled(A).wants(B).candidate(B).claimed(B).pods(B, 1).progressed(B, 1);
    let waiting = shop.clone().after(seconds(599));
    assert_eq!((waiting.acts(), waiting.remembers()), (vec![], shop.0.memory.clone()));
    assert_eq!(waiting.decide().check_again, Some(shop.0.now.plus(seconds(600))));

    let late = shop.problem(B, "the image cannot be pulled").after(seconds(600)).next();
    let failed = &late.0.memory.failed[&B.revision()];
    assert_eq!(failed.reason, reason::PROGRESS_DEADLINE_EXCEEDED);
    let message = "1 of 3 pods became ready, and no more for 10m: the image cannot be pulled";
    assert_eq!(failed.message, message);
    assert!(late.0.memory.rejected.is_empty(), "not for good before the Service fences it off");
    assert_eq!(late.writes(), ["record at 7: live A void B"]);

    let fenced = rollout("shop").replicas(3).settled(A).wants(B).scaled(B, 3).failed(B).void(B).next();
    assert!(fenced.0.memory.rejected.contains(&B.revision()));
    assert_eq!(fenced.writes(), NOTHING, "it may still drain");
    assert_eq!(fenced.after(seconds(30)).acts(), ["retire B at 5"]);
}

#[test]
fn a_pod_more_is_progress() {
    let shop = rollout("shop").replicas(3).settled(A).wants(B).candidate(B).claimed(B).pods(B, 1).progressed(B, 1);
    let more = shop.after(seconds(599)).pods(B, 2).next().after(seconds(599));
    assert!(more.remembers().failed.is_empty());
    assert!(more.pods(B, 1).after(seconds(1)).remembers().failed.contains_key(&B.revision()), "fewer again is none");
}

#[test]
fn what_was_not_watched_does_not_count_against_the_deadline() {
    let mut shop = rollout("shop").settled(A).wants(B).candidate(B).claimed(B).progressed(B, 0).after(seconds(3600));
    shop.0.started = shop.0.now;
    assert!(shop.remembers().failed.is_empty());
    assert!(shop.after(seconds(600)).remembers().failed.contains_key(&B.revision()));
}

/// Each could be green's fault no more than an hour of the operator's own absence.
#[test]
fn waiting_for_somebody_else_does_not_count_against_the_deadline() {
    let green = || rollout("shop").settled(A).wants(B).progressed(B, 0);
    let first = || rollout("shop").progressed(A, 0);
    let foreign = |s: &mut crate::rollout::Service| s.foreign = Some(Foreign::Owned("belongs to Helm".to_owned()));
    let lost = green().candidate(B).claimed(B).lost_record();
    let rows = [
        ("the Service cannot be created", first()),
        ("the Service is a stranger's", first().serving(foreign)),
        ("the Deployment is a stranger's", green().child(B, |c| c.conflict = Some("made by hand".to_owned()))),
        ("somebody changes the selector", contended(green().candidate(B).claimed(B))),
        ("what was confirmed has to be restored first", lost),
    ];
    for (what, scene) in rows {
        assert!(scene.after(seconds(3600)).next().0.memory.failed.is_empty(), "{what}");
    }
}

#[test]
fn a_deadline_starts_anew_with_each_try() {
    let green = || rollout("shop").settled(A).wants(B).candidate(B).claimed(B).progressed(B, 0);
    let rested = green().replicas(0).after(seconds(3600)).next().replicas(1);
    assert!(rested.next().0.memory.failed.is_empty(), "at no replicas nothing was tried");
    let away = green().wants(A).after(seconds(3600)).next().wants(B);
    assert!(away.next().0.memory.failed.is_empty(), "meanwhile the spec wanted another");
}

#[test]
fn a_green_that_loses_readiness_on_trial_goes_back_in_one_write() {
    let shop = || rollout("shop").replicas(3).wants(B).live(B).fallback(A).serves(B, 3).serves(A, 3).confirmed(A);
    let ill = shop().pods(B, 2).listed(B, 2).next();
    assert_eq!(ill.writes(), NOTHING);
    assert!(ill.clone().after(seconds(29)).remembers().failed.is_empty());
    let well = ill.clone().pods(B, 3).after(seconds(29)).next();
    assert_eq!(well.0.memory.unready_since, None, "well again in time");

    let back = ill.clone().after(seconds(30)).next();
    assert_eq!(back.0.memory.failed[&B.revision()].reason, reason::LOST_READINESS);
    assert_eq!(back.writes(), ["record at 7: live A moved 7 void B, select A"]);

    let worse = ill.pods(A, 1).after(seconds(30)).next();
    assert_eq!(worse.writes(), ["record at 7: live B fallback A void B"], "blue serves worse: stay, and say so");
    assert_eq!(worse.waits_for(), ["pods of A to serve, to go back to it: 1 are ready"]);
}

#[test]
fn a_confirmed_revision_is_never_given_up_by_itself() {
    let shop = rollout("shop").replicas(3).settled(A).pods(A, 0).listed(A, 0).after(seconds(3600)).next();
    assert_eq!(shop.0.memory.failed.len(), 0);
    assert_eq!(shop.condition("Ready"), "no Degraded: 0 of 3 pods of A are ready");
}

#[test]
fn a_first_deployment_that_fails_leaves_no_pods_behind() {
    let shop = || rollout("shop").candidate(A).claimed(A).progressed(A, 0).after(seconds(600));
    assert_eq!(shop().acts(), ["record at 7: void A"]);
    let fenced = rollout("shop").service().scaled(A, 1).failed(A).void(A).next();
    assert_eq!(fenced.clone().after(seconds(30)).acts(), ["retire A at 5"]);
    assert!(fenced.waits_for()[0].contains("A was given up"), "{:?}", fenced.waits_for());
    assert_eq!(fenced.condition(STALLED), "yes ProgressDeadlineExceeded: A was given up: no pod was ready");
}

#[test]
fn what_was_given_up_is_not_tried_again() {
    let rows = [
        ("failed", rollout("shop").settled(A).wants(B).failed(B).void(B)),
        ("rejected", rollout("shop").settled(A).wants(B).rejected(B).void(B)),
        ("void, and all memory of it gone", rollout("shop").settled(A).wants(B).void(B)),
    ];
    for (what, scene) in rows {
        assert_eq!(scene.acts(), NOTHING, "{what}");
    }
    let next = rollout("shop").settled(A).wants(C).rejected(B).void(B);
    assert_eq!(next.acts(), ["deploy C from c", "expose C from c"], "another is");
}

#[test]
fn a_record_that_forgot_the_given_up_is_told_again() {
    let shop = rollout("shop").settled(A).wants(B).rejected(B);
    assert_eq!(shop.acts(), ["record at 7: live A void B"]);
}

/// Somebody changed the selector four times within ten minutes.
pub fn contended(scene: Scene) -> Scene {
    let mut scene = scene.tampered();
    for version in 20..24 {
        scene = scene.version(version).next();
    }
    scene
}
