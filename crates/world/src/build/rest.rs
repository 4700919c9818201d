//! Where a Build may come to rest. Written from the user's side, apart from the rules that lead there.

use switchyard_api::build::Class;

use super::{Cluster, Outcome};

impl Cluster {
    /// Whether silence is right here; and if not, what is missing.
    pub fn rests(&self) -> Result<(), &'static str> {
        let memory = &self.build.memory;
        let Some(finished) = memory.finished else { return Err("it has not ended") };
        if self.jobs.values().any(|job| job.end.is_none()) {
            return Err("a Job runs that nobody waits for");
        }
        if self.build.marked_result.as_ref().is_none_or(|r| r.finished != finished || r.skipped != memory.skipped) {
            return Err("its result would be lost with its status");
        }
        if self.commands.values().any(|c| c.answer.is_none()) {
            return Err("somebody who ordered something was not answered");
        }
        match &memory.failure {
            Some(failure) if failure.class == Class::User => {
                let broke = self.order.steps().any(|step| self.said(&step, Outcome::Broke));
                let other = self.registry.values().any(|s| *s == super::Served::SomethingElse);
                if broke || other { Ok(()) } else { Err("it failed, and nothing was wrong with it") }
            }
            Some(_) => Ok(()),
            None if memory.skipped => Ok(()),
            None if self.order.images.iter().all(|i| memory.served.contains(&i.name)) => Ok(()),
            None => Err("it ended well without an image"),
        }
    }
}
