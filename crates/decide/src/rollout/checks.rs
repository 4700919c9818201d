//! Checks: what is asked of a revision before and after it goes live, and what the answers come to.
//!
//! - A result counts for one revision under one nomination or one switch, and for nothing else.
//! - Each measurement is a question of its own, so no answer counts twice.
//! - What cannot be known is neither good nor bad: it is asked again.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};
use switchyard_api::{
    Duration, Revision, Timestamp,
    check::{Check, HttpCheck, Moment, NoData, PrometheusCheck},
    condition::reason,
    rollout::{CheckState, Checked, Measured, Memory},
};

use super::{
    goal::{claimed, gated, need, on_trial, only_listed},
    observed::{Address, JobKey, JobState, Observed},
};
use crate::{Answer, Cadence, Version};

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Question {
    Http {
        check: CheckId,
        address: SocketAddr,
        path: String,
        /// CEL; none: a status from 200 to 299.
        condition: Option<String>,
        timeout: Duration,
    },
    Prometheus {
        check: CheckId,
        address: String,
        query: String,
        /// CEL.
        condition: String,
        no_data: NoData,
        timeout: Duration,
    },
}
impl Question {
    pub fn check(&self) -> &CheckId {
        match self {
            Self::Http { check, .. } | Self::Prometheus { check, .. } => check,
        }
    }
}

/// Which measurement of which check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckId {
    pub revision: Revision,
    pub moment: Moment,
    /// The nomination or the switch that is checked.
    pub under: Version,
    pub name: String,
    /// How many measurements were made before.
    pub number: i32,
}

/// A revision that is to be checked now.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    pub revision: Revision,
    pub moment: Moment,
    pub under: Version,
}

/// What the checks of one moment come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Passed,
    /// Reason and sentence.
    Failed(&'static str, String),
    /// In sentences, what is waited for.
    Open(Vec<String>),
}

/// The candidate once it serves anything at all; after the switch what is live, once the live slices list it alone.
pub fn subject(seen: &Observed, memory: &Memory) -> Option<Subject> {
    let record = seen.record();
    if let Some(revision) = on_trial(seen, memory) {
        let arrived = only_listed(seen, revision) && seen.listed(revision) >= need(seen, revision);
        // A record that does not say when it was moved was so by somebody's hand, once.
        let under = record.moved.unwrap_or_else(|| Version::new("0"));
        return arrived.then_some(Subject { revision, moment: Moment::Live, under });
    }
    let revision = record.candidate.filter(|c| gated(seen, memory) == Some(*c))?;
    let up = claimed(seen, revision) && seen.ready(revision) > 0;
    record.since.filter(|_| up).map(|under| Subject { revision, moment: Moment::Preview, under })
}

fn list(seen: &Observed, moment: Moment) -> &[Check] {
    let Ok(order) = &seen.order else { return &[] };
    match moment {
        Moment::Preview => &order.checks.preview,
        Moment::Live => &order.checks.live,
    }
}

/// Results of exactly this subject.
fn results<'a>(memory: &'a Memory, subject: &Subject) -> Option<&'a BTreeMap<String, Measured>> {
    let checked = memory.checked.as_ref()?;
    let same = checked.revision == subject.revision
        && checked.moment == subject.moment
        && checked.under == subject.under.as_str();
    same.then_some(&checked.results)
}

/// How many measurements must succeed, and how many may fail.
fn bounds(check: &Check) -> (i32, i32) {
    match (&check.http, &check.prometheus) {
        (Some(http), _) => (http.count, http.failure_limit),
        (None, Some(prometheus)) => (prometheus.count, prometheus.failure_limit),
        (None, None) => (1, 0),
    }
}

/// Passed, failed, or none yet.
fn concluded(check: &Check, result: Option<&Measured>) -> Option<bool> {
    let (count, limit) = bounds(check);
    let result = result?;
    if result.failed > limit { Some(false) } else { (result.passed >= count).then_some(true) }
}

/// Checks that are under way: each starts when every job listed before it has passed.
fn open<'a>(seen: &'a Observed, memory: &'a Memory, subject: &Subject) -> Vec<(&'a Check, Option<&'a Measured>)> {
    let results = results(memory, subject);
    let mut open = vec![];
    for check in list(seen, subject.moment) {
        let result = results.and_then(|r| r.get(&check.name));
        let passed = concluded(check, result) == Some(true);
        if concluded(check, result).is_none() {
            open.push((check, result));
        }
        if check.job.is_some() && !passed {
            break;
        }
    }
    open
}

