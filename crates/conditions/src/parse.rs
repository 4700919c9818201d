//! A condition as it is read.

use std::{collections::BTreeMap, sync::Arc};

use cel::{parser::Expression, parser::PrattParser};
use regex::{Regex, RegexBuilder};

use crate::{
    evaluate::{Facts, NotEvaluated},
    look::{self, Shape},
};

/// In characters.
const LONGEST: usize = 1024;
/// Of brackets and operands. A level takes up to 80 kB of stack where nothing is optimised.
pub(crate) const DEEPEST: usize = 24;
/// Of one pattern, compiled, in bytes.
const LARGEST_PATTERN: usize = 256 * 1024;

/// What a condition may speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variables {
    /// `status`, `body` and `json`.
    Http,
    /// `value` and `values`.
    Value,
}
impl Variables {
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Http => &["status", "body", "json"],
            Self::Value => &["value", "values"],
        }
    }
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("longer than {LONGEST} characters")]
    TooLong,
    #[error("nested more than {DEEPEST} levels deep")]
    TooDeep,
    #[error("not valid CEL: {0}")]
    Syntax(String),
    #[error("unknown variable {name}: there is {known}")]
    UnknownVariable { name: String, known: String },
    #[error("unknown function {0}")]
    UnknownFunction(String),
    #[error("map is not available: all, exists, exists_one and filter are")]
    Map,
    #[error("more than two of all, exists, exists_one and filter inside each other")]
    TooManyLoops,
    #[error("message types are not available")]
    MessageType,
    #[error("the pattern of matches must be written out in quotes")]
    HiddenPattern,
    #[error("not a pattern that matches could use: {0}")]
    Pattern(String),
    #[error("the types do not fit: {0}")]
    Types(String),
    #[error("its result is not true or false")]
    NotBoolean,
}

/// A condition that reads well.
#[derive(Clone, Debug)]
pub struct Condition {
    pub(crate) expression: Expression,
    pub(crate) shape: Shape,
    pub(crate) patterns: Arc<BTreeMap<String, Regex>>,
}

impl Condition {
    /// Reads a condition over these variables.
    pub fn parse(text: &str, variables: Variables) -> Result<Self, Malformed> {
        if text.chars().nth(LONGEST).is_some() {
            return Err(Malformed::TooLong);
        }
        // Of the crate's two parsers the one that bounds its own recursion; the other takes 80 kB of stack a bracket.
        let depth = u16::try_from(DEEPEST).unwrap_or(u16::MAX);
        let expression = PrattParser::new().max_recursion_depth(depth).parse(text).map_err(|errors| {
            let first = errors.errors.first().map(|e| (e.pos.1, excerpt(&e.msg)));
            let (column, message) = first.unwrap_or_default();
            Malformed::Syntax(if column > 0 { format!("column {column}: {message}") } else { message })
        })?;
        let shape = look::at(&expression, variables)?;
        let mut patterns = BTreeMap::new();
        for pattern in &shape.patterns {
            let compiled =
                RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN).build();
            let compiled = compiled.map_err(|why| Malformed::Pattern(excerpt(&why.to_string())))?;
            patterns.insert(pattern.clone(), compiled);
        }
        let condition = Self { expression, shape, patterns: Arc::new(patterns) };
        condition.try_out(variables)?;
        Ok(condition)
    }

    /// CEL here knows types only as it runs, so a condition is run once, over an answer as good as any.
    fn try_out(&self, variables: Variables) -> Result<(), Malformed> {
        let (facts, typed) = match variables {
            Variables::Value => (Facts::Value { value: Some(0.5), values: &[0.5] }, true),
            // What stands in `json` nobody knows yet.
            Variables::Http => {
                (Facts::Http { status: 200, body: "", json: &serde_json::Value::Null }, !self.shape.names("json"))
            }
        };
        match self.evaluate(&facts) {
            Err(NotEvaluated::NotBoolean) => Err(Malformed::NotBoolean),
            Err(NotEvaluated::Types(how)) if typed => Err(Malformed::Types(how)),
            Ok(_)
            | Err(
                NotEvaluated::Types(_)
                | NotEvaluated::TooLarge
                | NotEvaluated::Series(_)
                | NotEvaluated::NoSuchKey(_)
                | NotEvaluated::OutOfRange
                | NotEvaluated::Arithmetic(_)
                | NotEvaluated::Conversion,
            ) => Ok(()),
        }
    }
}

/// One line of bounded length.
fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(160).collect()
}
