//! What stands between a revision that is ready and the traffic: checks, time, people, a pause.

use serde_json::{Value, json};
use switchyard_api::{
    check::Moment::{Live, Preview},
    condition::reason,
    rollout::{CheckState, Phase},
};

use super::builder::{A, B, Scene, rollout, seconds};
use crate::rollout::{CommandOrder, Foreign, JobState, Question, Record, Selects};

const NOTHING: [&str; 0] = [];
const SELECT: &str = "record at 7: live B fallback A moved 7, select B";

/// Blue serves, and green is ready under its nomination.
fn ready() -> Scene {
    rollout("shop").settled(A).wants(B).candidate(B).claimed(B).pods(B, 1).progressed(B, 1)
}
/// Green serves alone, unproven.
fn switched() -> Scene {
    rollout("shop").wants(B).live(B).serves(B, 1).confirmed(A).fallback(A).serves(A, 1)
}
fn job() -> Value {
    json!({"job": {"fromContainer": "web", "command": ["migrate"]}})
}
fn http() -> Value {
    json!({"http": {"path": "/health", "count": 2, "failureLimit": 1, "interval": "10s"}})
}
fn failure(scene: &Scene) -> Option<(String, String)> {
    scene.remembers().failed.get(&B.revision()).map(|f| (f.reason.clone(), f.message.clone()))
}

#[test]
fn without_gates_what_is_ready_goes_live() {
    assert_eq!(ready().acts(), [SELECT]);
}

#[test]
fn manual_promotion_waits_for_a_person() {
    let shop = ready().order(|o| o.manual = true);
    assert_eq!(shop.acts(), NOTHING);
    assert_eq!(shop.waits_for(), ["a Command of type Promote for revision B: it is ready and checked"]);
    assert_eq!(
        shop.condition("Reconciling").split(':').next(),
        Some("no AwaitingPromotion"),
        "kstatus waits would hang"
    );
    assert_eq!(failure(&shop.clone().after(seconds(6000))), None, "waiting for a person does not count");
    let promoted = shop.clone().ordered("go", CommandOrder::Promote(B.revision())).next();
    assert_eq!(promoted.acts(), [SELECT, "answer go: Done, B goes live once it is ready and checked"]);
    assert_eq!(
        promoted.memory(|m| m.promoted = None).acts().first(),
        Some(&"answer go: Done, B goes live once it is ready and checked".to_owned())
    );
    let other = shop.clone().ordered("go", CommandOrder::Promote(A.revision()));
    assert_eq!(other.acts(), ["answer go: Stale, A is live already"]);
    let first = rollout("shop").wants(B).service().candidate(B).claimed(B).pods(B, 1).order(|o| o.manual = true);
    assert_eq!(first.acts(), ["record at 7: live B moved 7, select B"], "the first revision needs nobody");
}

#[test]
fn what_was_proven_needs_no_gate() {
    let back =
        rollout("shop").order(|o| o.manual = true).live(B).serves(B, 1).confirmed(A).candidate(A).claimed(A).pods(A, 1);
    assert_eq!(back.check(Preview, "migrate", job()).acts(), ["record at 7: live A moved 7, select A"]);
}

#[test]
fn a_candidate_stays_good_for_a_while_first() {
    let shop = ready().order(|o| o.promote_after = seconds(60)).next();
    assert_eq!(shop.acts(), NOTHING);
    assert_eq!(shop.decide().check_again, Some(shop.0.now.plus(seconds(60))));
    assert_eq!(shop.clone().after(seconds(60)).acts(), [SELECT]);
    let dipped = shop.pods(B, 0).next().pods(B, 1).after(seconds(60)).next();
    assert_eq!(dipped.acts(), NOTHING, "it counts anew");
    assert_eq!(dipped.after(seconds(60)).acts(), [SELECT]);
}

#[test]
fn a_pause_withdraws_the_candidate_and_keeps_its_pods() {
    let shop = ready().order(|o| o.paused = true);
    assert_eq!(shop.acts(), ["record at 7: live A"]);
    assert_ne!(shop.decide().status.phase, Some(Phase::Paused), "a switch decided before may still land");
    let withdrawn = shop.record(|r| (r.candidate, r.since) = (None, None)).unlisted(B).after(seconds(60));
    assert_eq!((withdrawn.acts(), withdrawn.decide().status.phase), (vec![], Some(Phase::Paused)));
    assert_eq!(withdrawn.waits_for(), ["spec.paused to be false: B does not go live before"]);
    assert_eq!(withdrawn.order(|o| o.paused = false).acts(), ["record at 7: live A candidate B since 7"]);
}

#[test]
fn a_pause_stops_no_rollback() {
    let shop = switched().order(|o| o.paused = true).failed(B);
    assert_eq!(shop.acts(), ["record at 7: live A moved 7 void B, select A"]);
}

