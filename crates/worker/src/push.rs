//! The last step: the image, unchanged, to its registry.

use std::time::Instant;

use switchyard_api::report::{Pushed, Reason, Report};
use switchyard_registry::{Credentials, Reference, Registry, parse_reference};

use crate::command::Push;
use crate::failure::Failure;
use crate::{tags, termination};

/// A Secret holds at most 1 MiB.
const MAX_CREDENTIALS: u64 = 1024 * 1024;

pub async fn run(arguments: &Push) -> Result<Report, Failure> {
    let repository = repository(&arguments.repository)?;
    let cloned = termination::taken_over(&arguments.steps)?;
    let tags = tags::expand(&arguments.tags, &cloned)?;
    let credentials = match &arguments.credentials {
        Some(path) => {
            let io = |error: std::io::Error| Failure::io("read the registry credential", &error);
            if std::fs::metadata(path).map_err(io)?.len() > MAX_CREDENTIALS {
                return Err(Failure::new(Reason::RegistryCredentialInvalid, "the registry credential is too large"));
            }
            Credentials::parse(&std::fs::read(path).map_err(io)?)?
        }
        None => Credentials::none(),
    };
    let login = credentials.login(&repository);
    if login.is_none() {
        tracing::warn!("no login for {}: pushing without one", arguments.repository);
    }
    tracing::info!(tags = tags.join(" "), "pushing to {}", arguments.repository);
    let start = Instant::now();
    let registry = Registry::new(arguments.insecure_registries.iter().cloned())?;
    let pushed = registry.push_layout(&arguments.layout, &repository, &tags, login).await?;
    let seconds = start.elapsed().as_secs_f32();
    tracing::info!(seconds, bytes = pushed.size, uploaded = pushed.uploaded, "the registry serves {}", pushed.digest);
    Ok(Report::Pushed(Pushed { digest: pushed.digest.to_string(), tags, size_bytes: pushed.size }))
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
