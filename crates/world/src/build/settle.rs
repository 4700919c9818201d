//! Fair rounds until silent: everything is seen at once, nothing is refused for long, time passes.

use switchyard_api::{Timestamp, build::Memory};
use switchyard_decide::{
    Kind as _,
    build::{Action, Build},
};

use super::{Cluster, Key, Outcome, Pod, Served};

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one or two a round, and none is kept")]
pub enum Write {
    Report(Memory),
    Act(Action),
}

/// How one round ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Round {
    /// These landed.
    Wrote(Vec<Write>),
    /// Nothing to do before then.
    Waited(Timestamp),
    /// Nothing to do.
    Silent,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// In the order they landed.
    pub writes: Vec<Write>,
    /// It fell silent within the rounds given.
    pub silent: bool,
}

/// What becomes of pods that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Each ends like this, also what was stuck.
    Ends(Outcome),
    /// None ever starts or ends by itself.
    Hangs,
}

impl Cluster {
    /// Rounds until silent, at most `rounds` of them.
    pub fn settle(&mut self, fate: Fate, rounds: usize) -> Settled {
        let mut writes = vec![];
        for _ in 0..rounds {
            match self.round(fate) {
                Round::Wrote(more) => writes.extend(more),
                Round::Waited(_) => {}
                Round::Silent => return Settled { writes, silent: true },
            }
        }
        Settled { writes, silent: false }
    }

    /// One round of the driver: what is to be remembered is written alone; otherwise the actions in order, until one
    /// is refused. Before it, pods, Jobs and the registry catch up; after an idle one, time passes.
    pub fn round(&mut self, fate: Fate) -> Round {
        self.catch_up(fate);
        let seen = self.see();
        let decision = Build::decide(&seen);
        if decision.status.memory != seen.memory {
            let at = self.build.version.clone();
            let landed = self.report(&at, &decision.status.memory).is_ok();
            return Round::Wrote(landed.then_some(Write::Report(decision.status.memory)).into_iter().collect());
        }
        let mut landed = vec![];
        for action in &decision.actions {
            if Build::permit(&seen, action).is_err() || self.effect(action).is_err() {
                return Round::Wrote(landed);
            }
            landed.push(Write::Act(action.clone()));
        }
        match decision.check_again {
            _ if !landed.is_empty() => Round::Wrote(landed),
            Some(later) => {
                self.now = self.now.max(later);
                Round::Waited(later)
            }
            None => Round::Silent,
        }
    }

    fn catch_up(&mut self, fate: Fate) {
        let keys: Vec<Key> = self.jobs.keys().cloned().collect();
        for key in &keys {
            let stops = self.jobs.get(key).is_some_and(|job| job.stopped);
            match fate {
                Fate::Ends(outcome) if !stops => self.pod_ends(key, outcome),
                Fate::Ends(_) | Fate::Hangs => {}
            }
            self.job_follows(key);
        }
        let pushed: Vec<String> = self.build.memory.pushed.keys().cloned().collect();
        for image in pushed {
            self.registry.entry(image).or_insert(Served::AsPushed);
        }
    }

    /// A Job has ended and its pod is not known: where a controller looks past its caches.
    pub fn is_mute(&self) -> bool {
        self.jobs.iter().any(|(key, job)| job.end.is_some() && !self.pods.contains_key(key))
    }
    /// Pods that a view shows as going on.
    pub fn going_on(&self) -> impl Iterator<Item = (&Key, &Pod)> {
        let goes_on = |key: &Key| self.jobs.get(key).is_some_and(|job| job.end.is_none());
        self.pods.iter().filter(move |(key, pod)| goes_on(key) && !matches!(pod, Pod::Ended(_)))
    }
}
