//! Histories by hand: Builds in which nothing is wrong, and the same with one thing wrong for each rule.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;

const GOOD: &str = "sha256:aa";

/// Says what etcd holds.
#[derive(Clone, Default)]
struct Story {
    history: Vec<Change>,
}

fn condition(kind: &str) -> Value {
    json!({"conditions": [{"type": kind, "status": "True"}]})
}

impl Story {
    fn put(mut self, kind: Kind, name: &str, object: Option<Value>) -> Self {
        let revision = i64::try_from(self.history.len()).unwrap() + 1;
        let (at, object) = (Duration::ZERO, object.map(Arc::new));
        self.history.push(Change { revision, at, kind, namespace: "a".to_owned(), name: name.to_owned(), object });
        self
    }

    /// With two checks, one after the other, and an image, all of which may be tried twice.
    fn build(self, status: &Value) -> Self {
        let spec = json!({"checks": [{"name": "unit"}, {"name": "lint", "after": ["unit"]}], "images": [{"name": "web"}],
            "retries": 1});
        let uid = json!({"uid": "b"});
        self.put(Kind::Build, "shop", Some(json!({"metadata": uid, "spec": spec, "status": status})))
    }

    fn remembers(self, memory: &Value) -> Self {
        self.build(&json!({"phase": "Checking", "memory": memory}))
    }

    fn started() -> Self {
        Self::default().build(&Value::Null).remembers(&json!({"started": "1"}))
    }

    fn job(self, name: &str, uid: &str, status: &Value) -> Self {
        self.put(Kind::Job, name, Some(json!({"metadata": {"uid": uid}, "status": status})))
    }

    /// A Job that appears, and whose pod runs.
    fn runs(self, name: &str) -> Self {
        self.job(name, name, &json!({})).pod(name, &format!("{name}-x"), &json!({"phase": "Running"}))
    }

    fn pod(self, job: &str, name: &str, status: &Value) -> Self {
        let labels = json!({"batch.kubernetes.io/job-name": job});
        self.put(Kind::Pod, name, Some(json!({"metadata": {"uid": name, "labels": labels}, "status": status})))
    }

    fn succeeds(self, name: &str) -> Self {
        let story = self.pod(name, &format!("{name}-x"), &json!({"phase": "Succeeded"}));
        story.job(name, name, &condition("Complete"))
    }

    /// For this reason, if it was taken away.
    fn fails(self, name: &str, reason: Option<&str>) -> Self {
        let story = self.pod(name, &format!("{name}-x"), &json!({"phase": "Failed", "reason": reason}));
        story.job(name, name, &condition("Failed"))
    }

    fn done(self, name: &str) -> Self {
        self.runs(name).succeeds(name)
    }

    fn checked() -> Self {
        Self::started().done("shop-check-unit-1").done("shop-check-lint-1")
    }

    fn built() -> Self {
        Self::checked().done("shop-image-web-1")
    }

    fn ends(self, digest: &str) -> Self {
        self.build(&json!({"phase": "Succeeded", "memory": {"started": "1", "finished": "9"},
            "images": [{"name": "web", "digest": digest}], "conditions": condition("Ready")["conditions"]}))
    }

    /// Remembered, and then said to be done.
    fn cancelled(self) -> Self {
        let failure = json!({"class": "Cancelled"});
        let memory = json!({"started": "1", "finished": "9", "failure": failure, "handled": ["c"]});
        self.build(&json!({"phase": "Cancelled", "failure": failure, "memory": memory})).cancel_is_done()
    }

    fn cancel_is_done(self) -> Self {
        self.put(Kind::Command, "cancel", Some(json!({"spec": {"type": "Cancel"}, "status": {"state": "Done"}})))
    }

    fn found(&self) -> Vec<Rule> {
        let subject = Subject { name: "shop".to_owned(), served: GOOD.to_owned() };
        judge(&self.history, &subject).iter().map(|v| v.rule).collect()
    }
}

fn second(story: Story) -> Story {
    story.remembers(&json!({"started": "1", "attempts": {"image/web": {"number": 2}}}))
}

#[test]
fn nothing_is_wrong_with_a_build_by_the_rules() {
    assert_eq!(Story::built().ends(GOOD).ends(GOOD).found(), []);
    let lost = Story::checked().runs("shop-image-web-1").fails("shop-image-web-1", Some("Evicted"));
    let ended = json!({"started": "1", "finished": "9", "attempts": {"image/web": {"number": 2}}});
    let again = second(lost).done("shop-image-web-2").build(&json!({"phase": "Succeeded", "memory": ended,
        "images": [{"name": "web", "digest": GOOD}]}));
    assert_eq!(again.found(), []);
    assert_eq!(
        Story::checked().runs("shop-image-web-1").cancelled().put(Kind::Job, "shop-image-web-1", None).found(),
        []
    );
}

#[test]
fn a_job_is_of_no_step() {
    for name in ["shop-image-api-1", "shop-image-web-0", "shop-image-web", "other"] {
        assert_eq!(Story::checked().runs(name).found(), [Rule::OfAStep], "{name}");
    }
}

#[test]
fn a_job_is_made_twice() {
    let gone = Story::checked().runs("shop-image-web-1").put(Kind::Pod, "shop-image-web-1-x", None);
    let again = gone.put(Kind::Job, "shop-image-web-1", None).job("shop-image-web-1", "another", &json!({}));
    assert_eq!(again.found(), [Rule::MadeOnce]);
}

#[test]
fn there_are_too_many_attempts() {
    let lost = Story::checked().runs("shop-image-web-1").fails("shop-image-web-1", Some("Evicted"));
    let lost = second(lost).runs("shop-image-web-2").fails("shop-image-web-2", Some("Evicted"));
    let third = lost.remembers(&json!({"started": "1", "attempts": {"image/web": {"number": 3}}}));
    assert_eq!(third.runs("shop-image-web-3").found(), [Rule::Attempts]);
}

