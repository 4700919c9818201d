//! What a user reads, for each stage.

use switchyard_api::condition::{PROGRESSING, READY, RECONCILING, STALLED};

use crate::{
    Refusal,
    rollout::{Action, Foreign, Selects},
};

use super::{
    builder::{A, B, Scene, named, noon, rollout, seconds},
    failing::contended,
};

/// Phase, what it waits for, and the conditions.
fn told(scene: &Scene) -> String {
    let status = scene.decide().status;
    let phase = status.phase.map(|p| format!("{p:?}")).unwrap_or_default();
    let conditions = [READY, PROGRESSING, RECONCILING, STALLED].map(|kind| {
        let told = scene.condition(kind);
        let state_and_reason = told.split(':').next().unwrap_or_default();
        format!("{kind}={}", state_and_reason.replace(' ', "/"))
    });
    let waits = scene.waits_for().join(" | ");
    let waits = if waits.is_empty() { waits } else { format!(" | {waits}") };
    format!("{phase}{waits} [{}]", conditions.join(" "))
}

#[test]
fn each_stage_has_its_words() {
    let shop = || rollout("shop").replicas(3);
    let green = || shop().settled(A).wants(B);
    let trial = || shop().wants(B).live(B).fallback(A).serves(B, 3).serves(A, 3).confirmed(A);
    let rows = vec![
        (
            shop(),
            "Pending | the live Service to be created \
             [Ready=no/NotLive Progressing=yes/Deploying Reconciling=yes/Deploying Stalled=no/Progressing]",
        ),
        (
            shop().released_by_pipeline(),
            "Pending | Pipeline default/shop, which does not exist \
             [Ready=no/NotLive Progressing=no/AwaitingRelease Reconciling=no/AwaitingRelease Stalled=no/Progressing]",
        ),
        (
            shop().service().released_by_pipeline().offer("p", 1, "shop@one").unnamed(),
            "Pending | Pipeline default/shop to name this Rollout: none of its environments has default/shop in \
             rolloutRefs \
             [Ready=no/NotLive Progressing=no/AwaitingRelease Reconciling=no/AwaitingRelease Stalled=no/Progressing]",
        ),
        (
            shop().candidate(A).claimed(A).pods(A, 2).problem(A, "one is unschedulable"),
            "Deploying | 3 ready pods of A: 2 so far: one is unschedulable \
             [Ready=no/NotLive Progressing=yes/Deploying Reconciling=yes/Deploying Stalled=no/Progressing]",
        ),
        (
            green().candidate(B).claimed(B).pods(B, 2),
            "Deploying | 3 ready pods of B: 2 so far \
             [Ready=yes/Healthy Progressing=yes/Deploying Reconciling=yes/Deploying Stalled=no/Progressing]",
        ),
        (
            green().candidate(B).claimed(B).pods(B, 3),
            "Switching | the live Service to select B \
             [Ready=yes/Healthy Progressing=yes/Switching Reconciling=yes/Switching Stalled=no/Progressing]",
        ),
        (
            trial().listed(B, 1),
            "Confirming | the live Service's endpoints to be those of B alone: 1 listed, 3 ready \
             [Ready=yes/Healthy Progressing=yes/Confirming Reconciling=yes/Confirming Stalled=no/Progressing]",
        ),
        (
            trial().confirmed_now(B),
            "Healthy | 2026-01-01T12:05:00Z: A keeps its pods until then (scaleDownDelay) [Ready=yes/Healthy Progressing=no/Healthy Reconciling=no/Healthy Stalled=no/Progressing]",
        ),
        (
            shop().settled(A),
            "Healthy [Ready=yes/Healthy Progressing=no/Healthy Reconciling=no/Healthy Stalled=no/Progressing]",
        ),
        (
            shop().settled(A).mistaken(),
            "Healthy | the spec to be corrected: spec.images.containers: \"wbe\": name a container of the template \
             [Ready=yes/Healthy Progressing=no/Healthy Reconciling=no/Healthy Stalled=yes/InvalidSpec]",
        ),
        (
            shop().settled(A).released_by_pipeline(),
            "Healthy | Pipeline default/shop, which does not exist \
             [Ready=yes/Healthy Progressing=no/Healthy Reconciling=no/Healthy Stalled=no/Progressing]",
        ),
        (
            shop().settled(A).pods(A, 1),
            "Degraded | 3 ready pods of A: 1 so far \
             [Ready=no/Degraded Progressing=yes/Degraded Reconciling=yes/Degraded Stalled=no/Progressing]",
        ),
        (
            trial().failed(B),
            "RollingBack | the live Service to select A [Ready=yes/Healthy Progressing=yes/RollingBack \
             Reconciling=no/RollingBack Stalled=yes/ProgressDeadlineExceeded]",
        ),
        (
            trial().failed(B).pods(A, 0),
            "Degraded | pods of A to serve, to go back to it: 0 are ready [Ready=yes/Healthy \
             Progressing=yes/RollingBack Reconciling=no/RollingBack Stalled=yes/ProgressDeadlineExceeded]",
        ),
        (
            green().rejected(B).void(B),
            "Healthy | a new template or release, or a Command of type Retry: B was given up, no pod was ready [Ready=yes/Healthy \
             Progressing=no/Healthy Reconciling=no/Healthy Stalled=yes/ProgressDeadlineExceeded]",
        ),
        (
            green().tampered(),
            "Switching | the selector of Service shop to be put right: somebody changed it \
             [Ready=yes/Healthy Progressing=yes/Switching Reconciling=yes/Switching Stalled=no/Progressing]",
        ),
        (
            contended(green()),
            "Degraded | somebody to stop changing the selector of Service shop; next try at \
             2026-01-01T12:10:00Z [Ready=yes/Healthy Progressing=yes/SelectorContended \
             Reconciling=yes/SelectorContended Stalled=no/Progressing]",
        ),
    ];
    for (scene, expected) in rows {
        assert_eq!(told(&scene), expected, "{scene:?}");
    }
}

