//! Commands: as a controller sees those for its object; and those that no controller will take up, or that were handled
//! long ago.
//!
//! A Command for an object that is there is the business of that object's controller. The rest is [`sweep`]'s: one whose
//! object is gone, or was made anew, is Stale; and the record of what was handled does not grow for ever.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use switchyard_api::{Duration, Timestamp, command::TargetRef};

use crate::Version;

/// From the creation of a Command until the absence of its target counts: a cache may show the Command first.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long a handled Command is kept.
pub const KEPT: Duration = Duration::from_mins(30 * 24 * 60);
/// The last that many of each target that is there are kept for longer.
pub const LAST: usize = 50;

/// What a person ordered of one object. `Order` is what its kind can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command<Order> {
    pub uid: String,
    pub name: String,
    pub version: Version,
    pub order: Order,
    pub user: String,
    pub reason: Option<String>,
}
impl<Order> Command<Order> {
    /// What was said as the reason, to be put behind a sentence.
    pub fn because(&self) -> String {
        self.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default()
    }
}

/// A Command, and what now has the name of its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub version: Version,
    pub created: Timestamp,
    pub target: TargetRef,
    /// The uid of the object under the target's name.
    pub there: Option<String>,
    /// When it was handled. None: it was not.
    pub handled: Option<Timestamp>,
}

/// One write, on exactly this Command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// It does nothing, and says why; once its target was also looked for past the cache.
    Stale(Seen),
    Delete(Seen),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    pub acts: Vec<Act>,
    /// When the same Commands would give more.
    pub check_again: Option<Timestamp>,
}

/// Why this target cannot be meant, if it is not `there`.
pub fn missed(target: &TargetRef, there: Option<&str>) -> Option<String> {
    let TargetRef { kind, name, uid } = target;
    match there {
        Some(found) if found == uid => None,
        Some(found) => {
            Some(format!("it is meant for another {kind:?} {name}: the one that is there now has the uid {found}"))
        }
        None => Some(format!("there is no {kind:?} {name}")),
    }
}

/// When it was handled, its name, and where it stands.
type Place<'a> = (Timestamp, &'a str, usize);

/// What to do about all Commands that are known, and when to look again.
pub fn sweep(now: Timestamp, commands: &[Seen]) -> Sweep {
    let kept = last_of_each(commands);
    let mut sweep = Sweep::default();
    for (i, command) in commands.iter().enumerate() {
        let (due, act) = match command.handled {
            None if missed(&command.target, command.there.as_deref()).is_some() => {
                (command.created.plus(GRACE), Act::Stale(command.clone()))
            }
            Some(handled) if !kept.contains(&i) => (handled.plus(KEPT), Act::Delete(command.clone())),
            None | Some(_) => continue,
        };
        if due <= now {
            sweep.acts.push(act);
        } else {
            sweep.check_again = Some(sweep.check_again.map_or(due, |other| other.min(due)));
        }
    }
    sweep
}

/// Which are among the [`LAST`] that were handled of a target that is still there. Of one that is gone none is: names
/// come and go, and their records would stay for ever.
fn last_of_each(commands: &[Seen]) -> BTreeSet<usize> {
    let mut targets: BTreeMap<(&str, &TargetRef), Vec<Place<'_>>> = BTreeMap::new();
    for (i, command) in commands.iter().enumerate() {
        let Some(handled) = command.handled else { continue };
        if missed(&command.target, command.there.as_deref()).is_none() {
            let target = (command.namespace.as_str(), &command.target);
            targets.entry(target).or_default().push((handled, &command.name, i));
        }
    }
    let mut kept = BTreeSet::new();
    for mut of in targets.into_values() {
        of.sort_unstable();
        kept.extend(of.into_iter().rev().take(LAST).map(|(_, _, i)| i));
    }
    kept
}

#[cfg(test)]
mod tests {
    use switchyard_api::command::TargetKind;

    use super::*;

    const DAY: Duration = Duration::from_mins(24 * 60);

    fn day(n: u32) -> Timestamp {
        (0..n).fold(Timestamp::default(), |t, _| t.plus(DAY))
    }

