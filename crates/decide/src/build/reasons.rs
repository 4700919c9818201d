//! Why a Build fails: one word each, whose fault it is, and what to do about it. The documentation of Build has the same
//! table.

use switchyard_api::{build::Class, report::Reason};

/// Reasons given here, beside those of a worker's report.
pub const REASONS: &[(&str, Class, &str)] = &[
    (CHECK_FAILED, Class::User, "read the log and mend the source"),
    (OUT_OF_MEMORY, Class::User, "raise resources.limits.memory of the check, or pod.resources for Kaniko"),
    (DOCKERFILE_MISSING, Class::User, "check images[].dockerfile.path and context"),
    (DOCKERFILE_INVALID, Class::User, "correct the Dockerfile"),
    (BASE_IMAGE_UNAVAILABLE, Class::User, "check the FROM line, and name a pull credential in imagePullSecrets"),
    (BASE_IMAGE_UNREACHABLE, Class::Infrastructure, "find out why the registry of the base image does not answer"),
    (BUILD_FAILED, Class::User, "read the log: an instruction of the Dockerfile failed"),
    (DISK_FULL, Class::Infrastructure, "free the disk of the node, or raise ephemeral-storage in pod.resources"),
    (
        SCAN_UNAVAILABLE,
        Class::Infrastructure,
        "let Trivy reach its database, or name a mirror in the chart's trivy.dbRepository",
    ),
    (SCAN_FAILED, Class::Infrastructure, "read the log of Trivy"),
    (IGNORE_FILE_INVALID, Class::User, "correct scan.ignoreFile, or the file that it names"),
    (IMAGE_NOT_FOUND, Class::User, "check source.registry: the registry has no such digest in that repository"),
    (POD_LOST, Class::Infrastructure, "find out why the node took the pod away"),
    (STEP_FAILED, Class::Infrastructure, "read the log of the pod"),
    (
        IMAGE_PULL_FAILED,
        Class::Infrastructure,
        "check the image's name, and name a pull credential in imagePullSecrets",
    ),
    (
        CONTAINER_FAILED_TO_START,
        Class::Infrastructure,
        "read the log of the container: it does not start, or ends at once",
    ),
    (POD_IMAGE_INVALID, Class::User, "correct the name of the image"),
    (POD_FORBIDDEN, Class::User, "let the namespace admit the pod: its Pod Security level has to be baseline at most"),
    (JOB_INVALID, Class::User, "correct the field that the message names, in a new Build"),
    (SECRET_MISSING, Class::Timeout, "create the Secret, or the key in it, that the message names"),
    (UNSCHEDULABLE, Class::Timeout, "add a node, lower the requests, or correct pod.nodeSelector and pod.tolerations"),
    (QUOTA_EXCEEDED, Class::Timeout, "raise the ResourceQuota of the namespace, or wait until others end"),
    (VOLUME_FAILED, Class::Timeout, "find out why the volume that the message names cannot be mounted"),
    (CHILD_CONFLICT, Class::User, "delete the Job of that name, or make a new Build"),
    (DIGEST_MISMATCH, Class::User, "find out who else pushes that tag"),
    (TIMEOUT, Class::Timeout, "raise timeout, or find out what waits"),
    (CANCELLED, Class::Cancelled, "make a new Build to try again"),
    (LOST, Class::Lost, "make a new Build: what this one did is not known any more"),
];
pub const CHECK_FAILED: &str = "CheckFailed";
pub const OUT_OF_MEMORY: &str = "OutOfMemory";
pub const DOCKERFILE_MISSING: &str = "DockerfileMissing";
pub const DOCKERFILE_INVALID: &str = "DockerfileInvalid";
pub const BASE_IMAGE_UNAVAILABLE: &str = "BaseImageUnavailable";
pub const BASE_IMAGE_UNREACHABLE: &str = "BaseImageUnreachable";
pub const BUILD_FAILED: &str = "BuildFailed";
pub const DISK_FULL: &str = "DiskFull";
pub const SCAN_UNAVAILABLE: &str = "ScanUnavailable";
pub const SCAN_FAILED: &str = "ScanFailed";
pub const IGNORE_FILE_INVALID: &str = "IgnoreFileInvalid";
pub const IMAGE_NOT_FOUND: &str = "ImageNotFound";
pub const POD_LOST: &str = "PodLost";
pub const STEP_FAILED: &str = "StepFailed";
/// Told as soon as one try failed (`ErrImagePull`), since the next may go well; with `ImagePullBackOff` the attempt failed.
pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
/// `CrashLoopBackOff`, `CreateContainerError`, `RunContainerError`: the attempt failed.
pub const CONTAINER_FAILED_TO_START: &str = "ContainerFailedToStart";
/// `InvalidImageName`, `ErrImageNeverPull`: no other try could go better, so it ends the Build.
pub const POD_IMAGE_INVALID: &str = "PodImageInvalid";
/// Admission refuses the pod: ends the Build.
pub const POD_FORBIDDEN: &str = "PodForbidden";
/// The API server refuses the Job itself: ends the Build.
pub const JOB_INVALID: &str = "JobInvalid";
/// Waited for, since a person may create it: a Secret, a `ConfigMap`, or a key of one.
pub const SECRET_MISSING: &str = "SecretMissing";
/// Waited for.
pub const UNSCHEDULABLE: &str = "Unschedulable";
/// Waited for.
pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
/// Waited for.
pub const VOLUME_FAILED: &str = "VolumeFailed";
pub const CHILD_CONFLICT: &str = "ChildConflict";
pub const DIGEST_MISMATCH: &str = "DigestMismatch";
pub const TIMEOUT: &str = "Timeout";
pub const CANCELLED: &str = "Cancelled";
pub const LOST: &str = "StatusLost";

