//! Everything Switchyard says to a Kubernetes API server, and everything it hears from one.
//!
//! - [`client`]: clients whose every call ends in bounded time.
//! - [`caches`]: watched objects, and the stream of those that changed.
//! - [`writer`]: writes, each conditional on what the decision saw; [`refusal`] says what a refused one means.
//! - [`barrier`]: our own writes, until the caches show them.
//! - [`events`]: Events, at most once.
//! - [`lease`] and [`election`]: which of several replicas acts.
//!
//! Architecture Invariant: nothing here decides. No module reads a template, a phase or a condition of ours.

pub mod barrier;
pub mod caches;
pub mod client;
pub mod election;
pub mod events;
pub mod lease;
pub mod ops;
pub mod refusal;
pub mod target;
pub mod writer;

mod calls;
mod changes;
mod retry;

pub use barrier::{Barrier, Passage};
pub use caches::{Cache, Feed, Scope};
pub use election::{Candidacy, Election, Leadership};
pub use events::Publisher;
pub use lease::Terms;
pub use ops::Ops;
pub use refusal::Refusal;
pub use target::{Seen, Target, Written};
pub use writer::{Created, Verb, Writer};
