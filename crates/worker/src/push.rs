//! The last step: the image, unchanged, to its registry.

use std::time::Instant;

use switchyard_api::report::{Pushed, Report};
use switchyard_registry::Layout;

use crate::access::Access;
use crate::command::Push;
use crate::failure::Failure;
use crate::scan::{self, Scan};
use crate::{tags, termination};

pub async fn run(arguments: &Push) -> Result<Report, Failure> {
    let access = Access::open(&arguments.registry)?;
    let cloned = termination::taken_over(&arguments.steps)?;
    let tags = tags::expand(&arguments.tags, &cloned)?;
    let layout = Layout::open(&arguments.layout).await?;
    // Before anything is pushed.
    let judged = match &arguments.scan {
        Some(directory) => {
            let scan = Scan::open(directory)?;
            let findings = scan.judge(&arguments.gate, &layout.config)?;
            Some((scan, findings))
        }
        None => None,
    };
    tracing::info!(tags = tags.join(" "), "pushing to {}", arguments.registry.repository);
    let start = Instant::now();
    let pushed = access.registry.push_layout(&layout, &access.repository, &tags, access.login()).await?;
    let seconds = start.elapsed().as_secs_f32();
    tracing::info!(seconds, bytes = pushed.size, uploaded = pushed.uploaded, "the registry serves {}", pushed.digest);
    if let Some((scan, _)) = &judged {
        scan::attach(&access, &pushed.digest, scan).await?;
    }
    Ok(Report::Pushed(Pushed {
        digest: pushed.digest.to_string(),
        tags,
        size_bytes: pushed.size,
        scan: judged.map(|(_, findings)| findings),
    }))
}
