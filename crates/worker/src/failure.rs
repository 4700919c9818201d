//! Which reason each error has in a report. One match per adapter, without a catch-all: a new variant has to choose.

use std::io::ErrorKind;

use switchyard_api::report::{Failed, Findings, Reason};
use switchyard_git::Error as Git;
use switchyard_registry::Error as Registry;

/// Why a step ended early.
#[derive(Debug)]
pub struct Failure {
    reason: Reason,
    message: String,
    scan: Option<Findings>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), scan: None }
    }

    /// Our own files.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Reason::DiskFull,
            _ => Reason::StepFailed,
        };
        Self::new(reason, format!("cannot {doing}: {error}"))
    }

    /// With what a scan found.
    pub fn found(self, scan: Findings) -> Self {
        Self { scan: Some(scan), ..self }
    }
}

impl From<Failure> for Failed {
    fn from(Failure { reason, message, scan }: Failure) -> Self {
        Failed { reason, message, scan }
    }
}

impl From<Git> for Failure {
    fn from(error: Git) -> Self {
        let reason = match &error {
            Git::BadUrl { .. } | Git::BadName { .. } => Reason::GitSourceInvalid,
            Git::BadCredentials(_) | Git::AuthenticationRefused { .. } => Reason::GitAuthenticationFailed,
            Git::Unreachable { .. } => Reason::GitHostUnreachable,
            Git::RepositoryNotFound { .. } => Reason::GitRepositoryNotFound,
            Git::RefNotFound { .. } => Reason::GitRefNotFound,
            Git::CommitNotFound { .. } => Reason::CommitNotFound,
            Git::HostKeyChanged { .. } => Reason::GitHostKeyChanged,
            Git::HostKeyUnknown { .. } => Reason::GitHostKeyUnknown,
            Git::Io { .. } => Reason::StepFailed,
            Git::Other { .. } => Reason::GitFailed,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<Registry> for Failure {
    fn from(error: Registry) -> Self {
        let reason = match &error {
            Registry::BadReference { .. } => Reason::ImageNameInvalid,
            Registry::BadCredentials(_) => Reason::RegistryCredentialInvalid,
            Registry::NotFound { .. } => Reason::RegistryRepositoryNotFound,
            Registry::Unauthorized { .. } => Reason::RegistryUnauthorized,
            Registry::Denied { .. } => Reason::PushDenied,
            Registry::TooManyRequests { .. } => Reason::RegistryRateLimited,
            Registry::ServerError { .. } => Reason::RegistryUnavailable,
            Registry::Unreachable { .. } => Reason::RegistryUnreachable,
            Registry::BadLayout(_) => Reason::LayoutInvalid,
            Registry::Mismatch { .. } => Reason::DigestMismatch,
        };
        Self::new(reason, error.to_string())
    }
}
