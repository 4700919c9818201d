//! Seen states that read as a sentence: `rollout("shop").replicas(3).live(A).candidate(B).claimed(B).pods(B, 2)`.

use std::collections::BTreeMap;

use switchyard_api::{
    CommitId, Duration, Revision, Timestamp,
    check::{Check, Moment},
    condition::{State, reason},
    rollout::{Failed, Mark, Memory, Progress, Unlisted},
    template,
};

use super::super::{
    Action, Address, Command, CommandOrder, Deployment, ImageSlot, JobKey, JobState, Observed, Offer, OfferedRelease,
    Order, Port, Preview, PreviewOrder, Record, Rollout, Seen, Selects, Service,
};
use crate::{Answer, Decision, Kind as _, Measured, Mistake, Refusal, Unreachable, Version};

/// Revisions by the fingerprint of their template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    A,
    B,
    C,
    D,
}
pub use Name::{A, B, C, D};

impl Name {
    pub fn fingerprint(self) -> &'static str {
        match self {
            A => "a",
            B => "b",
            C => "c",
            D => "d",
        }
    }
    pub fn revision(self) -> Revision {
        template::revision(self.fingerprint(), &BTreeMap::new())
    }
}

/// The revisions' names instead of their hashes.
pub fn named(text: &str) -> String {
    [A, B, C, D].iter().fold(text.to_owned(), |t, n| t.replace(n.revision().as_str(), &format!("{n:?}")))
}

/// A quiet day at noon. The Service, once there, is at version 7 and every Deployment at version 5.
#[derive(Clone, Debug)]
pub struct Scene(pub Observed);

pub fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}
fn morning() -> Timestamp {
    "2026-01-01T06:00:00Z".parse().unwrap()
}
pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A Rollout that wants [`A`] with one pod, and has nothing yet.
pub fn rollout(name: &str) -> Scene {
    let order = Order {
        replicas: 1,
        fingerprint: A.fingerprint().to_owned(),
        images: vec![],
        progress_deadline: Duration::from_mins(10),
        scale_down_delay: Duration::from_mins(5),
        drain: seconds(30),
        history_limit: 2,
        ..Order::default()
    };
    Scene(Observed {
        now: noon(),
        started: morning(),
        name: format!("default/{name}"),
        service_name: name.to_owned(),
        uid: "uid-of-us".to_owned(),
        order: Ok(order),
        memory: Memory::default(),
        offers: BTreeMap::new(),
        revisions: BTreeMap::new(),
        service: None,
        preview: None,
        commands: vec![],
        answers: BTreeMap::new(),
        refused: None,
    })
}

impl Scene {
    fn with(mut self, change: impl FnOnce(&mut Observed)) -> Self {
        change(&mut self.0);
        self
    }
    pub fn order(self, change: impl FnOnce(&mut Order)) -> Self {
        self.with(|o| change(o.order.as_mut().unwrap()))
    }
    pub fn memory(self, change: impl FnOnce(&mut Memory)) -> Self {
        self.with(|o| change(&mut o.memory))
    }
    pub fn record(self, change: impl FnOnce(&mut Record)) -> Self {
        self.serving(|s| change(s.record.as_mut().unwrap()))
    }
    /// Changes the live Service, which is made first if it is missing.
    pub fn serving(self, change: impl FnOnce(&mut Service)) -> Self {
        self.with(|o| {
            let record = Record { owner: o.uid.clone(), ..Record::default() };
            change(o.service.get_or_insert_with(|| Service {
                version: Version::new("7"),
                foreign: None,
                record: Some(record),
                selects: Selects::Nobody,
                listed: BTreeMap::new(),
                strangers: 0,
            }));
        })
    }
    pub fn child(self, r: Name, change: impl FnOnce(&mut Seen)) -> Self {
        self.with(|o| change(o.revisions.entry(r.revision()).or_default()))
    }
    fn deployment(self, r: Name, change: impl FnOnce(&mut Deployment)) -> Self {
        self.child(r, |c| {
            change(c.deployment.get_or_insert_with(|| Deployment {
                version: Version::new("5"),
                created: morning(),
                claim: None,
                replicas: 0,
                current: true,
                releases: vec![],
            }));
        })
    }

