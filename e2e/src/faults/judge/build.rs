//! What must never happen to a Build: its Jobs, their pods, its status and its Commands, as etcd held them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use switchyard_api::names::ANNOTATION_RESULT;

use super::{Rule, Violation, text};
use crate::faults::history::{Change, Kind, State};

/// What the history is of.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The Build's name, with which those of its Jobs begin.
    pub name: String,
    /// The digest of what the registry serves for every image of it.
    pub served: String,
}

/// Everything in this history of one namespace that must never happen.
pub fn judge(history: &[Change], subject: &Subject) -> Vec<Violation> {
    let mut judge = Judge {
        subject,
        before: State::default(),
        made: BTreeMap::new(),
        passed: BTreeSet::new(),
        finished: None,
        cancelled: false,
        found: Vec::new(),
    };
    for change in history {
        judge.look(change);
        judge.before.apply(change);
    }
    judge.found
}

struct Judge<'a> {
    subject: &'a Subject,
    before: State,
    /// Jobs, by name, that ever were.
    made: BTreeMap<String, Attempt>,
    /// Steps of which a Job ended well.
    passed: BTreeSet<Step>,
    /// What was said of the Build when it was first said to be over.
    finished: Option<Vec<(&'static str, Value)>>,
    /// A Cancel was said to be done.
    cancelled: bool,
    found: Vec<Violation>,
}

/// `image/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    kind: &'static str,
    name: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[derive(Clone, Debug)]
struct Attempt {
    step: Step,
    number: i64,
}

