//! The last step for an image that another CI built: judged, and its findings attached.

use switchyard_api::report::{Pushed, Report};

use crate::access::{Access, digest};
use crate::command::Accept;
use crate::failure::Failure;
use crate::pull::of_reading;
use crate::scan::{self, Scan};

pub async fn run(arguments: &Accept) -> Result<Report, Failure> {
    let access = Access::open(&arguments.registry)?;
    let digest = digest(&arguments.digest)?;
    // Asked again: what is accepted must be there now.
    let config = access.registry.config(&access.repository, &digest, access.login()).await.map_err(of_reading)?;
    let scan = Scan::open(&arguments.scan)?;
    let findings = scan.judge(&arguments.gate, &config)?;
    scan::attach(&access, &digest, &scan).await?;
    Ok(Report::Pushed(Pushed { digest: digest.to_string(), tags: Vec::new(), size_bytes: 0, scan: Some(findings) }))
}