    pub fn replicas(self, n: i32) -> Self {
        self.order(|o| o.replicas = n)
    }
    pub fn wants(self, r: Name) -> Self {
        self.order(|o| r.fingerprint().clone_into(&mut o.fingerprint))
    }
    pub fn mistaken(self) -> Self {
        let (field, value) = ("spec.images.containers".to_owned(), "wbe".to_owned());
        self.with(|o| o.order = Err(Mistake { field, value, fix: "name a container of the template".to_owned() }))
    }
    pub fn after(self, wait: Duration) -> Self {
        self.with(|o| o.now = o.now.plus(wait))
    }
    pub fn refused(self, action: Action, refusal: Refusal) -> Self {
        self.with(|o| o.refused = Some((action, refusal)))
    }

    /// The live Service, with an empty record.
    pub fn service(self) -> Self {
        self.serving(|_| ())
    }
    pub fn version(self, n: u32) -> Self {
        self.serving(|s| s.version = Version::new(n.to_string()))
    }
    /// In the record's slot and the selector.
    pub fn live(self, r: Name) -> Self {
        self.selects(Selects::Revision(r.revision())).record(|x| x.live = Some(r.revision()))
    }
    pub fn fallback(self, r: Name) -> Self {
        self.service().record(|x| x.fallback = Some(r.revision()))
    }
    /// Nominated at version 6 of the Service.
    pub fn candidate(self, r: Name) -> Self {
        self.service().record(|x| (x.candidate, x.since) = (Some(r.revision()), Some(Version::new("6"))))
    }
    pub fn void(self, r: Name) -> Self {
        self.service().record(|x| {
            x.void.insert(r.revision(), 1);
        })
    }
    pub fn lost_record(self) -> Self {
        self.serving(|s| s.record = None)
    }
    pub fn selects(self, selects: Selects) -> Self {
        self.serving(|s| s.selects = selects)
    }
    pub fn tampered(self) -> Self {
        self.selects(Selects::Foreign("app=other".to_owned()))
    }
    /// What the live Service's slices list.
    pub fn listed(self, r: Name, ready: i32) -> Self {
        self.serving(|s| {
            s.listed.insert(r.revision(), ready);
        })
    }

    /// Its two objects exist, without pods.
    pub fn created(self, r: Name) -> Self {
        self.deployment(r, |_| ()).child(r, |c| c.exposed = true)
    }
    /// Its Deployment is gone, and its own Service is not.
    pub fn bereft(self, r: Name) -> Self {
        self.child(r, |c| (c.deployment, c.exposed) = (None, true))
    }
    pub fn deployed(self, r: Name) -> Self {
        self.deployment(r, |_| ())
    }
    /// Scaled to what the spec wants, under the nomination of [`Scene::candidate`].
    pub fn claimed(self, r: Name) -> Self {
        let n = self.0.order.as_ref().unwrap().replicas;
        self.created(r).deployment(r, |d| (d.claim, d.replicas) = (Some(Version::new("6")), n))
    }
    /// Scaled to `n` at some time, under a nomination of long ago.
    pub fn scaled(self, r: Name, n: i32) -> Self {
        self.created(r).deployment(r, |d| {
            d.claim.get_or_insert(Version::new("2"));
            d.replicas = n;
        })
    }
    /// Its controllers have not seen the last change yet.
    pub fn lagging(self, r: Name) -> Self {
        self.deployment(r, |d| d.current = false)
    }
    pub fn made(self, r: Name, at: Timestamp) -> Self {
        self.deployment(r, |d| d.created = at)
    }
    /// Ready endpoints of its own.
    pub fn pods(self, r: Name, ready: i32) -> Self {
        self.child(r, |c| c.ready = ready)
    }
    pub fn problem(self, r: Name, problem: &str) -> Self {
        self.child(r, |c| c.problem = Some(problem.to_owned()))
    }
    /// `n` pods that are all ready, listed by the live Service if it selects them.
    pub fn serves(self, r: Name, n: i32) -> Self {
        let scene = self.scaled(r, n).pods(r, n);
        let live = scene.0.service.as_ref().is_some_and(|s| s.selects == Selects::Revision(r.revision()));
        if live { scene.listed(r, n) } else { scene }
    }

