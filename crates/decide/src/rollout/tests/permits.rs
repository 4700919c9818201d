//! `permit` says no to each wrong action, whatever chose it.

use switchyard_api::{check::Moment, command::CommandState, rollout::Handled};

use crate::{
    Kind as _, Version,
    rollout::{Action, Foreign, JobKey, JobState, Record, Rollout, Selects},
};

use super::builder::{A, B, C, Name, Scene, rollout};

fn live(r: Name) -> Record {
    Record { owner: "uid-of-us".to_owned(), live: Some(r.revision()), ..Record::default() }
}
fn record(next: Record, select: Option<Name>) -> Action {
    let select = select.map(|r| Selects::Revision(r.revision()));
    Action::Record { at: Version::new("7"), next, select }
}
fn retire(r: Name) -> Action {
    Action::Retire { revision: r.revision(), at: Version::new("5") }
}
fn delete(r: Name) -> Action {
    Action::Delete { revision: r.revision(), at: Some(Version::new("5")) }
}
fn delete_service(r: Name) -> Action {
    Action::Delete { revision: r.revision(), at: None }
}
fn scale(r: Name, replicas: i32) -> Action {
    Action::Scale { revision: r.revision(), at: Version::new("5"), replicas }
}
fn claim(r: Name, claim: &str) -> Action {
    Action::Claim { revision: r.revision(), at: Version::new("5"), claim: Version::new(claim), replicas: 1 }
}
fn deploy(r: Name, from: Name) -> Action {
    let fingerprint = from.fingerprint().to_owned();
    Action::Deploy { revision: r.revision(), fingerprint, images: [].into(), releases: vec![] }
}
fn preview(select: Selects) -> Action {
    Action::Preview { at: Version::new("8"), select }
}
fn check(r: Name) -> Action {
    let job = JobKey { moment: Moment::Preview, name: "migrate".to_owned(), under: Version::new("6") };
    Action::Check { revision: r.revision(), job }
}
fn answer(state: CommandState) -> Action {
    let (command, uid, message) = ("go".to_owned(), "uid-of-go".to_owned(), "done".to_owned());
    Action::Answer { command, uid, at: Version::new("3"), state, message }
}
/// The Command of [`answer`] was taken into memory.
fn remembered(scene: Scene) -> Scene {
    let handled = Handled { state: CommandState::Done, message: "done".to_owned(), fences: vec![] };
    scene.memory(|m| drop(m.handled.insert("uid-of-go".to_owned(), handled)))
}
fn at(r: Name) -> Selects {
    Selects::Revision(r.revision())
}
fn veto(scene: &Scene, action: &Action) -> Option<&'static str> {
    Rollout::permit(&scene.0, action).err().map(|v| v.0)
}

