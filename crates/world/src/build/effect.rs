//! What each write does, and when it is refused.

use switchyard_api::build::Memory;
use switchyard_decide::{Refusal, Version, build::Action};

use super::{Cluster, Job, Pod};
use crate::{absent, after, fresh};

impl Cluster {
    /// The status write of what is to be remembered, conditional on the version that the decision saw.
    pub fn report(&mut self, at: &Version, memory: &Memory) -> Result<(), Refusal> {
        fresh(at, &self.build.version)?;
        self.build.memory.clone_from(memory);
        self.build.version = after(&self.build.version);
        Ok(())
    }

    /// The look and then the write, with nothing in between.
    pub fn effect(&mut self, action: &Action) -> Result<(), Refusal> {
        self.look(action)?;
        self.write(action)
    }

    /// What is looked at right before the write, of other objects than the one that is written.
    pub fn look(&self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::Run { step, attempt } => absent(self.unfinished(step).any(|other| other < *attempt)),
            Action::MarkStarted { .. } | Action::Stop { .. } | Action::Answer { .. } | Action::MarkResult { .. } => {
                Ok(())
            }
        }
    }

    /// One conditional write on one object.
    pub fn write(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::MarkStarted { at, .. } => {
                fresh(at, &self.build.version)?;
                self.build.marked_started = true;
                self.build.version = after(&self.build.version);
                Ok(())
            }
            Action::MarkResult { at, result } => {
                fresh(at, &self.build.version)?;
                self.build.marked_result = Some((**result).clone());
                self.build.version = after(&self.build.version);
                Ok(())
            }
            Action::Run { step, attempt } => {
                let key = (step.clone(), *attempt);
                absent(self.jobs.contains_key(&key))?;
                self.jobs.insert(key.clone(), Job { created: self.now, stopped: false, end: None });
                self.pods.insert(key, Pod::Pending);
                Ok(())
            }
            // One that is gone has ended too.
            Action::Stop { step, attempt, .. } => {
                if let Some(job) = self.jobs.get_mut(&(step.clone(), *attempt)).filter(|j| j.end.is_none()) {
                    job.stopped = true;
                }
                Ok(())
            }
            Action::Answer { uid, at, state, .. } => {
                let command = self.commands.get_mut(uid).ok_or(Refusal::Stale)?;
                fresh(at, &command.order.version)?;
                absent(command.answer.is_some())?;
                command.order.version = after(&command.order.version);
                command.answer = Some(*state);
                Ok(())
            }
        }
    }
}
