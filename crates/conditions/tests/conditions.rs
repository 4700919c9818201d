//! What conditions mean, and that no text and no answer does harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::{Value, json};
use switchyard_conditions::{Condition, Facts, Malformed, NotEvaluated, Variables};

fn value(text: &str, values: &[f64]) -> Result<bool, NotEvaluated> {
    let one = if let [one] = values { Some(*one) } else { None };
    read(text, Variables::Value).evaluate(&Facts::Value { value: one, values })
}

fn http(text: &str, status: u16, body: &str) -> Result<bool, NotEvaluated> {
    let json = serde_json::from_str(body).unwrap_or(Value::Null);
    read(text, Variables::Http).evaluate(&Facts::Http { status, body, json: &json })
}

fn read(text: &str, variables: Variables) -> Condition {
    Condition::parse(text, variables).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn refused(text: &str, variables: Variables) -> Malformed {
    Condition::parse(text, variables).expect_err(text)
}

#[test]
fn conditions_about_values() {
    let table: [(&str, &[f64], bool); 19] = [
        ("value < 0.01", &[0.009], true),
        ("value < 0.01", &[0.01], false),
        ("value <= 0.01", &[0.01], true),
        // A whole number without a point is one too.
        ("value < 1", &[0.5], true),
        ("value == 1", &[1.0], true),
        ("value == 1", &[1.5], false),
        ("value > 0.5 && value < 0.6 || value == 2.0", &[2.0], true),
        ("!(value > 0.5)", &[0.4], true),
        ("value > 1.0 ? value < 3.0 : true", &[2.0], true),
        ("value + 1.0 > 2.0", &[1.5], true),
        ("value in [1.0, 2.0]", &[2.0], true),
        ("values.size() == 2", &[1.0, 2.0], true),
        ("values.all(v, v < 1)", &[0.1, 0.2], true),
        ("values.all(v, v < 1)", &[0.1, 1.2], false),
        ("values.all(v, v < 1)", &[], true),
        ("values.exists(v, v > 1)", &[0.1, 1.2], true),
        ("values.exists_one(v, v > 1)", &[1.1, 1.2], false),
        ("values.filter(v, v > 1).size() < 2", &[0.5, 3.0], true),
        ("values[1] > values[0]", &[1.0, 2.0], true),
    ];
    for (text, values, met) in table {
        assert_eq!(value(text, values), Ok(met), "{text} of {values:?}");
    }
}

#[test]
fn infinity_is_a_number_and_nan_is_not() {
    assert_eq!(value("value > 1.0", &[f64::INFINITY]), Ok(true));
    assert_eq!(value("value < 0.01", &[f64::INFINITY]), Ok(false));
    assert_eq!(value("value < 0.01", &[f64::NEG_INFINITY]), Ok(true));
    // Neither smaller nor not smaller: a check says what it means before it comes here.
    assert!(matches!(value("value < 0.01", &[f64::NAN]), Err(NotEvaluated::Types(_))));
    assert!(matches!(value("!(value < 0.01)", &[f64::NAN]), Err(NotEvaluated::Types(_))));
    assert_eq!(value("value == value", &[f64::NAN]), Ok(false));
}

#[test]
fn value_needs_exactly_one_series() {
    assert_eq!(value("value < 1", &[0.1, 0.2]), Err(NotEvaluated::Series(2)));
    assert_eq!(value("value < 1", &[]), Err(NotEvaluated::Series(0)));
    // Even where the other half would decide: whether a check passes must not hang on the order of the halves.
    assert_eq!(value("true || value < 1", &[0.1, 0.2]), Err(NotEvaluated::Series(2)));
    assert_eq!(value("values[2] < 1.0", &[0.1, 0.2]), Err(NotEvaluated::OutOfRange));
}

#[test]
fn conditions_about_answers() {
    let shop = r#"{"ok": true, "version": "1.4.0", "lag": 3, "parts": [{"name": "db", "up": true}, {"name": "mq"}]}"#;
    let table = [
        ("status >= 200 && status < 300", 204, "", true),
        ("status >= 200 && status < 300", 302, "", false),
        ("status in [200, 404]", 404, "", true),
        ("body.contains('ready')", 200, "is ready", true),
        ("body.startsWith('is') && body.endsWith('y')", 200, "is ready", true),
        ("body.matches('^v[0-9]+$')", 200, "v12", true),
        ("matches(body, '^v[0-9]+$')", 200, "v12\nx", false),
        ("size(body) == 0", 200, "", true),
        ("json.ok", 200, shop, true),
        ("json.ok == true && json.lag < 5", 200, shop, true),
        ("json.lag < 2.5", 200, shop, false),
        ("json['version'] == '1.4.0'", 200, shop, true),
        ("has(json.missing)", 200, shop, false),
        ("has(json.missing) && json.missing > 1", 200, shop, false),
        ("json.parts.exists(p, p.name == 'db' && p.up)", 200, shop, true),
        ("json.parts.all(p, has(p.up))", 200, shop, false),
        ("json.parts.exists(p, p.name.matches('^d'))", 200, shop, true),
        ("json.parts.all(p, json.parts.exists(q, q.name == p.name))", 200, shop, true),
        ("json == null", 200, "<html>", true),
        ("json[0] == 1 && json[1] == -1.5", 200, "[1, -1.5]", true),
        ("json == 18446744073709551615u", 200, "18446744073709551615", true),
    ];
    for (text, status, body, met) in table {
        assert_eq!(http(text, status, body), Ok(met), "{text} of {status} {body}");
    }
}

#[test]
fn what_cannot_be_evaluated_says_why_without_the_answer() {
    let secret = r#"{"token": "s3cret"}"#;
    let table = [
        ("json.ok", "the answer has no ok"),
        ("json.token", "its result is not true or false"),
        ("json.token > 1", "the types do not fit: > of string and int"),
        ("json.token + 1 == 2", "the types do not fit: add of string and int"),
        ("json[json.token] == 1", "the answer has no key by that name"),
        ("int(json.token) == 1", "a text or number cannot be converted"),
        ("json.token.all(t, t == 1)", "the types do not fit: an operand has another type than its operator needs"),
        ("status / (status - 503) > 1", "a division by zero"),
        ("9223372036854775807 + status > 0", "a number is too large"),
    ];
    for (text, why) in table {
        let said = http(text, 503, secret).expect_err(text).to_string();
        assert_eq!(said, why, "{text}");
        assert!(!said.contains("s3cret"));
    }
    assert_eq!(
        http("json.ok", 200, "<html>").unwrap_err().to_string(),
        "the types do not fit: . of null_type and string"
    );
}

#[test]
fn what_is_no_condition_is_refused_when_it_is_read() {
    let table = [
        ("", "not valid CEL: column 1: Syntax error: mismatched input '<EOF>' expecting expression"),
        ("value <", "not valid CEL: column 8: Syntax error: mismatched input '<EOF>' expecting expression"),
        ("value < 1 value", "not valid CEL: column 11: Syntax error: mismatched input 'value' expecting <EOF>"),
        ("valeu < 1", "unknown variable valeu: there is value, values"),
        ("values.all(v, w < 1)", "unknown variable w: there is value, values"),
        ("values.all(v, v < 1) && v < 1", "unknown variable v: there is value, values"),
        ("status == 200", "unknown variable status: there is value, values"),
        ("now() > 1", "unknown function now"),
        ("duration('1s') > duration('0s')", "unknown function duration"),
        ("value.isNaN()", "unknown function isNaN"),
        ("math.abs(value) > 1", "unknown function abs"),
        ("value", "its result is not true or false"),
        ("value + 1.0", "its result is not true or false"),
        ("'yes'", "its result is not true or false"),
        ("value < 'a'", "the types do not fit: < of double and string"),
        ("value + 1 > 2.0", "the types do not fit: add of double and int"),
        ("values < 1", "the types do not fit: < of list and int"),
        ("values.map(v, v * 2.0).size() == 1", "map is not available: all, exists, exists_one and filter are"),
        ("values.map(v, v > 0.0, v * 2.0).size() == 1", "map is not available: all, exists, exists_one and filter are"),
        ("Foo{a: 1}.a == 1", "message types are not available"),
        (
            "values.all(a, values.all(b, values.all(c, a < b || b < c)))",
            "more than two of all, exists, exists_one and filter inside each other",
        ),
    ];
    for (text, why) in table {
        assert_eq!(refused(text, Variables::Value).to_string(), why, "{text}");
    }
    let table = [
        ("value < 1", "unknown variable value: there is status, body, json"),
        ("status", "its result is not true or false"),
        ("status == 200 ? body : body", "its result is not true or false"),
        ("status < 'a'", "the types do not fit: < of int and string"),
        ("body.matches(body)", "the pattern of matches must be written out in quotes"),
        ("body.matches()", "the pattern of matches must be written out in quotes"),
    ];
    for (text, why) in table {
        assert_eq!(refused(text, Variables::Http).to_string(), why, "{text}");
    }
    assert!(matches!(refused("body.matches('(')", Variables::Http), Malformed::Pattern(_)));
    // Large when compiled.
    assert!(matches!(refused(r"body.matches('(\\w{99}){99}')", Variables::Http), Malformed::Pattern(_)));
}

#[test]
fn length_and_depth_are_bounded() {
    let long = format!("value < 1.0{}", " ".repeat(1014));
    assert_eq!(refused(&long, Variables::Value), Malformed::TooLong);
    assert!(Condition::parse(&long[..1024], Variables::Value).is_ok());
    for (start, end) in [("(", ")"), ("[", "]"), ("-(", ")"), ("!(", ")"), ("{1:", "}"), ("size(", ")"), ("1+(", ")")] {
        for depth in [30, 100, 250] {
            let text = format!("{}value{}", start.repeat(depth), end.repeat(depth));
            let why = Condition::parse(&text, Variables::Value).expect_err(&text);
            assert!(!matches!(why, Malformed::UnknownVariable { .. }), "{text}: {why}");
        }
    }
    for part in ["1+", "1<", "- ", "value?true:", "values[0]==", "[[", "((", "\"", "{", "values.all(v,", "!", "a.b."] {
        for count in [20, 60, 1024 / part.len()] {
            let text = format!("{}1", part.repeat(count));
            let _ = Condition::parse(&text, Variables::Value);
        }
    }
    // Many halves are no depth.
    let text = format!("{}value < 1.0", "value < 2.0 && ".repeat(60));
    assert_eq!(value(&text, &[0.5]), Ok(true));
}

#[test]
fn what_would_take_too_long_over_an_answer_is_not_evaluated() {
    let items = format!("[{}]", vec!["1"; 20_000].join(","));
    assert_eq!(http("json.all(a, json.exists(b, a == b))", 200, &items), Err(NotEvaluated::TooLarge));
    assert_eq!(http("json.all(a, (body + body).contains('q'))", 200, &items), Err(NotEvaluated::TooLarge));
    assert_eq!(http("size(json) == 20000 && body.contains('1')", 200, &items), Ok(true));
    let fewer = format!("[{}]", vec!["1"; 100].join(","));
    assert_eq!(http("json.all(a, json.exists(b, a == b))", 200, &fewer), Ok(true));
    let series = vec![0.5; 1000];
    assert_eq!(value("values.all(v, v < 1.0)", &series), Ok(true));
}

/// Words of the language, whole and broken.
const WORDS: [&str; 46] = [
    "value",
    "values",
    "status",
    "body",
    "json",
    "v",
    "all",
    "exists",
    "exists_one",
    "filter",
    "map",
    "has",
    "size",
    "matches",
    "int",
    "double",
    "string",
    "true",
    "null",
    "in",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<",
    ">=",
    "==",
    "&&",
    "||",
    "!",
    "1",
    "0.0",
    "-9223372036854775808",
    "'é'",
    "\"\\",
];

proptest! {
    #[test]
    fn no_text_does_harm(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..30), spaced: bool) {
        run_all(&words.join(if spaced { " " } else { "" }));
    }

    #[test]
    fn no_characters_do_harm(text in "\\PC{0,60}") {
        run_all(&text);
    }

    #[test]
    fn no_expression_does_harm(text in expression()) {
        run_all(&text);
    }
}

