//! What may happen, how often, and to what kind of Build.

use std::fmt;

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// A pod fails by what it runs.
    pub broken: u8,
    /// A pod finds that nothing wanted changed.
    pub unchanged: u8,
    /// A pod is taken away, and says so.
    pub evicted: u8,
    /// A pod that goes on is deleted.
    pub gone: u8,
    /// The image of a pod cannot be pulled.
    pub unpulled: u8,
    /// A pod waits for what a person may mend.
    pub waiting: u8,
    /// The registry serves something else than was pushed.
    pub replaced: u8,
    /// Time passes: a pause between attempts; or the timeout, where that is short.
    pub ticks: u8,
    /// A person gives a Cancel.
    pub orders: u8,
    /// The operator dies; the write that was under way may land later.
    pub crashes: u8,
    /// Rounds of a deposed leader with caches of its own.
    pub deposed: u8,
    /// The status is emptied.
    pub lost: u8,
}

pub const NO: Bounds = Bounds {
    broken: 0,
    unchanged: 0,
    evicted: 0,
    gone: 0,
    unpulled: 0,
    waiting: 0,
    replaced: 0,
    ticks: 0,
    orders: 0,
    crashes: 0,
    deposed: 0,
    lost: 0,
};

const LETTERS: [&str; 12] = ["b", "n", "e", "g", "u", "w", "r", "t", "o", "c", "d", "l"];

impl Bounds {
    pub fn of(&mut self, letter: &str) -> &mut u8 {
        match letter {
            "b" => &mut self.broken,
            "n" => &mut self.unchanged,
            "e" => &mut self.evicted,
            "g" => &mut self.gone,
            "u" => &mut self.unpulled,
            "w" => &mut self.waiting,
            "r" => &mut self.replaced,
            "t" => &mut self.ticks,
            "o" => &mut self.orders,
            "c" => &mut self.crashes,
            "d" => &mut self.deposed,
            "l" => &mut self.lost,
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
    /// Only the Build is there.
    Nothing,
    /// The Job of its first step runs.
    Begun,
    /// Its checks passed, and the Job of its image runs.
    Building,
}

/// What stays as it is in one exploration.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub start: Start,
    /// None to two. The second comes after the first, or stands beside it.
    pub checks: u8,
    pub ordered: bool,
    pub retries: u8,
    /// The timeout is two ticks; otherwise it is beyond all of them.
    pub hasty: bool,
}
impl Shape {
    pub const PLAIN: Self = Self { start: Start::Nothing, checks: 1, ordered: false, retries: 1, hasty: false };
}
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, checks, ordered, retries, hasty } = self;
        write!(f, "from {start:?}, {checks} checks, {retries} retries")?;
        f.write_str(if *ordered { ", in order" } else { "" })?;
        f.write_str(if *hasty { ", short timeout" } else { "" })
    }
}
