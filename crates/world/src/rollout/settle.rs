//! Fair rounds until silent: everything is seen at once, nothing is refused for long, time passes.

use switchyard_api::{Revision, Timestamp, rollout::Memory};
use switchyard_decide::{
    Answer, Kind as _, Measured,
    rollout::{Action, Rollout},
};

use super::Cluster;

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

impl Cluster {
    /// Rounds until silent, at most `rounds` of them. `healthy` says whose pods become ready.
    pub fn settle(&mut self, healthy: impl Fn(Revision) -> bool, rounds: usize) -> Settled {
        let mut writes = vec![];
        for _ in 0..rounds {
            match self.round(&healthy) {
                Round::Wrote(more) => writes.extend(more),
                Round::Waited(_) => {}
                Round::Silent => return Settled { writes, silent: true },
            }
        }
        Settled { writes, silent: false }
    }

    /// One round of the driver: what is to be remembered is written alone; otherwise the actions in order, until one
    /// is refused. Before it, pods and slices catch up; after an idle one, time passes.
    pub fn round(&mut self, healthy: impl Fn(Revision) -> bool) -> Round {
        let revisions: Vec<Revision> = self.children.keys().copied().collect();
        for revision in revisions {
            if healthy(revision) {
                self.pods_become_ready(revision);
            } else {
                self.pods_fail(revision);
            }
            self.jobs_end(revision, healthy(revision));
        }
        self.slices_follow();
        let seen = self.see();
        let decision = Rollout::decide(&seen);
        if decision.status.memory != seen.memory {
            let at = self.rollout.version.clone();
            let landed = self.report(&at, &decision.status.memory).is_ok();
            return Round::Wrote(landed.then_some(Write::Report(decision.status.memory)).into_iter().collect());
        }
        let mut landed = vec![];
        for action in &decision.actions {
            if Rollout::permit(&seen, action).is_err() || self.effect(action).is_err() {
                return Round::Wrote(landed);
            }
            landed.push(Write::Act(action.clone()));
        }
        let answers = decision.ask.keys().map(|q| (q.clone(), answer(self.now, healthy(q.check().revision)))).collect();
        if self.answers != answers {
            self.answers = answers;
            return Round::Wrote(landed);
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
}

fn answer(at: Timestamp, passed: bool) -> Answer {
    Answer::Known { at, value: Measured::Checked { passed, said: format!("measured {passed}") } }
}
