//! What a state alone does not show: what was promised, and what happened since.

use switchyard_api::command::CommandState;
use switchyard_decide::rollout::CommandOrder;

use crate::{
    bounds::Shape,
    facts::{Each, Facts, Names, at, each},
    parts::{NONE, Name, Parts},
};

/// Something was done that must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    Word,
    Answered,
    Fenced,
    Paused,
    Held,
    Unpromoted,
    Unchecked,
    Unproven,
    Few,
    ByLoss,
    UnprovenByLoss,
    Vetoed,
    Reconfirmed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    breaches: u16,
    /// The live Service had a ready endpoint once.
    pub served: bool,
    /// The spec wanted no pods once: a write that was decided then may land later, and takes them.
    pub rested: bool,
    /// Lost pods or their readiness by no act of ours, and did not get them back yet.
    pub hurt: Names,
    /// The record was lost, or its Service, and no revision was selected since.
    pub erased: bool,
    pub confirmed: Names,
    pub rejected: Names,
    failed: Names,
    /// The highest there ever were.
    attempts: Each,
    void: Each,
    /// An Abort of it was answered, and no Retry followed.
    aborted: Names,
    /// A Retry of it was answered, and it did not fail since.
    pub retried: Names,
    /// A Promote of it was given, and it did not fail since.
    promoted: Names,
    /// It is promised that nothing else goes live.
    held: Name,
    /// Its check after the switch passed, and nothing was switched to it since.
    proven: Names,
    /// The least number of pods that the spec ever wanted.
    least: u8,
    pub rolled_back: bool,
    pub restored: bool,
    pub put_right: bool,
    /// Commands of each kind that were done: Promote, Abort, Retry, RollbackTo, Resume.
    done: u8,
}

impl History {
    pub fn new(facts: Facts) -> Self {
        let none = Names::default();
        let mut history = Self {
            breaches: 0,
            served: facts.serving.has(facts.selects),
            rested: false,
            hurt: none,
            erased: false,
            confirmed: none,
            rejected: none,
            failed: none,
            attempts: [1; 3],
            void: [0; 3],
            aborted: none,
            retried: none,
            promoted: none,
            held: NONE,
            proven: none,
            least: facts.replicas.unwrap_or(1),
            rolled_back: false,
            restored: false,
            put_right: false,
            done: 0,
        };
        history.learn(facts);
        history
    }
    pub fn has(&self, breach: Breach) -> bool {
        self.breaches & (1 << breach as u16) != 0
    }
    fn when(&mut self, wrong: bool, breach: Breach) {
        if wrong {
            self.breaches |= 1 << breach as u16;
        }
    }
    pub fn vetoed(&mut self, vetoed: bool) {
        self.when(vetoed, Breach::Vetoed);
    }

    /// After each step.
    pub fn learn(&mut self, facts: Facts) {
        self.rejected = self.rejected.or(facts.rejected);
        if facts.confirmed != NONE {
            self.confirmed.add(facts.confirmed);
        }
        let tried = Names::of(|n| at(facts.attempts, n) > at(self.attempts, n));
        self.aborted = self.aborted.without(tried);
        let failed = facts.failed.without(self.failed);
        self.retried = self.retried.without(failed);
        self.promoted = self.promoted.without(failed);
        self.failed = facts.failed;
        self.attempts = each(|n| at(facts.attempts, n).max(at(self.attempts, n)));
        self.void = each(|n| at(facts.void, n).max(at(self.void, n)));
        if facts.held != self.held {
            self.held = NONE;
        }
        if facts.proven {
            self.proven.add(facts.live);
        }
        self.least = self.least.min(facts.replicas.unwrap_or(self.least));
    }
    /// The spec wants no pods.
    pub fn rests(&mut self, resting: bool) {
        self.rested |= resting;
    }
    pub fn ordered(&mut self, order: CommandOrder, parts: &Parts) {
        if let CommandOrder::Promote(revision) = order {
            self.promoted.add(parts.name(revision));
        }
    }
    /// The status is gone: what it promised and knew of tries is no longer held against it; what the record says is.
    pub fn forgets(&mut self) {
        self.retried = Names::default();
    }
    /// The live Service is gone, and whoever it served.
    pub fn loses_service(&mut self) {
        (self.served, self.erased) = (false, true);
    }

    pub fn is_done(&self, kind: u8) -> bool {
        self.done & (1 << kind) != 0
    }
    /// A Command was answered.
    pub fn answered(&mut self, order: CommandOrder, state: CommandState, parts: &Parts) {
        if state != CommandState::Done {
            return;
        }
        let kind = match order {
            CommandOrder::Promote(_) => 0,
            CommandOrder::Abort(r) => {
                let name = parts.name(r);
                // Its answer may come after that of a Retry which was given later: then that has the last word.
                if self.failed.has(name) || at(self.void, name) >= at(self.attempts, name) {
                    self.aborted.add(name);
                }
                1
            }
            CommandOrder::Retry(r) => {
                let name = parts.name(r);
                // The same the other way round: an Abort which was given later.
                if !self.failed.has(name) {
                    self.retried.add(name);
                }
                2
            }
            CommandOrder::RollbackTo(r) => {
                self.held = parts.name(r);
                3
            }
            CommandOrder::Resume => 4,
        };
        self.done |= 1 << kind;
    }

    /// The selector was written, by us.
    pub fn selected(&mut self, to: Name, before: Facts, shape: &Shape) {
        self.proven.remove(to);
        if before.live == to {
            self.put_right |= before.selects != to;
            return;
        }
        let proven = [before.confirmed, before.fallback].contains(&to);
        self.when(before.rejected.has(to), Breach::Word);
        self.when(self.aborted.has(to), Breach::Answered);
        self.when(at(self.void, to) >= at(self.attempts, to), Breach::Fenced);
        self.when(before.says_paused && before.paused && !proven && before.held != to, Breach::Paused);
        self.when(self.held != NONE && self.held != to && !proven, Breach::Held);
        let gated = !proven && before.held != to;
        self.when(shape.manual && gated && before.live != NONE && !self.promoted.has(to), Breach::Unpromoted);
        self.when(shape.checks_before && gated && !(before.candidate == to && before.vetted), Breach::Unchecked);
        let enough = self.least.min(at(before.scaled, to)).max(1);
        let few = before.fallback != to && !self.hurt.has(to) && at(before.ready, to) < enough;
        self.when(few, Breach::Few);
        self.when(self.erased && before.confirmed != to, Breach::ByLoss);
        self.when(self.erased && self.confirmed != Names::default() && !self.confirmed.has(to), Breach::UnprovenByLoss);
        self.served = true;
        self.rolled_back |= before.confirmed == to && before.live != NONE && before.failed.has(before.live);
        self.restored |= self.erased;
        self.erased = false;
    }

    /// A status was written.
    pub fn reported(&mut self, before: Facts, after: Facts, shape: &Shape) {
        let new = after.confirmed != NONE && after.confirmed != before.confirmed;
        self.when(shape.checks_after && new && !self.proven.has(after.confirmed), Breach::Unproven);
        // What a person went back from was confirmed before it was rejected, and is until another is.
        self.when(new && self.rejected.has(after.confirmed), Breach::Reconfirmed);
    }
}
