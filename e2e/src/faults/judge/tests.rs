//! Histories by hand: a switch in which nothing is wrong, and the same one with one thing wrong for each rule.

use std::sync::Arc;

use serde_json::json;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Says what etcd holds, a second after the other.
#[derive(Default)]
struct Story {
    history: Vec<Change>,
}

impl Story {
    fn put(mut self, kind: Kind, name: &str, object: Option<Value>) -> Self {
        let revision = i64::try_from(self.history.len()).unwrap() + 1;
        let at = SECOND * u32::try_from(revision).unwrap();
        let object = object.map(Arc::new);
        self.history.push(Change { revision, at, kind, namespace: "a".to_owned(), name: name.to_owned(), object });
        self
    }

    fn deployment(self, revision: &str, replicas: i64, claim: Option<&str>) -> Self {
        let labels = json!({"switchyard.dev/revision": revision, "switchyard.dev/rollout": "shop"});
        let object = json!({"metadata": {"labels": labels, "annotations": {"switchyard.dev/claim": claim}},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}}}});
        self.put(Kind::Deployment, &format!("shop-{revision}"), Some(object))
    }

    /// A pod, and its place in the revision's own slice.
    fn pod(self, revision: &str, ready: bool) -> Self {
        let status = if ready { "True" } else { "False" };
        let labels = json!({"switchyard.dev/revision": revision});
        let object =
            json!({"metadata": {"labels": labels}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        let service = format!("shop-{revision}");
        self.put(Kind::Pod, &format!("shop-{revision}-1"), Some(object)).slice(&service, &[revision])
    }

    fn slice(self, service: &str, revisions: &[&str]) -> Self {
        let endpoints: Vec<Value> = revisions
            .iter()
            .map(|r| json!({"conditions": {"ready": true}, "targetRef": {"name": format!("shop-{r}-1")}}))
            .collect();
        let object = json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints});
        self.put(Kind::Slice, &format!("{service}-x"), Some(object))
    }

    fn live(self, selects: &str, record: &Value) -> Self {
        let object = json!({"metadata": {"annotations": {"switchyard.dev/switch": record.to_string()}},
            "spec": {"selector": {"switchyard.dev/revision": selects, "switchyard.dev/rollout": "shop"}}});
        self.put(Kind::Service, "shop", Some(object))
    }

    fn rollout(self, confirmed: &str) -> Self {
        let object = json!({"spec": {"replicas": 1}, "status": {"memory": {"confirmed": {"revision": confirmed}}}});
        self.put(Kind::Rollout, "shop", Some(object))
    }

    /// Blue serves, and green is up, nominated and claimed.
    fn until_the_switch() -> Self {
        Self::default()
            .deployment("blue", 1, Some("1"))
            .pod("blue", true)
            .live("none", &json!({"candidate": "blue", "since": "1"}))
            .live("blue", &json!({"live": "blue"}))
            .slice("shop", &["blue"])
            .rollout("blue")
            .live("blue", &json!({"live": "blue", "candidate": "green", "since": "7"}))
            .deployment("green", 1, Some("7"))
            .pod("green", true)
    }

    fn switch(self) -> Self {
        self.live("green", &json!({"live": "green", "fallback": "blue"}))
            .slice("shop", &["green"])
            .rollout("green")
            .live("green", &json!({"live": "green"}))
    }

    fn found(&self) -> Vec<Rule> {
        let subject = Subject { name: "shop".to_owned(), drain: 2 * SECOND };
        judge(&self.history, &subject).iter().map(|v| v.rule).collect()
    }
}

#[test]
fn nothing_is_wrong_with_a_switch_by_the_rules() {
    let story = Story::until_the_switch().switch().deployment("blue", 0, Some("1"));
    assert_eq!(story.put(Kind::Pod, "shop-blue-1", None).found(), []);
}

