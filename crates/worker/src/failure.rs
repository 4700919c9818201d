//! Which reason each error has in a report. One match per adapter, without a catch-all: a new variant has to choose.

use switchyard_api::report::{Failed, Reason};
use switchyard_git::Error as Git;
use switchyard_registry::Error as Registry;

/// Why a step ended early.
#[derive(Debug)]
pub struct Failure {
    reason: Reason,
    message: String,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Our own files.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::new(Reason::StepFailed, format!("cannot {doing}: {error}"))
    }
}

impl From<Failure> for Failed {
    fn from(Failure { reason, message }: Failure) -> Self {
        Failed { reason, message }
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
