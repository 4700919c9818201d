//! Where a Rollout stands: one exhaustive choice, and the questions it is made of.

use switchyard_api::{Duration, Revision, Timestamp, check::Moment, condition::reason, names, rollout::Memory};

use super::{
    checks::{self, Verdict},
    goal::{bad, described, full, gated, goal, may_select, need, on_trial},
    memory::{UNREADY_LIMIT, contended_until, disagrees},
    observed::{Foreign, Observed, Record},
    order::Order,
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
    Awaiting(&'static str, String),
    /// The spec says pause, and what it describes is not live.
    Paused(Revision),
    /// The goal has no place yet, or too few ready pods.
    Deploying(Revision),
    /// The goal serves, and its checks are under way. In sentences, what they wait for.
    Checking(Revision, Moment, Vec<String>),
    /// The candidate is ready and checked, and is watched until then.
    Soaking(Revision, Timestamp),
    /// The candidate is ready and checked: a person lets it go live.
    AwaitingPromotion(Revision),
    /// The candidate can serve: switch.
    Switching(Revision),
    /// The fallback can serve: go back.
    RollingBack(Revision),
    /// The fallback is the goal and cannot serve: stay.
    Stranded(Revision),
    /// Live, wanted, and not yet proven.
    Confirming(Revision),
    /// Live and confirmed; the one before it is kept for a while.
    Keeping(Revision),
    /// Live and confirmed.
    Settled(Revision),
}

pub fn stage(seen: &Observed, memory: &Memory) -> (&'static str, Stage) {
    let Some(service) = &seen.service else {
        return match wanted_or_why(seen, memory) {
            Ok(_) if seen.order.as_ref().is_ok_and(|o| o.referred) => {
                let missing = format!("Service {} to exist: spec.serviceRef names it", seen.service_name);
                ("the live Service is made by somebody else", Stage::Awaiting(reason::SERVICE_MISSING, missing))
            }
            Ok(_) => ("a live Service is needed first", Stage::Starting),
            Err(waiting) => waiting,
        };
    };
    if let Some(foreign) = &service.foreign {
        let message = format!("Service {} {}", seen.service_name, foreign.message());
        let blocked = Stage::Blocked { reason: stands_in_the_way(foreign), message };
        return ("a Service of somebody else is never touched", blocked);
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
                seen.service_name
            );
            return ("a lost record promotes nothing", Stage::Awaiting(reason::RECORD_LOST, person));
        }
        return match wanted_or_why(seen, memory) {
            Ok(_) if let Some(next) = waiting(seen, memory) => ("a pause stops what is new", Stage::Paused(next)),
            Ok(wanted) if !bad(memory, &seen.record(), wanted) => {
                let scaled = "spec.replicas to be more than 0".to_owned();
                ("at no replicas nothing is tried", Stage::Awaiting(reason::NO_REPLICAS, scaled))
            }
            Ok(wanted) => {
                let other = format!("a new template or release, or a Command of type Retry: {wanted} was given up");
                ("nothing good is known", Stage::Awaiting(reason::REJECTED, other))
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
            None if on_trial(seen, memory) == Some(goal) => trial(seen, memory, goal),
            None if let Some(next) = waiting(seen, memory) => ("a pause stops what is new", Stage::Paused(next)),
            None => ("what is live stays while nothing else is wanted", Stage::Settled(goal)),
            Some(confirmed) => {
                let until = confirmed.time.plus(seen.order.as_ref().map(|o| o.scale_down_delay).unwrap_or_default());
                if record.fallback.is_some() && seen.now < until {
                    ("the revision before the live one is the way back", Stage::Keeping(goal))
                } else if let Some(next) = waiting(seen, memory).filter(|_| record.fallback.is_none()) {
                    ("a pause stops what is new", Stage::Paused(next))
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
    if record.candidate == Some(goal)
        && let Some(stage) = candidate(seen, memory, record, goal)
    {
        return stage;
    }
    if described(seen, memory) != Some(goal) && seen.deployment(goal).is_none() {
        let gone = format!("{goal} to be restored: its Deployment is gone, and the spec describes another");
        return ("a revision is made of its own template only", Stage::Awaiting(reason::REVISION_MISSING, gone));
    }
    ("a revision must be ready before it is live", Stage::Deploying(goal))
}

/// The candidate's way: some pods, its checks, all pods, the time that it is to last, a person's word. None while it
/// lacks pods.
fn candidate(seen: &Observed, memory: &Memory, record: &Record, revision: Revision) -> Option<(&'static str, Stage)> {
    let gated = gated(seen, memory) == Some(revision);
    if gated && let Some((_, Verdict::Open(sentences))) = checks::standing(seen, memory) {
        return Some(("nothing goes live that was not tested", Stage::Checking(revision, Moment::Preview, sentences)));
    }
    if !may_select(seen, revision) || !full(seen, revision) {
        return None;
    }
    let Ok(order) = seen.order.as_ref().map_err(|_| ()) else {
        return Some(("the candidate has enough ready endpoints", Stage::Switching(revision)));
    };
    if gated && !order.promote_after.is_zero() {
        let since = memory.good_since.filter(|m| m.revision == revision).map_or(seen.now, |m| m.time);
        let until = since.plus(order.promote_after);
        if seen.now < until {
            return Some(("a candidate stays good for a while first", Stage::Soaking(revision, until)));
        }
    }
    let first = record.live.is_none();
    let allowed = memory.promoted.as_ref().is_some_and(|p| p.revision == revision);
    if gated && order.manual && !first && !allowed {
        return Some(("a person lets it go live", Stage::AwaitingPromotion(revision)));
    }
    Some(("the candidate has enough ready endpoints", Stage::Switching(revision)))
}

/// What is live proves itself: its endpoints first, then its checks.
fn trial(seen: &Observed, memory: &Memory, revision: Revision) -> (&'static str, Stage) {
    match checks::standing(seen, memory).map(|(_, verdict)| verdict) {
        Some(Verdict::Open(sentences)) => {
            ("what is live must pass its checks", Stage::Checking(revision, Moment::Live, sentences))
        }
        Some(Verdict::Passed | Verdict::Failed(..)) | None => {
            ("what is live must be proven before anything is taken away", Stage::Confirming(revision))
        }
    }
}

/// What the spec describes and the pause keeps from going live.
pub fn waiting(seen: &Observed, memory: &Memory) -> Option<Revision> {
    let record = seen.record();
    let next = described(seen, memory).filter(|_| paused(seen, memory));
    next.filter(|r| record.live != Some(*r) && !bad(memory, &record, *r))
}

/// Why a Service cannot be used.
pub fn stands_in_the_way(foreign: &Foreign) -> &'static str {
    match foreign {
        Foreign::Owned(_) => reason::SERVICE_OWNED,
        Foreign::SelectorOwned(_) => reason::SERVICE_SELECTOR_OWNED,
        Foreign::Unsuitable(_) => reason::SERVICE_UNSUITABLE,
    }
}

pub fn paused(seen: &Observed, memory: &Memory) -> bool {
    memory.held.is_none() && seen.order.as_ref().is_ok_and(|o| o.paused)
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
        let told = told.unwrap_or_else(|| missing.to_string());
        ("there is no image to run yet", Stage::Awaiting(reason::AWAITING_RELEASE, told))
    })
}

/// Going back depends on the fallback alone: it serves, and enough or better than what is live.
fn may_return(seen: &Observed, fallback: Revision, record: &Record) -> bool {
    let ready = seen.ready(fallback);
    ready > 0 && (ready >= need(seen, fallback) || ready > record.live.map_or(0, |r| seen.ready(r)))
}

/// How soon facts that nobody watches are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How soon a Service is read again that is not ours (yet), and so is not watched.
const LOOK_FOR_SERVICE: Duration = Duration::from_secs(30);

/// A Service is somebody else's, or is missing though the spec refers to it.
fn unwatched(seen: &Observed, order: &Order) -> bool {
    let live = seen.service.as_ref().map_or(order.referred, |s| s.foreign.is_some());
    let preview = |referred| seen.preview.as_ref().map_or(referred, |p| p.foreign.is_some());
    live || order.preview.as_ref().is_some_and(|p| preview(p.referred))
}

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
    let soak = memory.good_since.zip(order).map(|(m, o)| m.time.plus(o.promote_after));
    let kept = memory
        .failed
        .values()
        .zip(std::iter::repeat(order))
        .filter_map(|(f, o)| Some(f.time.plus(o?.abort_scale_down_delay)));
    let drains =
        memory.unlisted.values().zip(std::iter::repeat(order)).filter_map(|(u, o)| Some(u.time.plus(o?.drain)));
    let contended = contended_until(seen, memory);
    // What the controllers of Kubernetes have worked off is not watched, only read while a candidate stands.
    let behind = record
        .candidate
        .filter(|r| seen.ready(*r) >= need(seen, *r) && seen.deployment(*r).is_some_and(|d| !d.current))
        .map(|_| seen.now.plus(LOOK_AGAIN));
    let check = checks::next(seen, memory);
    let missing = order.filter(|o| unwatched(seen, o)).map(|_| seen.now.plus(LOOK_FOR_SERVICE));
    [progress, unready, delay, contended, behind, soak, check, missing]
        .into_iter()
        .flatten()
        .chain(drains)
        .chain(kept)
        .filter(|t| *t > seen.now)
        .min()
}
