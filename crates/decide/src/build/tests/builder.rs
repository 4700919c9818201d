//! Builds and Jobs, put together in words.

use switchyard_api::{
    Duration, Timestamp,
    report::{Cloned, Pushed, Report},
};

use super::super::*;
use crate::{Answer, Measured};

pub(super) const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(super) const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000_i64.saturating_add(seconds.saturating_mul(1000)))
}
pub(super) fn unit() -> Step {
    Step::Check("unit".into())
}
pub(super) fn web() -> Step {
    Step::Image("web".into())
}

/// A Build with one check and one image, not seen before.
pub(super) fn build() -> Observed {
    let image = ImageOrder { name: "web".into(), repository: "r.test/shop".into(), secret: Some("push".into()) };
    Observed {
        now: at(0),
        name: "shop/shop-7f3a91c-1".into(),
        version: Version::new("5"),
        order: Order {
            commit: "7f3a91c000000000000000000000000000000000".parse().unwrap(),
            checks: vec!["unit".into()],
            images: vec![image],
            timeout: Duration::from_mins(30),
            retries: 2,
        },
        memory: Memory::default(),
        marked_started: false,
        marked_result: None,
        jobs: BTreeMap::new(),
        answers: BTreeMap::new(),
        refused: None,
    }
}

impl Observed {
    /// Rounds until nothing is remembered any more; what is then to be done.
    pub(super) fn settle(&mut self) -> Decision<Build> {
        for _ in 0..8 {
            let decision = Build::decide(self);
            assert_eq!(Build::decide(self), decision, "the same facts decide the same");
            let text = serde_json::to_string(self).unwrap();
            assert_eq!(*self, serde_json::from_str(&text).unwrap(), "facts survive a log line");
            if decision.status.memory == self.memory {
                for action in &decision.actions {
                    assert_eq!(Build::permit(self, action), Ok(()), "{action:?}");
                }
                return decision;
            }
            self.memory = decision.status.memory;
        }
        panic!("memory never rests");
    }
    pub(super) fn started(mut self) -> Self {
        self.settle();
        self.marked_started = true;
        self
    }
    pub(super) fn with(mut self, step: Step, attempt: i32, job: Job) -> Self {
        self.jobs.insert((step, attempt), job);
        self
    }
    pub(super) fn checked(self) -> Self {
        self.with(unit(), 1, job().succeeded())
    }
    pub(super) fn pushed(self) -> Self {
        let report = Report::Pushed(Pushed { digest: DIGEST.into(), tags: vec!["main-7f3a91c".into()], size_bytes: 1 });
        self.with(web(), 1, job().ended("clone", 0, &cloned()).ended("push", 0, &report.to_message()).succeeded())
    }
    pub(super) fn answered(mut self, answer: &Answer) -> Self {
        let ask = self.settle().ask;
        self.answers = ask.into_keys().map(|q| (q, answer.clone())).collect();
        self
    }
}

pub(super) fn served(digest: &str) -> Answer {
    Answer::Known { at: at(9), value: Measured::Digest(digest.parse().unwrap()) }
}

pub(super) fn cloned() -> String {
    Report::Cloned(Cloned {
        commit: "7f3a91c000000000000000000000000000000000".into(),
        branch: Some("main".into()),
        version: Some("1.4.0".into()),
        committed: 1,
        subject: "feat: x".into(),
    })
    .to_message()
}

pub(super) fn job() -> Job {
    Job {
        uid: "job-uid".into(),
        conflict: None,
        succeeded: false,
        failed: None,
        pod: Some("pod".into()),
        pod_ended: false,
        lost: None,
        problem: None,
        containers: vec![],
    }
}
impl Job {
    pub(super) fn ended(mut self, container: &str, exit_code: i32, message: &str) -> Self {
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        let ended = Some(ContainerEnd { exit_code, reason: reason.into(), message: message.into() });
        self.containers.push(Container { name: container.into(), running: false, ended });
        self
    }
    pub(super) fn running(mut self, container: &str) -> Self {
        self.containers.push(Container { name: container.into(), running: true, ended: None });
        self
    }
    pub(super) fn succeeded(mut self) -> Self {
        (self.succeeded, self.pod_ended) = (true, true);
        self
    }
    pub(super) fn failed(mut self) -> Self {
        (self.failed, self.pod_ended) = (Some("BackoffLimitExceeded".into()), true);
        self
    }
    pub(super) fn reason(mut self, reason: &str) -> Self {
        self.containers.last_mut().unwrap().ended.as_mut().unwrap().reason = reason.into();
        self
    }
}

pub(super) fn names(decision: &Decision<Build>) -> Vec<String> {
    let name = |a: &Action| match a {
        Action::MarkStarted { .. } => "MarkStarted".to_owned(),
        Action::Run { step, attempt } => format!("Run {step} {attempt}"),
        Action::Stop { step, attempt, .. } => format!("Stop {step} {attempt}"),
        Action::MarkResult { .. } => "MarkResult".to_owned(),
    };
    decision.actions.iter().map(name).collect()
}
