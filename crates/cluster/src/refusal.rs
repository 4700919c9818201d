//! What the API server said to a write, in the five words a decision understands.
//!
//! Sources: `staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go`, and the answers of a real API server, which the
//! tests below quote.

use kube::core::Status;

pub use switchyard_decide::Refusal;

/// The longest text of a refusal, in characters.
const WORDS: usize = 800;
const UNAVAILABLE: Refusal = Refusal::Unavailable { retry_after_seconds: None };

/// What an error of a write means.
pub fn refusal(error: &kube::Error) -> Refusal {
    if let kube::Error::Api(status) = error {
        return of_status(status);
    }
    let never_sent = matches!(error, kube::Error::BuildRequest(_) | kube::Error::HttpError(_));
    if never_sent { Refusal::Invalid(error.to_string()) } else { UNAVAILABLE }
}

/// What an error of a JSON Patch means. The server does not say which operation failed, and ours can fail in one way
/// only: a `test`, so that the object is not what was seen (`add` and `remove` are built from what was seen).
pub fn patch_refusal(error: &kube::Error) -> Refusal {
    let failed_test = matches!(error, kube::Error::Api(status) if status.code == 422 && !names_a_field(status));
    if failed_test { Refusal::Stale } else { refusal(error) }
}

fn of_status(status: &Status) -> Refusal {
    let words = || words(status);
    match (status.code, status.reason.as_str()) {
        (409, _) => conflict(status),
        (410, _) => Refusal::Stale,
        (404, _) => absent(status),
        (422, _) if other_uid(status) => Refusal::Stale,
        (401 | 403, _) => Refusal::Denied(words()),
        (400 | 405 | 406 | 413 | 415 | 422, _) => Refusal::Invalid(words()),
        // Server-side apply of a field that the stored schema lacks: the CRDs are older than we are.
        (500, _) if status.message.contains("typed patch object") => {
            Refusal::Invalid(format!("{}: upgrade the chart switchyard-crds first", words()))
        }
        (code, _) if code == 408 || code == 429 || code >= 500 => {
            let asked = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
            Refusal::Unavailable { retry_after_seconds: asked.filter(|seconds| *seconds > 0) }
        }
        (_, "Conflict" | "AlreadyExists" | "Expired" | "Gone") => Refusal::Stale,
        (_, "Forbidden" | "Unauthorized") => Refusal::Denied(words()),
        (_, "Invalid" | "BadRequest") => Refusal::Invalid(words()),
        _ => UNAVAILABLE,
    }
}

/// What the server said, for people. A patch that does not fit its kind is answered with the whole object quoted, which
/// has no place in a status.
fn words(status: &Status) -> String {
    let message = match status.message.rsplit_once("}\": ") {
        Some((_, why)) => why,
        None => status.message.as_str(),
    };
    message.chars().take(WORDS).collect()
}

/// 409 says four things: another version, another field manager, a name that is taken, or a quota that several are
/// counting at once.
fn conflict(status: &Status) -> Refusal {
    let Some(details) = &status.details else { return Refusal::Stale };
    if let Some(cause) = details.causes.iter().find(|cause| cause.reason == "FieldManagerConflict") {
        return Refusal::Owned(manager(&cause.message).to_owned());
    }
    if details.kind == "resourcequotas" { UNAVAILABLE } else { Refusal::Stale }
}

/// `conflict with "kubectl" using apps/v1 at ...` names `kubectl`; a message of another shape names itself.
fn manager(message: &str) -> &str {
    message.split('"').nth(1).unwrap_or(message)
}

/// An object that is gone is another thing than a kind that this cluster does not serve.
fn absent(status: &Status) -> Refusal {
    let named = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    if named { Refusal::Stale } else { Refusal::Denied(format!("the cluster does not serve this: {}", words(status))) }
}

/// The uid of an object never changes, so a body with another uid is about an object that was replaced.
fn other_uid(status: &Status) -> bool {
    causes(status).any(|field| field == "metadata.uid")
}

fn names_a_field(status: &Status) -> bool {
    causes(status).any(|field| !field.is_empty())
}

fn causes(status: &Status) -> impl Iterator<Item = &str> {
    status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.field.as_str())
}

#[cfg(test)]
mod tests;
