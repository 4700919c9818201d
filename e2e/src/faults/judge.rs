//! What must never happen, as far as etcd shows it: a history is read revision by revision, by nothing but the objects
//! themselves. It shares no code with the operator beyond the names of labels and annotations. Here is what is judged of
//! a Rollout.

pub mod build;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use serde_json::Value;
use switchyard_api::names::{ANNOTATION_CLAIM, ANNOTATION_SWITCH, LABEL_REVISION, LABEL_ROLE, NOBODY, ROLE_REVISION};

use super::history::{Change, Kind, State};

/// Times are when changes were heard of, which is a little after they were made.
const HEARING: Duration = Duration::from_millis(500);

/// What was never to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The live selector names a revision with too few ready endpoints, or nobody after somebody.
    EnoughReady,
    /// The last ready pod of what is live is taken away.
    KeepsServing,
    /// A revision that served loses pods while a Service selects it, a slice lists it, or its drain is not over.
    Drained,
    /// The selector is not what the record beside it says, or the record is gone.
    RecordAgrees,
    /// The selector names a revision that does not exist.
    Exists,
    /// A revision goes live that was given up.
    NotGivenUp,
    /// A revision goes live that was neither nominated and claimed nor the fallback.
    Claimed,
    /// A revision is called confirmed that was never live.
    WasLive,
    /// Of a Build: a Job is of no step of it.
    OfAStep,
    /// A Job of one name is made a second time.
    MadeOnce,
    /// A step gets more attempts than one and its retries.
    Attempts,
    /// A step gets a Job or a pod while another one of it is not over.
    OneAtATime,
    /// A step is tried again that is done, or that failed by itself.
    OnlyTheLost,
    /// A step runs before the checks that it waits for have passed.
    ChecksFirst,
    /// A Job is made of which the Build's status does not know yet.
    RememberedFirst,
    /// A Job is made once the Build is over, or a Cancel of it is said to be done.
    NothingAfter,
    /// A Build shows a digest that the registry does not serve, or succeeds without one.
    Served,
    /// A Build succeeds, and a step of it did not.
    Earned,
    /// What a Build says of its end changes.
    StaysFinished,
    /// What a Build remembered is gone.
    NothingForgotten,
    /// A Cancel is said to be done, and the Build does not remember that it ends by it.
    CancelHolds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of etcd.
    pub revision: i64,
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {:?}: {}", self.revision, self.rule, self.what)
    }
}

/// What the history is of.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The Rollout's name, which is also its live Service's.
    pub name: String,
    pub drain: Duration,
}

/// Everything in this history of one namespace that must never happen.
pub fn judge(history: &[Change], subject: &Subject) -> Vec<Violation> {
    let mut judge = Judge { subject, before: State::default(), served: BTreeMap::new(), found: Vec::new() };
    for change in history {
        judge.look(change);
    }
    judge.found
}

struct Judge<'a> {
    subject: &'a Subject,
    before: State,
    /// Revisions that were live, and when a Service or a slice last named them.
    served: BTreeMap<String, Duration>,
    found: Vec<Violation>,
}

