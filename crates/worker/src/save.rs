//! Keeps what a check left for those that come after it.

use std::io::Write;

use switchyard_api::report::{Reason, Report, Saved};

use crate::access::Access;
use crate::archive::pack;
use crate::command::Save;
use crate::failure::Failure;
use crate::source::Source;

pub async fn run(arguments: &Save) -> Result<Report, Failure> {
    let access = Access::open(&arguments.registry)?;
    let io = |error: std::io::Error| Failure::io("write the archive", &error);
    let source = Source::root(&arguments.from)
        .map_err(|why| Failure::new(Reason::StepFailed, format!("cannot open the source: {why}")))?;
    let mut archive = tempfile::NamedTempFile::new().map_err(io)?;
    let bytes = pack(&source, &arguments.paths, &mut archive)?;
    archive.flush().map_err(io)?;
    let saved = access.registry.push_artifact(archive.path(), &access.repository, access.login()).await?;
    tracing::info!(bytes, "kept {} as {}", arguments.paths.join(", "), saved.digest);
    Ok(Report::Saved(Saved { digest: saved.digest.to_string(), size_bytes: bytes }))
}