    /// Created on day 1 for the Rollout `shop` with the uid `u`, which is there.
    fn command(name: &str) -> Seen {
        Seen {
            namespace: "shop-prod".to_owned(),
            name: name.to_owned(),
            uid: format!("uid of {name}"),
            version: Version::new("7"),
            created: day(1),
            target: TargetRef { kind: TargetKind::Rollout, name: "shop".to_owned(), uid: "u".to_owned() },
            there: Some("u".to_owned()),
            handled: None,
        }
    }

    impl Seen {
        fn handled(mut self, time: Timestamp) -> Self {
            self.handled = Some(time);
            self
        }
        fn there(mut self, uid: Option<&str>) -> Self {
            self.there = uid.map(str::to_owned);
            self
        }
    }

    fn deleted(sweep: &Sweep) -> Vec<&str> {
        fn name(act: &Act) -> &str {
            match act {
                Act::Delete(Seen { name, .. }) => name,
                Act::Stale(Seen { name, .. }) => panic!("{name} is to be stale"),
            }
        }
        sweep.acts.iter().map(name).collect()
    }

    #[test]
    fn one_whose_target_is_not_there_is_stale_after_the_grace() {
        for there in [None, Some("another")] {
            let lost = command("a").there(there);
            let early = sweep(day(1).plus(Duration::from_secs(9)), std::slice::from_ref(&lost));
            assert_eq!(early, Sweep { acts: vec![], check_again: Some(day(1).plus(GRACE)) });
            let late = sweep(day(1).plus(GRACE), std::slice::from_ref(&lost));
            assert_eq!(late, Sweep { acts: vec![Act::Stale(lost)], check_again: None });
        }
        assert_eq!(
            sweep(day(9), &[command("a")]),
            Sweep::default(),
            "its target is there: that one's controller answers"
        );
    }

    #[test]
    fn one_that_was_handled_is_never_made_stale() {
        let handled = command("a").handled(day(1)).there(None);
        assert_eq!(sweep(day(2), &[handled]), Sweep { acts: vec![], check_again: Some(day(31)) });
    }

    #[test]
    fn the_last_fifty_of_a_target_are_kept_and_older_ones_go_after_thirty_days() {
        // c00 is the oldest.
        let all: Vec<Seen> = (0..53).map(|i| command(&format!("c{i:02}")).handled(day(1 + i))).collect();
        assert_eq!(deleted(&sweep(day(200), &all)), ["c00", "c01", "c02"]);
        let some = sweep(day(32), &all);
        assert_eq!(deleted(&some), ["c00", "c01"]);
        assert_eq!(some.check_again, Some(day(33)), "then c02 is old enough");
        assert_eq!(sweep(day(200), &all[3..]), Sweep::default(), "nothing but what is kept: no timer either");
    }

    #[test]
    fn each_target_has_its_own_fifty() {
        let mut all: Vec<Seen> = (0..50).map(|i| command(&format!("c{i:02}")).handled(day(1 + i))).collect();
        let other = |f: fn(&mut Seen)| {
            let mut other = command("other").handled(day(0));
            f(&mut other);
            other
        };
        all.push(other(|c| c.namespace = "elsewhere".to_owned()));
        all.push(other(|c| c.target.name = "shop-2".to_owned()));
        assert_eq!(sweep(day(200), &all), Sweep::default());
        all.push(other(|_| ()));
        assert_eq!(deleted(&sweep(day(200), &all)), ["other"], "the oldest of the same target");
    }

    #[test]
    fn one_that_waits_neither_goes_nor_takes_a_place() {
        let mut all: Vec<Seen> = (0..50).map(|i| command(&format!("c{i:02}")).handled(day(1 + i))).collect();
        all.push(command("waits"));
        assert_eq!(sweep(day(200), &all), Sweep::default());
    }

    #[test]
    fn nothing_of_a_target_that_is_gone_is_kept_for_ever() {
        for there in [None, Some("another")] {
            let old = command("a").handled(day(1)).there(there);
            assert_eq!(deleted(&sweep(day(31), std::slice::from_ref(&old))), ["a"]);
            assert_eq!(sweep(day(30), &[old]), Sweep { acts: vec![], check_again: Some(day(31)) });
        }
    }

    #[test]
    fn it_says_what_it_missed() {
        let target = command("a").target;
        assert_eq!(missed(&target, Some("u")), None);
        assert_eq!(missed(&target, None).unwrap(), "there is no Rollout shop");
        assert!(missed(&target, Some("v")).unwrap().contains("another Rollout shop"));
    }
}
