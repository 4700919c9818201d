//! Builds and Jobs, put together in words.

use switchyard_api::{
    condition::{self, Condition},
    report::{Cloned, Failed, Findings, Passed, Pushed, Reason, Report, Saved},
};

use super::super::*;
use crate::{Answer, Measured};

pub(super) const COMMIT: &str = "7f3a91c000000000000000000000000000000000";
pub(super) const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(super) const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub(super) const FINDINGS: Findings = Findings { critical: 0, high: 1, medium: 2, low: 3, unknown: 4, fixable: 1 };

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000_i64.saturating_add(seconds.saturating_mul(1000)))
}
pub(super) fn check(name: &str) -> Step {
    Step::Check(name.into())
}
pub(super) fn unit() -> Step {
    check("unit")
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
            source: Source::Commit(COMMIT.parse().unwrap()),
            checks: vec![CheckOrder { name: "unit".into(), after: vec![], keeps: false, gate: false }],
            images: vec![image],
            scanned: false,
            timeout: Duration::from_mins(30),
            retries: 2,
            log_url: None,
        },
        memory: Memory::default(),
        marked_started: false,
        marked_result: None,
        jobs: BTreeMap::new(),
        commands: vec![],
        answers: BTreeMap::new(),
        refused: None,
    }
}

/// A Build of an image that another CI built.
pub(super) fn accepting() -> Observed {
    let mut seen = build();
    seen.order.source = Source::Image { digest: DIGEST.parse().unwrap() };
    seen.order.checks.clear();
    seen
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
    pub(super) fn scanned(mut self) -> Self {
        self.order.scanned = true;
        self
    }
    pub(super) fn retries(mut self, retries: i32) -> Self {
        self.order.retries = retries;
        self
    }
    /// One more check, which comes after these.
    pub(super) fn then(mut self, name: &str, after: &[&str]) -> Self {
        let after = after.iter().map(|a| (*a).to_owned()).collect();
        self.order.checks.push(CheckOrder { name: name.into(), after, keeps: false, gate: false });
        self
    }
    pub(super) fn check(&mut self, name: &str) -> &mut CheckOrder {
        self.order.checks.iter_mut().find(|c| c.name == name).unwrap()
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
    /// Its checks passed, and that is remembered.
    pub(super) fn checked(self) -> Self {
        let mut seen = self.with(unit(), 1, job().succeeded());
        seen.settle();
        seen
    }
    pub(super) fn pushed(self) -> Self {
        self.with(web(), 1, job().ended("clone", 0, &cloned()).ended("push", 0, &pushed(None)).succeeded())
    }
    pub(super) fn answered(mut self, answer: &Answer) -> Self {
        let ask = self.settle().ask;
        self.answers = ask.into_keys().map(|q| (q, answer.clone())).collect();
        self
    }
    pub(super) fn cancelled_by(mut self, user: &str) -> Self {
        self.commands.push(Command {
            uid: format!("uid of {user}"),
            name: format!("cancel-{user}"),
            version: Version::new("1"),
            order: CommandOrder::Cancel,
            user: user.into(),
            reason: Some("INC-42".into()),
        });
        self
    }
}

pub(super) fn served(digest: &str) -> Answer {
    Answer::Known { at: at(9), value: Measured::Digest(digest.parse().unwrap()) }
}
pub(super) fn told(reason: &str, message: &str) -> Answer {
    Answer::Known { at: at(9), value: Measured::Problem(Some(problem(reason, message))) }
}
pub(super) fn problem(reason: &str, message: &str) -> Problem {
    Problem { reason: reason.into(), message: message.into(), may_pass: false }
}

pub(super) fn cloned() -> String {
    Report::Cloned(Cloned {
        commit: COMMIT.into(),
        branch: Some("main".into()),
        version: Some("1.4.0".into()),
        committed: 1,
        subject: "feat: x".into(),
    })
    .to_message()
}
pub(super) fn pushed(scan: Option<Findings>) -> String {
    let tags = vec!["main-7f3a91c".into()];
    Report::Pushed(Pushed { digest: DIGEST.into(), tags, size_bytes: 1, scan }).to_message()
}
pub(super) fn accepted(digest: &str) -> String {
    Report::Pushed(Pushed { digest: digest.into(), tags: vec![], size_bytes: 1, scan: Some(FINDINGS) }).to_message()
}
pub(super) fn saved(digest: &str) -> String {
    Report::Saved(Saved { digest: digest.into(), size_bytes: 1 }).to_message()
}
pub(super) fn passed(message: &str) -> String {
    Report::Passed(Passed { message: message.into() }).to_message()
}
pub(super) fn complained(reason: Reason) -> String {
    let scan = (reason == Reason::VulnerableImage).then_some(FINDINGS);
    Report::Failed(Failed { reason, message: "in a sentence".into(), scan }).to_message()
}

pub(super) fn job() -> Job {
    Job {
        name: "shop-7f3a91c-1-check-unit-1".into(),
        uid: "job-uid".into(),
        created: at(0),
        conflict: None,
        stopped: false,
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
        let (started, finished) = (Some(at(10)), Some(at(20)));
        self.containers.push(Container { name: container.into(), running: false, started, finished, ended });
        self
    }
    pub(super) fn running(mut self, container: &str) -> Self {
        let name = container.into();
        self.containers.push(Container { name, running: true, started: Some(at(20)), finished: None, ended: None });
        self
    }
    /// Its turn is still to come.
    pub(super) fn waiting(mut self, container: &str) -> Self {
        let name = container.into();
        self.containers.push(Container { name, running: false, started: None, finished: None, ended: None });
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
    pub(super) fn failed_as(mut self, words: &str) -> Self {
        (self.failed, self.pod_ended) = (Some(words.into()), true);
        self
    }
    pub(super) fn reason(mut self, reason: &str) -> Self {
        self.containers.last_mut().unwrap().ended.as_mut().unwrap().reason = reason.into();
        self
    }
    pub(super) fn lost(mut self, words: &str) -> Self {
        self.lost = Some(words.into());
        self
    }
    pub(super) fn stuck(mut self, reason: &str, message: &str) -> Self {
        self.problem = Some(problem(reason, message));
        self
    }
    pub(super) fn without_pod(mut self) -> Self {
        self.pod = None;
        self
    }
    pub(super) fn foreign(mut self, owner: &str) -> Self {
        self.conflict = Some(owner.into());
        self
    }
}

pub(super) fn names(decision: &Decision<Build>) -> Vec<String> {
    let name = |a: &Action| match a {
        Action::MarkStarted { .. } => "MarkStarted".to_owned(),
        Action::Run { step, attempt } => format!("Run {step} {attempt}"),
        Action::Stop { step, attempt, .. } => format!("Stop {step} {attempt}"),
        Action::Answer { command, state, .. } => format!("Answer {command} {state:?}"),
        Action::MarkResult { .. } => "MarkResult".to_owned(),
    };
    decision.actions.iter().map(name).collect()
}
pub(super) fn ready(decision: &Decision<Build>) -> &Condition {
    decision.status.conditions.iter().find(|c| c.kind == condition::READY).unwrap()
}
pub(super) fn failure(decision: &Decision<Build>) -> (&str, &str, switchyard_api::build::Class) {
    let failure = decision.status.failure.as_ref().unwrap();
    (failure.step.as_str(), failure.reason.as_str(), failure.class)
}