#[test]
fn a_job_check_runs_once_for_its_nomination() {
    let shop = ready().check(Preview, "migrate", job());
    assert_eq!(shop.acts(), ["check B by Preview/migrate under 6"]);
    let running = shop.clone().job(B, Preview, "migrate", "6", JobState::Running(Some("ErrImagePull".into())));
    assert_eq!(running.acts(), NOTHING);
    assert_eq!(running.waits_for(), ["check migrate of B: its Job to end: ErrImagePull"]);
    assert_eq!(failure(&running.clone().after(seconds(6000))), None, "a Job has a time limit of its own");
    let passed = shop.clone().job(B, Preview, "migrate", "6", JobState::Passed).next();
    assert_eq!(passed.acts(), [SELECT]);
    assert_eq!(passed.decide().status.checks[0].state, CheckState::Passed);
    let of_another = shop.clone().job(B, Preview, "migrate", "5", JobState::Passed).next();
    assert_eq!(of_another.acts(), ["check B by Preview/migrate under 6"], "that was another nomination's");
    let failed = shop.job(B, Preview, "migrate", "6", JobState::Failed("exit code 1".into()));
    let told = "check migrate failed before the switch: exit code 1";
    assert_eq!(failure(&failed), Some((reason::CHECK_FAILED.to_owned(), told.to_owned())));
    assert_eq!(failed.next().acts(), ["record at 7: live A void B"]);
}

#[test]
fn nothing_is_checked_before_it_serves() {
    let shop = ready().check(Preview, "migrate", job()).pods(B, 0);
    assert_eq!((shop.acts(), shop.decide().ask.len()), (vec![], 0));
}

#[test]
fn a_check_starts_when_the_jobs_before_it_have_passed() {
    let shop = ready().check(Preview, "migrate", job()).check(Preview, "smoke", http()).listens(B, &["10.0.0.1"]);
    assert!(shop.decide().ask.is_empty());
    assert_eq!(shop.job(B, Preview, "migrate", "6", JobState::Passed).next().decide().ask.len(), 1);
}

fn asked(scene: &Scene) -> Vec<(String, i32)> {
    let told = |q: &Question| match q {
        Question::Http { address, check, .. } => (address.to_string(), check.number),
        Question::Prometheus { query, check, .. } => (query.clone(), check.number),
    };
    scene.decide().ask.keys().map(told).collect()
}