    /// Live, confirmed in the morning, and all its pods serve.
    pub fn settled(self, r: Name) -> Self {
        let n = self.0.order.as_ref().unwrap().replicas;
        self.live(r).confirmed(r).serves(r, n)
    }
    pub fn confirmed(self, r: Name) -> Self {
        self.memory(|m| m.confirmed = Some(Mark { revision: r.revision(), time: morning() }))
    }
    pub fn confirmed_now(self, r: Name) -> Self {
        self.with(|o| o.memory.confirmed = Some(Mark { revision: r.revision(), time: o.now }))
    }
    pub fn failed(self, r: Name) -> Self {
        let (reason, message) = (reason::PROGRESS_DEADLINE_EXCEEDED.to_owned(), "no pod was ready".to_owned());
        let failed = Failed { reason, message, time: morning(), releases: vec![] };
        self.memory(|m| {
            m.failed.insert(r.revision(), failed);
        })
    }
    pub fn rejected(self, r: Name) -> Self {
        self.failed(r).memory(|m| {
            m.rejected.insert(r.revision());
        })
    }
    pub fn progressed(self, r: Name, ready: i32) -> Self {
        self.with(|o| o.memory.progress = Some(Progress { revision: r.revision(), ready, time: o.now }))
    }
    pub fn unlisted(self, r: Name) -> Self {
        self.with(|o| {
            let moved = o.record().moved.map(|v| v.as_str().to_owned());
            o.memory.unlisted.insert(r.revision(), Unlisted { time: o.now, moved });
        })
    }
    /// Container `web` runs what Pipeline default/shop releases.
    pub fn released_by_pipeline(self) -> Self {
        let slot = ImageSlot { container: "web".into(), pipeline: "default/shop".into(), image: None, written: None };
        self.order(|o| o.images = vec![slot])
    }
    /// Pipeline default/shop offers this digest.
    pub fn offer(self, uid: &str, sequence: i64, image: &str) -> Self {
        let release = OfferedRelease {
            sequence,
            build: format!("shop-{sequence}"),
            version: Some(format!("1.{sequence}.0")),
            commit: "c".repeat(40).parse::<CommitId>().unwrap(),
            images: BTreeMap::from([("shop".to_owned(), image.to_owned())]),
        };
        let offer = Offer { uid: uid.to_owned(), names_us: true, release: Some(release) };
        self.with(|o| {
            o.offers.insert("default/shop".to_owned(), offer);
        })
    }
    pub fn unnamed(self) -> Self {
        self.with(|o| o.offers.values_mut().for_each(|offer| offer.names_us = false))
    }

    /// One check more; `spec` is what stands beside its name.
    pub fn check(self, moment: Moment, name: &str, spec: serde_json::Value) -> Self {
        let mut check = spec;
        check.as_object_mut().unwrap().insert("name".to_owned(), name.into());
        let check: Check = serde_json::from_value(check).unwrap();
        self.order(|o| match moment {
            Moment::Preview => o.checks.preview.push(check),
            Moment::Live => o.checks.live.push(check),
        })
    }
    /// The Job of a check, made under that nomination or switch.
    pub fn job(self, r: Name, moment: Moment, name: &str, under: &str, state: JobState) -> Self {
        let key = JobKey { moment, name: name.to_owned(), under: Version::new(under) };
        self.child(r, |c| {
            c.jobs.insert(key, state);
        })
    }
    /// Whatever is asked now is answered like this.
    pub fn answered(self, answer: &Result<bool, &str>) -> Self {
        let asked = self.decide().ask;
        assert!(!asked.is_empty(), "nothing is asked in {self:?}");
        self.with(|o| {
            let answer = match answer {
                Ok(passed) => {
                    Answer::Known { at: o.now, value: Measured::Checked { passed: *passed, said: format!("{passed}") } }
                }
                Err(why) => Answer::Unreachable { since: o.now, why: Unreachable::Inconclusive((*why).to_owned()) },
            };
            o.answers = asked.into_keys().map(|question| (question, answer.clone())).collect();
        })
    }
    /// Where its pods listen.
    pub fn listens(self, r: Name, addresses: &[&str]) -> Self {
        let at = |ip: &&str| Address {
            ip: ip.parse().unwrap(),
            ports: vec![Port { name: Some("http".to_owned()), service: 80, pod: 8080 }],
        };
        self.child(r, |c| c.addresses = addresses.iter().map(at).collect())
    }
    /// Alice orders something; the Command's name says what.
    pub fn ordered(self, name: &str, order: CommandOrder) -> Self {
        self.with(|o| {
            o.commands.push(Command {
                uid: format!("uid-of-{name}"),
                name: name.to_owned(),
                version: Version::new("3"),
                order,
                user: "alice".to_owned(),
                reason: None,
            });
        })
    }
    /// The Commands show their answers.
    pub fn told(self) -> Self {
        self.with(|o| o.commands.clear())
    }
    /// The spec has a preview Service, and it exists at version 8.
    pub fn previewed(self, selects: Selects, replicas: Option<i32>) -> Self {
        let order = PreviewOrder { service: "shop-preview".to_owned(), referred: false, replicas };
        let preview = Preview { version: Version::new("8"), foreign: None, selects };
        self.order(|o| o.preview = Some(order)).with(|o| o.preview = Some(preview))
    }

