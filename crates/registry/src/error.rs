//! What can go wrong with a registry, told apart by what a person would do about it.

use std::time::Duration;

use oci_distribution::errors::OciDistributionError;
use switchyard_net::{excerpt, innermost};

/// Why the registry did not give what it was asked for. No credential is in any of these texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No valid image reference or digest.
    #[error("cannot use the image name {text:?}: {why}")]
    BadReference { text: String, why: String },
    /// No valid `.dockerconfigjson`.
    #[error("cannot use the registry credential: {0}")]
    BadCredentials(String),
    /// Neither the tag or digest, or not even the repository.
    #[error("{registry} does not have {what}")]
    NotFound { registry: String, what: String },
    /// 401: the credential is refused, or there is none and one is wanted.
    #[error("{registry} refuses the credential: {why}")]
    Unauthorized { registry: String, why: String },
    /// 403: the credential is known and may not do this.
    #[error("{registry} denies access to {what}: {why}")]
    Denied { registry: String, what: String, why: String },
    /// 429.
    #[error("{registry} asks for fewer requests")]
    TooManyRequests { registry: String, retry_after: Option<Duration> },
    /// 5xx, or an answer against the protocol.
    #[error("{registry} answered wrongly: {why}")]
    ServerError { registry: String, why: String },
    /// No answer: name, connection, TLS, time.
    #[error("cannot reach {registry}: {why}")]
    Unreachable { registry: String, why: String },
    /// What the build left is no OCI image layout with one image in it.
    #[error("the build left no valid OCI layout: {0}")]
    BadLayout(String),
    /// After the push the registry serves another digest.
    #[error("{registry} serves {served} for {what}, and {pushed} was pushed")]
    Mismatch { registry: String, what: String, served: String, pushed: String },
}

/// An answer with a status that is not success. `body` is the registry's own text.
pub(crate) fn of_status(registry: &str, what: &str, status: u16, retry_after: Option<Duration>, body: &str) -> Error {
    let registry = registry.to_owned();
    let why = message(body).unwrap_or_else(|| format!("status {status}"));
    match status {
        401 => Error::Unauthorized { registry, why },
        403 => Error::Denied { registry, what: what.to_owned(), why },
        404 => Error::NotFound { registry, what: what.to_owned() },
        429 => Error::TooManyRequests { registry, retry_after },
        _ => Error::ServerError { registry, why: format!("status {status} for {what}: {why}") },
    }
}

/// The first message of the distribution spec's error body, if it is one.
fn message(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let first = body.get("errors").and_then(|errors| errors.get(0));
    let text = first
        .and_then(|error| error.get("message").or_else(|| error.get("code")))
        .or_else(|| body.get("details"))
        .or_else(|| body.get("message"))?;
    Some(excerpt(text.as_str()?)).filter(|text| !text.is_empty())
}

/// A request that got no answer, with the innermost cause, which names it ("connection refused").
pub(crate) fn of_request(registry: &str, error: &reqwest::Error) -> Error {
    let registry = registry.to_owned();
    if let Some(status) = error.status() {
        return of_status(&registry, "this", status.as_u16(), None, "");
    }
    if error.is_timeout() {
        return Error::Unreachable { registry, why: "no answer in time".to_owned() };
    }
    Error::Unreachable { registry, why: innermost(error) }
}

/// What oci-client says while it uploads.
#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of theirs: what has no meaning here is quoted")]
pub(crate) fn of_client(registry: &str, what: &str, error: OciDistributionError) -> Error {
    use OciDistributionError as Theirs;
    match error {
        Theirs::RequestError(error) => of_request(registry, &error),
        Theirs::ServerError { code, message, .. } => of_status(registry, what, code, None, &message),
        Theirs::UnauthorizedError { .. } => of_status(registry, what, 401, None, ""),
        Theirs::AuthenticationFailure(body) => of_status(registry, what, 401, None, &body),
        Theirs::IoError(error) => Error::BadLayout(error.to_string()),
        other => Error::ServerError { registry: registry.to_owned(), why: excerpt(&other.to_string()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let of = |status| of_status("r.dev", "shop:1", status, Some(Duration::from_secs(7)), "");
        assert!(matches!(of(401), Error::Unauthorized { .. }));
        assert!(matches!(of(403), Error::Denied { .. }));
        assert_eq!(of(404), Error::NotFound { registry: "r.dev".to_owned(), what: "shop:1".to_owned() });
        assert!(matches!(of(429), Error::TooManyRequests { retry_after: Some(after), .. } if after.as_secs() == 7));
        for status in [500, 502, 503, 504, 301, 400, 405, 418] {
            assert!(matches!(of(status), Error::ServerError { .. }), "{status}");
        }
    }

    #[test]
    fn a_body_is_quoted_only_where_it_is_one_of_the_protocol() {
        let body = r#"{"errors":[{"code":"DENIED","message":"no push\nfor\u001b[31m you"}]}"#;
        let said = of_status("r.dev", "shop", 403, None, body).to_string();
        assert_eq!(said, "r.dev denies access to shop: no push for[31m you");
        let said = of_status("r.dev", "shop", 401, None, "<html>").to_string();
        assert_eq!(said, "r.dev refuses the credential: status 401");
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(9000));
        assert!(of_status("r.dev", "shop", 401, None, &long).to_string().len() < 300);
    }
}
