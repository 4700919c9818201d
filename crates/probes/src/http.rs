//! Measures a pod of the user's own, over HTTP.

use std::{net::SocketAddr, time::Duration};

use switchyard_conditions::{Condition, Facts, Variables};
use switchyard_net::{Body, Client, Error};

use crate::check::{Verdict, in_time};

/// Of a body that a condition speaks of.
const LARGEST_BODY: usize = 64 * 1024;

/// One measurement of an `http` check.
#[derive(Clone, Copy, Debug)]
pub struct HttpQuestion<'a> {
    /// One ready pod.
    pub address: SocketAddr,
    /// Path and query.
    pub path: &'a str,
    /// Default: a status from 200 to 299.
    pub condition: Option<&'a str>,
    /// From connecting to the last byte.
    pub limit: Duration,
}

/// It always comes to a verdict: a pod that does not answer is a pod that does not work.
pub async fn http(client: &Client, question: HttpQuestion<'_>) -> Verdict {
    let HttpQuestion { address, path, condition, limit } = question;
    let condition = match condition.map(|text| Condition::parse(text, Variables::Http)).transpose() {
        Ok(condition) => condition,
        Err(why) => return Verdict::failed(format!("its condition is none: {why}")),
    };
    // What nobody reads may be as large as it likes.
    let wanted = match &condition {
        Some(condition) if condition.reads_body() => Body::UpTo(LARGEST_BODY),
        Some(_) | None => Body::Ignored,
    };
    let answer = match client.get(address, path, wanted, limit).await {
        Ok(answer) => answer,
        Err(why) => return Verdict::failed(no_answer(&why, limit)),
    };
    let said = format!("HTTP {}", answer.status);
    let Some(condition) = condition else {
        return Verdict { passed: (200..300).contains(&answer.status), said };
    };
    let text = question.condition.unwrap_or_default().to_owned();
    let judged = in_time(move || {
        let body = String::from_utf8_lossy(&answer.body);
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        condition.evaluate(&Facts::Http { status: answer.status, body: &body, json: &json })
    });
    match judged.await {
        Some(Ok(true)) => Verdict::passed(said),
        Some(Ok(false)) => Verdict::failed(format!("{said} does not meet {text}")),
        Some(Err(why)) => Verdict::failed(format!("{said}: {text} cannot be evaluated: {why}")),
        None => Verdict::failed(format!("{said}: {text} takes too long to evaluate")),
    }
}

pub(crate) fn no_answer(error: &Error, limit: Duration) -> String {
    match error {
        Error::Time => format!("no answer within {}", switchyard_api::Duration::from_millis(millis(limit))),
        Error::Address(_) | Error::Forbidden | Error::TooLarge { .. } | Error::Network(_) => error.to_string(),
    }
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
