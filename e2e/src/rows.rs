//! Builds that are to fail, side by side: each is a row that says what it has to end with, and all are judged together.

use serde_json::{Value, json};
use switchyard_api::{
    Build, GROUP, VERSION,
    build::{Class, Failure, Phase},
    condition::{READY, State},
};

use crate::{
    app::{GIT, PULL, PUSH},
    place::Place,
    tell::table,
    watched::Watched,
};

/// A Build, and what has to become of it.
pub struct Row {
    pub name: &'static str,
    spec: Value,
    annotations: Value,
    wanted: Wanted,
}

enum Wanted {
    Nothing,
    Success { jobs: usize },
    Failure { class: Class, reason: &'static str, part: String, jobs: usize, waits: bool },
}

/// What became of it.
pub struct Outcome {
    pub name: &'static str,
    pub build: Build,
}

impl Outcome {
    pub fn failure(&self) -> Option<&Failure> {
        self.build.status.as_ref()?.failure.as_ref()
    }
}

/// A Build of one commit into an image of the row's own, with no check. It may take two minutes and is tried once.
pub fn row(place: &Place, name: &'static str, url: &str, commit: &str) -> Row {
    let spec = json!({
        "source": {"git": {"url": url, "commit": commit, "branch": "main", "secretRef": {"name": GIT}}},
        "images": [{"name": "web", "repository": format!("{}/{}", place.ground.setting("REGISTRY"), path(place, name)),
            "secretRef": {"name": PUSH}}],
        "imagePullSecrets": [{"name": PULL}],
        "timeout": "2m",
        "retries": 0,
    });
    Row { name, spec, annotations: json!({}), wanted: Wanted::Nothing }
}

/// The row's own repository, without the registry's name.
pub fn path(place: &Place, name: &str) -> String {
    format!("{}/{name}", place.namespace)
}

impl Row {
    /// Changes the spec; a null takes away (RFC 7386).
    #[must_use]
    pub fn with(mut self, patch: &Value) -> Self {
        merge(&mut self.spec, patch);
        self
    }

    /// Changes its image.
    #[must_use]
    pub fn image(mut self, patch: &Value) -> Self {
        merge(&mut self.spec["images"][0], patch);
        self
    }

    /// With one check, which runs before the image.
    #[must_use]
    pub fn check(mut self, place: &Place, command: &[&str], more: &Value) -> Self {
        let mut job = json!({"image": place.ground.setting("IMAGE_BASE_PYTHON"), "command": command});
        merge(&mut job, more);
        self.spec["checks"] = json!([{"name": "unit", "job": job}]);
        self
    }

    /// Changes its checks.
    #[must_use]
    pub fn checks(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec["checks"]);
        self
    }

    #[must_use]
    pub fn annotated(mut self, annotations: &Value) -> Self {
        self.annotations = annotations.clone();
        self
    }

    /// It has to fail so, after one Job.
    #[must_use]
    pub fn fails(mut self, class: Class, reason: &'static str, part: &str) -> Self {
        self.wanted = Wanted::Failure { class, reason, part: part.to_owned(), jobs: 1, waits: false };
        self
    }

    /// So many Jobs are made for it.
    #[must_use]
    pub fn jobs(mut self, count: usize) -> Self {
        match &mut self.wanted {
            Wanted::Nothing => {}
            Wanted::Success { jobs } | Wanted::Failure { jobs, .. } => *jobs = count,
        }
        self
    }

    /// It says the reason long before it fails by it.
    #[must_use]
    pub fn waits(mut self) -> Self {
        if let Wanted::Failure { waits, .. } = &mut self.wanted {
            *waits = true;
        }
        self
    }

    #[must_use]
    pub fn succeeds(mut self) -> Self {
        self.wanted = Wanted::Success { jobs: 1 };
        self
    }

    fn build(&self) -> Value {
        json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Build",
            "metadata": {"name": self.name, "annotations": self.annotations}, "spec": self.spec})
    }
}

/// A start of all these Builds, which `meanwhile` may interfere with; their ends, judged, and told as a table.
pub async fn run(place: &Place, rows: Vec<Row>, meanwhile: impl AsyncFnOnce(&Watched)) -> Vec<Outcome> {
    let watched = Watched::start(place);
    let all: Vec<Value> = rows.iter().map(Row::build).collect();
    place.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all})).await.unwrap();
    meanwhile(&watched).await;
    let (mut told, mut wrong, mut outcomes) = (vec![], vec![], vec![]);
    for row in &rows {
        let ended = |build: &Build| {
            let phase = build.status.as_ref().and_then(|s| s.phase);
            matches!(phase, Some(Phase::Failed | Phase::Succeeded | Phase::Skipped | Phase::Cancelled))
        };
        let build = place.until_object::<Build>(row.name, "it has ended", 240, ended).await;
        let outcome = Outcome { name: row.name, build };
        let (line, complaints) = judge(row, &outcome, &watched);
        told.push(line);
        wrong.extend(complaints.into_iter().map(|complaint| format!("{}: {complaint}", row.name)));
        outcomes.push(outcome);
    }
    let headings = ["build", "wanted", "ended with", "class", "jobs", "said after", "message"];
    println!("{}\n{}", place.namespace, table(&headings, &told));
    for outcome in &outcomes {
        if let Some(failure) = outcome.failure() {
            println!("{}: {}", outcome.name, json!(failure));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), place.explain().await);
    outcomes
}