    pub fn decide(&self) -> Decision<Rollout> {
        Rollout::decide(&self.0)
    }
    /// What is remembered after this round.
    pub fn remembers(&self) -> Memory {
        self.decide().status.memory
    }
    /// The next round, when what is to be remembered is written.
    pub fn next(self) -> Self {
        let memory = self.remembers();
        self.memory(|m| *m = memory)
    }
    /// The writes of this round, in words. `permit` has to agree with each.
    pub fn writes(&self) -> Vec<String> {
        let actions = self.decide().actions;
        for action in &actions {
            assert_eq!(Rollout::permit(&self.0, action), Ok(()), "{action:?} in {self:?}");
        }
        actions.iter().map(told).collect()
    }
    /// The writes once all that this state has to be remembered is.
    pub fn acts(&self) -> Vec<String> {
        self.clone().next().writes()
    }
    pub fn waits_for(&self) -> Vec<String> {
        self.decide().status.waiting_for.iter().map(|s| named(s)).collect()
    }
    /// `Ready=False NotLive: no revision is live yet`, for each condition that is not at rest.
    pub fn condition(&self, kind: &str) -> String {
        let conditions = self.decide().status.conditions;
        let c = conditions.iter().find(|c| c.kind == kind).unwrap();
        let state = match c.status {
            State::True => "yes",
            State::False => "no",
            State::Unknown => "?",
        };
        named(&format!("{state} {}: {}", c.reason, c.message))
    }
}

fn list<'a>(revisions: impl Iterator<Item = &'a Revision>) -> String {
    revisions.map(Revision::to_string).collect::<Vec<_>>().join(" ")
}

/// An action in words: `nominate B (live A) at 7`.
pub fn told(action: &Action) -> String {
    let text = match action {
        Action::CreateService => "create the Service".to_owned(),
        Action::Record { at, next, select } => {
            let slot = |what: &str, r: Option<Revision>| r.map(|r| format!(" {what} {r}")).unwrap_or_default();
            let version = |what: &str, v: &Option<Version>| {
                v.as_ref().map(|v| format!(" {what} {}", v.as_str())).unwrap_or_default()
            };
            let void = if next.void.is_empty() { String::new() } else { format!(" void {}", list(next.void.keys())) };
            let select = match select {
                Some(Selects::Revision(r)) => format!(", select {r}"),
                Some(Selects::Nobody) => ", select nobody".to_owned(),
                Some(Selects::Foreign(s)) => format!(", select {s}"),
                None => String::new(),
            };
            format!(
                "record at {}:{}{}{}{}{}{void}{select}",
                at.as_str(),
                slot("live", next.live),
                slot("fallback", next.fallback),
                slot("candidate", next.candidate),
                version("since", &next.since),
                version("moved", &next.moved),
            )
        }
        Action::Deploy { revision, fingerprint, .. } => format!("deploy {revision} from {fingerprint}"),
        Action::Expose { revision, fingerprint } => format!("expose {revision} from {fingerprint}"),
        Action::Claim { revision, at, claim, replicas } => {
            format!("claim {revision} under {} with {replicas} at {}", claim.as_str(), at.as_str())
        }
        Action::Scale { revision, at, replicas } => format!("scale {revision} to {replicas} at {}", at.as_str()),
        Action::Retire { revision, at } => format!("retire {revision} at {}", at.as_str()),
        Action::Delete { revision, at: Some(at) } => format!("delete {revision} at {}", at.as_str()),
        Action::Delete { revision, at: None } => format!("delete the Service of {revision}"),
        Action::CreatePreview => "create the preview Service".to_owned(),
        Action::Preview { at, select } => {
            let shown = match select {
                Selects::Revision(r) => r.to_string(),
                Selects::Nobody => "nobody".to_owned(),
                Selects::Foreign(s) => s.clone(),
            };
            format!("preview {shown} at {}", at.as_str())
        }
        Action::Check { revision, job } => {
            format!("check {revision} by {:?}/{} under {}", job.moment, job.name, job.under.as_str())
        }
        Action::Answer { command, state, message, .. } => format!("answer {command}: {state:?}, {message}"),
    };
    named(&text)
}