/// Whatever has been measured since goes into memory.
pub fn count(seen: &Observed, memory: &mut Memory) {
    let Some(subject) = subject(seen, memory) else { return };
    let measured: Vec<(String, bool, String)> = open(seen, memory, &subject)
        .into_iter()
        .filter_map(|(check, result)| {
            let (passed, said) = measurement(seen, &subject, check, result)?;
            Some((check.name.clone(), passed, said))
        })
        .collect();
    if measured.is_empty() {
        return;
    }
    if results(memory, &subject).is_none() {
        memory.checked = Some(Checked {
            revision: subject.revision,
            moment: subject.moment,
            under: subject.under.as_str().to_owned(),
            results: BTreeMap::new(),
        });
    }
    for (name, passed, said) in measured {
        let Some(checked) = &mut memory.checked else { continue };
        let none = Measured { passed: 0, failed: 0, time: seen.now, said: String::new() };
        let result = checked.results.entry(name).or_insert(none);
        let counter = if passed { &mut result.passed } else { &mut result.failed };
        *counter = counter.saturating_add(1);
        (result.time, result.said) = (seen.now, said);
    }
    if let Some(progress) = &mut memory.progress {
        progress.time = seen.now; // a result is progress
    }
}

/// What the next measurement of a check said, if it was made.
fn measurement(seen: &Observed, subject: &Subject, check: &Check, result: Option<&Measured>) -> Option<(bool, String)> {
    if check.job.is_some() {
        return match seen.revisions.get(&subject.revision)?.jobs.get(&key(subject, check))? {
            JobState::Running(_) => None,
            JobState::Passed => Some((true, "the Job succeeded".to_owned())),
            JobState::Failed(why) => Some((false, why.clone())),
        };
    }
    let id = id(subject, check, result);
    seen.answers.iter().filter(|(question, _)| *question.check() == id).find_map(|(_, answer)| match answer {
        Answer::Known { value: crate::Measured::Checked { passed, said }, .. } => Some((*passed, said.clone())),
        Answer::Known { .. } | Answer::Unreachable { .. } => None,
    })
}

pub fn key(subject: &Subject, check: &Check) -> JobKey {
    JobKey { moment: subject.moment, name: check.name.clone(), under: subject.under.clone() }
}

fn id(subject: &Subject, check: &Check, result: Option<&Measured>) -> CheckId {
    CheckId {
        revision: subject.revision,
        moment: subject.moment,
        under: subject.under.clone(),
        name: check.name.clone(),
        number: result.map_or(0, |r| r.passed.saturating_add(r.failed)),
    }
}

/// What all checks of the subject come to.
pub fn verdict(seen: &Observed, memory: &Memory, subject: &Subject) -> Verdict {
    let results = results(memory, subject);
    for check in list(seen, subject.moment) {
        let result = results.and_then(|r| r.get(&check.name));
        if let (Some(false), Some(result)) = (concluded(check, result), result) {
            let often = if result.failed > 1 { format!(" ({} times)", result.failed) } else { String::new() };
            let when = match subject.moment {
                Moment::Preview => "before the switch",
                Moment::Live => "after the switch",
            };
            let sentence = format!("check {} failed {when}{often}: {}", check.name, result.said);
            return Verdict::Failed(reason::CHECK_FAILED, sentence);
        }
    }
    let open = open(seen, memory, subject);
    if open.is_empty() {
        return Verdict::Passed;
    }
    Verdict::Open(open.into_iter().map(|(check, result)| sentence(seen, subject, check, result)).collect())
}

/// What is to be checked now, and what its checks come to.
pub fn standing(seen: &Observed, memory: &Memory) -> Option<(Subject, Verdict)> {
    let subject = subject(seen, memory)?;
    let verdict = verdict(seen, memory, &subject);
    Some((subject, verdict))
}

/// Jobs that are to be created now.
pub fn jobs(seen: &Observed, memory: &Memory, subject: &Subject) -> Vec<JobKey> {
    let there = seen.revisions.get(&subject.revision).map(|r| &r.jobs);
    open(seen, memory, subject)
        .into_iter()
        .filter(|(check, _)| check.job.is_some())
        .map(|(check, _)| key(subject, check))
        .filter(|key| there.is_none_or(|jobs| !jobs.contains_key(key)))
        .collect()
}

/// A Job is under way: it ends by itself.
pub fn job_runs(seen: &Observed, memory: &Memory, subject: &Subject) -> bool {
    open(seen, memory, subject).iter().any(|(check, _)| check.job.is_some())
}

/// Every measurement that is due.
pub fn ask(seen: &Observed, memory: &Memory) -> BTreeMap<Question, Cadence> {
    let Some(subject) = subject(seen, memory) else { return BTreeMap::new() };
    open(seen, memory, &subject)
        .into_iter()
        .filter(|(check, result)| due(check, *result).is_none_or(|due| due <= seen.now))
        .filter_map(|(check, result)| {
            Some((question(seen, &subject, check, result)?, Cadence::Until(interval(check)?)))
        })
        .collect()
}

/// When a check is measured next.
pub fn next(seen: &Observed, memory: &Memory) -> Option<Timestamp> {
    let subject = subject(seen, memory)?;
    open(seen, memory, &subject).into_iter().filter_map(|(check, result)| due(check, result)).min()
}

fn due(check: &Check, result: Option<&Measured>) -> Option<Timestamp> {
    Some(result?.time.plus(interval(check)?))
}

