//! What goes wrong, and at which write.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, Result, bail};

/// What happens at a write. Of the ones that say "after", the write has happened, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The client is killed, and the write never arrives.
    KillBefore,
    /// The client is killed after it, and never learns of it.
    KillAfter,
    /// It is answered by 409 and does not arrive.
    Conflict,
    /// It is answered by 429, with a second's Retry-After, and does not arrive.
    Busy,
    /// It is answered by 500 and does not arrive.
    Broken,
    /// It arrives, and its answer is lost with the connection.
    Lost,
    /// The client is cut off with the write on its way, which arrives when it is released: once somebody else leads,
    /// and has written.
    Late,
    /// The same, released once that somebody has come to rest.
    Latest,
    /// After it the client no longer reaches its Lease, and nothing else changes: somebody else leads, and for a while
    /// there are two.
    Rival,
    /// After it every watch is cut.
    WatchCut,
    /// After it every watch falls silent, and stays open. Later ones are not touched.
    WatchStall,
    /// After it every watch is cut, and the next one on each path is answered by 410.
    WatchGone,
}

impl Fault {
    pub const ALL: [Self; 12] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::Conflict,
        Self::Busy,
        Self::Broken,
        Self::Lost,
        Self::Late,
        Self::Latest,
        Self::Rival,
        Self::WatchCut,
        Self::WatchStall,
        Self::WatchGone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Conflict => "409",
            Self::Busy => "429",
            Self::Broken => "500",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Latest => "latest",
            Self::Rival => "rival",
            Self::WatchCut => "watch-cut",
            Self::WatchStall => "watch-stall",
            Self::WatchGone => "watch-410",
        }
    }

    /// The client's process ends by it.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }

    /// The write is kept until it is released.
    pub fn holds(self) -> bool {
        matches!(self, Self::Late | Self::Latest)
    }

    /// Somebody else is to lead after it.
    pub fn deposes(self) -> bool {
        self.holds() || self == Self::Rival
    }
}

/// Of one client's life: one fault, at one of its writes, which count from 1. Written `kill-before@7`; `never` is none.
/// With `+unconditional` behind the fault, every write loses what makes it conditional: a control, under which whoever
/// relies on that has to go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plan {
    pub fault: Option<(Fault, usize)>,
    pub unconditional: bool,
}

impl Plan {
    pub const NEVER: Self = Self { fault: None, unconditional: false };

    pub fn at(fault: Fault, write: usize) -> Self {
        Self { fault: Some((fault, write)), unconditional: false }
    }

    #[must_use]
    pub fn unconditional(self) -> Self {
        Self { unconditional: true, ..self }
    }
}

const CONTROL: &str = "+unconditional";

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let control = if self.unconditional { CONTROL } else { "" };
        match self.fault {
            None => write!(f, "never{control}"),
            Some((fault, write)) => write!(f, "{}{control}@{write}", fault.name()),
        }
    }
}

impl FromStr for Plan {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let (name, write) = s.split_once('@').map_or((s, None), |(name, write)| (name, Some(write)));
        let unconditional = name.ends_with(CONTROL);
        let name = name.strip_suffix(CONTROL).unwrap_or(name);
        let fault = match (name, write) {
            ("never", None) => None,
            (_, None) => bail!("{s:?} is neither `never` nor FAULT@WRITE"),
            (_, Some(write)) => {
                let fault = Fault::ALL.into_iter().find(|f| f.name() == name);
                let names = Fault::ALL.map(Fault::name).join(", ");
                let fault = fault.with_context(|| format!("{name:?} is none of {names}"))?;
                let write = write.parse().ok().filter(|n| *n > 0);
                Some((fault, write.with_context(|| format!("the number in {s:?}"))?))
            }
        };
        Ok(Self { fault, unconditional })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            for plan in [Plan::at(fault, 3), Plan::at(fault, 12).unconditional()] {
                assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
            }
        }
        assert_eq!("never".parse::<Plan>().unwrap(), Plan::NEVER);
        assert_eq!(Plan::at(Fault::Late, 7).unconditional().to_string(), "late+unconditional@7");
        for text in ["", "never@1", "409", "409@", "409@0", "409@x", "410@1", "late+conditional@1"] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
