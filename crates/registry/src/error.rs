//! What can go wrong with a registry, told apart by what a person would do about it.

use std::io::ErrorKind;
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
    /// The tag is there, and the registry does not let it be moved.
    #[error("{registry} does not let {what} be moved: {why}")]
    TagImmutable { registry: String, what: String, why: String },
    /// 429.
    #[error("{registry} asks for fewer requests{}", again(*.retry_after))]
    TooManyRequests { registry: String, retry_after: Option<Duration> },
    /// 5xx, or an answer against the protocol.
    #[error("{registry} answered wrongly: {why}")]
    ServerError { registry: String, why: String },
    /// No answer: name, connection, TLS, time.
    #[error("cannot reach {registry}: {why}")]
    Unreachable { registry: String, why: String },
    /// No space is left on our own disk.
    #[error("no space is left to {doing}")]
    NoSpace { doing: &'static str },
    /// Our own disk.
    #[error("cannot {doing}: {why}")]
    Io { doing: &'static str, why: String },
    /// What was asked for is larger than we take.
    #[error("{what} of {registry} is larger than {} MiB", cap / (1024 * 1024))]
    TooLarge { registry: String, what: String, cap: u64 },
    /// What the build left is no OCI image layout with one image in it.
    #[error("the build left no valid OCI layout: {0}")]
    BadLayout(String),
    /// After the push the registry serves another digest.
    #[error("{registry} serves {served} for {what}, and {pushed} was pushed")]
    Mismatch { registry: String, what: String, served: String, pushed: String },
}

impl Error {
    /// An error of our own disk.
    pub(crate) fn io(doing: &'static str, error: &std::io::Error) -> Self {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Error::NoSpace { doing }
        } else {
            Error::Io { doing, why: error.to_string() }
        }
    }

    /// Whether the same request can have another answer in a while.
    pub fn passes(&self) -> bool {
        match self {
            Error::TooManyRequests { .. } | Error::Unreachable { .. } => true,
            // What the registry has against a request it will have against the next; 5xx is its own trouble.
            Error::ServerError { why, .. } => why.starts_with("status 5"),
            Error::BadReference { .. }
            | Error::BadCredentials(_)
            | Error::NotFound { .. }
            | Error::Unauthorized { .. }
            | Error::Denied { .. }
            | Error::TagImmutable { .. }
            | Error::NoSpace { .. }
            | Error::Io { .. }
            | Error::TooLarge { .. }
            | Error::BadLayout(_)
            | Error::Mismatch { .. } => false,
        }
    }
}

fn again(after: Option<Duration>) -> String {
    after.map_or_else(String::new, |after| format!(", the next in {} s", after.as_secs()))
}

/// An answer with a status that is not success. `body` is the registry's own text.
///
/// The status alone does not tell: an immutable tag is 400 and TAG_INVALID at ECR, 412 and PRECONDITION at Harbor, and
/// 403 or 409 elsewhere, but each says that the tag, or its repository, is immutable.
pub(crate) fn of_status(registry: &str, what: &str, status: u16, retry_after: Option<Duration>, body: &str) -> Error {
    let (registry, what) = (registry.to_owned(), what.to_owned());
    let (code, message) = said(body);
    let why = message.unwrap_or_else(|| format!("status {status}"));
    let theirs = (400..500).contains(&status);
    match code.as_str() {
        "TOOMANYREQUESTS" if theirs => return Error::TooManyRequests { registry, retry_after },
        "NAME_UNKNOWN" if theirs => return Error::NotFound { registry, what },
        code if theirs && status != 401 && immutable(code, &why) => return Error::TagImmutable { registry, what, why },
        "DENIED" if theirs && status != 401 => return Error::Denied { registry, what, why },
        _ => {}
    }
    match status {
        401 => Error::Unauthorized { registry, why },
        403 => Error::Denied { registry, what, why },
        404 => Error::NotFound { registry, what },
        429 => Error::TooManyRequests { registry, retry_after },
        _ => Error::ServerError { registry, why: format!("status {status} for {what}: {why}") },
    }
}

fn immutable(code: &str, why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    code == "TAG_IMMUTABLE"
        || ["immutab", "cannot be overwritten", "cannot overwrite"].iter().any(|sign| why.contains(sign))
}

/// The first code of the distribution spec's error body, in upper case, and its message; what is no such body has
/// neither.
fn said(body: &str) -> (String, Option<String>) {
    let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return (String::new(), None) };
    let first = body.get("errors").and_then(|errors| errors.get(0));
    let code = first.and_then(|error| error.get("code")).and_then(|code| code.as_str()).unwrap_or_default();
    let text = first
        .and_then(|error| error.get("message").or_else(|| error.get("code")))
        .or_else(|| body.get("details"))
        .or_else(|| body.get("message"))
        .and_then(|text| text.as_str());
    (code.to_ascii_uppercase(), text.map(excerpt).filter(|text| !text.is_empty()))
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
        Theirs::IoError(error) => Error::io("read what is uploaded", &error),
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

    #[test]
    fn immutable_tags_as_registries_say_it() {
        let body = |code: &str, message: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        let ecr = "The image tag '1.0' already exists in the 'shop' repository and cannot be overwritten because the \
                   repository is immutable.";
        for (status, code, message) in [
            (400, "TAG_INVALID", ecr),
            (412, "PRECONDITION", "the tag 1.0 configured as immutable, cannot be updated"),
            (409, "TAG_IMMUTABLE", "tag exists"),
            (403, "DENIED", "cannot overwrite immutable tag"),
            (400, "MANIFEST_INVALID", "cannot update tag, the repository has enabled tag immutability"),
        ] {
            let error = of_status("r.dev", "shop:1.0", status, None, &body(code, message));
            assert!(matches!(error, Error::TagImmutable { .. }), "{error:?}");
        }
        let other = [(400, "TAG_INVALID", "no such tag"), (412, "PRECONDITION", "scan first"), (500, "UNKNOWN", ecr)];
        for (status, code, message) in other {
            let error = of_status("r.dev", "shop:1.0", status, None, &body(code, message));
            assert!(matches!(error, Error::ServerError { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_code_says_more_than_a_status() {
        let of = |status, code: &str| {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"m"}}]}}"#);
            of_status("r.dev", "shop", status, Some(Duration::from_secs(9)), &body)
        };
        let many = of(403, "toomanyrequests");
        assert_eq!(many.to_string(), "r.dev asks for fewer requests, the next in 9 s");
        assert!(many.passes() && of(502, "UNKNOWN").passes());
        assert!(matches!(of(400, "NAME_UNKNOWN"), Error::NotFound { .. }));
        assert!(matches!(of(405, "DENIED"), Error::Denied { .. }));
        assert!(!of(405, "DENIED").passes() && !of(400, "MANIFEST_INVALID").passes());
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let of = |code| Error::io("write", &std::io::Error::from_raw_os_error(code));
        // ENOSPC and EIO.
        assert_eq!(of(28), Error::NoSpace { doing: "write" });
        assert!(matches!(of(5), Error::Io { .. }));
    }
}
