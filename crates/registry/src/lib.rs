//! What Switchyard asks of an image registry: which digest a tag has, and to take or give an image, an artifact, or what
//! belongs to an image.
//!
//! `Registry::resolve` runs in the operator, for registries that any user may name, so it is our own few requests over the HTTP
//! client that oci-client brings: capped answers, `Retry-After`, and a refused credential that is an error and never
//! an anonymous request. `push_layout`, `pull_layout`, `attach`, `push_artifact` and `pull_artifact` run in a build pod;
//! they leave the upload protocol to oci-client.
//!
//! Assumption: the process has installed a rustls provider (`rustls::crypto::ring`) before the first request.

mod artifact;
mod ask;
mod attach;
mod credentials;
mod error;
mod layout;
mod merge;
mod pull;
mod push;
mod session;
mod token;

pub use artifact::{ARTIFACT_TYPE, Saved};
pub use ask::Registry;
pub use attach::Attachment;
pub use credentials::{Credentials, Login};
pub use error::Error;
pub use layout::Layout;
pub use merge::merge;
pub use oci_distribution::Reference;
pub use pull::Pulled;
pub use push::Pushed;

use std::fmt;

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// Only sha256: the one algorithm every registry has.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix("sha256:") {
            Some(digits) if digits.len() == 64 && digits.bytes().all(hex) => Ok(Self(text.to_owned())),
            _ => {
                Err(Error::BadReference { text: text.chars().take(100).collect(), why: "no sha256 digest".to_owned() })
            }
        }
    }

    /// The digest of these bytes.
    pub fn of(content: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::from_hash(&sha2::Sha256::digest(content))
    }

    pub(crate) fn from_hash(hash: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = "sha256:".to_owned();
        for byte in hash {
            // Writing to a String cannot go wrong.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// With its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its algorithm.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads `host[:port]/path[:tag][@digest]`; without a registry Docker Hub is meant, without a tag `latest`.
pub fn parse_reference(text: &str) -> Result<Reference, Error> {
    text.parse::<Reference>()
        .map_err(|why| Error::BadReference { text: text.chars().take(100).collect(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(Digest::parse(empty), Ok(Digest::of(b"")));
        for text in ["", "sha256:", "sha512:aa", &empty.to_uppercase(), &empty[..70], "latest"] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn references() {
        let parts = |text: &str| {
            let reference = parse_reference(text).unwrap();
            (reference.registry().to_owned(), reference.repository().to_owned(), reference.tag().map(str::to_owned))
        };
        let row = |registry: &str, repository: &str, tag: &str| (registry.into(), repository.into(), Some(tag.into()));
        assert_eq!(parts("ghcr.io/acme/shop:1.0"), row("ghcr.io", "acme/shop", "1.0"));
        assert_eq!(parts("nginx"), row("docker.io", "library/nginx", "latest"));
        assert_eq!(parts("localhost:5000/a/b:x"), row("localhost:5000", "a/b", "x"));
        for text in ["", "-x", "a b", "ghcr.io/Acme/shop", "http://x/y", "a:b:c", "ghcr.io/a@sha256:1"] {
            assert!(parse_reference(text).is_err(), "{text}");
        }
    }
}