fn interval(check: &Check) -> Option<Duration> {
    let http = check.http.as_ref().map(|h| h.interval);
    http.or_else(|| check.prometheus.as_ref().map(|p| p.interval))
}

fn question(seen: &Observed, subject: &Subject, check: &Check, result: Option<&Measured>) -> Option<Question> {
    let id = id(subject, check, result);
    if let Some(prometheus) = &check.prometheus {
        return Some(about(seen, id, prometheus));
    }
    let http = check.http.as_ref()?;
    let address = target(seen, subject, http, id.number)?;
    let (path, condition) = (http.path.clone(), http.success_condition.clone());
    Some(Question::Http { check: id, address, path, condition, timeout: http.timeout })
}

fn about(seen: &Observed, check: CheckId, asked: &PrometheusCheck) -> Question {
    let (namespace, name) = seen.name.split_once('/').unwrap_or(("", &seen.name));
    Question::Prometheus {
        address: asked.address.clone(),
        query: asked.query_about(namespace, name, &check.revision),
        condition: asked.success_condition.clone(),
        no_data: asked.no_data,
        timeout: asked.timeout,
        check,
    }
}

/// One measurement asks one pod; the next asks the next.
fn target(seen: &Observed, subject: &Subject, check: &HttpCheck, number: i32) -> Option<SocketAddr> {
    let pods = &seen.revisions.get(&subject.revision)?.addresses;
    let turn = usize::try_from(number).unwrap_or(0).checked_rem(pods.len())?;
    let pod: &Address = pods.get(turn)?;
    let mut ports = pod.ports.iter();
    let port = match &check.port {
        None => ports.next(),
        Some(port) => match port.as_u64() {
            Some(number) => ports.find(|p| u64::from(p.service) == number),
            None => ports.find(|p| p.name.as_deref() == port.as_str()),
        },
    };
    Some(SocketAddr::new(pod.ip, port?.pod))
}

/// What a check waits for.
fn sentence(seen: &Observed, subject: &Subject, check: &Check, result: Option<&Measured>) -> String {
    let Subject { revision, .. } = subject;
    let name = &check.name;
    if check.job.is_some() {
        let job = seen.revisions.get(revision).and_then(|r| r.jobs.get(&key(subject, check)));
        let problem = match job {
            Some(JobState::Running(Some(problem))) => format!(": {problem}"),
            Some(JobState::Running(None) | JobState::Passed | JobState::Failed(_)) | None => String::new(),
        };
        return format!("check {name} of {revision}: its Job to end{problem}");
    }
    let (count, _) = bounds(check);
    let passed = result.map_or(0, |r| r.passed);
    let why = match unanswered(seen, subject, check, result) {
        Some(why) => format!(": {why}"),
        None if question(seen, subject, check, result).is_none() => {
            ": no ready pod has the port that spec.checks names".to_owned()
        }
        None => result.filter(|r| r.failed > 0).map(|r| format!(": {}", r.said)).unwrap_or_default(),
    };
    format!("check {name} of {revision} to pass: {passed} of {count} measurements did{why}")
}

/// Why the next measurement has no result.
fn unanswered(seen: &Observed, subject: &Subject, check: &Check, result: Option<&Measured>) -> Option<String> {
    let id = id(subject, check, result);
    seen.answers.iter().filter(|(question, _)| *question.check() == id).find_map(|(_, answer)| match answer {
        Answer::Unreachable { why, .. } => Some(why.message().to_owned()),
        Answer::Known { .. } => None,
    })
}

/// For the status: every check of the revision that is checked now, or was last.
pub fn describe(seen: &Observed, memory: &Memory) -> Vec<switchyard_api::rollout::CheckStatus> {
    let last = memory.checked.as_ref().map(|c| Subject {
        revision: c.revision,
        moment: c.moment,
        under: Version::new(c.under.clone()),
    });
    let Some(subject) = subject(seen, memory).or(last) else { return vec![] };
    let results = results(memory, &subject);
    let under_way = open(seen, memory, &subject);
    list(seen, subject.moment)
        .iter()
        .map(|check| {
            let result = results.and_then(|r| r.get(&check.name));
            let why = unanswered(seen, &subject, check, result);
            let state = match concluded(check, result) {
                Some(true) => CheckState::Passed,
                Some(false) => CheckState::Failed,
                None if why.is_some() => CheckState::Inconclusive,
                None if under_way.iter().any(|(c, _)| c.name == check.name) => CheckState::Running,
                None => CheckState::Pending,
            };
            switchyard_api::rollout::CheckStatus {
                name: check.name.clone(),
                moment: subject.moment,
                state,
                passed: result.map_or(0, |r| r.passed),
                failed: result.map_or(0, |r| r.failed),
                message: why.or_else(|| result.map(|r| r.said.clone())).unwrap_or_default(),
                time: result.map(|r| r.time),
            }
        })
        .collect()
}
