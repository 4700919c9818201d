//! What a state alone does not show: what was promised, and what happened since.

use switchyard_api::command::CommandState;
use switchyard_decide::build::{Action, Step};

use crate::{facts::Facts, rules::Write};

/// Something was done that must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    RanOn,
    RanCancelled,
    RanLost,
    Unchecked,
    Changed,
    Unserved,
    Vetoed,
}

/// Who a write comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Leader,
    Deposed,
    Dead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    breaches: u8,
    /// A Cancel was acknowledged.
    pub cancelled: bool,
    /// The registry served what was pushed.
    pub served: bool,
    /// The version with which the status was lost, of a Build that had begun.
    pub lost_at: u32,
    /// A pod was stuck, so what became of it later decides nothing.
    pub stuck: bool,
}

impl History {
    pub fn has(self, breach: Breach) -> bool {
        self.breaches & (1 << breach as u8) != 0
    }
    pub fn when(&mut self, so: bool, breach: Breach) {
        self.breaches |= u8::from(so) << breach as u8;
    }

    /// What is so now.
    pub fn learn(&mut self, truth: Facts) {
        self.served |= truth.as_pushed;
        self.when(truth.counted && !self.served, Breach::Unserved);
    }
    /// The status is about to be lost.
    pub fn loses(&mut self, truth: Facts) {
        if truth.begun {
            self.lost_at = truth.version + 1;
        }
    }
    /// A round was planned on this view.
    pub fn planned(&mut self, view: Facts, runs: bool, vetoed: bool) {
        self.when(vetoed, Breach::Vetoed);
        self.when(runs && self.lost_at > 0 && view.version >= self.lost_at, Breach::RanLost);
    }
    /// A write landed, and made this of that.
    pub fn landed(&mut self, before: Facts, after: Facts, write: &Write, from: From) {
        match write {
            Write::Report { .. } => self.when(before.finished && before.memory != after.memory, Breach::Changed),
            Write::Act(Action::Run { step, .. }) => {
                self.when(before.finished && from == From::Leader, Breach::RanOn);
                self.when(self.cancelled && from == From::Leader, Breach::RanCancelled);
                self.when(matches!(step, Step::Image(_)) && !before.checked, Breach::Unchecked);
            }
            Write::Act(Action::Answer { state, .. }) => self.cancelled |= *state == CommandState::Done,
            Write::Act(Action::MarkStarted { .. } | Action::Stop { .. } | Action::MarkResult { .. })
            | Write::Look(_) => {}
        }
    }
}
