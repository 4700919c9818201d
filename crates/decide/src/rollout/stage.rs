//! Where a Rollout stands: one exhaustive choice, and the questions it is made of.

use switchyard_api::{Duration, Revision, Timestamp, condition::reason, names, rollout::Memory};

use super::{
    memory::{UNREADY_LIMIT, contended_until, disagrees},
    observed::{Observed, Record},
};
use crate::Mistake;

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Something that is not ours stands where ours should: nothing is written until it is gone.
    Blocked { reason: &'static str, message: String },
    /// The live Service is still to be made.
    Starting,
    /// Somebody else changed the live selector: put it right.
    Restoring,
    /// Somebody else keeps changing it: not before then.
    Contended(Timestamp),
    /// Nothing can be wanted: the spec is wrong.
    Mistaken(Mistake),
    /// Nothing is wanted yet, or nothing good is known. The sentence says what would change that.
    Awaiting(String),
    /// The goal has no place yet, or too few ready pods.
    Deploying(Revision),
    /// The candidate can serve: switch.
    Switching(Revision),
    /// The fallback can serve: go back.
    RollingBack(Revision),
    /// The fallback is the goal and cannot serve: stay.
    Stranded(Revision),
    /// Live, wanted, and not yet proven.
    Confirming(Revision),
    /// Live and confirmed; the one before it is kept until then.
    Keeping(Revision, Timestamp),
    /// Live and confirmed.
    Settled(Revision),
}

pub fn stage(seen: &Observed, memory: &Memory) -> (&'static str, Stage) {
    let Some(service) = &seen.service else {
        return match wanted_or_why(seen, memory) {
            Ok(_) => ("a live Service is needed first", Stage::Starting),
            Err(waiting) => waiting,
        };
    };
    if let Some(foreign) = &service.foreign {
        let message = format!("Service {} {foreign}", seen.name);
        return (
            "a Service of somebody else is never touched",
            Stage::Blocked { reason: reason::SERVICE_OWNED, message },
        );
    }
    if let Some(until) = contended_until(seen, memory) {
        return ("somebody keeps changing the live selector", Stage::Contended(until));
    }
    if disagrees(seen) {
        return ("a selector that disagrees with its record is put right", Stage::Restoring);
    }
    let Some(goal) = goal(seen, memory) else {
        if seen.lost() {
            let person = format!(
                "a person to set the annotation {}={{}} on Service {}: its record was lost before anything was confirmed",
                names::ANNOTATION_SWITCH,
                seen.name
            );
            return ("a lost record promotes nothing", Stage::Awaiting(person));
        }
        return match wanted_or_why(seen, memory) {
            Ok(wanted) if !bad(memory, &seen.record(), wanted) => {
                ("at no replicas nothing is tried", Stage::Awaiting("spec.replicas to be more than 0".to_owned()))
            }
            Ok(wanted) => {
                ("nothing good is known", Stage::Awaiting(format!("a new template or release: {wanted} was given up")))
            }
            Err(waiting) => waiting,
        };
    };
    if let Some(conflict) = seen.revisions.get(&goal).and_then(|r| r.conflict.clone()) {
        let blocked = Stage::Blocked { reason: reason::CHILD_CONFLICT, message: conflict };
        return ("a child of somebody else is never adopted", blocked);
    }
    place(seen, memory, &seen.record(), goal)
}

fn place(seen: &Observed, memory: &Memory, record: &Record, goal: Revision) -> (&'static str, Stage) {
    if record.live == Some(goal) {
        return match memory.confirmed.filter(|c| c.revision == goal) {
            None if on_trial(seen, memory) == Some(goal) => {
                ("what is live must be proven before anything is taken away", Stage::Confirming(goal))
            }
            None => ("what is live stays while nothing else is wanted", Stage::Settled(goal)),
            Some(confirmed) => {
                let until = confirmed.time.plus(seen.order.as_ref().map(|o| o.scale_down_delay).unwrap_or_default());
                if record.fallback.is_some() && seen.now < until {
                    ("the revision before the live one is the way back", Stage::Keeping(goal, until))
                } else {
                    ("the goal is live and confirmed", Stage::Settled(goal))
                }
            }
        };
    }
    if record.fallback == Some(goal) {
        return if may_return(seen, goal, record) {
            ("the fallback serves in one write", Stage::RollingBack(goal))
        } else {
            ("a fallback that serves worse than what is live is no way back", Stage::Stranded(goal))
        };
    }
    if record.candidate == Some(goal) && may_select(seen, goal) {
        return ("the candidate has enough ready endpoints", Stage::Switching(goal));
    }
    if wanted(seen, memory) != Some(goal) && seen.deployment(goal).is_none() {
        let gone = format!("{goal} to be restored: its Deployment is gone, and the spec describes another");
        return ("a revision is made of its own template only", Stage::Awaiting(gone));
    }
    ("a revision must be ready before it is live", Stage::Deploying(goal))
}

/// What the spec and the releases taken come to.
pub fn wanted(seen: &Observed, memory: &Memory) -> Option<Revision> {
    seen.order.as_ref().ok()?.wanted(memory).ok()
}

