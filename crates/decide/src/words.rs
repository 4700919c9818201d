//! Sentences that several kinds say alike.

use crate::Refusal;

/// `1 pod`, `2 pods`.
pub fn count(n: i32, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What a refused write means to a person, if it is theirs to mend.
pub fn refusal(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::Stale | Refusal::Unavailable { .. } => None,
        Refusal::Owned(manager) => Some(format!("{manager} owns a field that the operator must write")),
        Refusal::Denied(why) => Some(format!("the API server does not allow it: {why}")),
        Refusal::Invalid(why) => Some(format!("the API server finds it invalid: {why}")),
    }
}

/// At most `max` characters, with an ellipsis where something was cut.
pub fn capped(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
