//! Brings the image of another CI from its registry, to be scanned.

use switchyard_api::report::{Passed, Reason, Report};
use switchyard_registry::Error;

use crate::access::{Access, digest};
use crate::command::Pull;
use crate::failure::Failure;

pub async fn run(arguments: &Pull) -> Result<Report, Failure> {
    let access = Access::open(&arguments.registry)?;
    let digest = digest(&arguments.digest)?;
    tracing::info!("pulling {}@{digest}", arguments.registry.repository);
    let pulled = access.registry.pull_layout(&access.repository, &digest, &arguments.layout, access.login()).await;
    let pulled = pulled.map_err(of_reading)?;
    Ok(Report::Passed(Passed { message: format!("{} has {} bytes", pulled.image, pulled.size) }))
}

/// Reading is all that was tried: what is denied is no push.
pub fn of_reading(error: Error) -> Failure {
    if matches!(error, Error::NotFound { .. }) {
        Failure::new(Reason::ImageNotFound, error.to_string())
    } else if matches!(error, Error::Denied { .. }) {
        Failure::new(Reason::RegistryUnauthorized, error.to_string())
    } else {
        error.into()
    }
}
