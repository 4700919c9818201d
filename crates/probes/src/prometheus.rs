//! Asks a Prometheus, or whatever speaks its API (<https://prometheus.io/docs/prometheus/latest/querying/api/>).
//!
//! | the answer | means |
//! |---|---|
//! | numbers that meet the condition, or do not | passed, or failed |
//! | no series, or NaN | what `noData` says |
//! | none, an error, a matrix, a histogram, several series for `value`, other types than the condition needs | inconclusive |

use std::time::Duration;

use serde::{Deserialize, de::IgnoredAny};
use switchyard_api::check::NoData;
use switchyard_conditions::{Condition, Facts, NotEvaluated, Variables};
use switchyard_net::{Body, Client, excerpt};

use crate::{
    check::{Inconclusive, Verdict, in_time},
    http::no_answer,
};

const LARGEST_ANSWER: usize = 1024 * 1024;
/// A query that gives more series wants an aggregation.
const MOST_SERIES: usize = 1000;

/// The kinds of error that the API has.
const ERRORS: [&str; 8] =
    ["bad_data", "timeout", "canceled", "execution", "internal", "unavailable", "not_found", "not_acceptable"];

/// One measurement of a `prometheus` check.
#[derive(Clone, Copy, Debug)]
pub struct PrometheusQuestion<'a> {
    /// Without `/api/v1/query`.
    pub address: &'a str,
    pub query: &'a str,
    pub condition: &'a str,
    pub no_data: NoData,
    /// From the name to the last byte.
    pub limit: Duration,
}

/// Its answer, or why it gave none that says anything about the revision.
pub async fn prometheus(client: &Client, question: PrometheusQuestion<'_>) -> Result<Verdict, Inconclusive> {
    let condition = Condition::parse(question.condition, Variables::Value)
        .map_err(|why| Inconclusive::because(format!("its condition is none: {why}")))?;
    let values = ask(client, question).await?;

    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    if known.len() < values.len() || values.is_empty() {
        let what = if values.is_empty() { "no data: the result is empty" } else { "no data: the result is NaN" };
        match question.no_data {
            NoData::Wait => return Err(Inconclusive::because(what.to_owned())),
            NoData::Fail => return Ok(Verdict::failed(what.to_owned())),
            // The numbers beside it must still meet the condition.
            NoData::Pass if known.is_empty() => return Ok(Verdict::passed(what.to_owned())),
            NoData::Pass => {}
        }
    }

    let said = match known.as_slice() {
        [value] => format!("value {value}"),
        [_, ..] | [] => format!("{} values", known.len()),
    };
    let value = if let ([value], [_]) = (known.as_slice(), values.as_slice()) { Some(*value) } else { None };
    let judged = in_time(move || condition.evaluate(&Facts::Value { value, values: &known })).await;
    match judged.unwrap_or(Err(NotEvaluated::TooLarge)) {
        Ok(true) => Ok(Verdict::passed(said)),
        Ok(false) => Ok(Verdict::failed(format!("{said} does not meet {}", question.condition))),
        Err(NotEvaluated::Series(_)) => Err(Inconclusive::because(NotEvaluated::Series(values.len()).to_string())),
        Err(why) => Err(Inconclusive::because(format!("{} cannot be evaluated: {why}", question.condition))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status: String,
    error_type: Option<String>,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Sample>),
    Scalar(Point),
    Matrix(IgnoredAny),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Sample {
    /// Absent where it is a native histogram.
    value: Option<Point>,
}

/// A time, and a number written as text: `NaN` and `+Inf` have no other way to stand in JSON.
#[derive(Deserialize)]
struct Point(IgnoredAny, String);

impl Point {
    fn value(&self) -> Result<f64, Inconclusive> {
        let Self(_, text) = self;
        text.parse().map_err(|_| Inconclusive::because("the result is no number".to_owned()))
    }
}

async fn ask(client: &Client, question: PrometheusQuestion<'_>) -> Result<Vec<f64>, Inconclusive> {
    let PrometheusQuestion { address, query, limit, .. } = question;
    let url = format!("{}/api/v1/query", address.trim_end_matches('/'));
    let server_limit = format!("{}ms", limit.as_millis());
    let form = [("query", query), ("timeout", server_limit.as_str())];
    let answer = client
        .post_form(&url, &form, Body::UpTo(LARGEST_ANSWER), limit)
        .await
        .map_err(|why| Inconclusive::because(format!("{address}: {}", no_answer(&why, limit))))?;

    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    let wrong = |why: &str| Inconclusive::because(format!("{address}: {why}"));
    let data = match reply {
        Some(Reply { status, data: Some(data), .. }) if answer.status == 200 && status == "success" => data,
        // Nothing is quoted of who is no Prometheus: the operator may reach what the author of the address may not.
        Some(Reply { status, error_type: Some(kind), error: Some(error), .. })
            if status == "error" && ERRORS.contains(&kind.as_str()) =>
        {
            return Err(wrong(&excerpt(&error)));
        }
        Some(_) | None if answer.status != 200 => return Err(wrong(&format!("HTTP {}", answer.status))),
        Some(_) | None => return Err(wrong("the answer is not one of Prometheus")),
    };
    match data {
        Data::Scalar(point) => Ok(vec![point.value()?]),
        Data::Vector(samples) if samples.len() > MOST_SERIES => {
            Err(wrong(&format!("the result has {} series, and more than {MOST_SERIES} are not judged", samples.len())))
        }
        Data::Vector(samples) => {
            let points = samples.iter().map(|sample| match &sample.value {
                Some(point) => point.value(),
                None => Err(wrong("the result is a histogram, and a number is needed")),
            });
            points.collect()
        }
        Data::Matrix(_) => Err(wrong("the result is a range, and a number is needed")),
        Data::String(_) => Err(wrong("the result is a text, and a number is needed")),
    }
}
