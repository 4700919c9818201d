//! The last look before a write. Each line stands for something that must never happen and shares no code with the
//! rules that chose the write.

use switchyard_api::{Revision, command::CommandState, template};

use super::{Action, Observed, Selects};
use crate::Veto;

pub fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
    let veto = |wrong: bool, why: &'static str| if wrong { Err(Veto(why)) } else { Ok(()) };
    let record = seen.service.as_ref().and_then(|s| s.record.as_ref());
    match action {
        Action::Record { next, select, .. } => {
            veto(next.owner != seen.uid, "a record is written in the name of another Rollout")?;
            veto(
                record.is_some_and(|r| !r.owner.is_empty() && r.owner != seen.uid),
                "the Service is another Rollout's",
            )?;
            let kept = |(r, attempt): (&Revision, &u32)| next.void.get(r).is_some_and(|n| n >= attempt);
            veto(record.is_some_and(|r| !r.void.iter().all(kept)), "a revision given up would be taken back")?;
            if let Some(Selects::Revision(to)) = select {
                veto(next.live != Some(*to), "selector and record would disagree")?;
                let back_where_it_was = record.is_some_and(|r| r.live == Some(*to));
                veto(!back_where_it_was && seen.ready(*to) < 1, "the live Service would lose its last ready endpoint")?;
                let attempt = seen.memory.attempts.get(to).copied().unwrap_or(1);
                let void = next.void.get(to).is_some_and(|n| *n >= attempt);
                veto(!back_where_it_was && void, "a revision given up would go live")?;
                let claimed = record.is_some_and(|r| {
                    r.fallback == Some(*to)
                        || (r.candidate == Some(*to) && seen.deployment(*to).is_some_and(|d| d.claim == r.since))
                });
                veto(!back_where_it_was && !claimed, "a revision would go live without nomination and claim")?;
                // The way back depends on the fallback alone: what is live may serve worse than one pod.
                let back = record.is_some_and(|r| r.live == Some(*to) || r.fallback == Some(*to));
                let few = seen.ready(*to) < both_want(seen, record.and_then(|r| r.live), *to);
                veto(!back && few, "fewer pods would serve than both revisions want")?;
            }
            veto(matches!(select, Some(Selects::Foreign(_))), "a selector that is not ours")?;
            veto(*select == Some(Selects::Nobody), "the live Service would select nobody")
        }
        Action::Retire { revision, .. } | Action::Delete { revision, .. } => {
            let conflict = seen.revisions.get(revision).is_some_and(|r| r.conflict.is_some());
            veto(conflict, "a child of somebody else would lose its pods")?;
            veto(record.is_none_or(|r| r.holds(*revision)), "a revision with a place would lose its pods")?;
            let selected = seen.service.as_ref().is_some_and(|s| s.selects == Selects::Revision(*revision));
            veto(selected || seen.listed(*revision) > 0, "a revision that serves would lose its pods")?;
            let shown = seen.preview.as_ref().is_some_and(|p| p.selects == Selects::Revision(*revision));
            veto(shown, "a revision that the preview shows would lose its pods")?;
            let Action::Delete { at, .. } = action else { return Ok(()) };
            let there = seen.deployment(*revision);
            veto(there.is_some_and(|d| d.replicas > 0), "pods would be deleted with it")?;
            veto(there.is_some() && at.is_none(), "a Deployment would lose the Service that tells its readiness")
        }
        Action::Scale { revision, replicas, .. } => {
            let asked = seen.order.as_ref().is_ok_and(|o| o.replicas == 0);
            let serves = record.is_some_and(|r| r.live == Some(*revision));
            veto(*replicas == 0 && serves && !asked, "what is live would lose its pods")
        }
        Action::Claim { revision, claim, .. } => {
            let stands = record.is_some_and(|r| r.candidate == Some(*revision) && r.since.as_ref() == Some(claim));
            veto(!stands, "a claim without its nomination")
        }
        Action::Deploy { revision, fingerprint, images, .. } => {
            let other = template::revision(fingerprint, images) != *revision;
            veto(other, "a revision would be made of another's template")
        }
        Action::Preview { select, .. } => {
            let named = match select {
                Selects::Revision(r) => record.is_none_or(|record| !record.holds(*r)),
                Selects::Nobody => false,
                Selects::Foreign(_) => true,
            };
            veto(named, "the preview would show what has no place")?;
            veto(seen.preview.as_ref().is_none_or(|p| p.foreign.is_some()), "the Service is somebody else's")
        }
        Action::Check { revision, job } => {
            veto(record.is_none_or(|r| !r.holds(*revision)), "what has no place would be checked")?;
            let there = seen.revisions.get(revision).is_some_and(|r| r.jobs.contains_key(job));
            veto(there, "a check would have two Jobs")
        }
        Action::Answer { uid, state, .. } => {
            veto(!seen.memory.handled.contains_key(uid), "a Command would be answered before it is remembered")?;
            veto(*state == CommandState::Pending, "an answer that is none")
        }
        Action::CreateService | Action::CreatePreview | Action::Expose { .. } => Ok(()),
    }
}

/// The lesser of what both revisions were scaled to, as far as the spec still asks for as many.
fn both_want(seen: &Observed, from: Option<Revision>, to: Revision) -> i32 {
    let pods = |r| seen.deployment(r).map(|d| d.replicas);
    let both = from.and_then(pods).zip(pods(to)).map(|(old, new)| old.min(new));
    let asked = seen.order.as_ref().map_or(i32::MAX, |o| o.replicas);
    both.unwrap_or(0).min(asked)
}