#[test]
fn going_back_needs_one_ready_pod_and_no_nomination() {
    let story = Story::until_the_switch().live("green", &json!({"live": "green", "fallback": "blue"}));
    let back = json!({"live": "blue", "void": {"green": 1}});
    assert_eq!(story.live("blue", &back).found(), []);
}

#[test]
fn a_revision_without_enough_ready_endpoints_goes_live() {
    for story in [
        Story::until_the_switch().pod("green", false),
        Story::until_the_switch().slice("shop-green", &[]),
        Story::until_the_switch().put(Kind::Pod, "shop-green-1", None),
        Story::until_the_switch().deployment("green", 3, Some("7")).deployment("blue", 2, Some("1")),
    ] {
        assert_eq!(story.switch().found(), [Rule::EnoughReady]);
    }
}

#[test]
fn the_selector_names_nobody_after_somebody() {
    let story = Story::until_the_switch().live("none", &json!({"candidate": "green"}));
    assert_eq!(story.found(), [Rule::EnoughReady]);
    assert_eq!(Story::until_the_switch().put(Kind::Service, "shop", None).found(), [Rule::EnoughReady]);
}

#[test]
fn the_last_ready_pod_of_what_is_live_is_taken() {
    let story = Story::until_the_switch().put(Kind::Pod, "shop-blue-1", None);
    assert_eq!(story.found(), [Rule::KeepsServing]);
    // That it gets unready is nobody's act.
    assert_eq!(Story::until_the_switch().pod("blue", false).found(), []);
}

#[test]
fn blue_loses_its_pods_too_early() {
    let selected = Story::until_the_switch().deployment("blue", 0, Some("1"));
    let listed = Story::until_the_switch().live("green", &json!({"live": "green"})).deployment("blue", 0, None);
    let draining = Story::until_the_switch()
        .live("green", &json!({"live": "green"}))
        .slice("shop", &["green"])
        .deployment("blue", 0, None);
    let deleted = Story::until_the_switch().put(Kind::Deployment, "shop-blue", None);
    for story in [selected, listed, draining, deleted] {
        assert_eq!(story.found(), [Rule::Drained]);
    }
    // What never served may go at any time.
    assert_eq!(Story::until_the_switch().deployment("green", 0, Some("7")).found(), []);
}

#[test]
fn another_service_selects_what_loses_its_pods() {
    let other = json!({"spec": {"selector": {"switchyard.dev/revision": "blue"}}});
    let story = Story::until_the_switch().put(Kind::Service, "other", Some(other)).switch();
    assert_eq!(story.deployment("blue", 0, Some("1")).found(), [Rule::Drained]);
}

#[test]
fn record_and_selector_disagree() {
    let story = Story::until_the_switch().live("blue", &json!({"live": "green"}));
    assert_eq!(story.found(), [Rule::RecordAgrees]);
    let service = json!({"metadata": {}, "spec": {"selector": {"switchyard.dev/revision": "blue"}}});
    assert_eq!(Story::until_the_switch().put(Kind::Service, "shop", Some(service)).found(), [Rule::RecordAgrees]);
}

#[test]
fn what_does_not_exist_goes_live() {
    let story = Story::until_the_switch().live("grey", &json!({"live": "grey"}));
    assert_eq!(story.found(), [Rule::Exists]);
}

#[test]
fn what_was_given_up_goes_live() {
    let record = json!({"live": "blue", "candidate": "green", "since": "7", "void": {"green": 1}});
    assert_eq!(Story::until_the_switch().live("blue", &record).switch().found(), [Rule::NotGivenUp]);
}

#[test]
fn what_was_not_claimed_goes_live() {
    let unclaimed = Story::until_the_switch().deployment("green", 1, Some("6")).switch();
    let withdrawn = Story::until_the_switch().live("blue", &json!({"live": "blue"})).switch();
    for story in [unclaimed, withdrawn] {
        assert_eq!(story.found(), [Rule::Claimed]);
    }
}

#[test]
fn what_was_never_live_is_confirmed() {
    assert_eq!(Story::until_the_switch().rollout("green").found(), [Rule::WasLive]);
}
