//! The kinds of `switchyard.dev/v1alpha1`, and every name that users or other programs can see: labels,
//! annotations, condition types, reasons. Values only, no IO.

// kube's derive repeats `type_` in every printcolumn, which is one attribute each to it and many to clippy.
#![allow(clippy::duplicated_attributes)]

pub mod build;
pub mod check;
pub mod command;
pub mod condition;
pub mod names;
pub mod pipeline;
pub mod report;
pub mod rollout;
pub mod schema;
pub mod template;
pub mod values;

pub use build::{Build, BuildSpec, BuildStatus};
pub use command::{Command, CommandSpec, CommandStatus};
pub use pipeline::{Pipeline, PipelineSpec, PipelineStatus};
pub use rollout::{Rollout, RolloutSpec, RolloutStatus};
pub use values::{CommitId, Digest, Duration, Revision, Timestamp};

/// The API group of every kind here.
pub const GROUP: &str = "switchyard.dev";
/// The one version served so far.
pub const VERSION: &str = "v1alpha1";
