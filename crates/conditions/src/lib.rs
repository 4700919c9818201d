//! Conditions in CEL: what a user asks of an answer, true or false. Values in, values out: no IO, clock or randomness.
//!
//! # Guarantees
//! - No text and no answer makes this panic, overflow the stack, or use time or memory without bound: the language is
//!   cut down to what can be bounded, and a condition that would take too long over an answer is not evaluated.
//! - A condition that names an unknown variable or function, or that is not a yes or no, is refused when it is read and
//!   not when its answer comes.
//! - No message holds text of an answer.

mod evaluate;
mod look;
mod parse;

pub use evaluate::{Facts, NotEvaluated};
pub use parse::{Condition, Malformed, Variables};
