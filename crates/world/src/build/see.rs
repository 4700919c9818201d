//! What a controller sees of a cluster.

use switchyard_api::{
    Timestamp,
    report::{Cloned, Failed, Findings, Passed, Pushed, Reason, Report, Saved},
};
use switchyard_decide::{
    Answer, Measured,
    build::{self as decide, Container, ContainerEnd, Observed, Step},
};

use super::{Cluster, Job, JobEnd, Key, Outcome, Pod, Served};

/// What is pushed here, and what is kept.
const PUSHED: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// What somebody else pushed under the same tag.
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

impl Cluster {
    pub fn see(&self) -> Observed {
        let mut seen = Observed {
            now: self.now,
            name: self.name.clone(),
            version: self.build.version.clone(),
            order: self.order.clone(),
            memory: self.build.memory.clone(),
            marked_started: self.build.marked_started,
            marked_result: self.build.marked_result.clone(),
            jobs: self.jobs.iter().map(|(key, job)| (key.clone(), self.see_job(key, job))).collect(),
            commands: self.commands.values().filter(|c| c.answer.is_none()).map(|c| c.order.clone()).collect(),
            answers: [].into(),
            refused: None,
        };
        for pushed in self.build.memory.pushed.values() {
            let digest = match self.registry.get(&pushed.name) {
                Some(Served::AsPushed) => Some(pushed.digest.clone()),
                Some(Served::SomethingElse) => OTHER.parse().ok(),
                None => None,
            };
            if let Some(digest) = digest {
                let answer = Answer::Known { at: self.now, value: Measured::Digest(digest) };
                seen.answers.insert(seen.serves(pushed), answer);
            }
        }
        seen
    }

    fn see_job(&self, key: &Key, job: &Job) -> decide::Job {
        let (step, attempt) = key;
        let pod = self.pods.get(key);
        let name = format!("{step}-{attempt}").replace('/', "-");
        let failed = |end: JobEnd| match end {
            JobEnd::Complete => None,
            JobEnd::BackoffLimitExceeded | JobEnd::DeadlineExceeded => Some(format!("{end:?}")),
        };
        decide::Job {
            uid: format!("uid of {name}"),
            created: job.created,
            conflict: None,
            stopped: job.stopped,
            succeeded: job.end == Some(JobEnd::Complete),
            failed: job.end.and_then(failed),
            pod: pod.map(|_| name.clone()),
            pod_ended: pod.is_none_or(|p| matches!(p, Pod::Ended(_))),
            lost: (pod == Some(&Pod::Ended(Outcome::Evicted))).then(|| "Evicted".to_owned()),
            problem: match pod {
                Some(Pod::Stuck(problem)) => Some(problem.clone()),
                Some(Pod::Pending | Pod::Running | Pod::Ended(_)) | None => None,
            },
            containers: self.containers(step, pod),
            name,
        }
    }

    /// What the containers left, as far as anything follows from it.
    fn containers(&self, step: &Step, pod: Option<&Pod>) -> Vec<Container> {
        let main = match step {
            Step::Check(_) => "check",
            Step::Image(_) => "build",
        };
        let cloned = Report::Cloned(Cloned {
            commit: String::new(),
            branch: None,
            version: None,
            committed: 0,
            subject: String::new(),
        });
        match pod {
            None | Some(Pod::Pending | Pod::Stuck(_)) => vec![],
            Some(Pod::Running) => vec![ended("clone", 0, &cloned.to_message()), running(main)],
            Some(Pod::Ended(Outcome::Broke)) => vec![ended("clone", 0, &cloned.to_message()), ended(main, 1, "")],
            Some(Pod::Ended(Outcome::Evicted)) => vec![ended("clone", 0, &cloned.to_message()), ended(main, 137, "")],
            Some(Pod::Ended(Outcome::Unchanged)) => {
                let report = Failed { reason: Reason::NothingChanged, message: String::new(), scan: None };
                vec![ended("clone", 1, &Report::Failed(report).to_message())]
            }
            Some(Pod::Ended(Outcome::Passed)) => {
                let mut all = vec![ended("clone", 0, &cloned.to_message()), ended(main, 0, "")];
                all.extend(self.result(step).map(|(name, report)| ended(name, 0, &report.to_message())));
                all
            }
        }
    }

    /// The report that counts.
    fn result(&self, step: &Step) -> Option<(&'static str, Report)> {
        let digest = PUSHED.to_owned();
        match step {
            Step::Check(name) => {
                let order = self.order.checks.iter().find(|c| c.name == *name)?;
                if order.gate {
                    return Some(("quality", Report::Passed(Passed { message: String::new() })));
                }
                order.keeps.then_some(("save", Report::Saved(Saved { digest, size_bytes: 0 })))
            }
            Step::Image(_) => {
                let scan = self.order.scanned.then(Findings::default);
                Some(("push", Report::Pushed(Pushed { digest, tags: vec!["main".to_owned()], size_bytes: 0, scan })))
            }
        }
    }
}

fn ended(name: &str, exit_code: i32, message: &str) -> Container {
    let end = ContainerEnd { exit_code, reason: String::new(), message: message.to_owned() };
    Container { finished: Some(Timestamp::default()), running: false, ended: Some(end), ..running(name) }
}
/// No rule asks when; so all of them began at once.
fn running(name: &str) -> Container {
    let started = Some(Timestamp::default());
    Container { name: name.to_owned(), running: true, started, finished: None, ended: None }
}
