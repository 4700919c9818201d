//! A workload under a plan: what one line says, and what is run again by that line.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, Result};

use super::workload::Workload;
use crate::proxy::{Fault, Plan};

/// `update/kill-before@3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Case {
    pub workload: Workload,
    pub plan: Plan,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workload.name(), self.plan)
    }
}

impl FromStr for Case {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let (workload, plan) = s.split_once('/').with_context(|| format!("{s:?} is not WORKLOAD/PLAN"))?;
        Ok(Self { workload: workload.parse()?, plan: plan.parse()? })
    }
}

/// Every fault at each of so many writes.
pub fn all_of(workload: Workload, writes: usize) -> impl Iterator<Item = Case> {
    let faults = move |n| Fault::ALL.into_iter().map(move |fault| Case { workload, plan: Plan::at(fault, n) });
    (1..=writes).flat_map(faults)
}

/// One of several equal parts of all cases, `2/4`. Neighbours go to different parts, since they take as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    pub fn holds(self, index: usize) -> bool {
        index % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let parts = s.split_once('/').and_then(|(n, of)| Some((n.parse().ok()?, of.parse().ok()?)));
        let (number, of) = parts
            .filter(|(n, of)| (1..=*of).contains(n))
            .with_context(|| format!("{s:?} is not a part such as 2/4"))?;
        Ok(Self { number, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_as_they_are_written() {
        for workload in Workload::all() {
            for case in all_of(workload, 2) {
                assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
            }
        }
        assert_eq!(all_of(Workload::Update, 3).count(), 3 * Fault::ALL.len());
        for text in ["", "update", "update/", "nothing/409@1", "update/409"] {
            assert!(text.parse::<Case>().is_err(), "{text}");
        }
    }

    #[test]
    fn shards_share_everything_and_share_it_out_once() {
        let shards: Vec<Shard> = (1..=3).map(|n| format!("{n}/3").parse().unwrap()).collect();
        assert!((0..10).all(|i| shards.iter().filter(|s| s.holds(i)).count() == 1));
        assert!((0..10).all(|i| Shard::WHOLE.holds(i)));
        for text in ["", "0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
