//! Whole ways from silence to silence, write by write.
#![allow(clippy::unwrap_used)] // a test throughout

use std::collections::BTreeMap;

use switchyard_api::{Duration, Revision, RolloutStatus, Timestamp, template};
use switchyard_decide::{
    Kind as _, Mistake, Refusal, Version,
    rollout::{Action, Order, Rollout, Selects},
};
use switchyard_world::rollout::{Cluster, Round, Setting, Write};

fn order(fingerprint: &str) -> Order {
    Order {
        replicas: 3,
        fingerprint: fingerprint.to_owned(),
        images: vec![],
        progress_deadline: Duration::from_mins(10),
        scale_down_delay: Duration::from_mins(5),
        drain: Duration::from_secs(30),
        history_limit: 5,
        ..Order::default()
    }
}
fn revision(fingerprint: &str) -> Revision {
    template::revision(fingerprint, &BTreeMap::new())
}
fn shop() -> Cluster {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let setting =
        Setting { name: "default/shop".into(), uid: "uid-of-us".into(), started: noon, offers: BTreeMap::new() };
    Cluster::new(setting, order("a"), noon)
}

/// The writes until silence, in a word each.
fn settle(cluster: &mut Cluster, healthy: &[&str]) -> String {
    let healthy: Vec<Revision> = healthy.iter().map(|f| revision(f)).collect();
    let is_healthy = |r: Revision| healthy.contains(&r);
    let settled = cluster.settle(is_healthy, 50);
    assert!(settled.silent, "still writing: {:?}", settled.writes);
    assert_eq!(cluster.rests(is_healthy), Ok(()), "{cluster:?}");
    let before = cluster.clone();
    assert!(cluster.settle(is_healthy, 1).writes.is_empty(), "silent is silent");
    assert_eq!(*cluster, before, "and changes nothing");
    settled.writes.iter().map(word).collect::<Vec<_>>().join(" ")
}
fn word(write: &Write) -> &'static str {
    match write {
        Write::Report(_) => "report",
        Write::Act(Action::CreateService) => "CREATE",
        Write::Act(Action::Record { select: Some(_), .. }) => "SELECT",
        Write::Act(Action::Record { next, .. }) if next.candidate.is_some() => "NOMINATE",
        Write::Act(Action::Record { .. }) => "RECORD",
        Write::Act(Action::Deploy { .. }) => "DEPLOY",
        Write::Act(Action::Expose { .. }) => "EXPOSE",
        Write::Act(Action::Claim { .. }) => "CLAIM",
        Write::Act(Action::Scale { .. }) => "SCALE",
        Write::Act(Action::Retire { .. }) => "RETIRE",
        Write::Act(Action::Delete { at: Some(_), .. }) => "DELETE",
        Write::Act(Action::Delete { at: None, .. }) => "CLEAR",
        Write::Act(Action::CreatePreview) => "CREATE-PREVIEW",
        Write::Act(Action::Preview { .. }) => "PREVIEW",
        Write::Act(Action::Check { .. }) => "CHECK",
        Write::Act(Action::Answer { .. }) => "ANSWER",
    }
}
/// How often the status changes until silence, where pods and slices follow at once: where they do not, it also says so.
fn statuses(cluster: &mut Cluster, healthy: &[&str], before: RolloutStatus) -> usize {
    let healthy: Vec<Revision> = healthy.iter().map(|f| revision(f)).collect();
    let (mut told, mut silent) = (vec![before], false);
    for _ in 0..50 {
        for revision in &healthy {
            cluster.pods_become_ready(*revision);
        }
        cluster.slices_follow();
        told.push(Rollout::decide(&cluster.see()).status);
        silent = cluster.round(|r| healthy.contains(&r)) == Round::Silent;
    }
    assert!(silent, "still writing: {cluster:?}");
    told.dedup();
    told.len().saturating_sub(1)
}
fn live(cluster: &Cluster) -> Selects {
    cluster.selects()
}

#[test]
fn a_first_deployment_and_a_switch() {
    let mut shop = shop();
    assert_eq!(settle(&mut shop, &["a"]), "CREATE report DEPLOY EXPOSE NOMINATE CLAIM report SELECT report");
    assert_eq!(live(&shop), Selects::Revision(revision("a")));
    shop.edit(Ok(order("b")));
    assert_eq!(
        settle(&mut shop, &["a", "b"]),
        "report DEPLOY EXPOSE NOMINATE CLAIM report SELECT report RECORD RETIRE report",
        "six writes and what is remembered"
    );
    assert_eq!(live(&shop), Selects::Revision(revision("b")));
    assert!(!shop.is_up(revision("a")));
}

#[test]
fn a_switch_changes_the_status_four_times() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    let settled = Rollout::decide(&shop.see()).status;
    shop.edit(Ok(order("b")));
    assert_eq!(statuses(&mut shop, &["a", "b"], settled), 4, "deploying, switching, confirmed, retired");
}