/// Something that reads well more often than not.
fn expression() -> impl Strategy<Value = String> {
    let number =
        ["1", "0", "-1", "0.5", "1e308", "9223372036854775807", "-9223372036854775808", "18446744073709551615u"];
    let atom = prop::sample::select(
        [
            &number[..],
            &["value", "values", "status", "body", "json", "'é'", "b'\\xff'", "[1, 2.0]", "{'a': 1}", "null", "true"],
        ]
        .concat(),
    );
    atom.prop_map(str::to_owned).prop_recursive(4, 40, 3, |inner| {
        let operator = prop::sample::select(&["+", "-", "*", "/", "%", "<", ">=", "==", "!=", "&&", "||", "in"][..]);
        let method = prop::sample::select(&["contains", "startsWith", "endsWith", "matches"][..]);
        let call = prop::sample::select(&["size", "int", "double", "string", "-", "!"][..]);
        let each = prop::sample::select(&["all", "exists", "exists_one", "filter"][..]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            (inner.clone(), method, inner.clone()).prop_map(|(a, m, b)| format!("({a}).{m}({b})")),
            (call, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), each, inner.clone()).prop_map(|(a, e, b)| format!("({a}).{e}(v, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            inner.prop_map(|a| format!("({a}).a")),
        ]
    })
}

fn run_all(text: &str) {
    if let Ok(condition) = Condition::parse(text, Variables::Value) {
        for values in [&[][..], &[0.5], &[f64::NAN], &[f64::INFINITY, -0.0], &[1e308, -1e308, 0.0]] {
            let one = if let [one] = values { Some(*one) } else { None };
            let _ = condition.evaluate(&Facts::Value { value: one, values });
        }
    }
    if let Ok(condition) = Condition::parse(text, Variables::Http) {
        let answers =
            [json!(null), json!({"a": [1, 2.5, "é", null]}), json!([[], {}, i64::MIN, u64::MAX, 1e308]), json!("é")];
        for json in answers {
            let body = json.to_string();
            let _ = condition.evaluate(&Facts::Http { status: 200, body: &body, json: &json });
        }
    }
}
