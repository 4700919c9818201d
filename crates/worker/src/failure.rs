//! Which reason each error has in a report. One match per adapter, without a catch-all: a new variant has to choose.

use std::io::ErrorKind;

use switchyard_api::report::{Failed, Findings, Reason};
use switchyard_git::Error as Git;
use switchyard_registry::Error as Registry;

/// Why a step ended early.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    message: String,
    scan: Option<Findings>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), scan: None }
    }

    /// Our own files.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let reason = if full { Reason::DiskFull } else { Reason::StepFailed };
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
            // Its host may answer in a minute, and a full disk is no fault of the submodule's.
            Git::Submodule { why, .. } => match **why {
                Git::Unreachable { .. } => Reason::GitHostUnreachable,
                Git::NoSpace { .. } => Reason::DiskFull,
                Git::BadUrl { .. }
                | Git::BadName { .. }
                | Git::BadCredentials(_)
                | Git::AuthenticationRefused { .. }
                | Git::RepositoryNotFound { .. }
                | Git::RefNotFound { .. }
                | Git::CommitNotFound { .. }
                | Git::HostKeyChanged { .. }
                | Git::HostKeyUnknown { .. }
                | Git::Submodule { .. }
                | Git::Io { .. }
                | Git::Other { .. } => Reason::SubmoduleUnavailable,
            },
            Git::NoSpace { .. } => Reason::DiskFull,
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
            Registry::TagImmutable { .. } => Reason::TagImmutable,
            Registry::NoSpace { .. } => Reason::DiskFull,
            Registry::Io { .. } => Reason::StepFailed,
            Registry::TooLarge { .. } => Reason::ArtifactTooLarge,
            Registry::BadLayout(_) => Reason::LayoutInvalid,
            Registry::Mismatch { .. } => Reason::DigestMismatch,
        };
        Self::new(reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_reason() {
        let full = std::io::Error::from_raw_os_error(28);
        let broken = std::io::Error::from_raw_os_error(5);
        assert_eq!(Failure::io("write", &full).reason, Reason::DiskFull);
        assert_eq!(Failure::io("write", &broken).reason, Reason::StepFailed);
        assert_eq!(Failure::from(Git::NoSpace { doing: "fetch".to_owned() }).reason, Reason::DiskFull);
        assert_eq!(Failure::from(Registry::NoSpace { doing: "write" }).reason, Reason::DiskFull);
    }

    #[test]
    fn a_submodule_is_tried_again_only_where_that_can_help() {
        let of = |why| Failure::from(Git::Submodule { path: "lib".to_owned(), why: Box::new(why) }).reason;
        let unreachable = Git::Unreachable { host: "h".to_owned(), why: "no".to_owned() };
        assert_eq!(of(unreachable), Reason::GitHostUnreachable);
        assert_eq!(of(Git::NoSpace { doing: "fetch".to_owned() }), Reason::DiskFull);
        assert_eq!(of(Git::BadUrl { why: "no" }), Reason::SubmoduleUnavailable);
        assert_eq!(of(Git::CommitNotFound { commit: "1".to_owned() }), Reason::SubmoduleUnavailable);
    }
}
