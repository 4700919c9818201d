//! What the scan left: its report, which is judged, and its SBOM; both are attached to the image.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use switchyard_api::report::{Findings, Reason};
use switchyard_registry::{Attachment, Digest, Error};

use crate::access::Access;
use crate::command::Gate;
use crate::failure::Failure;
use crate::source;
use crate::verdict::{self, Rule};

/// A report lists every package; thousands of them have a few MiB.
const MAX_FILE: u64 = 64 * 1024 * 1024;
const REPORT: &str = "report.json";
const SBOM: &str = "sbom.json";
/// There is no convention for Trivy's own JSON; this is what others in the field put.
const REPORT_TYPE: &str = "application/vnd.aquasec.trivy.report+json";
/// Registered with IANA, and what Trivy itself looks for when it is to use an attached SBOM.
const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";

/// The files of one scan.
pub struct Scan {
    directory: PathBuf,
    report: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sbom {
    bom_format: String,
}

impl Scan {
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let invalid = |file: &str, why: String| {
            Failure::new(Reason::ScanInvalid, format!("the scan left no {file} that can be used: {why}"))
        };
        let directory = directory.canonicalize().map_err(|error| invalid(REPORT, error.to_string()))?;
        let read =
            |file: &str| source::read(&directory.join(file), MAX_FILE).map_err(|why| invalid(file, why.to_string()));
        let report = read(REPORT)?;
        let sbom: Sbom = serde_json::from_slice(&read(SBOM)?).map_err(|error| invalid(SBOM, error.to_string()))?;
        if sbom.bom_format != "CycloneDX" {
            return Err(invalid(SBOM, "it is no CycloneDX".to_owned()));
        }
        Ok(Self { directory, report })
    }

    /// What was found, or the failure that it is. `config` is that of the image that the report must be about.
    pub fn judge(&self, gate: &Gate, config: &Digest) -> Result<Findings, Failure> {
        let rule = Rule { fail_on: &gate.fail_on, ignore_unfixed: gate.ignore_unfixed };
        let verdict = verdict::judge(&self.report, rule, config.as_str())
            .map_err(|why| Failure::new(Reason::ScanInvalid, format!("the scan's report cannot be used: {why}")))?;
        tracing::info!(findings = ?verdict.findings, "judged the scan");
        match verdict.refused {
            None => Ok(verdict.findings),
            Some(why) => Err(Failure::new(Reason::VulnerableImage, why).found(verdict.findings)),
        }
    }
}

/// Attaches both files. A registry that does not take them, or not from this login, is no reason to fail a Build whose
/// image is good: it is said in the log. What may pass is tried again, as any step is.
pub async fn attach(access: &Access, image: &Digest, scan: &Scan) -> Result<(), Failure> {
    let (report, sbom) = (scan.directory.join(REPORT), scan.directory.join(SBOM));
    let attachments = [
        Attachment { artifact_type: REPORT_TYPE, media_type: REPORT_TYPE, title: REPORT, path: &report },
        Attachment { artifact_type: SBOM_TYPE, media_type: SBOM_TYPE, title: SBOM, path: &sbom },
    ];
    match access.registry.attach(&access.repository, image, &attachments, access.login()).await {
        Ok(digests) => {
            for digest in digests {
                tracing::info!("attached {digest}");
            }
            Ok(())
        }
        Err(error @ (Error::NoSpace { .. } | Error::Io { .. })) => Err(error.into()),
        Err(error) if error.passes() => Err(error.into()),
        Err(error) => {
            tracing::warn!("the report and the SBOM are not attached to the image: {error}");
            Ok(())
        }
    }
}