#[test]
fn each_wrong_action_is_vetoed() {
    let shop = || rollout("shop").settled(A).serves(B, 1).created(C);
    let stranger = Record { owner: "uid-of-another".to_owned(), ..live(A) };
    let foreign = |r: Record| {
        let select = Some(Selects::Foreign("app=other".to_owned()));
        Action::Record { at: Version::new("7"), next: r, select }
    };
    let nobody = Action::Record { at: Version::new("7"), next: live(A), select: Some(Selects::Nobody) };
    let claimed = || shop().candidate(B).claimed(B).pods(B, 1);
    let previewed = || shop().previewed(at(A), None);
    let theirs = |s: Scene| {
        let mut s = s;
        s.0.preview.as_mut().unwrap().foreign = Some(Foreign::Owned("is Helm's".to_owned()));
        s
    };
    let two_pods = || rollout("shop").replicas(2).settled(A).candidate(B).claimed(B).pods(B, 1);
    let rows = vec![
        (two_pods(), record(live(B), Some(B)), "fewer pods would serve than both revisions want"),
        (two_pods().mistaken(), record(live(B), Some(B)), "fewer pods would serve than both revisions want"),
        (previewed(), preview(at(C)), "the preview would show what has no place"),
        (previewed().lost_record(), preview(at(A)), "the preview would show what has no place"),
        (previewed(), preview(Selects::Foreign("app=other".to_owned())), "the preview would show what has no place"),
        (theirs(previewed()), preview(at(A)), "the Service is somebody else's"),
        (shop(), preview(at(A)), "the Service is somebody else's"),
        (shop(), check(C), "what has no place would be checked"),
        (shop().lost_record(), check(A), "what has no place would be checked"),
        (
            claimed().job(B, Moment::Preview, "migrate", "6", JobState::Running(None)),
            check(B),
            "a check would have two Jobs",
        ),
        (shop(), answer(CommandState::Done), "a Command would be answered before it is remembered"),
        (remembered(shop()), answer(CommandState::Pending), "an answer that is none"),
        (shop(), record(stranger, None), "a record is written in the name of another Rollout"),
        (
            shop().record(|r| r.owner = "uid-of-another".to_owned()),
            record(live(A), None),
            "the Service is another Rollout's",
        ),
        (shop().void(C), record(live(A), None), "a revision given up would be taken back"),
        (claimed(), record(live(A), Some(B)), "selector and record would disagree"),
        (claimed().pods(B, 0), record(live(B), Some(B)), "the live Service would lose its last ready endpoint"),
        (
            claimed(),
            record(Record { void: [(B.revision(), 1)].into(), ..live(B) }, Some(B)),
            "a revision given up would go live",
        ),
        (shop(), record(live(B), Some(B)), "a revision would go live without nomination and claim"),
        (
            shop().candidate(B).scaled(B, 1),
            record(live(B), Some(B)),
            "a revision would go live without nomination and claim",
        ),
        (shop().lost_record(), record(live(B), Some(B)), "a revision would go live without nomination and claim"),
        (shop(), foreign(live(A)), "a selector that is not ours"),
        (shop(), nobody, "the live Service would select nobody"),
        (shop(), retire(A), "a revision with a place would lose its pods"),
        (shop().fallback(B), retire(B), "a revision with a place would lose its pods"),
        (shop().candidate(B), retire(B), "a revision with a place would lose its pods"),
        (shop().lost_record(), retire(B), "a revision with a place would lose its pods"),
        (rollout("shop").serves(B, 1), retire(B), "a revision with a place would lose its pods"),
        (
            shop().child(B, |c| c.conflict = Some("another's".into())),
            retire(B),
            "a child of somebody else would lose its pods",
        ),
        (shop().listed(B, 1), retire(B), "a revision that serves would lose its pods"),
        (shop().selects(Selects::Revision(B.revision())), retire(B), "a revision that serves would lose its pods"),
        (shop(), delete(B), "pods would be deleted with it"),
        (shop(), delete(A), "a revision with a place would lose its pods"),
        (shop().bereft(A), delete_service(A), "a revision with a place would lose its pods"),
        (shop(), delete_service(C), "a Deployment would lose the Service that tells its readiness"),
        (shop(), scale(A, 0), "what is live would lose its pods"),
        (shop(), claim(B, "6"), "a claim without its nomination"),
        (shop().candidate(B), claim(B, "5"), "a claim without its nomination"),
        (shop(), deploy(C, B), "a revision would be made of another's template"),
    ];
    for (scene, action, why) in rows {
        assert_eq!(veto(&scene, &action), Some(why), "{action:?} in {scene:?}");
    }
}

#[test]
fn each_right_action_is_permitted() {
    let shop = || rollout("shop").settled(A).serves(B, 1).created(C);
    let claimed = || shop().candidate(B).claimed(B).pods(B, 1);
    let two_pods = || rollout("shop").replicas(2).settled(A).candidate(B).claimed(B).pods(B, 1);
    let rows = vec![
        (shop(), record(live(A), None)),
        (shop().tampered(), record(live(A), Some(A))),
        (shop().pods(A, 0).tampered(), record(live(A), Some(A))),
        (claimed(), record(live(B), Some(B))),
        (two_pods().pods(B, 2), record(live(B), Some(B))),
        (two_pods().scaled(A, 1), record(live(B), Some(B))),
        (two_pods().replicas(1), record(live(B), Some(B))),
        (two_pods().fallback(B).record(|r| r.candidate = None), record(live(B), Some(B))),
        (shop().previewed(at(A), None).candidate(B), preview(at(B))),
        (shop().previewed(at(B), None), preview(Selects::Nobody)),
        (claimed(), check(B)),
        (claimed().job(B, Moment::Live, "migrate", "6", JobState::Passed), check(B)),
        (remembered(shop()), answer(CommandState::Refused)),
        (shop().fallback(B), record(live(B), Some(B))),
        (shop(), retire(B)),
        (shop(), delete(C)),
        (shop().bereft(C), delete_service(C)),
        (shop(), scale(A, 2)),
        (shop().replicas(0), scale(A, 0)),
        (shop().candidate(B), claim(B, "6")),
        (shop(), deploy(C, C)),
        (rollout("shop"), Action::CreateService),
    ];
    for (scene, action) in rows {
        assert_eq!(veto(&scene, &action), None, "{action:?} in {scene:?}");
    }
}