#[test]
fn two_attempts_run_at_once() {
    let jobs = second(Story::checked().job("shop-image-web-1", "1", &json!({})));
    assert_eq!(jobs.job("shop-image-web-2", "2", &json!({})).found(), [Rule::OneAtATime]);
    // The Job is gone and its pod is not.
    let pods = second(Story::checked().runs("shop-image-web-1").put(Kind::Job, "shop-image-web-1", None));
    assert_eq!(pods.runs("shop-image-web-2").found(), [Rule::OneAtATime]);
    let two = Story::checked().runs("shop-image-web-1").pod("shop-image-web-1", "y", &json!({"phase": "Pending"}));
    assert_eq!(two.found(), [Rule::OneAtATime]);
}

#[test]
fn what_is_done_or_failed_by_itself_is_tried_again() {
    let failed = Story::checked().runs("shop-image-web-1").fails("shop-image-web-1", None);
    for story in [failed, Story::built()] {
        assert_eq!(second(story).runs("shop-image-web-2").found(), [Rule::OnlyTheLost]);
    }
}

#[test]
fn a_step_does_not_wait_for_its_checks() {
    let early = Story::started().done("shop-check-unit-1").runs("shop-image-web-1");
    assert_eq!(early.found(), [Rule::ChecksFirst]);
    let failed = Story::started().runs("shop-check-unit-1").fails("shop-check-unit-1", None);
    assert_eq!(failed.runs("shop-check-lint-1").found(), [Rule::ChecksFirst]);
}

#[test]
fn a_job_is_made_that_nobody_remembers() {
    assert_eq!(Story::default().build(&Value::Null).runs("shop-check-unit-1").found(), [Rule::RememberedFirst]);
    let lost = Story::checked().runs("shop-image-web-1").fails("shop-image-web-1", Some("Evicted"));
    assert_eq!(lost.runs("shop-image-web-2").found(), [Rule::RememberedFirst]);
}

#[test]
fn something_is_made_after_the_end() {
    let lost = Story::built().ends(GOOD);
    assert_eq!(lost.clone().put(Kind::Job, "shop-image-web-1", None).found(), []);
    let failed = json!({"phase": "Failed", "memory": {"started": "1", "finished": "9"}});
    assert_eq!(Story::checked().build(&failed).runs("shop-image-web-1").found(), [Rule::NothingAfter]);
    assert_eq!(Story::checked().cancelled().runs("shop-image-web-1").found(), [Rule::NothingAfter]);
    let ending = Story::checked().remembers(&json!({"started": "1", "failure": {"class": "Cancelled"}}));
    assert_eq!(ending.cancel_is_done().runs("shop-image-web-1").found(), [Rule::NothingAfter]);
}

#[test]
fn it_shows_what_is_not_served() {
    assert_eq!(Story::built().ends("sha256:bb").found(), [Rule::Served]);
    let none = json!({"phase": "Succeeded", "memory": {"started": "1", "finished": "9"}});
    assert_eq!(Story::built().build(&none).found(), [Rule::Served]);
}

#[test]
fn it_succeeds_and_a_step_did_not() {
    assert_eq!(Story::checked().runs("shop-image-web-1").ends(GOOD).found(), [Rule::Earned]);
}

#[test]
fn its_end_changes() {
    let failed = json!({"phase": "Failed", "memory": {"started": "1", "finished": "9"}});
    let fails = |failure: &str| {
        let failure = json!({"class": "User", "message": failure});
        Story::started()
            .build(&json!({"phase": "Failed", "memory": {"started": "1", "finished": "9"}, "failure": failure}))
    };
    let both = [fails("one").history, fails("another").history.split_off(2)].concat();
    assert_eq!(Story { history: both }.found(), [Rule::StaysFinished]);
    let phase = json!({"phase": "Failed", "memory": {"started": "1"}});
    let open = Story::checked().build(&phase).remembers(&json!({"started": "1"}));
    assert_eq!(open.found(), [Rule::StaysFinished]);
    let result = |story: Story, result: &str| {
        let metadata = json!({"annotations": {ANNOTATION_RESULT: result}});
        story.put(Kind::Build, "shop", Some(json!({"metadata": metadata, "status": failed})))
    };
    assert_eq!(result(result(Story::started(), "{}"), "{}").found(), []);
    assert_eq!(result(result(Story::started(), "{}"), "[]").found(), [Rule::StaysFinished]);
}

#[test]
fn what_was_remembered_is_gone() {
    let memory = json!({"started": "1", "passed": ["unit"], "served": ["web"], "handled": ["c"],
        "pushed": {"web": {"digest": GOOD}}, "attempts": {"image/web": {"number": 2}}});
    let less = [
        ("started", json!("2")),
        ("passed", json!([])),
        ("served", json!([])),
        ("handled", json!(["d"])),
        ("pushed", json!({})),
        ("attempts", json!({"image/web": {"number": 1}})),
    ];
    for (what, value) in less {
        let mut now = memory.clone();
        now[what] = value;
        let story = Story::default().remembers(&memory).remembers(&now);
        assert_eq!(story.found(), [Rule::NothingForgotten], "{what}");
    }
    assert_eq!(Story::default().remembers(&memory).remembers(&memory).found(), []);
}

#[test]
fn a_cancel_is_done_and_the_build_goes_on() {
    assert_eq!(Story::checked().cancel_is_done().found(), [Rule::CancelHolds]);
    // Once it is over by another end, a Cancel is not done but refused.
    assert_eq!(Story::built().ends(GOOD).cancel_is_done().found(), [Rule::CancelHolds]);
}
