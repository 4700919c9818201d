//! The first step: the source, verified, and its version.

use std::time::{Duration, Instant};

use switchyard_api::report::{Cloned, Reason, Report};
use switchyard_git::{BranchName, Checkout, CommitId, Comparison, Credentials, Difference, Remote, TagPrefix, Url};

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
    if let Some(base) = &arguments.base {
        let comparison = Comparison {
            base: &CommitId::parse(base)?,
            commit: &commit,
            branch: branch.as_ref(),
            include: &arguments.include,
            exclude: &arguments.exclude,
            limit: Duration::from_secs(arguments.limit),
        };
        differs(&remote, &comparison).await?;
    }
    let checkout = Checkout {
        commit: &commit,
        branch: branch.as_ref(),
        into: &arguments.into,
        submodules: arguments.submodules,
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

/// An error where nothing that is wanted changed. What cannot be compared has changed.
async fn differs(remote: &Remote, comparison: &Comparison<'_>) -> Result<(), Failure> {
    let base = comparison.base.short();
    match switchyard_git::compare(remote, comparison).await? {
        Difference::Wanted(path) => tracing::info!("{path} changed since {base}"),
        Difference::Unknown(why) => tracing::warn!("taking everything as changed, since {base} cannot be had: {why}"),
        Difference::Unwanted(0) => {
            return Err(Failure::new(Reason::NothingChanged, format!("nothing changed since {base}")));
        }
        Difference::Unwanted(others) => {
            let why = format!("no wanted path changed since {base}, {others} others did");
            return Err(Failure::new(Reason::NothingChanged, why));
        }
    }
    Ok(())
}
