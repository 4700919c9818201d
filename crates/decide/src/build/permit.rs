//! The last look before a write, sharing no code with the rules that chose it.

use super::{Action, Observed};
use crate::Veto;

pub fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
    let veto = |wrong: bool, why: &'static str| if wrong { Err(Veto(why)) } else { Ok(()) };
    match action {
        Action::Run { step, attempt } => {
            veto(seen.memory.finished.is_some(), "a finished Build would run again")?;
            veto(seen.memory.started.is_none(), "a Build would run that does not remember its start")?;
            let unfinished = |j: &super::Job| !j.succeeded && j.failed.is_none();
            let second = seen.jobs.iter().any(|((s, _), j)| s == step && unfinished(j));
            veto(second, "a step would have two unfinished Jobs")?;
            veto(*attempt > seen.order.retries.saturating_add(1), "more attempts than retries allow")
        }
        Action::Stop { .. } => veto(seen.memory.finished.is_none(), "a Job would be stopped that is still waited for"),
        Action::MarkResult { result, .. } => {
            veto(seen.memory.finished.is_none(), "a result of an unfinished Build")?;
            let proven = |name: &String| seen.memory.served.contains(name);
            veto(!result.images.iter().all(|i| proven(&i.name)), "a digest that the registry was not seen to serve")
        }
        Action::MarkStarted { .. } => Ok(()),
    }
}
