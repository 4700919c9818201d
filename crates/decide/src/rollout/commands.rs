//! What people order, and what it comes to. A Command acts once, on the revision it names, or not at all.

use switchyard_api::{
    Revision,
    command::CommandState,
    condition::reason,
    rollout::{Handled, Memory, Outcome, Promoted},
};

use super::{
    Action,
    goal::{bad, described, wanted},
    memory::fail,
    observed::{Command, CommandOrder, Observed},
};

/// Takes what was ordered into memory. What was answered, or is gone, is no longer remembered.
pub fn obey(seen: &Observed, memory: &mut Memory) {
    memory.handled.retain(|uid, _| seen.commands.iter().any(|c| c.uid == *uid));
    for command in &seen.commands {
        if !memory.handled.contains_key(&command.uid)
            && let Some(handled) = order(seen, memory, command)
        {
            memory.handled.insert(command.uid.clone(), handled);
        }
    }
}

/// The answers that may be given now. An Abort, and what is left by going back, is acknowledged only once the live
/// Service's record fences the revision off: no switch decided before can land after.
pub fn answers(seen: &Observed, memory: &Memory) -> Vec<Action> {
    let answer = |command: &Command| {
        let handled = memory.handled.get(&command.uid)?;
        let record = seen.record();
        let fenced = |r: &Revision| {
            record.candidate != Some(*r) && (memory.rejected.contains(r) || !memory.failed.contains_key(r))
        };
        handled.fences.iter().all(fenced).then(|| Action::Answer {
            command: command.name.clone(),
            uid: command.uid.clone(),
            at: command.version.clone(),
            state: handled.state,
            message: handled.message.clone(),
        })
    };
    seen.commands.iter().filter_map(answer).collect()
}

/// None: not yet.
fn order(seen: &Observed, memory: &mut Memory, command: &Command) -> Option<Handled> {
    match command.order {
        CommandOrder::Promote(revision) => Some(promote(seen, memory, command, revision)),
        CommandOrder::Abort(revision) => Some(abort(seen, memory, command, revision)),
        CommandOrder::Retry(revision) => retry(seen, memory, revision),
        CommandOrder::RollbackTo(revision) => Some(roll_back(seen, memory, command, revision)),
        CommandOrder::Resume => Some(resume(memory)),
    }
}

fn handled(state: CommandState, message: String) -> Handled {
    Handled { state, message, fences: vec![] }
}
fn done(message: String) -> Handled {
    handled(CommandState::Done, message)
}
fn stale(message: String) -> Handled {
    handled(CommandState::Stale, message)
}
fn refused(message: String) -> Handled {
    handled(CommandState::Refused, message)
}

fn promote(seen: &Observed, memory: &mut Memory, command: &Command, revision: Revision) -> Handled {
    let record = seen.record();
    if record.live == Some(revision) {
        return stale(format!("{revision} is live already"));
    }
    if described(seen, memory) != Some(revision) {
        return stale(match described(seen, memory) {
            Some(next) => format!("the next revision is {next}, not {revision}"),
            None => format!("{revision} is not what the spec describes"),
        });
    }
    if let Some(held) = &memory.held {
        let (by, back) = (&held.by, held.revision);
        return refused(format!("{by} went back to {back}: nothing else goes live before a Command of type Resume"));
    }
    if bad(memory, &record, revision) {
        return refused(format!("{revision} was given up: a Command of type Retry comes first"));
    }
    memory.promoted = Some(promoted(command, revision));
    done(format!("{revision} goes live once it is ready and checked"))
}

fn promoted(command: &Command, revision: Revision) -> Promoted {
    Promoted { revision, by: command.user.clone(), reason: command.reason.clone() }
}

fn abort(seen: &Observed, memory: &mut Memory, command: &Command, revision: Revision) -> Handled {
    let record = seen.record();
    if memory.confirmed.is_some_and(|c| c.revision == revision) {
        return refused(format!(
            "{revision} is confirmed, so there is nothing to abort: a Command of type RollbackTo goes back from it"
        ));
    }
    if bad(memory, &record, revision) {
        return stale(format!("{revision} was given up already"));
    }
    let under_way = wanted(seen, memory) == Some(revision)
        || described(seen, memory) == Some(revision)
        || record.candidate == Some(revision)
        || record.live == Some(revision);
    if !under_way {
        return stale(format!("{revision} is not on its way to live"));
    }
    let message = format!("aborted by {}{}", command.user, command.because());
    fail(seen, memory, revision, reason::ABORTED, message, Some(&command.user));
    Handled { fences: vec![revision], ..done(format!("{revision} is given up")) }
}

/// A try that is not fenced off yet cannot be followed by another.
fn retry(seen: &Observed, memory: &mut Memory, revision: Revision) -> Option<Handled> {
    let record = seen.record();
    if !bad(memory, &record, revision) {
        return Some(stale(format!("{revision} was not given up")));
    }
    if memory.failed.contains_key(&revision) && !memory.rejected.contains(&revision) {
        return None;
    }
    let voided = record.void.get(&revision).copied().unwrap_or(0);
    let attempt = memory.attempt(revision).max(voided).saturating_add(1);
    memory.attempts.insert(revision, attempt);
    memory.failed.remove(&revision);
    memory.rejected.remove(&revision);
    Some(done(format!("{revision} is tried again")))
}

fn roll_back(seen: &Observed, memory: &mut Memory, command: &Command, revision: Revision) -> Handled {
    let record = seen.record();
    let proven = memory.confirmed.is_some_and(|c| c.revision == revision)
        || memory.history.iter().any(|h| h.revision == revision && h.outcome == Outcome::Promoted);
    if seen.deployment(revision).is_none() {
        return stale(format!("{revision} is no longer kept (spec.revisionHistoryLimit)"));
    }
    if !proven {
        return refused(format!("{revision} was never confirmed"));
    }
    if bad(memory, &record, revision) {
        return refused(format!("{revision} was given up: a Command of type Retry comes first"));
    }
    let left: Vec<Revision> = [record.live, record.candidate, described(seen, memory)]
        .into_iter()
        .flatten()
        .filter(|r| *r != revision)
        .collect();
    memory.held = Some(promoted(command, revision));
    memory.promoted = None;
    for left in &left {
        if !bad(memory, &record, *left) {
            let message = format!("{} went back to {revision}{}", command.user, command.because());
            fail(seen, memory, *left, reason::ROLLED_BACK, message, Some(&command.user));
        }
    }
    Handled {
        fences: left,
        ..done(format!("back to {revision}: nothing else goes live before a Command of type Resume"))
    }
}

fn resume(memory: &mut Memory) -> Handled {
    match memory.held.take() {
        Some(held) => done(format!("{} is no longer held", held.revision)),
        None => stale("nothing is held".to_owned()),
    }
}
