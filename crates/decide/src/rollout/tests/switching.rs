//! A revision on its way to live, each round's writes in order.

use switchyard_api::Duration;

use crate::Version;

use super::builder::{A, B, C, D, Scene, noon, rollout, seconds};

type Steps = Vec<(&'static str, Scene, Vec<&'static str>)>;

fn check(steps: Steps) {
    for (what, scene, writes) in steps {
        let scene = scene.next();
        assert_eq!(scene.remembers(), scene.0.memory, "{what}: remembered once, it is remembered");
        assert_eq!(scene.writes(), writes, "{what}");
    }
}

#[test]
fn a_first_deployment() {
    let shop = || rollout("shop").replicas(3);
    check(vec![
        ("nothing is there", shop(), vec!["create the Service"]),
        ("a Service without a selector", shop().service(), vec!["deploy A from a", "expose A from a"]),
        ("half of the revision", shop().service().deployed(A), vec!["expose A from a"]),
        ("the revision without pods", shop().created(A).service(), vec!["record at 7: candidate A since 7"]),
        ("nominated", shop().created(A).candidate(A), vec!["claim A under 6 with 3 at 5"]),
        ("claimed", shop().candidate(A).claimed(A), vec![]),
        ("two of three are ready", shop().candidate(A).claimed(A).pods(A, 2), vec![]),
        ("all are ready", shop().candidate(A).claimed(A).pods(A, 3), vec!["record at 7: live A moved 7, select A"]),
        ("live", shop().live(A).scaled(A, 3).pods(A, 3), vec![]),
    ]);
    let live = shop().live(A).scaled(A, 3).pods(A, 3);
    assert_eq!(live.remembers().confirmed, None, "nothing is confirmed before the live slices list it");
    assert_eq!(live.clone().listed(A, 2).remembers().confirmed, None, "two of three are listed");
    let listed = live.listed(A, 3);
    assert_eq!(listed.remembers().confirmed.unwrap().revision, A.revision());
    assert_eq!(listed.acts(), [""; 0], "and then it is at rest");
}

#[test]
fn a_switch() {
    let shop = || rollout("shop").replicas(3).settled(A).wants(B);
    let switched = || rollout("shop").replicas(3).wants(B).live(B).fallback(A).serves(B, 3).serves(A, 3);
    let alone = || rollout("shop").replicas(3).wants(B).live(B).serves(B, 3).serves(A, 3).confirmed(B);
    check(vec![
        ("a new template", shop(), vec!["deploy B from b", "expose B from b"]),
        ("created", shop().created(B), vec!["record at 7: live A candidate B since 7"]),
        ("nominated", shop().created(B).candidate(B), vec!["claim B under 6 with 3 at 5"]),
        ("claimed", shop().candidate(B).claimed(B), vec![]),
        ("too few", shop().candidate(B).claimed(B).pods(B, 2), vec![]),
        ("enough", shop().candidate(B).claimed(B).pods(B, 3), vec!["record at 7: live B fallback A moved 7, select B"]),
        ("on trial", switched().confirmed(A), vec![]),
        ("confirmed: the way back is kept", switched().confirmed_now(B), vec![]),
        ("for five minutes", switched().confirmed_now(B).after(seconds(299)), vec![]),
        ("then dropped", switched().confirmed_now(B).after(seconds(300)), vec!["record at 7: live B"]),
        ("drained", alone(), vec![]),
        ("for half a minute", alone().unlisted(A).after(seconds(29)), vec![]),
        ("then it loses its pods", alone().unlisted(A).after(seconds(30)), vec!["retire A at 5"]),
        ("and all is quiet", alone().scaled(A, 0).pods(A, 0).memory(|m| m.unlisted.clear()), vec![]),
    ]);
    assert!(alone().remembers().unlisted.contains_key(&A.revision()), "the drain begins");
}

#[test]
fn readiness_counts_only_under_the_claim() {
    let shop = || rollout("shop").replicas(3).settled(A).wants(B).candidate(B);
    let none = [""; 0];
    assert_eq!(shop().claimed(B).pods(B, 3).lagging(B).acts(), none, "its controllers have not seen the claim");
    assert_eq!(shop().scaled(B, 3).pods(B, 3).acts(), ["claim B under 6 with 3 at 5"], "up under an older claim");
    assert_eq!(shop().claimed(B).pods(B, 3).record(|r| r.since = None).acts().len(), 1, "no nomination, no switch");
}

#[test]
fn a_newer_template_replaces_the_candidate() {
    let shop = || rollout("shop").settled(A).candidate(B).claimed(B).pods(B, 1).wants(C);
    check(vec![
        ("withdrawn while C is made", shop(), vec!["record at 7: live A", "deploy C from c", "expose C from c"]),
        ("replaced in one write", shop().created(C), vec!["record at 7: live A candidate C since 7"]),
    ]);
}

#[test]
fn back_to_what_is_live_withdraws_the_candidate() {
    let shop = rollout("shop").settled(A).candidate(B).claimed(B).pods(B, 1);
    assert_eq!(shop.acts(), ["record at 7: live A"]);
}

