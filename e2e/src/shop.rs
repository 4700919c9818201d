//! The Rollout `shop` of a page, which most tests have: changed, watched, and asked what it says.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{Rollout, Timestamp, names::ANNOTATION_SWITCH};

use crate::{
    app::Page,
    load::Running,
    place::Place,
    process::run,
    timeline::{Timeline, selected},
};

/// A page, its spec changed.
pub fn page(place: &Place, text: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut rollout = Page::new("shop", text).progress_deadline("60s").rollout(&place.ground);
    change(&mut rollout["spec"]);
    rollout
}

/// Blue is live and confirmed. Its name.
pub async fn blue(place: &Place, change: impl FnOnce(&mut Value)) -> String {
    place.equip_to_pull().await;
    place.apply(&page(place, "blue", change)).await.unwrap();
    place.until_healthy("shop", 90).await.status.unwrap().live.unwrap().revision.to_string()
}

/// The reason of one of its conditions.
pub fn reason(rollout: &Rollout, kind: &str) -> String {
    let conditions = rollout.status.iter().flat_map(|s| &s.conditions);
    conditions.clone().find(|c| c.kind == kind).map(|c| c.reason.clone()).unwrap_or_default()
}

/// The sentence with these words that says what it waits for.
pub fn sentence(rollout: &Rollout, words: &str) -> Option<String> {
    rollout.status.as_ref()?.waiting_for.iter().find(|w| w.contains(words)).cloned()
}
pub fn waits_for(rollout: &Rollout, words: &str) -> bool {
    sentence(rollout, words).is_some()
}

/// The moment with which such a sentence begins.
pub fn moment(sentence: &str) -> Timestamp {
    let (moment, _) = sentence.split_once(": ").unwrap();
    moment.parse().unwrap_or_else(|_| panic!("no moment stands at the head of: {sentence}"))
}

/// Waits until it says that it waits for this, and tells what is seen.
pub async fn until_it_waits(place: &Place, words: &str) -> Rollout {
    let rollout = place.until_object::<Rollout>("shop", words, 90, |r| waits_for(r, words)).await;
    println!("{}", place.table().await);
    rollout
}

/// The revision that is on its way.
pub fn next(rollout: &Rollout) -> String {
    rollout.status.as_ref().unwrap().next.as_ref().unwrap().revision.to_string()
}

/// The revision that the live Service selects.
pub async fn live(place: &Place) -> String {
    selected(&place.find::<Service>("shop").await.unwrap()).unwrap()
}

/// What the live Service says of itself.
pub async fn record(place: &Place) -> Value {
    let service = place.find::<Service>("shop").await.unwrap();
    service.annotations().get(ANNOTATION_SWITCH).map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default()
}

/// Waits until another than blue is live and confirmed.
pub async fn until_another(place: &Place, blue: &str) -> String {
    let other = |r: &Rollout| {
        let live = r.status.as_ref().and_then(|s| s.live.as_ref());
        live.is_some_and(|l| l.confirmed && l.revision.as_str() != blue)
    };
    let rollout = place.until_object::<Rollout>("shop", "another is live and confirmed", 90, other).await;
    rollout.status.unwrap().live.unwrap().revision.to_string()
}

/// Waits until the pods of a revision are gone.
pub async fn until_gone(place: &Place, revision: &str) {
    let what = format!("the pods of {revision} are gone");
    place.until(&what, 90, async || place.pods_of(revision).await.is_empty().then_some(())).await;
}

/// Waits until the live Service has selected that many revisions, one after the other.
pub async fn until_moved(place: &Place, timeline: &Timeline, times: usize) {
    let what = format!("the live Service has selected {times} revisions");
    place.until(&what, 120, async || (timeline.revisions().len() >= times).then_some(())).await;
}

/// Somebody changes an object by a merge patch.
pub async fn patch(place: &Place, kind: &str, name: &str, patch: &Value) {
    let patch = patch.to_string();
    run(&mut place.kubectl(&["patch", kind, name, "--type=merge", "--patch", &patch])).await.unwrap();
}

/// None of these requests failed.
const LEAST: usize = 200;
pub async fn flawless(place: &Place, load: Running) {
    let enough = LEAST + LEAST / 4;
    place.until("enough requests", 60, async || (load.ended_since(load.since()) > enough).then_some(())).await;
    let report = load.stop().await.from_first_answer();
    println!("{report}");
    report.assert_flawless(LEAST);
}

pub fn manual(spec: &mut Value) {
    spec["strategy"]["blueGreen"]["promotion"] = json!("Manual");
}

/// A check after the switch that has not ended for as long as any test lasts: what is live stays unproven.
pub fn on_trial(spec: &mut Value) {
    let job = json!({"fromContainer": "page", "command": ["sleep", "600"]});
    spec["checks"] = json!({"live": [{"name": "look", "job": job}]});
}
