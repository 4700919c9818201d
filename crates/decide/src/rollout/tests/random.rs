//! Whatever is seen, also what no cluster could show.

use proptest::{collection::btree_map, option, prelude::*, sample::select};
use switchyard_api::Revision;

use crate::{
    Kind as _, Refusal, Version,
    rollout::{Action, Observed, Record, Rollout, Selects},
};

use super::builder::{A, B, C, Name, Scene, noon, rollout, seconds};

const NAMES: [Name; 3] = [A, B, C];

fn revision() -> impl Strategy<Value = Revision> {
    select(&NAMES[..]).prop_map(Name::revision)
}
fn version() -> impl Strategy<Value = Version> {
    (4..9_u32).prop_map(|v| Version::new(v.to_string()))
}
fn selects() -> impl Strategy<Value = Selects> {
    let foreign = Selects::Foreign("app=other".to_owned());
    prop_oneof![Just(Selects::Nobody), revision().prop_map(Selects::Revision), Just(foreign)]
}

prop_compose! {
    fn record()(
        slots in [option::of(revision()), option::of(revision()), option::of(revision())],
        since in option::of(version()), moved in option::of(version()), void in btree_map(revision(), 1..3_u32, 0..2),
    ) -> Record {
        let [live, fallback, candidate] = slots;
        Record { owner: "uid-of-us".to_owned(), live, fallback, candidate, since, moved, void }
    }
}

#[derive(Clone, Debug)]
struct Child {
    deployed: bool,
    exposed: bool,
    claim: Option<Version>,
    replicas: i32,
    ready: i32,
    listed: i32,
    current: bool,
    conflict: bool,
    unlisted: bool,
    verdict: u8,
}
prop_compose! {
    fn child()(
        (deployed, exposed, current, conflict, unlisted) in any::<(bool, bool, bool, bool, bool)>(),
        claim in option::of(version()), replicas in 0..4, ready in 0..4, listed in 0..4, verdict in 0..4_u8,
    ) -> Child {
        Child { deployed, exposed, claim, replicas, ready, listed, current, conflict: conflict && !current, unlisted,
                verdict }
    }
}

fn place(scene: Scene, name: Name, child: &Child) -> Scene {
    let mut scene = scene.child(name, |c| {
        c.exposed = child.exposed;
        c.ready = child.ready;
        c.conflict = child.conflict.then(|| "made by hand".to_owned());
    });
    if child.deployed {
        scene = scene.scaled(name, child.replicas).child(name, |c| {
            let deployment = c.deployment.as_mut().unwrap();
            deployment.claim.clone_from(&child.claim);
            deployment.current = child.current;
        });
    }
    if scene.0.service.is_some() {
        scene = scene.listed(name, child.listed);
    }
    if child.unlisted {
        scene = scene.unlisted(name);
    }
    match child.verdict {
        1 => scene.failed(name),
        2 => scene.rejected(name),
        _ => scene,
    }
}

prop_compose! {
    fn observed()(
        wants in select(&NAMES[..]), replicas in 0..4, mistaken in prop::bool::weighted(0.1),
        service in option::weighted(0.9, (option::weighted(0.9, record()), selects(), version(), any::<bool>(), 0..2)),
        children in [child(), child(), child()],
        confirmed in option::of(select(&NAMES[..])), progress in option::of((select(&NAMES[..]), 0..4)),
        history_limit in 0..3, wait in 0..1200_u64,
    ) -> Observed {
        let mut scene = rollout("shop").wants(wants).replicas(replicas).order(|o| o.history_limit = history_limit);
        if let Some((record, selects, version, agree, strangers)) = service {
            scene = scene.serving(|s| {
                s.selects = if agree { Selects::from(record.as_ref().and_then(|r| r.live)) } else { selects };
                (s.record, s.version, s.strangers) = (record, version, strangers);
            });
        }
        for (name, child) in NAMES.into_iter().zip(&children) {
            scene = place(scene, name, child);
        }
        if let Some(name) = confirmed {
            scene = scene.confirmed(name);
        }
        if let Some((name, ready)) = progress {
            scene = scene.progressed(name, ready);
        }
        let scene = scene.after(seconds(wait));
        if mistaken { scene.mistaken().0 } else { scene.0 }
    }
}

fn json<T: crate::Value>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Total, deterministic, silent once it has remembered, and within what is permitted.
    #[test]
    fn a_decision_about_anything(seen in observed()) {
        let decision = Rollout::decide(&seen);
        prop_assert_eq!(&Rollout::decide(&seen), &decision);
        let mut next = seen.clone();
        next.memory.clone_from(&decision.status.memory);
        let again = Rollout::decide(&next);
        prop_assert_eq!(&again.status.memory, &decision.status.memory, "remembered twice");
        for action in &again.actions {
            prop_assert_eq!(Rollout::permit(&next, action), Ok(()), "{:?}", action);
        }
        if let Some(time) = again.check_again {
            prop_assert!(time > seen.now, "asked to look again in the past");
        }
    }

    #[test]
    fn what_is_seen_and_done_survives_json(seen in observed()) {
        prop_assert_eq!(&json(&seen), &seen);
        for action in Rollout::decide(&seen).actions {
            prop_assert_eq!(json(&action), action);
        }
    }
}

#[test]
fn every_action_and_refusal_survives_json() {
    let (revision, at) = (A.revision(), Version::new("5"));
    let record = Record { live: Some(revision), void: [(B.revision(), 1)].into(), ..Record::default() };
    let select = Some(Selects::Foreign("app=other".to_owned()));
    let actions = [
        Action::CreateService,
        Action::Record { at: at.clone(), next: record, select },
        Action::Deploy {
            revision,
            fingerprint: "a".into(),
            images: [("web".into(), "i".into())].into(),
            releases: vec![],
        },
        Action::Expose { revision, fingerprint: "a".into() },
        Action::Claim { revision, at: at.clone(), claim: at.clone(), replicas: 3 },
        Action::Scale { revision, at: at.clone(), replicas: 3 },
        Action::Retire { revision, at: at.clone() },
        Action::Delete { revision, at: Some(at) },
        Action::Delete { revision, at: None },
    ];
    let refusals =
        [Refusal::Stale, Refusal::Owned("helm".into()), Refusal::Unavailable { retry_after_seconds: Some(1) }];
    for (action, refusal) in actions.into_iter().zip(refusals.into_iter().cycle()) {
        let scene = rollout("shop").settled(A).refused(action, refusal);
        assert_eq!(json(&scene.0), scene.0);
        assert_eq!(scene.0.now, noon());
    }
}
