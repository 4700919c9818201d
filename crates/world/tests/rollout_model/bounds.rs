//! What may happen, how often, and to what kind of Rollout.

use std::fmt;

use crate::parts::Name;

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The spec wants another revision.
    pub edits: u8,
    /// The spec wants 0, 1 or 2 pods.
    pub resized: u8,
    /// The spec becomes invalid (the edit that mends it counts as an edit).
    pub mistakes: u8,
    /// The operator dies; what it had still to write may land later, in any order.
    pub crashes: u8,
    /// A pod of a revision loses its readiness.
    pub unready: u8,
    /// Time passes: a deadline, a patience, a drain.
    pub ticks: u8,
    /// The record is removed from the live Service; the selector stays.
    pub erased: u8,
    /// Somebody changes the selector.
    pub tampered: u8,
    /// Rounds of a deposed leader with caches of its own.
    pub deposed: u8,
    /// A person gives a Command, one of those that [`Shape::orders`] names.
    pub orders: u8,
    /// The spec says pause, or no longer.
    pub pauses: u8,
    /// The Job of a check fails.
    pub failing: u8,
    /// The status is emptied.
    pub forgotten: u8,
    /// The live Service is deleted.
    pub deleted: u8,
    /// Somebody scales a revision's Deployment, to none or to 2.
    pub scaled: u8,
}

const LETTERS: [&str; 15] = ["e", "r", "m", "c", "u", "t", "x", "f", "d", "o", "p", "j", "l", "s", "g"];

impl Bounds {
    pub fn of(&mut self, letter: &str) -> &mut u8 {
        match letter {
            "e" => &mut self.edits,
            "r" => &mut self.resized,
            "m" => &mut self.mistakes,
            "c" => &mut self.crashes,
            "u" => &mut self.unready,
            "t" => &mut self.ticks,
            "x" => &mut self.erased,
            "f" => &mut self.tampered,
            "d" => &mut self.deposed,
            "o" => &mut self.orders,
            "p" => &mut self.pauses,
            "j" => &mut self.failing,
            "l" => &mut self.forgotten,
            "s" => &mut self.deleted,
            "g" => &mut self.scaled,
            _ => panic!("no bound is called {letter}"),
        }
    }
}
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounds = *self;
        let used = LETTERS.into_iter().map(|l| (l, *bounds.of(l)));
        let used: Vec<String> = used.filter(|(_, n)| *n > 0).map(|(l, n)| format!("{l}{n}")).collect();
        f.write_str(&used.join(" "))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Only the Rollout is there.
    Nothing,
    /// Revision 1 is live and confirmed.
    Settled,
    /// And revision 2 is the candidate, claimed.
    Nominated,
    /// And revision 2 is live instead, not confirmed yet.
    OnTrial,
    /// And revision 2 has pods: it was claimed, and superseded before it was live.
    Superseded,
    /// And then it was wanted again, nominated and claimed. A deposed leader has not seen that yet.
    WantedAgain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slices {
    /// The live slices follow the selector at once; the drain takes no time. (What is *seen* of them lags all the same.)
    Prompt,
    /// The slice controller reads, and writes later, within a tick; the drain takes a tick.
    Slow,
}

/// A Command that a person may give, of any revision there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ordered {
    Promote,
    Abort,
    Retry,
    RollbackTo,
    Resume,
}

/// What stays as it is in one exploration: the Rollout's spec, and what else is modelled of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub start: Start,
    pub slices: Slices,
    /// Pods, until somebody resizes.
    pub replicas: u8,
    pub history_limit: i32,
    /// Its deadline is further away than all ticks there are.
    pub patient: bool,
    pub manual: bool,
    /// It has a preview Service of its own.
    pub preview: bool,
    /// A job checks before the switch.
    pub checks_before: bool,
    /// A job checks after the switch.
    pub checks_after: bool,
    /// The Commands that people give.
    pub orders: &'static [Ordered],
}
impl Shape {
    pub const PLAIN: Self = Self {
        start: Start::Settled,
        slices: Slices::Prompt,
        replicas: 1,
        history_limit: 5,
        patient: false,
        manual: false,
        preview: false,
        checks_before: false,
        checks_after: false,
        orders: &[],
    };

    /// Whether 2 and 3 are alike until one of them was wanted.
    pub fn begins_without_2(&self) -> bool {
        matches!(self.start, Start::Nothing | Start::Settled)
    }
    pub fn orders(&self, ordered: Ordered) -> bool {
        self.orders.contains(&ordered)
    }
    /// The revisions that an order may name.
    pub fn named(ordered: Ordered, known: &[Name]) -> Vec<Name> {
        match ordered {
            Ordered::Resume => vec![crate::parts::NONE],
            Ordered::Promote | Ordered::Abort | Ordered::Retry | Ordered::RollbackTo => known.to_vec(),
        }
    }
}
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, slices, replicas, history_limit, .. } = self;
        write!(f, "from {start:?}")?;
        let mut say = |said: bool, word: &str| if said { write!(f, ", {word}") } else { Ok(()) };
        say(*slices == Slices::Slow, "slow slices")?;
        say(*replicas == 2, "2 pods")?;
        say(*history_limit == 0, "keeps none")?;
        say(self.patient, "patient")?;
        say(self.manual, "manual")?;
        say(self.preview, "preview")?;
        say(self.checks_before, "check before")?;
        say(self.checks_after, "check after")?;
        let orders: Vec<String> = self.orders.iter().map(|o| format!("{o:?}")).collect();
        say(!orders.is_empty(), &orders.join("/"))
    }
}
