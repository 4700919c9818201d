//! The last look before a write, sharing no code with the rules that chose it.

use super::{Action, Observed};
use crate::Veto;

pub fn permit(seen: &Observed, action: &Action) -> Result<(), Veto> {
    let veto = |wrong: bool, why: &'static str| if wrong { Err(Veto(why)) } else { Ok(()) };
    match action {
        Action::CreateBuild { name, commit, .. } => {
            let remembered = seen.memory.built.as_ref().is_some_and(|b| b.build == *name && b.commit == *commit);
            veto(!remembered, "a Build that is not remembered could be made twice")?;
            let running = seen
                .builds
                .values()
                .any(|b| b.commit.as_ref() == Some(commit) && b.conflict.is_none() && b.ended.is_none());
            veto(running, "a commit would be built twice at once")
        }
        Action::DeleteBuild { name, .. } => {
            let running = seen.builds.get(name).is_some_and(|b| b.ended.is_none());
            veto(running, "a running Build would be deleted")?;
            let served = seen.memory.environments.values().any(|e| e.live.as_ref() == Some(name));
            veto(served, "a Build that an environment runs would be deleted")
        }
    }
}
