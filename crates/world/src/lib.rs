//! What each Action does to a small cluster, and fair rounds until silent.
//!
//! This is the one specification of the writes: the model explores it in every order (`tests/`), `plan` runs it to
//! say what an edit would do, and conformance compares it with a real API server.

pub mod build;
pub mod rollout;

use switchyard_decide::{Refusal, Version};

/// The version after this one. One object's versions count by one here: decisions only compare those of one object.
fn after(version: &Version) -> Version {
    let last: u64 = version.as_str().parse().unwrap_or(0);
    Version::new(last.saturating_add(1).to_string())
}

fn fresh(at: &Version, is: &Version) -> Result<(), Refusal> {
    if at == is { Ok(()) } else { Err(Refusal::Stale) }
}

/// What exists cannot be created.
fn absent(exists: bool) -> Result<(), Refusal> {
    if exists { Err(Refusal::Stale) } else { Ok(()) }
}
