//! What people order of a Build: that it ends.

use switchyard_api::{build::Memory, command::CommandState};

use super::{
    Action,
    classify::failure,
    observed::{CommandOrder, Observed},
    reasons,
};

/// Takes a Cancel into memory, of a Build that goes on.
pub fn obey(seen: &Observed, memory: &mut Memory) {
    if memory.failure.is_some() {
        return;
    }
    for command in &seen.commands {
        match command.order {
            CommandOrder::Cancel => {
                let message = format!("cancelled by {}{}", command.user, command.because());
                memory.failure.get_or_insert_with(|| failure("build", reasons::CANCELLED, message, None));
                memory.handled.insert(command.uid.clone());
            }
        }
    }
}

/// The answers that may be given now: of what memory holds. A Cancel that came too late is refused.
pub fn answers(seen: &Observed, memory: &Memory) -> Vec<Action> {
    if memory.finished.is_none() {
        return vec![];
    }
    let said = memory.failure.as_ref().map(|f| f.message.clone()).unwrap_or_default();
    let answer = |command: &super::Command| {
        let (state, message) = if memory.handled.contains(&command.uid) {
            (CommandState::Done, said.clone())
        } else {
            (CommandState::Refused, "the Build has ended already".to_owned())
        };
        let (name, uid) = (command.name.clone(), command.uid.clone());
        Action::Answer { command: name, uid, at: command.version.clone(), state, message }
    };
    seen.commands.iter().map(answer).collect()
}
