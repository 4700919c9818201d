//! The first step: the source, verified, and its version.

use std::time::{Duration, Instant};

use switchyard_api::report::{Cloned, Report};
use switchyard_git::{BranchName, Checkout, CommitId, Credentials, Remote, TagPrefix, Url};

use crate::command::Clone;
use crate::failure::Failure;
use crate::termination;

pub async fn run(arguments: &Clone) -> Result<Report, Failure> {
    let url = Url::parse(&arguments.url)?;
    let commit = CommitId::parse(&arguments.commit)?;
    let branch = arguments.branch.as_deref().map(BranchName::parse).transpose()?;
    let prefix = arguments.tag_prefix.as_deref().map(TagPrefix::parse).transpose()?;
    let credentials = match &arguments.credentials {
        Some(directory) => Credentials::from_directory(directory)?,
        None => Credentials::none(),
    };
    let remote = Remote { url, credentials };
    let checkout = Checkout {
        commit: &commit,
        branch: branch.as_ref(),
        into: &arguments.into,
        version: prefix.as_ref(),
        limit: Duration::from_secs(arguments.limit),
    };
    tracing::info!(%commit, "cloning {} into {}", remote.url, arguments.into.display());
    let start = Instant::now();
    let cloned = switchyard_git::clone(&remote, &checkout).await?;
    let cloned = Cloned {
        commit: cloned.commit.to_string(),
        branch: branch.map(|branch| branch.to_string()),
        version: cloned.version.map(|version| version.to_string()),
        committed: cloned.committed,
        subject: cloned.subject,
    };
    termination::keep_names(&arguments.steps)?;
    termination::hand_over(&arguments.steps, &cloned)?;
    let seconds = start.elapsed().as_secs_f32();
    let version = cloned.version.as_deref().unwrap_or("not asked for");
    tracing::info!(seconds, version, "{} is in place: {}", commit.short(), cloned.subject);
    Ok(Report::Cloned(cloned))
}
