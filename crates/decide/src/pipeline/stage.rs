//! Where a Pipeline stands.

use switchyard_api::pipeline::Memory;

use super::observed::Observed;
use crate::{Answer, Unreachable};

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nothing new is started.
    Suspended,
    /// The source does not answer.
    Unreachable(Unreachable),
    /// The source has not been asked yet.
    Looking,
    Building,
    /// At least one environment is to run something newer.
    Promoting,
    Settled,
}

pub fn stage(seen: &Observed, memory: &Memory) -> (&'static str, Stage) {
    if seen.order.suspend {
        return ("nothing new starts while it is suspended", Stage::Suspended);
    }
    if let Some(Answer::Unreachable { why, .. }) = seen.answers.get(&seen.order.question()) {
        return ("what is known goes on while the source does not answer", Stage::Unreachable(why.clone()));
    }
    let Some(built) = &memory.built else { return ("the source is asked first", Stage::Looking) };
    if built.ended.is_none() {
        return ("one Build of each head", Stage::Building);
    }
    let moving = memory.environments.values().any(|e| {
        e.release.as_ref().is_some_and(|r| e.live.as_ref() != Some(&r.build) && !e.rejected.contains(&r.build))
    });
    if moving {
        ("a good build goes from environment to environment", Stage::Promoting)
    } else {
        ("every environment runs what it may", Stage::Settled)
    }
}