/// What to do about what a worker reports.
pub fn hint(reason: Reason) -> &'static str {
    match reason {
        Reason::GitSourceInvalid => "correct source.git",
        Reason::GitAuthenticationFailed => "correct the Secret that source.git.secretRef names",
        Reason::GitRepositoryNotFound => "check source.git.url, and whether the credential may see the repository",
        Reason::GitHostUnreachable => "find out why the host of source.git.url cannot be reached from the namespace",
        Reason::GitRefNotFound => "check source.git.branch: it was deleted or never pushed",
        Reason::CommitNotFound => "check source.git.commit: it was never pushed, or a forced push removed it",
        Reason::GitHostKeyChanged => "make sure of the server, then replace known_hosts in the Secret",
        Reason::GitHostKeyUnknown => "add the server's key to known_hosts in the Secret",
        Reason::GitFailed => "read the log of clone",
        Reason::ImageNameInvalid => "correct images[].repository or tags",
        Reason::PushDenied => "let the credential of images[].secretRef push to that repository",
        Reason::RegistryUnauthorized => "correct the Secret that images[].secretRef names",
        Reason::RegistryCredentialInvalid => "make it a Secret of type kubernetes.io/dockerconfigjson",
        Reason::RegistryRepositoryNotFound => "create the repository: this registry does not do so at a push",
        Reason::RegistryRateLimited => "wait, or raise the limit of requests at the registry",
        Reason::RegistryUnavailable => "find out what ails the registry",
        Reason::RegistryUnreachable => "find out why the registry cannot be reached from the namespace",
        Reason::LayoutInvalid => "read the log of build",
        Reason::DigestMismatch => "find out who else pushes that tag",
        Reason::NothingChanged => "nothing: no wanted path changed",
        Reason::SubmoduleUnavailable => "check the submodule's URL, and whether it needs a credential for another host",
        Reason::TagImmutable => "give each Build a tag of its own, as $(branch)-$(short) does",
        Reason::ArtifactMissing => "correct checks[].artifacts, or let the check write them",
        Reason::ArtifactTooLarge => "keep less in checks[].artifacts",
        Reason::ImageNotFound => "check source.registry: the registry has no such digest in that repository",
        Reason::VulnerableImage => "use a base image and packages in which it is mended, or lower scan.failOn",
        Reason::ScanInvalid => "read the log of scan",
        Reason::QualityGateFailed => "mend what the quality gate names",
        Reason::SonarQubeUnauthorized => "correct the token, and let it see the project",
        Reason::SonarQubeAnalysisFailed => "look at the background task of the project in SonarQube",
        Reason::SonarQubeUnavailable => "find out what ails the SonarQube server",
        Reason::DiskFull => "free the disk of the node, or raise ephemeral-storage in pod.resources",
        Reason::Stopped => "find out why the node took the pod away",
        Reason::StepFailed | Reason::Unknown => "read the log of the pod",
    }
}