impl Judge<'_> {
    fn look(&mut self, change: &Change) {
        let mut after = self.before.clone();
        after.apply(change);
        match change.kind {
            Kind::Service if change.name == self.subject.name => self.service(change, &after),
            Kind::Deployment => self.deployment(change),
            Kind::Pod => self.pod(change, &after),
            Kind::Rollout => self.rollout(change),
            Kind::Service | Kind::Slice | Kind::Job | Kind::Build | Kind::Command => {}
        }
        // Named until now, by what was there before.
        let mut named = self.listed(&self.before);
        named.extend(self.live(&self.before).map(|s| s.selected).unwrap_or_default());
        named.extend(self.live(&after).map(|s| s.selected).unwrap_or_default());
        for revision in named {
            if let Some(last) = self.served.get_mut(&revision) {
                *last = change.at;
            }
        }
        self.before = after;
    }

    fn service(&mut self, change: &Change, after: &State) {
        let before = self.live(&self.before);
        let Some(now) = self.live(after) else {
            if before.is_some_and(|b| b.selected.is_some()) {
                self.find(change, Rule::EnoughReady, "the live Service is deleted".to_owned());
            }
            return;
        };
        let had_record = before.as_ref().is_some_and(|b| b.record.is_some());
        match &now.record {
            None if had_record => self.find(change, Rule::RecordAgrees, "the record is gone".to_owned()),
            Some(record) if text(record, "/live") != now.selected => {
                let what = format!("the record says {:?}, the selector {:?}", text(record, "/live"), now.selected);
                self.find(change, Rule::RecordAgrees, what);
            }
            _ => {}
        }
        let was = before.as_ref().and_then(|b| b.selected.clone());
        if was == now.selected {
            return;
        }
        let Some(to) = now.selected.clone() else {
            self.find(change, Rule::EnoughReady, "the selector names nobody any more".to_owned());
            return;
        };
        self.moves(change, was.as_deref(), &to, before.and_then(|b| b.record), now.record);
        self.served.insert(to, change.at);
    }

    /// The selector goes from one revision to another.
    fn moves(&mut self, change: &Change, from: Option<&str>, to: &str, had: Option<Value>, has: Option<Value>) {
        let Some((_, deployment)) = deployment_of(&self.before, to) else {
            return self.find(change, Rule::Exists, format!("{to} has no Deployment"));
        };
        let ready = ready(&self.before, to);
        let wanted = |revision: &str| deployment_of(&self.before, revision).map_or(0, |(_, d)| replicas(d));
        // Back to where traffic was: one that serves is better than one that does not.
        let returns = self.served.contains_key(to);
        let enough = if returns { 1 } else { from.map_or(i64::MAX, wanted).min(wanted(to)).max(1) };
        let claim =
            deployment.pointer("/metadata/annotations").and_then(|a| a[ANNOTATION_CLAIM].as_str()).map(str::to_owned);
        let had = had.unwrap_or_default();
        let nominated =
            text(&had, "/candidate").as_deref() == Some(to) && claim.is_some() && text(&had, "/since") == claim;
        let fallback = text(&had, "/fallback").as_deref() == Some(to);
        if ready < enough {
            self.find(change, Rule::EnoughReady, format!("{to} has {ready} ready endpoints of {enough}"));
        }
        if !nominated && !fallback {
            self.find(change, Rule::Claimed, format!("{to} goes live; the record was {had}, its claim is {claim:?}"));
        }
        let attempt = self.attempt(to);
        let voided = |record: &Value| record["void"][to].as_i64().is_some_and(|voided| voided >= attempt);
        if voided(&had) || voided(&has.unwrap_or_default()) {
            self.find(change, Rule::NotGivenUp, format!("{to} goes live"));
        }
    }

    /// Which try of the revision it is, as far as the Rollout remembers.
    fn attempt(&self, revision: &str) -> i64 {
        let rollout = self.before.get(Kind::Rollout, &self.subject.name);
        let attempts = rollout.and_then(|r| r.pointer("/status/memory/attempts"));
        attempts.and_then(|a| a[revision].as_i64()).unwrap_or(1)
    }

    fn deployment(&mut self, change: &Change) {
        let Some(was) = self.before.get(Kind::Deployment, &change.name) else { return };
        let Some(revision) = text(was, "/metadata/labels/switchyard.dev~1revision") else { return };
        let Some(last) = self.served.get(&revision).copied() else { return };
        let (had, has) = (replicas(was), change.object.as_ref().map_or(0, |d| replicas(d)));
        if has >= had {
            return;
        }
        let wanted = self.before.get(Kind::Rollout, &self.subject.name).and_then(|r| r["spec"]["replicas"].as_i64());
        let selected_by = self.selected_by(was);
        if !selected_by.is_empty() {
            // What serves may follow the spec down.
            if has < wanted.unwrap_or(1) {
                let what =
                    format!("{revision} goes from {had} to {has} pods while {} selects it", selected_by.join(", "));
                self.find(change, Rule::Drained, what);
            }
            return;
        }
        if self.listed(&self.before).contains(&revision) {
            let what = format!("{revision} goes from {had} to {has} pods while live slices list it");
            self.find(change, Rule::Drained, what);
            return;
        }
        let since = change.at.saturating_sub(last);
        if since + HEARING < self.subject.drain {
            let what = format!("{revision} goes from {had} to {has} pods {since:.1?} after it was last named");
            self.find(change, Rule::Drained, what);
        }
    }

    fn pod(&mut self, change: &Change, after: &State) {
        let Some(live) = self.live(after).and_then(|s| s.selected) else { return };
        let taken = change.object.as_ref().is_none_or(|pod| pod.pointer("/metadata/deletionTimestamp").is_some());
        if taken && ready_pods(&self.before, &live) > 0 && ready_pods(after, &live) == 0 {
            self.find(
                change,
                Rule::KeepsServing,
                format!("{live} is live, and {} was its last ready pod", change.name),
            );
        }
    }

    fn rollout(&mut self, change: &Change) {
        let confirmed = change.object.as_ref().and_then(|r| text(r, "/status/memory/confirmed/revision"));
        if let Some(revision) = confirmed.filter(|r| !self.served.contains_key(r)) {
            self.find(change, Rule::WasLive, format!("{revision} is confirmed and was never live"));
        }
    }

    fn find(&mut self, change: &Change, rule: Rule, what: String) {
        self.found.push(Violation { revision: change.revision, rule, what });
    }

    fn live(&self, state: &State) -> Option<Live> {
        let service = state.get(Kind::Service, &self.subject.name)?;
        let selected = service.pointer("/spec/selector").and_then(|s| s[LABEL_REVISION].as_str());
        let record = service.pointer("/metadata/annotations").and_then(|a| a[ANNOTATION_SWITCH].as_str());
        Some(Live {
            selected: selected.filter(|s| *s != NOBODY).map(str::to_owned),
            record: record.and_then(|text| serde_json::from_str(text).ok()),
        })
    }

    /// Services, other than its own, that select the pods of this Deployment.
    fn selected_by(&self, deployment: &Value) -> Vec<String> {
        let labels = deployment.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
        let services = self.before.all(Kind::Service).filter(|(_, service)| {
            let own = service.pointer("/metadata/labels").and_then(|l| l[LABEL_ROLE].as_str()) == Some(ROLE_REVISION);
            let selector = service.pointer("/spec/selector").and_then(Value::as_object);
            !own && selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(key, value)| labels[key] == *value))
        });
        services.map(|(name, _)| name.to_owned()).collect()
    }

    /// Revisions whose pods the live Service's slices list, ready or not.
    fn listed(&self, state: &State) -> BTreeSet<String> {
        let slices = slices_of(state, &self.subject.name);
        let pods = slices.flat_map(endpoints).filter_map(|e| text(e, "/targetRef/name"));
        let revisions = pods.filter_map(|pod| {
            let of = |(name, d): (&str, &Value)| {
                pod.strip_prefix(name)?
                    .starts_with('-')
                    .then(|| text(d, "/metadata/labels/switchyard.dev~1revision"))?
            };
            state.all(Kind::Deployment).find_map(of)
        });
        revisions.collect()
    }
}

