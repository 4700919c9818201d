//! What a measurement of a check comes to.

use std::time::Duration;

/// The longest sentence about a measurement, in characters.
const LONGEST: usize = 256;
/// For a condition over one answer. The bounds on what it may do end it long before.
const EVALUATION_LIMIT: Duration = Duration::from_secs(20);

/// A measurement that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub passed: bool,
    /// For people, one sentence of at most 256 characters; never a body.
    pub said: String,
}

impl Verdict {
    pub(crate) fn passed(said: String) -> Self {
        Self { passed: true, said: cut(said) }
    }
    pub(crate) fn failed(said: String) -> Self {
        Self { passed: false, said: cut(said) }
    }
}

/// A measurement that does not count: it says nothing about the revision, and is made again. Why, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inconclusive(pub String);

impl Inconclusive {
    pub(crate) fn because(why: String) -> Self {
        Self(cut(why))
    }
}

fn cut(text: String) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text;
    }
    let kept: String = text.chars().take(LONGEST.saturating_sub(3)).collect();
    kept + "..."
}

/// Evaluates beside the tasks that must not wait. None: it took too long, or there was a fault in it.
pub(crate) async fn in_time<T: Send + 'static>(evaluate: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::time::timeout(EVALUATION_LIMIT, tokio::task::spawn_blocking(evaluate)).await.ok()?.ok()
}