impl Judge<'_> {
    fn look(&mut self, change: &Change) {
        match change.kind {
            Kind::Job => self.job(change),
            Kind::Pod => self.pod(change),
            Kind::Build if change.name == self.subject.name => self.build(change),
            Kind::Command => self.command(change),
            Kind::Build | Kind::Rollout | Kind::Service | Kind::Slice | Kind::Deployment => {}
        }
    }

    fn job(&mut self, change: &Change) {
        let Some(job) = &change.object else { return };
        if is_new(&self.before, change) {
            self.made(change);
        }
        if let Some(attempt) = self.made.get(&change.name).filter(|_| condition(job, "Complete") == Some("True")) {
            self.passed.insert(attempt.step.clone());
        }
    }

    /// A Job appears.
    fn made(&mut self, change: &Change) {
        let name = &change.name;
        let Some(attempt) = self.attempt(name) else {
            return self.find(change, Rule::OfAStep, format!("{name} is of no step of the Build"));
        };
        for (rule, why) in self.against(name, &attempt) {
            self.find(change, rule, format!("{name} is made, and {why}"));
        }
        self.made.insert(name.clone(), attempt);
    }

    /// Why a Job must not be made now.
    fn against(&self, name: &str, attempt: &Attempt) -> Vec<(Rule, String)> {
        let Attempt { step, number } = attempt;
        let none = Value::Null;
        let build = self.before.get(Kind::Build, &self.subject.name).unwrap_or(&none);
        let memory = &build["status"]["memory"];
        let mut why = Vec::new();
        if self.made.contains_key(name) {
            why.push((Rule::MadeOnce, "was made before".to_owned()));
        }
        let most = build["spec"]["retries"].as_i64().unwrap_or(0) + 1;
        if *number > most {
            why.push((Rule::Attempts, format!("there are {most} attempts at most")));
        }
        for (other, former) in self.made.iter().filter(|(other, a)| a.step == *step && *other != name) {
            if self.before.get(Kind::Job, other).is_some_and(|job| !has_ended(job)) {
                why.push((Rule::OneAtATime, format!("{other} is not over")));
            }
            if former.number == number - 1 && self.failed_by_itself(other) {
                why.push((Rule::OnlyTheLost, format!("{other} failed by itself")));
            }
        }
        if self.passed.contains(step) {
            why.push((Rule::OnlyTheLost, format!("{step} is done")));
        }
        let checks = checks_before(build, step);
        let open = checks.iter().filter(|check| !self.passed.contains(check));
        why.extend(open.map(|check| (Rule::ChecksFirst, format!("{check} has not passed"))));
        let remembered = memory["attempts"][step.to_string()]["number"].as_i64().unwrap_or(1);
        if memory["started"].is_null() || remembered != *number {
            why.push((Rule::RememberedFirst, format!("the Build remembers {memory}")));
        }
        if self.finished.is_some() {
            why.push((Rule::NothingAfter, "the Build is over".to_owned()));
        } else if self.cancelled {
            why.push((Rule::NothingAfter, "the Build is cancelled".to_owned()));
        }
        why
    }

    /// Which attempt at which of the spec's steps a Job of this name is.
    fn attempt(&self, job: &str) -> Option<Attempt> {
        let rest = job.strip_prefix(&self.subject.name)?.strip_prefix('-')?;
        let (step, number) = rest.rsplit_once('-')?;
        let build = self.before.get(Kind::Build, &self.subject.name)?;
        let step = steps(build, "checks", "check")
            .chain(steps(build, "images", "image"))
            .find(|s| step == format!("{}-{}", s.kind, s.name))?;
        Some(Attempt { step, number: number.parse().ok().filter(|n| *n > 0)? })
    }

    /// Its pod ended, and not well, and nobody took it away.
    fn failed_by_itself(&self, job: &str) -> bool {
        let mut pods = self.before.all(Kind::Pod).map(|(_, pod)| pod).filter(|pod| of_job(pod) == Some(job));
        pods.any(|pod| pod["status"]["phase"] == "Failed" && pod["status"]["reason"].is_null())
    }

    fn pod(&mut self, change: &Change) {
        let Some(pod) = change.object.as_deref().filter(|_| is_new(&self.before, change)) else { return };
        let Some(step) = of_job(pod).and_then(|job| self.made.get(job)).map(|a| a.step.clone()) else { return };
        let of_step = |pod: &Value| of_job(pod).and_then(|job| self.made.get(job)).is_some_and(|a| a.step == step);
        let over = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let running = self.before.all(Kind::Pod).filter(|(_, pod)| of_step(pod) && !over(pod));
        let running: Vec<String> = running.map(|(name, _)| name.to_owned()).collect();
        if !running.is_empty() {
            let what = format!("pod {} is made while {} is not over", change.name, running.join(", "));
            self.find(change, Rule::OneAtATime, what);
        }
    }

    fn build(&mut self, change: &Change) {
        let had = self.before.get(Kind::Build, &self.subject.name).cloned().unwrap_or_default();
        let none = Value::Null;
        let build = change.object.as_deref().unwrap_or(&none);
        for what in forgotten(&had["status"]["memory"], &build["status"]["memory"]) {
            self.find(change, Rule::NothingForgotten, what);
        }
        self.images(change, build);
        if !is_over(build) {
            if self.finished.is_some() {
                self.find(change, Rule::StaysFinished, "the Build is not over any more".to_owned());
            }
            return;
        }
        let result = result(&had);
        if result.is_some() && result != self::result(build) {
            self.find(change, Rule::StaysFinished, format!("its result was {result:?}"));
        }
        let said = said(build);
        let Some(first) = &self.finished else {
            self.ends(change, build);
            self.finished = Some(said);
            return;
        };
        let differ = |(name, value): &(&str, Value)| {
            let was = first.iter().find(|(n, _)| n == name).map_or(&none, |(_, was)| was);
            (was != value).then(|| format!("{name} was {was}, and is {value}"))
        };
        for what in said.iter().filter_map(differ).collect::<Vec<_>>() {
            self.find(change, Rule::StaysFinished, what);
        }
    }

    /// A digest that the Build shows is the one that is served.
    fn images(&mut self, change: &Change, build: &Value) {
        let images = build["status"]["images"].as_array().cloned().unwrap_or_default();
        for image in images.iter().filter(|image| image["digest"] != self.subject.served) {
            self.find(change, Rule::Served, format!("it shows {image}, and {} is served", self.subject.served));
        }
    }

    fn ends(&mut self, change: &Change, build: &Value) {
        let good = build["status"]["phase"] == "Succeeded" || condition(build, "Ready") == Some("True");
        if !good {
            return;
        }
        let shown: BTreeSet<&str> =
            build["status"]["images"].as_array().into_iter().flatten().filter_map(|i| i["name"].as_str()).collect();
        for step in steps(build, "images", "image").filter(|step| !shown.contains(step.name.as_str())) {
            self.find(change, Rule::Served, format!("it succeeds without an image of {step}"));
        }
        let all = steps(build, "checks", "check").chain(steps(build, "images", "image"));
        for step in all.filter(|step| !self.passed.contains(step)).collect::<Vec<_>>() {
            self.find(change, Rule::Earned, format!("it succeeds, and no Job of {step} did"));
        }
    }

    fn command(&mut self, change: &Change) {
        let Some(command) = change.object.as_deref() else { return };
        let cancel = text(command, "/spec/type").as_deref() == Some("Cancel");
        if !cancel || text(command, "/status/state").as_deref() != Some("Done") || self.cancelled {
            return;
        }
        self.cancelled = true;
        let build = self.before.get(Kind::Build, &self.subject.name);
        let class = build.and_then(|b| text(b, "/status/memory/failure/class"));
        if class.as_deref() != Some("Cancelled") {
            self.find(change, Rule::CancelHolds, format!("a Cancel is done, and the Build remembers {class:?}"));
        }
    }

    fn find(&mut self, change: &Change, rule: Rule, what: String) {
        self.found.push(Violation { revision: change.revision, rule, what });
    }
}

