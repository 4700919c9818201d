//! From what is seen to what should exist: the writes.

use super::{Action, layout::Layout, observed::Observed};

pub fn diff(seen: &Observed, layout: &Layout) -> Vec<Action> {
    let mut actions = vec![];
    if layout.mark_started && !seen.marked_started {
        let time = seen.memory.started.unwrap_or(seen.now);
        actions.push(Action::MarkStarted { at: seen.version.clone(), time });
    }
    for ((step, attempt), job) in seen.jobs.iter().filter(|(_, j)| !j.has_ended() && !j.stopped && j.conflict.is_none())
    {
        if layout.keep.get(step).is_none_or(|kept| attempt < kept) {
            actions.push(Action::Stop { step: step.clone(), attempt: *attempt, uid: job.uid.clone() });
        }
    }
    for (step, attempt) in layout.run.iter().filter(|key| !seen.jobs.contains_key(key)) {
        actions.push(Action::Run { step: step.clone(), attempt: *attempt });
    }
    actions.extend(layout.answers.iter().cloned());
    if let Some(result) = layout.result.as_ref().filter(|r| seen.marked_result.as_ref() != Some(r)) {
        actions.push(Action::MarkResult { at: seen.version.clone(), result: Box::new(result.clone()) });
    }
    actions
}