fn judge(row: &Row, outcome: &Outcome, watched: &Watched) -> (Vec<String>, Vec<String>) {
    let status = outcome.build.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|c| c.kind == READY);
    let reason = ready.map(|r| r.reason.clone()).unwrap_or_default();
    let made = watched.jobs(row.name).len();
    let mut wrong = vec![];
    let mut wanted = String::new();
    let mut said = watched.said(row.name, &reason);
    match &row.wanted {
        Wanted::Nothing => {}
        Wanted::Success { jobs } => {
            "Succeeded".clone_into(&mut wanted);
            if ready.is_none_or(|r| r.status != State::True) {
                wrong.push(format!("it did not succeed: {}", json!(status.failure)));
            }
            if made != *jobs {
                wrong.push(format!("{made} Jobs instead of {jobs}"));
            }
        }
        Wanted::Failure { class, reason, part, jobs, waits } => {
            (*reason).clone_into(&mut wanted);
            said = watched.said(row.name, reason);
            match &status.failure {
                None => wrong.push("it did not fail".to_owned()),
                Some(failure) => {
                    wrong.extend(of_failure(failure, *class, reason, part));
                    if ready.is_none_or(|r| r.status != State::False || r.reason != failure.reason) {
                        wrong.push(format!("its Ready condition does not say so: {}", json!(ready)));
                    }
                }
            }
            if made != *jobs {
                wrong.push(format!("{made} Jobs instead of {jobs}"));
            }
            let took = status.start_time.zip(status.finish_time).map(|(from, to)| to.since(from)).unwrap_or_default();
            if *waits && said.is_none_or(|after| after.as_secs() >= took.as_secs() / 2) {
                wrong.push(format!("it said why after {said:?}, and failed after {took}"));
            }
        }
    }
    let after = said.map(|after| format!("{:.1} s", after.as_secs_f32())).unwrap_or_default();
    let (class, message) = status.failure.map(|f| (format!("{:?}", f.class), f.message)).unwrap_or_default();
    let message = message.chars().take(100).collect();
    (vec![row.name.to_owned(), wanted, reason, class, made.to_string(), after, message], wrong)
}

fn of_failure(failure: &Failure, class: Class, reason: &str, part: &str) -> Vec<String> {
    let mut wrong = vec![];
    if failure.reason != reason {
        wrong.push(format!("{} instead of {reason}: {}", failure.reason, failure.message));
    }
    if failure.class != class {
        wrong.push(format!("{:?} instead of {class:?}", failure.class));
    }
    if !failure.message.contains(part) {
        wrong.push(format!("its message does not say {part:?}: {}", failure.message));
    }
    // More than a code word.
    if failure.message.len() < 16 || !failure.message.trim().contains(' ') {
        wrong.push(format!("that is no sentence: {:?}", failure.message));
    }
    if failure.hint.as_ref().is_none_or(|hint| hint.len() < 10) {
        wrong.push(format!("it has no hint: {:?}", failure.hint));
    }
    wrong
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else { return patch.clone_into(target) };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            target.as_object_mut().expect("just made one").remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_adds_and_takes_away() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut value, &json!({"a": {"b": null, "e": 3}, "d": [2], "f": {"g": 1}}));
        assert_eq!(value, json!({"a": {"c": 2, "e": 3}, "d": [2], "f": {"g": 1}}));
    }

    #[test]
    fn a_failure_that_says_less_than_it_has_to_is_found() {
        let good = Failure {
            step: "image/web: clone".to_owned(),
            class: Class::User,
            reason: "CommitNotFound".to_owned(),
            message: "the repository does not have commit 7f3a91c".to_owned(),
            hint: Some("push the commit, or name another".to_owned()),
            log: None,
        };
        let wrong = |failure: &Failure| of_failure(failure, Class::User, "CommitNotFound", "7f3a91c").len();
        assert_eq!(wrong(&good), 0);
        assert_eq!(wrong(&Failure { reason: "GitFailed".to_owned(), ..good.clone() }), 1);
        assert_eq!(wrong(&Failure { class: Class::Infrastructure, ..good.clone() }), 1);
        assert_eq!(wrong(&Failure { message: "7f3a91c".to_owned(), ..good.clone() }), 1);
        assert_eq!(wrong(&Failure { message: "the repository does not have it".to_owned(), ..good.clone() }), 1);
        assert_eq!(wrong(&Failure { hint: None, ..good }), 1);
    }
}