/// Of this name there was nothing, or another.
fn is_new(before: &State, change: &Change) -> bool {
    let uid = |object: &Value| text(object, "/metadata/uid");
    before.get(change.kind, &change.name).is_none_or(|had| change.object.as_deref().map(uid) != Some(uid(had)))
}

fn steps<'a>(build: &'a Value, list: &str, kind: &'static str) -> impl Iterator<Item = Step> + 'a {
    let all = build["spec"][list].as_array().into_iter().flatten();
    all.filter_map(move |entry| Some(Step { kind, name: entry["name"].as_str()?.to_owned() }))
}

/// Checks that must have passed before this step.
fn checks_before(build: &Value, step: &Step) -> Vec<Step> {
    let after = |check: &Value| check["after"].as_array().cloned().unwrap_or_default();
    let checks = build["spec"]["checks"].as_array().into_iter().flatten();
    match step.kind {
        "check" => {
            let own = checks.filter(|check| check["name"] == step.name).flat_map(after);
            own.filter_map(|name| Some(Step { kind: "check", name: name.as_str()?.to_owned() })).collect()
        }
        _ => steps(build, "checks", "check").collect(),
    }
}

fn of_job(pod: &Value) -> Option<&str> {
    pod.pointer("/metadata/labels")?["batch.kubernetes.io/job-name"].as_str()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c["type"] == kind)?["status"].as_str()
}

fn has_ended(job: &Value) -> bool {
    ["Complete", "Failed"].iter().any(|kind| condition(job, kind) == Some("True"))
}

fn is_over(build: &Value) -> bool {
    let phase = build["status"]["phase"].as_str();
    !build["status"]["memory"]["finished"].is_null()
        || matches!(phase, Some("Succeeded" | "Skipped" | "Failed" | "Cancelled"))
}

/// The annotation that outlives a lost status. It is written after that, once.
fn result(build: &Value) -> Option<&str> {
    build.pointer("/metadata/annotations")?[ANNOTATION_RESULT].as_str()
}

/// What may not change once the Build is over.
fn said(build: &Value) -> Vec<(&'static str, Value)> {
    let (status, memory) = (&build["status"], &build["status"]["memory"]);
    vec![
        ("phase", status["phase"].clone()),
        ("images", status["images"].clone()),
        ("failure", status["failure"].clone()),
        ("finishTime", status["finishTime"].clone()),
        ("Ready", condition(build, "Ready").into()),
        ("what passed", memory["passed"].clone()),
        ("what is pushed", memory["pushed"].clone()),
        ("what is served", memory["served"].clone()),
    ]
}

/// What the Build remembered and does not any more.
fn forgotten(had: &Value, has: &Value) -> Vec<String> {
    let mut gone = Vec::new();
    for once in ["started", "finished", "failure"] {
        if !had[once].is_null() && had[once] != has[once] {
            gone.push(format!("{once} was {}, and is {}", had[once], has[once]));
        }
    }
    for set in ["passed", "served", "handled"] {
        let of = |memory: &Value| memory[set].as_array().cloned().unwrap_or_default();
        let now = of(has);
        gone.extend(of(had).iter().filter(|item| !now.contains(item)).map(|item| format!("{set} had {item}")));
    }
    for (image, digest) in had["pushed"].as_object().into_iter().flatten() {
        if has["pushed"][image] != *digest {
            gone.push(format!("pushed had {image}"));
        }
    }
    for (step, attempt) in had["attempts"].as_object().into_iter().flatten() {
        let (was, is) = (attempt["number"].as_i64(), has["attempts"][step]["number"].as_i64());
        if is < was {
            gone.push(format!("{step} was at attempt {was:?}, and is at {is:?}"));
        }
    }
    gone
}

#[cfg(test)]
mod tests;
