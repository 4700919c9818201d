//! Checks of a Rollout: what must hold before a revision goes live, and what must go on holding after it did.
//!
//! A check passes once `count` measurements succeeded, and fails once more than `failureLimit` failed. A measurement
//! that is inconclusive is neither: it is made again.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Duration, Revision, schema};

/// The longest condition in CEL, in characters.
pub const LONGEST_CONDITION: usize = 1024;
/// The longest that one measurement of a check may take.
pub const LONGEST_MEASUREMENT: Duration = Duration::from_mins(1);

/// When a check is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Moment {
    /// Before the switch, against a revision that nobody uses yet.
    Preview,
    /// After it, while the revision before it can still take the traffic back.
    Live,
}
impl Moment {
    /// As a part of names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::Live => "live",
        }
    }
}

/// One question about a revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("[has(self.job), has(self.http), has(self.prometheus)].filter(given, given).size() == 1")
        .message("a check is exactly one of job, http and prometheus"),
)]
pub struct Check {
    /// Part of the name of a check's Job.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusCheck>,
}

/// Runs a command in a container of the revision's own template; exit 0 passes. A migration, for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.command) && self.command.size() > 0) || (has(self.args) && self.args.size() > 0)")
        .message("job: command or args must be given, or the container would serve and never end"),
    validation = Rule::new("duration(self.timeout) >= duration('1s') && duration(self.timeout) <= duration('24h')")
        .message("job.timeout: from 1s to 24h"),
)]
pub struct JobCheck {
    /// The container of the template whose image, environment, mounts and rights the command gets.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub from_container: String,
    /// In place of the container's own command and arguments. Default: its own command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 8192)))]
    pub command: Vec<String>,
    /// In place of the container's own arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 8192)))]
    pub args: Vec<String>,
    /// How many failed pods are replaced before the check has failed. One that an eviction ended does not count.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
    /// For all tries together.
    #[serde(default = "ten_minutes")]
    pub timeout: Duration,
}

/// Asks one ready pod of the revision. An answer that does not meet the condition, a refused connection and a time-out
/// are failures: the pod is the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.interval) >= duration('1s')").message("http.interval: at least 1s"),
    validation = Rule::new("duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('1m')")
        .message("http.timeout: from 100ms to 1m"),
)]
pub struct HttpCheck {
    /// Path and query.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[!-~]*$"))]
    pub path: String,
    /// Name or number of a port of the Service. Default: its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::int_or_string")]
    pub port: Option<Value>,
    /// CEL over `status` (int), `body` (string) and `json` (the body, null if it is no JSON). Default: a status from
    /// 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub success_condition: Option<String>,
    /// From one measurement to the next.
    #[serde(default = "ten_seconds")]
    pub interval: Duration,
    /// How many measurements must succeed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: i32,
    /// How many measurements may fail.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub failure_limit: i32,
    /// For one measurement.
    #[serde(default = "five_seconds")]
    pub timeout: Duration,
}

/// Asks a Prometheus, or whatever speaks its API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.interval) >= duration('1s')").message("prometheus.interval: at least 1s"),
    validation = Rule::new("duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('1m')")
        .message("prometheus.timeout: from 100ms to 1m"),
)]
pub struct PrometheusCheck {
    /// Where its API stands: `http://prometheus.monitoring:9090`, with a path where it is served beneath one. No user
    /// and no password.
    #[schemars(length(min = 8, max = 1024), regex(pattern = r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$"))]
    pub address: String,
    /// PromQL, an instant query. `$(revision)`, `$(namespace)` and `$(rollout)` are put in.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// CEL over `value` (double: the result, which must be a scalar or exactly one series) and `values` (list of
    /// doubles, one for each series).
    #[schemars(length(min = 1, max = 1024))]
    pub success_condition: String,
    /// What an empty result or NaN means.
    #[serde(default)]
    pub no_data: NoData,
    /// From one measurement to the next.
    #[serde(default = "thirty_seconds")]
    pub interval: Duration,
    /// How many measurements must succeed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: i32,
    /// How many measurements may fail.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub failure_limit: i32,
    /// For one measurement.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
}
impl PrometheusCheck {
    /// The query about one revision.
    pub fn query_about(&self, namespace: &str, rollout: &str, revision: &Revision) -> String {
        self.query
            .replace("$(revision)", revision.as_str())
            .replace("$(namespace)", namespace)
            .replace("$(rollout)", rollout)
    }
}

/// What an empty result or NaN of a query means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NoData {
    /// Inconclusive: it is asked again.
    #[default]
    Wait,
    /// The measurement succeeded.
    Pass,
    /// The measurement failed.
    Fail,
}

fn one() -> i32 {
    1
}
fn five_seconds() -> Duration {
    Duration::from_secs(5)
}
fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}
fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}
fn ten_minutes() -> Duration {
    Duration::from_mins(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_has_a_default() {
        let check: Check = serde_json::from_value(json!({"name": "smoke", "http": {"path": "/health"}})).unwrap();
        let http = check.http.unwrap();
        assert_eq!((http.port, http.success_condition, http.count, http.failure_limit), (None, None, 1, 0));
        assert_eq!((http.interval, http.timeout), (ten_seconds(), five_seconds()));
        let check: PrometheusCheck = serde_json::from_value(
            json!({"address": "http://p:9090", "query": "up", "successCondition": "value > 0.0"}),
        )
        .unwrap();
        assert_eq!((check.no_data, check.interval), (NoData::Wait, thirty_seconds()));
        let check: JobCheck = serde_json::from_value(json!({"fromContainer": "web", "command": ["true"]})).unwrap();
        assert_eq!((check.retries, check.timeout), (0, ten_minutes()));
    }

    #[test]
    fn a_query_is_about_one_revision() {
        let query = r#"rate(errors{namespace="$(namespace)",pod=~"$(rollout)-$(revision)-.*"}[1m]) $(other)"#;
        let check = json!({"address": "http://p:9090", "query": query, "successCondition": "true"});
        let check: PrometheusCheck = serde_json::from_value(check).unwrap();
        let revision = Revision::of_hash(&[1; 32]);
        let wanted = format!(r#"rate(errors{{namespace="prod",pod=~"shop-{revision}-.*"}}[1m]) $(other)"#);
        assert_eq!(check.query_about("prod", "shop", &revision), wanted);
    }
}
