//! Labels, annotations and the names of children.

use sha2::{Digest as _, Sha256};

/// On children: the name of the Rollout they belong to. Watches filter on these three.
pub const LABEL_ROLLOUT: &str = "switchyard.dev/rollout";
pub const LABEL_BUILD: &str = "switchyard.dev/build";
pub const LABEL_PIPELINE: &str = "switchyard.dev/pipeline";
/// On pods and revision objects: which revision. The live selector names one.
pub const LABEL_REVISION: &str = "switchyard.dev/revision";
/// On the Jobs of a Rollout's checks and their pods: the name of the Rollout, and which revision is checked. Not the
/// labels that a live selector names, so that no Service takes such a pod for one that serves.
pub const LABEL_CHECK: &str = "switchyard.dev/check";
pub const LABEL_CHECK_REVISION: &str = "switchyard.dev/check-revision";
/// On children: the uid of the owner, by which they are matched.
pub const LABEL_OWNER_UID: &str = "switchyard.dev/owner-uid";
/// On Services of a Rollout: `live`, `preview` or `revision`.
pub const LABEL_ROLE: &str = "switchyard.dev/role";
pub const ROLE_LIVE: &str = "live";
pub const ROLE_REVISION: &str = "revision";
pub const ROLE_PREVIEW: &str = "preview";
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const MANAGED_BY: &str = "switchyard";

/// On the live Service: the record of the switch, see `docs/switch.md`.
pub const ANNOTATION_SWITCH: &str = "switchyard.dev/switch";
/// On a revision's Deployment: the nomination under which it was scaled up.
pub const ANNOTATION_CLAIM: &str = "switchyard.dev/claim";
/// On a revision's Deployment: the releases it carries, as JSON.
pub const ANNOTATION_RELEASE: &str = "switchyard.dev/release";
/// On a Build: it was started once; a started Build whose status is gone is lost, never run again.
pub const ANNOTATION_STARTED: &str = "switchyard.dev/started";
/// On a Build: its result as JSON, for a restore without status.
pub const ANNOTATION_RESULT: &str = "switchyard.dev/result";
/// On the Job of a Rollout's check: which run of which check it is, as JSON.
pub const ANNOTATION_CHECK: &str = "switchyard.dev/check-run";
/// On a Job: which step attempt it is, `image/web/1`.
pub const ANNOTATION_STEP: &str = "switchyard.dev/step";

/// The files by which a container resolves names, and what the worker's `clone` calls its copies of them. The containers of
/// a pod share these files.
pub const RESOLVERS: [(&str, &str); 2] = [("/etc/resolv.conf", "resolv.conf"), ("/etc/hosts", "hosts")];

/// The value of the revision label in a live selector that means nobody yet.
pub const NOBODY: &str = "none";

/// Longest name of a Job, Service or Deployment that may also be a label's value (RFC 1123).
const LONGEST: usize = 63;

/// `parts` joined by dashes, fitted into 63 characters: what is too long is cut and its hash appended, so that
/// different parts never give the same name and the same parts always do.
pub fn child(parts: &[&str]) -> String {
    let whole = parts.join("-");
    if whole.len() <= LONGEST {
        return whole;
    }
    let hash = hex(&Sha256::digest(parts.join("\n").as_bytes()), 8);
    let kept: String = whole.chars().take(LONGEST.saturating_sub(9)).collect();
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

/// The first `characters` hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8], characters: usize) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .filter_map(|n| char::from_digit(u32::from(n), 16))
        .take(characters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_unique_and_valid() {
        let long = "a".repeat(60);
        let (one, two) = (child(&[&long, "image", "web", "1"]), child(&[&long, "image", "web", "2"]));
        assert_ne!(one, two);
        for name in [&one, &two] {
            assert!(name.len() <= 63 && !name.ends_with('-'), "{name}");
        }
        assert_eq!(child(&["shop", "k7w2m9xq4b"]), "shop-k7w2m9xq4b");
        let dashes = format!("{}{}", "a".repeat(50), "-".repeat(20));
        assert!(!child(&[&dashes, "b"]).contains("--"), "a cut never leaves a dangling dash");
    }
}
