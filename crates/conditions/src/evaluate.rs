//! A condition over one answer.

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, ExecutionError, Value, extractors::This};

use crate::Condition;

/// Bytes touched at most: some seconds at the very worst.
const MOST_WORK: u64 = 1 << 28;

/// The standard functions, without those that dates and patterns need.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::default().with_optional_support(false).with_stdlib()));

/// One answer.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    Http {
        status: u16,
        body: &'a str,
        /// Null if the body is no JSON.
        json: &'a serde_json::Value,
    },
    Value {
        /// Absent when the result was not exactly one number.
        value: Option<f64>,
        values: &'a [f64],
    },
}

/// Why a condition is neither true nor false of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEvaluated {
    #[error("the types do not fit: {0}")]
    Types(String),
    #[error("the answer is too large for it")]
    TooLarge,
    #[error("value needs exactly one series, and there are {0}")]
    Series(usize),
    #[error("the answer has no {0}")]
    NoSuchKey(String),
    #[error("an index is out of range")]
    OutOfRange,
    #[error("{0}")]
    Arithmetic(&'static str),
    #[error("a text or number cannot be converted")]
    Conversion,
    #[error("its result is not true or false")]
    NotBoolean,
}

impl Condition {
    /// Whether it looks at more of an answer than its status.
    pub fn reads_body(&self) -> bool {
        self.shape.names("body") || self.shape.names("json")
    }

    /// Whether the answer meets it.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Result<bool, NotEvaluated> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        let (bytes, elements) = match facts {
            Facts::Http { status, body, json } => {
                context.add_variable_from_value("status", i64::from(*status));
                context.add_variable_from_value("body", (*body).to_owned());
                if self.shape.names("json") {
                    let json = cel::to_value(json).map_err(|_| NotEvaluated::Conversion)?;
                    context.add_variable_from_value("json", json);
                }
                (body.len(), most_elements(json))
            }
            Facts::Value { value, values } => {
                if self.shape.names("value") {
                    let value = value.ok_or(NotEvaluated::Series(values.len()))?;
                    context.add_variable_from_value("value", value);
                }
                context.add_variable_from_value("values", values.to_vec());
                (values.len().saturating_mul(8), values.len())
            }
        };
        let many = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        if self.shape.work(many(bytes), many(elements)) > MOST_WORK {
            return Err(NotEvaluated::TooLarge);
        }
        let patterns = Arc::clone(&self.patterns);
        let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
            let compiled = patterns.get(pattern.as_str());
            compiled.map(|p| p.is_match(&text)).ok_or_else(|| ExecutionError::function_error("matches", "not compiled"))
        };
        // Nothing else has that name: the crate's own is a feature that is off.
        let _ = context.add_function("matches", matches);
        match Value::resolve(&self.expression, &context) {
            Ok(Value::Bool(met)) => Ok(met),
            Ok(_) => Err(NotEvaluated::NotBoolean),
            Err(error) => Err(self.why(&error)),
        }
    }

    /// In words of ours: the crate's own print whole values.
    #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of theirs, which grows: what is left is about types")]
    fn why(&self, error: &ExecutionError) -> NotEvaluated {
        use ExecutionError as Theirs;
        match error {
            Theirs::NoSuchOverload(overload) => {
                let types: Vec<String> =
                    overload.argument_types().iter().map(|t| t.chars().take(32).collect()).collect();
                NotEvaluated::Types(format!("{} of {}", overload.function().trim_matches('_'), types.join(" and ")))
            }
            Theirs::UnsupportedBinaryOperator(operator, left, right) => {
                let types = format!("{operator} of {} and {}", left.type_of(), right.type_of());
                NotEvaluated::Types(types.replace("float", "double"))
            }
            // One that was taken out of the answer could be anything.
            Theirs::NoSuchKey(key) if self.shape.says(key) => NotEvaluated::NoSuchKey(key.to_string()),
            Theirs::NoSuchKey(_) => NotEvaluated::NoSuchKey("key by that name".to_owned()),
            Theirs::IndexOutOfBounds(_) => NotEvaluated::OutOfRange,
            Theirs::DivisionByZero(_) | Theirs::RemainderByZero(_) => NotEvaluated::Arithmetic("a division by zero"),
            Theirs::Overflow(..) => NotEvaluated::Arithmetic("a number is too large"),
            Theirs::FunctionError { .. } => NotEvaluated::Conversion,
            _ => NotEvaluated::Types("an operand has another type than its operator needs".to_owned()),
        }
    }
}

/// Of the longest list or map in it. It is as deep as the parser of JSON allows, 128 levels.
fn most_elements(json: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    match json {
        Json::Array(items) => items.iter().map(most_elements).max().unwrap_or(0).max(items.len()),
        Json::Object(members) => members.values().map(most_elements).max().unwrap_or(0).max(members.len()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}