#[test]
fn what_keeps_its_pods_says_until_when_and_why() {
    let kept = |scene: &Scene| scene.clone().next().waits_for().pop();
    let until =
        |time: &str, setting: &str| Some(format!("2026-01-01T{time}Z: A keeps its pods until then ({setting})"));
    let shop = || rollout("shop").wants(B).live(B).confirmed_now(B).serves(B, 1).serves(A, 1);
    assert_eq!(kept(&shop().fallback(A)), until("12:05:00", "scaleDownDelay"));
    assert_eq!(kept(&shop()), until("12:00:30", "drain.duration"), "it was never confirmed: it is only drained");
    let given_up = shop().rejected(A).order(|o| o.abort_scale_down_delay = seconds(40_000));
    assert_eq!(kept(&given_up), until("17:06:40", "abortScaleDownDelay"));
    assert_eq!(kept(&shop().scaled(A, 0).pods(A, 0)), None);

    let late = shop().fallback(A).next().after(seconds(400));
    let told = |scene: &Scene| {
        let status = scene.decide().status;
        (status.waiting_for, status.conditions, status.phase)
    };
    assert_eq!(told(&late), told(&shop().fallback(A).next()), "what only time changes is no write");
}

#[test]
fn a_preview_service_that_cannot_be_used_is_told() {
    let shop = || rollout("shop").settled(A).previewed(Selects::Nobody, None);
    let referred = |s: Scene| s.order(|o| o.preview.as_mut().unwrap().referred = true);
    let owned = |mut s: Scene| {
        s.0.preview.as_mut().unwrap().foreign = Some(Foreign::Owned("was not made by this Rollout".to_owned()));
        s
    };
    let sentence = "Service shop-preview was not made by this Rollout";
    assert_eq!(owned(shop()).waits_for(), [sentence]);
    assert_eq!(owned(shop()).condition(STALLED), format!("yes ServiceOwned: {sentence}"));
    assert_eq!(owned(shop()).decide().check_again, Some(noon().plus(seconds(30))), "nobody watches it");
    let mut missing = referred(shop());
    missing.0.preview = None;
    assert_eq!(missing.waits_for(), ["Service shop-preview to exist: spec.preview.serviceRef names it"]);
}

#[test]
fn a_refused_write_is_told_where_it_is_a_persons_to_mend() {
    let shop = |refusal| rollout("shop").refused(Action::CreateService, refusal);
    let denied = shop(Refusal::Denied("quota exceeded".to_owned()));
    let sentence = "the API server does not allow it: quota exceeded";
    assert_eq!(denied.waits_for(), [sentence, "the live Service to be created"]);
    assert_eq!(denied.condition(STALLED), format!("yes WriteRefused: {sentence}"));
    assert_eq!(shop(Refusal::Stale).waits_for(), ["the live Service to be created"]);
    assert_eq!(shop(Refusal::Stale).acts(), denied.acts(), "and changes no write");
}

#[test]
fn what_happened_is_told_once() {
    let trial = rollout("shop").wants(B).live(B).fallback(A).serves(B, 1).serves(A, 1).confirmed(A);
    let status = |s: &Scene| s.decide().status;
    let notes = |from: &Scene, to: &Scene| -> Vec<String> {
        let events = super::super::status::events(&status(from), &status(to));
        events.iter().map(|e| format!("{}: {}", e.reason, named(&e.note))).collect()
    };
    let before = rollout("shop").settled(A).wants(B).candidate(B).claimed(B).pods(B, 1);
    let waiting = trial.clone().listed(B, 0);
    assert_eq!(notes(&before, &waiting), ["Switched: traffic goes to B, from A"]);
    assert_eq!(notes(&waiting, &trial), ["Confirmed: B serves and is confirmed"]);
    let ill = waiting.clone().pods(B, 0).next().after(seconds(30));
    assert_eq!(notes(&waiting, &ill), ["Rejected: B was given up: 0 of 1 pods were ready for 30s after the switch"]);
    for scene in [before, waiting, trial, ill] {
        assert_eq!(notes(&scene, &scene), [""; 0]);
    }
}

#[test]
fn numbers_for_an_autoscaler_are_those_of_what_is_live() {
    let status = rollout("shop").replicas(3).settled(A).wants(B).candidate(B).claimed(B).pods(B, 1).decide().status;
    assert_eq!((status.replicas, status.ready_replicas, status.pods.as_deref()), (3, 3, Some("3/3")));
    assert_eq!(named(&status.selector), "switchyard.dev/rollout=shop,switchyard.dev/revision=A");
    assert_eq!((status.live.unwrap().ready, status.next.unwrap().ready), (3, 1));
}
