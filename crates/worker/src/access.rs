//! The registry that a step talks to, and who we are to it.

use std::path::Path;

use switchyard_api::report::Reason;
use switchyard_registry::{Credentials, Digest, Login, Reference, Registry, parse_reference};

use crate::command::RegistryAccess;
use crate::failure::Failure;

/// A Secret holds at most 1 MiB.
const MAX_CREDENTIALS: u64 = 1024 * 1024;

/// One repository of a registry.
pub struct Access {
    pub registry: Registry,
    pub repository: Reference,
    credentials: Credentials,
}

impl Access {
    pub fn open(arguments: &RegistryAccess) -> Result<Self, Failure> {
        let repository = repository(&arguments.repository)?;
        let credentials = match &arguments.credentials {
            Some(path) => Credentials::parse(&read_credential(path)?)?,
            None => Credentials::none(),
        };
        if credentials.login(&repository).is_none() {
            tracing::warn!("no login for {}: going on without one", arguments.repository);
        }
        let registry = Registry::new(arguments.insecure_registries.iter().cloned())?;
        Ok(Self { registry, repository, credentials })
    }

    pub fn login(&self) -> Option<&Login> {
        self.credentials.login(&self.repository)
    }
}

/// The content of a mounted `.dockerconfigjson`.
pub fn read_credential(path: &Path) -> Result<Vec<u8>, Failure> {
    let io = |error: std::io::Error| Failure::io("read the registry credential", &error);
    if std::fs::metadata(path).map_err(io)?.len() > MAX_CREDENTIALS {
        return Err(Failure::new(Reason::RegistryCredentialInvalid, "the registry credential is too large"));
    }
    std::fs::read(path).map_err(io)
}

/// A digest from the command line.
pub fn digest(text: &str) -> Result<Digest, Failure> {
    Ok(Digest::parse(text)?)
}

/// An image's name and nothing after it: tags are given apart.
fn repository(text: &str) -> Result<Reference, Failure> {
    let last = text.rsplit('/').next().unwrap_or(text);
    if last.contains([':', '@']) {
        let why = format!("the repository {text:?} has a tag or a digest, which are given apart");
        return Err(Failure::new(Reason::ImageNameInvalid, why));
    }
    Ok(parse_reference(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_no_tag() {
        for text in ["ghcr.io/acme/shop", "localhost:5000/shop", "shop"] {
            assert!(repository(text).is_ok(), "{text}");
        }
        for text in ["ghcr.io/acme/shop:1", "shop@sha256:00", "", "a b", "-x", "https://ghcr.io/x"] {
            assert!(repository(text).is_err(), "{text}");
        }
    }
}