#[test]
fn a_green_that_is_never_ready() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    shop.edit(Ok(order("b")));
    assert_eq!(
        settle(&mut shop, &["a"]),
        "report DEPLOY EXPOSE NOMINATE CLAIM report RECORD report RETIRE report",
        "the record fences it off before it is given up for good"
    );
    assert_eq!(live(&shop), Selects::Revision(revision("a")));
}

#[test]
fn a_first_deployment_that_is_never_ready() {
    let mut shop = shop();
    assert_eq!(settle(&mut shop, &[]), "CREATE report DEPLOY EXPOSE NOMINATE CLAIM report RECORD report RETIRE report");
    assert_eq!(live(&shop), Selects::Nobody);
    shop.edit(Ok(order("b")));
    settle(&mut shop, &["b"]);
    assert_eq!(live(&shop), Selects::Revision(revision("b")));
}

#[test]
fn a_lost_record() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    shop.edit(Ok(order("b")));
    shop.lose_record();
    let writes = settle(&mut shop, &["a", "b"]);
    assert!(writes.starts_with("NOMINATE CLAIM SELECT "), "first what was confirmed: {writes}");
    assert_eq!(live(&shop), Selects::Revision(revision("b")), "then what is wanted");
}

#[test]
fn a_strangers_selector_and_a_mistake() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    shop.edit(Err(Mistake { field: "f".into(), value: "v".into(), fix: "x".into() }));
    shop.tamper(Selects::Foreign("app=other".into()));
    assert_eq!(settle(&mut shop, &["a"]), "report SELECT");
    assert_eq!(live(&shop), Selects::Revision(revision("a")));
}

#[test]
fn late_writes_are_refused() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    let (a, stale) = (revision("a"), Err(Refusal::Stale));
    let old = Version::new("1");
    let record = shop.service.as_ref().unwrap().record.clone().unwrap();
    let before = shop.clone();
    assert_eq!(shop.effect(&Action::CreateService), stale);
    assert_eq!(shop.effect(&Action::Record { at: old.clone(), next: record, select: None }), stale);
    assert_eq!(shop.effect(&Action::Expose { revision: a, fingerprint: "a".into() }), stale);
    assert_eq!(shop.effect(&Action::Scale { revision: a, at: old.clone(), replicas: 1 }), stale);
    assert_eq!(shop.effect(&Action::Claim { revision: a, at: old.clone(), claim: old.clone(), replicas: 1 }), stale);
    assert_eq!(shop.effect(&Action::Retire { revision: a, at: old.clone() }), stale);
    assert_eq!(shop.effect(&Action::Delete { revision: a, at: Some(old.clone()) }), stale);
    assert_eq!(shop.effect(&Action::Delete { revision: a, at: None }), stale, "its Deployment is there");
    assert_eq!(shop.effect(&Action::Retire { revision: revision("z"), at: old.clone() }), stale);
    assert_eq!(shop.report(&old, &before.rollout.memory), stale);
    let now = shop.deployment(a).unwrap().version.clone();
    assert_eq!(shop.effect(&Action::Retire { revision: a, at: now.clone() }), stale, "it is selected");
    let nothing = Action::Scale { revision: a, at: now.clone(), replicas: 0 };
    assert_eq!(shop.effect(&nothing), stale, "the spec does not ask for that, whatever was seen of it");
    assert_eq!(shop.effect(&Action::Claim { revision: a, at: now, claim: old.clone(), replicas: 0 }), stale);
    assert_eq!(shop, before, "a refusal changes nothing");
}

#[test]
fn no_pods_at_all_where_the_spec_asks_for_it() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    shop.edit(Ok(Order { replicas: 0, ..order("a") }));
    assert_eq!(settle(&mut shop, &["a"]), "SCALE");
    assert!(!shop.is_up(revision("a")));
}

#[test]
fn beyond_the_history_limit_both_objects_go() {
    let mut shop = shop();
    let keeping_none = |fingerprint| Order { history_limit: 0, ..order(fingerprint) };
    shop.edit(Ok(keeping_none("a")));
    settle(&mut shop, &["a"]);
    shop.edit(Ok(keeping_none("b")));
    let writes = settle(&mut shop, &["a", "b"]);
    assert!(writes.ends_with("RETIRE report DELETE CLEAR") || writes.ends_with("RETIRE DELETE CLEAR"), "{writes}");
    let a = &shop.children[&revision("a")];
    assert!(a.deployment.is_none() && !a.exposed, "{a:?}");
}

#[test]
fn a_cluster_of_what_is_seen_goes_on_the_same_way() {
    let mut shop = shop();
    settle(&mut shop, &["a"]);
    shop.edit(Ok(order("b")));
    for _ in 0..30 {
        let seen = shop.see();
        assert_eq!(Cluster::from(&seen).see(), seen);
        let next = Rollout::decide(&Cluster::from(&seen).see());
        assert_eq!(next, Rollout::decide(&seen));
        shop.round(|_| true);
    }
}