#[test]
fn back_to_the_fallback_is_one_write() {
    let shop = rollout("shop").wants(A).live(B).fallback(A).serves(B, 1).serves(A, 1).confirmed(B);
    assert_eq!(shop.acts(), ["record at 7: live A fallback B moved 7, select A"]);
    assert_eq!(shop.pods(A, 0).acts(), [""; 0], "but not where it cannot serve");
}

#[test]
fn a_drain_starts_anew_where_the_revision_is_named_again() {
    let alone = || rollout("shop").wants(B).settled(B).serves(A, 1).unlisted(A).after(seconds(60));
    assert_eq!(alone().acts(), ["retire A at 5"]);
    assert_eq!(alone().listed(A, 1).acts(), [""; 0], "a slice lists it");
    let anothers = alone().child(A, |c| c.conflict = Some("another's".into()));
    assert_eq!(anothers.acts(), [""; 0], "a child of somebody else is never touched");
    assert!(!alone().listed(A, 1).remembers().unlisted.contains_key(&A.revision()));
    assert_eq!(alone().record(|r| r.moved = Some(Version::new("6"))).acts(), [""; 0], "there was a switch since");
    assert_eq!(alone().wants(A).created(A).acts(), ["record at 7: live B candidate A since 7"], "it is wanted again");
    let claimed_later = alone().child(A, |c| c.deployment.as_mut().unwrap().claim = Some(Version::new("7")));
    assert_eq!(claimed_later.acts(), [""; 0], "claimed under a nomination that this view of the Service is older than");
}

#[test]
fn the_history_limit() {
    let hour = |n| noon().plus(Duration::from_mins(n));
    let shop = || {
        let old = rollout("shop").settled(A).created(B).created(C).created(D);
        old.made(B, hour(1)).made(C, hour(2)).made(D, hour(3))
    };
    assert_eq!(shop().acts(), ["delete B at 5"], "two are kept, the oldest goes");
    assert_eq!(shop().confirmed(B).listed(A, 0).acts(), [""; 0], "never the confirmed one");
    assert_eq!(shop().pods(B, 1).acts(), ["delete C at 5"; 0], "nor one that has pods: it counts as none of the kept");
    assert_eq!(shop().order(|o| o.history_limit = 3).acts(), [""; 0]);
    assert_eq!(shop().order(|o| o.history_limit = 0).acts().len(), 3);
}

#[test]
fn a_service_whose_deployment_is_gone() {
    let shop = || rollout("shop").settled(A).created(C).bereft(B);
    assert_eq!(shop().acts(), ["delete the Service of B"], "whatever the history limit");
    assert_eq!(shop().mistaken().acts(), [""; 0]);
    assert_eq!(shop().listed(B, 1).acts(), [""; 0], "pods of it may still serve");
    assert_eq!(shop().child(B, |c| c.conflict = Some("another's".into())).acts(), [""; 0]);
    assert_eq!(
        shop().confirmed(B).record(|r| r.fallback = Some(A.revision())).acts().len(),
        1,
        "nor what it goes back to"
    );
    let again = shop().wants(B).acts();
    assert!(
        again.iter().all(|a| !a.starts_with("delete")) && again.contains(&"deploy B from b".to_owned()),
        "{again:?}"
    );
}

#[test]
fn a_release_is_taken_once_and_only_from_a_pipeline_that_names_us() {
    let shop = || rollout("shop").service().released_by_pipeline();
    let sequence = |s: &Scene| s.remembers().taken.get("default/shop").map(|t| t.release.sequence);
    let taken = |n| shop().offer("p", n, "shop@one").next();
    assert_eq!(sequence(&taken(1)), Some(1));
    assert_eq!(sequence(&shop().offer("p", 1, "shop@one").unnamed()), None, "nobody pushes an image into another's");
    assert_eq!(sequence(&taken(2).offer("p", 3, "shop@two")), Some(3));
    assert_eq!(sequence(&taken(2).offer("p", 1, "shop@two")), Some(2), "never an older one");
    assert_eq!(sequence(&taken(2).offer("p", 3, "shop@two").unnamed()), Some(2), "what was taken stays");
    assert_eq!(sequence(&taken(2).offer("q", 1, "shop@two")), Some(1), "a Pipeline made anew counts from one");
    let mut gone = taken(2);
    gone.0.offers.clear();
    assert_eq!(sequence(&gone), Some(2), "also when the Pipeline is gone");
}

#[test]
fn two_releases_of_the_same_digest_are_one_revision() {
    let shop = rollout("shop").service().released_by_pipeline().offer("p", 1, "shop@one").next();
    let revision = shop.decide().status.next.unwrap().revision;
    let again = shop.offer("p", 2, "shop@one").next();
    let next = again.decide().status.next.unwrap();
    assert_eq!(next.revision, revision);
    assert_eq!(next.releases[0].sequence, 2, "which is told as the newer release");
}
