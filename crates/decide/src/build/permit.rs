//! The last look before a write, sharing no code with the rules that chose it.

use switchyard_api::command::CommandState;

use super::{Action, Observed, Step};
use crate::Veto;

pub fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
    let veto = |wrong: bool, why: &'static str| if wrong { Err(Veto(why)) } else { Ok(()) };
    let memory = &seen.memory;
    match action {
        Action::Run { step, attempt } => {
            veto(memory.finished.is_some(), "a finished Build would run again")?;
            veto(memory.started.is_none(), "a Build would run that does not remember its start")?;
            veto(memory.failure.is_some(), "a Build that failed or was cancelled would go on")?;
            let unfinished = |j: &super::Job| !j.succeeded && j.failed.is_none() && j.conflict.is_none();
            let second = seen.jobs.iter().any(|((s, _), j)| s == step && unfinished(j));
            veto(second, "a step would have two unfinished Jobs")?;
            veto(seen.jobs.contains_key(&(step.clone(), *attempt)), "a step attempt would have a second Job")?;
            veto(*attempt > seen.order.retries.saturating_add(1), "more attempts than retries allow")?;
            let before: Vec<&String> = match step {
                Step::Check(name) => {
                    seen.order.checks.iter().filter(|c| c.name == *name).flat_map(|c| &c.after).collect()
                }
                Step::Image(_) => seen.order.checks.iter().map(|c| &c.name).collect(),
            };
            veto(!before.iter().all(|name| memory.passed.contains(*name)), "a check that comes first would be skipped")
        }
        Action::Stop { step, attempt, .. } => {
            let current = memory.attempts.get(&step.to_string()).map_or(1, |a| a.number);
            veto(memory.finished.is_none() && *attempt >= current, "a Job would be stopped that is still waited for")
        }
        Action::Answer { uid, state, .. } => {
            veto(memory.finished.is_none(), "a Cancel would be answered while the Build may still run")?;
            let obeyed = memory.handled.contains(uid) && memory.failure.is_some();
            veto(*state == CommandState::Done && !obeyed, "a Cancel would be acknowledged that was not obeyed")?;
            veto(!seen.commands.iter().any(|c| c.uid == *uid), "an answer that nobody waits for")
        }
        Action::MarkResult { result, .. } => {
            veto(memory.finished.is_none(), "a result of an unfinished Build")?;
            let proven = |image: &switchyard_api::build::BuiltImage| {
                memory.served.contains(&image.name)
                    && memory.pushed.get(&image.name).is_some_and(|p| p.digest == image.digest)
            };
            veto(!result.images.iter().all(proven), "a digest that the registry was not seen to serve")?;
            let log = result.failure.as_ref().is_some_and(|f| f.log.is_some());
            veto(log, "a log in an annotation")?;
            veto(seen.marked_result.as_ref() == Some(result), "a write that changes nothing")
        }
        Action::MarkStarted { .. } => {
            veto(seen.marked_started, "a write that changes nothing")?;
            veto(memory.started.is_none(), "a start that is not remembered")
        }
    }
}
