//! The termination message, and what one step leaves for the next.

use std::io::Read;
use std::path::{Path, PathBuf};

use switchyard_api::names::RESOLVERS;
use switchyard_api::report::{Cloned, Reason, Report};

use crate::failure::Failure;

/// What the clone step leaves is a few hundred bytes.
const MAX_HANDOVER: u64 = 64 * 1024;

/// Where Kubernetes reads it, unless `SWITCHYARD_TERMINATION_LOG` says otherwise.
pub fn write(report: &Report) -> std::io::Result<()> {
    let path = std::env::var_os("SWITCHYARD_TERMINATION_LOG").map_or("/dev/termination-log".into(), PathBuf::from);
    std::fs::write(path, report.to_message())
}

/// Leaves the result of the clone for the push: whole or not at all.
pub fn hand_over(steps: &Path, cloned: &Cloned) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::io("write clone.json", &error);
    std::fs::create_dir_all(steps).map_err(io)?;
    let partial = steps.join("clone.json.partial");
    let text = serde_json::to_vec(cloned).map_err(|error| io(error.into()))?;
    std::fs::write(&partial, text).map_err(io)?;
    std::fs::rename(&partial, steps.join("clone.json")).map_err(io)
}

/// Keeps the files by which names are resolved as they are before a stranger's container runs in the pod, for those
/// that come after it.
pub fn keep_names(steps: &Path) -> Result<(), Failure> {
    let io = |error: std::io::Error| Failure::io("keep how names are resolved", &error);
    std::fs::create_dir_all(steps).map_err(io)?;
    for (path, kept) in RESOLVERS {
        let text = match std::fs::read(path) {
            // Then there is nothing that anybody could have changed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![],
            read => read.map_err(io)?,
        };
        std::fs::write(steps.join(kept), text).map_err(io)?;
    }
    Ok(())
}

/// What the clone step left.
pub fn taken_over(steps: &Path) -> Result<Cloned, Failure> {
    let io = |error: std::io::Error| Failure::io("read clone.json, which the clone step leaves", &error);
    let mut text = Vec::new();
    std::fs::File::open(steps.join("clone.json")).map_err(io)?.take(MAX_HANDOVER).read_to_end(&mut text).map_err(io)?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(Reason::StepFailed, format!("clone.json cannot be read: {error}")))
}