#[test]
fn measurements_count_once_and_take_turns_at_the_pods() {
    let shop = ready().check(Preview, "smoke", http()).listens(B, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(asked(&shop), [("10.0.0.1:8080".to_owned(), 0)]);
    let once = shop.answered(&Ok(true)).next();
    assert_eq!((once.acts(), asked(&once)), (vec![], vec![]), "the next is not due yet");
    assert_eq!(once.decide().check_again, Some(once.0.now.plus(seconds(10))));
    assert_eq!(once.clone().next().remembers(), once.0.memory, "the same answer does not count again");
    let due = once.after(seconds(10));
    assert_eq!(asked(&due), [("10.0.0.2:8080".to_owned(), 1)]);
    assert_eq!(due.clone().answered(&Ok(true)).next().acts(), [SELECT]);
    let failed = due.answered(&Ok(false)).next().after(seconds(10));
    assert_eq!((failure(&failed), failed.acts()), (None, vec![]), "one may fail");
    let told = "check smoke failed before the switch (2 times): false";
    assert_eq!(failure(&failed.answered(&Ok(false))).unwrap().1, told);
}

#[test]
fn what_cannot_be_known_is_neither_good_nor_bad_until_the_deadline() {
    let shop = ready().check(Preview, "smoke", http()).listens(B, &["10.0.0.1"]).answered(&Err("no data"));
    assert_eq!((shop.acts(), failure(&shop)), (vec![], None));
    assert_eq!(shop.waits_for(), ["check smoke of B to pass: 0 of 2 measurements did: no data"]);
    assert_eq!(shop.decide().status.checks[0].state, CheckState::Inconclusive);
    let told = "for 10m it waited for check smoke of B to pass: 0 of 2 measurements did: no data";
    let late = failure(&shop.after(seconds(600))).unwrap();
    assert_eq!((late.0.as_str(), super::builder::named(&late.1).as_str()), (reason::PROGRESS_DEADLINE_EXCEEDED, told));
}

#[test]
fn a_live_check_that_fails_sends_the_traffic_back_in_one_write() {
    let shop = switched().check(Live, "errors", http()).listens(B, &["10.0.0.1"]);
    assert_eq!((shop.acts(), shop.remembers().confirmed, asked(&shop).len()), (vec![], shop.0.memory.confirmed, 1));
    let failed = shop.clone().answered(&Ok(false)).next().after(seconds(10)).answered(&Ok(false));
    assert_eq!(failure(&failed).unwrap().0, reason::CHECK_FAILED);
    assert_eq!(failed.next().acts(), ["record at 7: live A moved 7 void B, select A"]);
    let passed = shop.clone().answered(&Ok(true)).next().after(seconds(10)).answered(&Ok(true));
    assert_eq!(passed.remembers().confirmed.unwrap().revision, B.revision());
    let unknown = shop.answered(&Err("connection refused")).after(seconds(60_000)).next();
    assert_eq!((unknown.acts(), failure(&unknown)), (vec![], None), "after the switch it asks, and keeps blue");
    assert_eq!(unknown.waits_for(), ["check errors of B to pass: 0 of 2 measurements did: connection refused"]);
}

#[test]
fn where_the_status_was_lost_the_record_knows_the_way_back() {
    let shop = switched().memory(|m| m.confirmed = None).failed(B);
    assert_eq!(shop.acts(), ["record at 7: live A moved 7 void B, select A"]);
}

#[test]
fn a_query_is_about_the_revision() {
    let spec = json!({"prometheus": {"address": "http://p:9090", "query": "up{r=\"$(revision)\"}", "successCondition": "value > 0.0"}});
    let shop = switched().check(Live, "up", spec);
    assert_eq!(asked(&shop), [(format!("up{{r=\"{}\"}}", B.revision()), 0)]);
}

#[test]
fn the_preview_shows_the_candidate_and_otherwise_what_is_live() {
    let at = |r: super::builder::Name| Selects::Revision(r.revision());
    let shop = || rollout("shop").settled(A).previewed(at(A), None);
    assert_eq!(shop().acts(), NOTHING);
    let started = shop().wants(B).candidate(B).claimed(B).order(|o| o.manual = true);
    assert_eq!(started.next().acts(), NOTHING, "green has no pod yet");
    let green = || shop().wants(B).candidate(B).claimed(B).pods(B, 1).progressed(B, 1).order(|o| o.manual = true);
    assert_eq!(green().acts(), ["preview B at 8"]);
    let shown = green().previewed(at(B), None);
    assert_eq!(shown.clone().pods(B, 0).next().acts(), NOTHING, "one that lost its pods for a moment stays shown");
    let given_up = shown.failed(B).memory(|m| m.progress = None).next();
    assert_eq!(given_up.acts(), ["record at 7: live A void B", "preview A at 8"]);
    let retired = shop().wants(A).rejected(B).void(B).serves(B, 1).unlisted(B).after(seconds(60));
    assert_eq!(retired.acts(), ["retire B at 5"]);
    assert_eq!(retired.previewed(at(B), None).acts(), ["preview A at 8"], "not while the preview shows it");
}

#[test]
fn a_preview_begins_with_few_pods() {
    let shop = rollout("shop").replicas(3).settled(A).wants(B).previewed(Selects::from(Some(B.revision())), Some(1));
    let shop = shop.check(Preview, "migrate", job()).candidate(B).created(B);
    assert_eq!(shop.acts(), ["claim B under 6 with 1 at 5"]);
    let one = shop.claimed(B).child(B, |c| c.deployment.as_mut().unwrap().replicas = 1).pods(B, 1);
    assert_eq!(one.acts(), ["check B by Preview/migrate under 6"]);
    let passed = one.job(B, Preview, "migrate", "6", JobState::Passed).next();
    assert_eq!(passed.acts(), ["claim B under 6 with 3 at 5"], "one pod is not enough to go live");
    let full = passed.child(B, |c| c.deployment.as_mut().unwrap().replicas = 3);
    assert_eq!(full.acts(), NOTHING);
    assert_eq!(full.pods(B, 3).next().acts(), ["record at 7: live B fallback A moved 7, select B"]);
}

#[test]
fn a_revision_that_was_given_up_can_be_looked_at_for_a_while() {
    let shop = rollout("shop")
        .settled(A)
        .wants(B)
        .rejected(B)
        .void(B)
        .serves(B, 1)
        .order(|o| o.abort_scale_down_delay = seconds(40_000));
    let drained = shop.unlisted(B).after(seconds(3600));
    assert_eq!(drained.acts(), NOTHING, "it failed in the morning, and stays for eleven hours");
    assert_eq!(drained.after(seconds(20_000)).acts(), ["retire B at 5"]);
}

#[test]
fn an_existing_service() {
    let shop = || rollout("shop").order(|o| o.referred = true);
    assert_eq!(shop().acts(), NOTHING);
    assert_eq!(shop().waits_for(), ["Service shop to exist: spec.serviceRef names it"]);
    let untouched = shop().serving(|s| s.record = Some(Record::default()));
    assert_eq!(
        untouched.acts(),
        ["record at 7:", "deploy A from a", "expose A from a"],
        "claimed, its selector untouched"
    );
    assert_eq!(untouched.created(A).acts(), ["record at 7: candidate A since 7"]);
    let taken = shop().serving(|s| s.foreign = Some(Foreign::SelectorOwned("selects app=shop, which helm set".into())));
    assert_eq!(taken.acts(), NOTHING);
    assert_eq!(taken.condition("Stalled"), "yes ServiceSelectorOwned: Service shop selects app=shop, which helm set");
}

#[test]
fn an_older_memory_than_the_record_never_promotes() {
    let retried = ready().void(B).memory(|m| {
        m.attempts.insert(B.revision(), 2);
    });
    assert_eq!(retried.acts(), [SELECT.replace("moved 7", "moved 7 void B")]);
    let older = ready().void(B);
    assert!(older.acts().iter().all(|a| !a.contains("select B")), "{:?}", older.acts());
    let voided_again = retried.record(|r| {
        r.void.insert(B.revision(), 2);
    });
    assert!(voided_again.acts().iter().all(|a| !a.contains("select B")));
}