/// What is wanted, or the rule and the stage that say why nothing is.
pub fn wanted_or_why(seen: &Observed, memory: &Memory) -> Result<Revision, (&'static str, Stage)> {
    let order = seen.order.as_ref().map_err(|mistake| ("the spec cannot be", Stage::Mistaken(mistake.clone())))?;
    order.wanted(memory).map_err(|missing| {
        let told = order.images.iter().find_map(|i| {
            let sentence = match seen.offers.get(&i.pipeline) {
                None => format!("Pipeline {}, which does not exist", i.pipeline),
                Some(offer) if !offer.names_us => format!(
                    "Pipeline {} to name this Rollout: none of its environments has {} in rolloutRefs",
                    i.pipeline, seen.name
                ),
                Some(_) => return None,
            };
            Some(sentence)
        });
        ("there is no image to run yet", Stage::Awaiting(told.unwrap_or_else(|| missing.to_string())))
    })
}

/// Whether a revision is on its way to be given up, or was.
pub fn bad(memory: &Memory, record: &Record, revision: Revision) -> bool {
    memory.failed.contains_key(&revision) || memory.rejected.contains(&revision) || record.void.contains(&revision)
}

/// The wanted revision, unless it was given up; otherwise the confirmed one; otherwise none. Where nothing is wanted
/// (a mistake in the spec, no release, no replicas), what is live stays. A lost record makes way for the confirmed
/// one alone.
pub fn goal(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let record = seen.record();
    let good = memory.confirmed.map(|c| c.revision).filter(|r| !bad(memory, &record, *r));
    let resting = seen.order.as_ref().is_ok_and(|o| o.replicas == 0);
    let wanted = wanted(seen, memory).filter(|_| !resting);
    let lost = record.live.is_none() && (good.is_some() || seen.lost());
    match wanted {
        _ if lost => good,
        None => record.live.filter(|r| !bad(memory, &record, *r)).or(good),
        Some(wanted) if bad(memory, &record, wanted) => good,
        Some(wanted) => Some(wanted),
    }
}

/// Live and wanted, and neither confirmed nor given up: it may be confirmed.
pub fn on_trial(seen: &Observed, memory: &Memory) -> Option<Revision> {
    undecided(seen, memory).filter(|r| wanted(seen, memory) == Some(*r))
}

/// Live while nothing else is wanted (an invalid spec wants nothing), and neither confirmed nor given up: it may be
/// given up.
pub fn undecided(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let record = seen.record();
    let live = record.live.filter(|r| wanted(seen, memory).is_none_or(|w| w == *r))?;
    let decided = memory.confirmed.is_some_and(|c| c.revision == live) || bad(memory, &record, live);
    (!decided).then_some(live)
}

/// Ready endpoints that are enough: what is wanted now or what the revision was scaled to, whichever is less; never
/// none.
pub fn need(seen: &Observed, revision: Revision) -> i32 {
    let has = seen.deployment(revision).map_or(0, |d| d.replicas);
    seen.order.as_ref().map_or(has, |o| o.replicas.min(has)).max(1)
}

/// The candidate became ready under its nomination: the claim is the nomination's, its controllers have seen it, and
/// no pod from before is still going away.
pub fn may_select(seen: &Observed, revision: Revision) -> bool {
    let record = seen.record();
    let Some(deployment) = seen.deployment(revision) else { return false };
    record.candidate == Some(revision)
        && record.since.is_some()
        && deployment.claim == record.since
        && deployment.current
        && deployment.replicas > 0
        && seen.ready(revision) >= need(seen, revision)
}

/// Going back depends on the fallback alone: it serves, and enough or better than what is live.
fn may_return(seen: &Observed, fallback: Revision, record: &Record) -> bool {
    let ready = seen.ready(fallback);
    ready > 0 && (ready >= need(seen, fallback) || ready > record.live.map_or(0, |r| seen.ready(r)))
}

/// How soon facts that nobody watches are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When the same facts would decide otherwise.
pub fn deadline(seen: &Observed, memory: &Memory) -> Option<Timestamp> {
    let order = seen.order.as_ref().ok();
    let record = seen.record();
    let progress = memory
        .progress
        .as_ref()
        .filter(|p| record.live != Some(p.revision))
        .zip(order)
        .map(|(p, o)| p.time.max(seen.started).plus(o.progress_deadline));
    let unready = memory.unready_since.map(|t| t.plus(UNREADY_LIMIT));
    let delay =
        memory.confirmed.filter(|_| record.fallback.is_some()).zip(order).map(|(c, o)| c.time.plus(o.scale_down_delay));
    let drains =
        memory.unlisted.values().zip(std::iter::repeat(order)).filter_map(|(u, o)| Some(u.time.plus(o?.drain)));
    let contended = contended_until(seen, memory);
    // What the controllers of Kubernetes have worked off is not watched, only read while a candidate stands.
    let behind = record
        .candidate
        .filter(|r| seen.ready(*r) >= need(seen, *r) && seen.deployment(*r).is_some_and(|d| !d.current))
        .map(|_| seen.now.plus(LOOK_AGAIN));
    [progress, unready, delay, contended, behind].into_iter().flatten().chain(drains).filter(|t| *t > seen.now).min()
}