struct Live {
    selected: Option<String>,
    record: Option<Value>,
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

fn replicas(deployment: &Value) -> i64 {
    deployment.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?[name].as_str()
}

fn deployment_of<'a>(state: &'a State, revision: &str) -> Option<(&'a str, &'a Value)> {
    state.all(Kind::Deployment).find(|(_, d)| label(d, LABEL_REVISION) == Some(revision))
}

fn slices_of<'a>(state: &'a State, service: &str) -> impl Iterator<Item = &'a Value> {
    let of = move |slice: &Value| label(slice, "kubernetes.io/service-name") == Some(service);
    state.all(Kind::Slice).map(|(_, slice)| slice).filter(move |s| of(s))
}

fn endpoints(slice: &Value) -> impl Iterator<Item = &Value> {
    slice["endpoints"].as_array().into_iter().flatten()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    ready && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn ready_pods(state: &State, revision: &str) -> i64 {
    let pods = state.all(Kind::Pod).filter(|(_, pod)| label(pod, LABEL_REVISION) == Some(revision) && is_ready(pod));
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}

/// Ready endpoints in the slices of the revision's own Service, whose pods are ready themselves.
fn ready(state: &State, revision: &str) -> i64 {
    let Some((name, _)) = deployment_of(state, revision) else { return 0 };
    let pods: BTreeSet<String> = slices_of(state, name)
        .flat_map(endpoints)
        .filter(|e| e.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false))
        .filter_map(|e| text(e, "/targetRef/name"))
        .filter(|pod| state.get(Kind::Pod, pod).is_some_and(is_ready))
        .collect();
    i64::try_from(pods.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
