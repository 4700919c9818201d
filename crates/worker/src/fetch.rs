//! Brings back what earlier checks left.

use std::io::Seek;

use switchyard_api::report::{Passed, Reason, Report};
use switchyard_registry::Error;

use crate::access::{Access, digest};
use crate::archive::{MAX_ARCHIVE, unpack};
use crate::command::Fetch;
use crate::failure::Failure;
use crate::pull;
use crate::source::Source;

pub async fn run(arguments: &Fetch) -> Result<Report, Failure> {
    let access = Access::open(&arguments.registry)?;
    let io = |error: std::io::Error| Failure::io("write the artifacts", &error);
    let source = Source::root(&arguments.into)
        .map_err(|why| Failure::new(Reason::StepFailed, format!("cannot open the source: {why}")))?;
    let mut bytes: u64 = 0;
    for text in &arguments.digests {
        let digest = digest(text)?;
        // Beside the source, which is known to have room for it; without a name.
        let archive = tempfile::tempfile_in(&arguments.into).map_err(io)?;
        let mut file = tokio::fs::File::from_std(archive);
        let login = access.login();
        let pulled = access.registry.pull_artifact(&access.repository, &digest, MAX_ARCHIVE, &mut file, login).await;
        pulled.map_err(of_reading)?;
        let mut archive = file.into_std().await;
        archive.rewind().map_err(io)?;
        let unpacked = unpack(archive, &source)?;
        tracing::info!(bytes = unpacked, "brought {digest}");
        bytes = bytes.saturating_add(unpacked);
    }
    let count = arguments.digests.len();
    Ok(Report::Passed(Passed { message: format!("{count} artifacts, {bytes} bytes") }))
}

/// What was kept a while ago is gone, or hidden from this credential.
fn of_reading(error: Error) -> Failure {
    if matches!(error, Error::NotFound { .. }) {
        return Failure::new(Reason::ArtifactMissing, error.to_string());
    }
    pull::of_reading(error)
}
