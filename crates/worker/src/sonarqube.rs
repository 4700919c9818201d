//! What SonarQube's scanner leaves and what its web API answers: read, without asking. The words are those of the API's
//! own documentation (`/web_api` of any server), versions 9.9 to 2025.

use serde::Deserialize;

/// The longest list of conditions in a sentence, in bytes.
const MAX_LIST: usize = 800;

/// The id of the task that computes the analysis, from report-task.txt. Whatever else stands in that file, an address
/// above all, is not read: the file lies in the source.
pub fn task_id(text: &str) -> Option<&str> {
    let id = text.lines().find_map(|line| line.strip_prefix("ceTaskId="))?.trim();
    is_id(id).then_some(id)
}

/// What can stand in a query as it is.
pub fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(plain)
}

#[derive(Deserialize)]
struct TaskAnswer {
    task: Task,
}

/// `api/ce/task`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    pub status: TaskStatus,
    /// The project.
    #[serde(default)]
    pub component_key: String,
    /// There once it succeeded.
    pub analysis_id: Option<String>,
    pub error_message: Option<String>,
    /// As in `2026-11-21T20:00:00+0000`.
    #[serde(default)]
    pub submitted_at: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    Pending,
    InProgress,
    Success,
    Failed,
    Canceled,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GateAnswer {
    project_status: Gate,
}

/// `api/qualitygates/project_status`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Gate {
    pub status: GateStatus,
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GateStatus {
    Ok,
    /// Of servers before 7.6: it passed.
    Warn,
    Error,
    /// The project has no gate.
    None,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(default)]
    status: String,
    #[serde(default)]
    metric_key: String,
    #[serde(default)]
    comparator: String,
    #[serde(default)]
    error_threshold: String,
    actual_value: Option<String>,
}

pub fn task(body: &[u8]) -> Result<Task, String> {
    serde_json::from_slice(body).map(|answer: TaskAnswer| answer.task).map_err(|error| error.to_string())
}

pub fn gate(body: &[u8]) -> Result<Gate, String> {
    serde_json::from_slice(body).map(|answer: GateAnswer| answer.project_status).map_err(|error| error.to_string())
}

/// The gate's name, from `api/qualitygates/get_by_project`.
pub fn gate_name(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let name = answer.get("qualityGate")?.get("name")?.as_str()?;
    Some(switchyard_net::excerpt(name)).filter(|name| !name.is_empty())
}

/// The first message of an answer that is an error.
pub fn said(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = answer.get("errors")?.get(0)?.get("msg")?.as_str()?;
    Some(switchyard_net::excerpt(text)).filter(|text| !text.is_empty())
}

/// `coverage 41.2 is less than 80; new_security_rating C is worse than A`.
pub fn broken(gate: &Gate) -> String {
    let all: Vec<String> =
        gate.conditions.iter().filter(|condition| condition.status == "ERROR").map(sentence).collect();
    let (mut named, mut length) = (Vec::new(), 0_usize);
    for condition in &all {
        length = length.saturating_add(condition.len());
        if length > MAX_LIST {
            break;
        }
        named.push(condition.as_str());
    }
    let more = all.len().saturating_sub(named.len());
    let list = named.join("; ");
    match (list.is_empty(), more) {
        (true, 0) => "the server names no condition".to_owned(),
        (true, more) => format!("{more} conditions"),
        (false, 0) => list,
        (false, more) => format!("{list}; and {more} more"),
    }
}

fn sentence(condition: &Condition) -> String {
    let Condition { status: _, metric_key, comparator, error_threshold, actual_value } = condition;
    let metric = switchyard_net::excerpt(metric_key);
    let rating = metric.ends_with("_rating");
    let value = |text: &str| {
        let text = switchyard_net::excerpt(text);
        // A rating comes as a number.
        match text.as_str() {
            "1" | "1.0" if rating => "A".to_owned(),
            "2" | "2.0" if rating => "B".to_owned(),
            "3" | "3.0" if rating => "C".to_owned(),
            "4" | "4.0" if rating => "D".to_owned(),
            "5" | "5.0" if rating => "E".to_owned(),
            _ => text,
        }
    };
    let is = match comparator.as_str() {
        "GT" if rating => "is worse than",
        "GT" => "is greater than",
        "LT" => "is less than",
        "EQ" => "is",
        "NE" => "is not",
        _ => "breaks",
    };
    let actual = actual_value.as_deref().map_or_else(|| "without a value".to_owned(), value);
    format!("{metric} {actual} {is} {}", value(error_threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_is_read_of_what_the_scanner_left() {
        let text = "projectKey=shop\nserverUrl=http://evil.dev\nceTaskId=AYx_1-z\nceTaskUrl=http://evil.dev/api\n";
        assert_eq!(task_id(text), Some("AYx_1-z"));
        for text in ["", "ceTaskId=", "ceTaskId=a&id=b", "ceTaskId=../x", "ceTaskId=a b", "xceTaskId=a"] {
            assert_eq!(task_id(text), None, "{text}");
        }
    }

    #[test]
    fn tasks() {
        let text = br#"{"task":{"id":"A","type":"REPORT","componentId":"c","componentKey":"shop","status":"SUCCESS",
            "submittedAt":"2026-11-21T20:00:00+0000","analysisId":"B","hasScannerContext":true,"warnings":[]}}"#;
        let expected = Task {
            status: TaskStatus::Success,
            component_key: "shop".to_owned(),
            analysis_id: Some("B".to_owned()),
            error_message: None,
            submitted_at: "2026-11-21T20:00:00+0000".to_owned(),
        };
        assert_eq!(task(text), Ok(expected));
        for (word, status) in [
            ("PENDING", TaskStatus::Pending),
            ("IN_PROGRESS", TaskStatus::InProgress),
            ("CANCELED", TaskStatus::Canceled),
        ] {
            let text = format!(r#"{{"task":{{"status":"{word}"}}}}"#);
            assert_eq!(task(text.as_bytes()).unwrap().status, status);
        }
        for text in ["", "{}", r#"{"task":{}}"#, r#"{"task":{"status":"MOON"}}"#, "<html>"] {
            assert!(task(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_read_as_a_sentence() {
        let text = br#"{"projectStatus":{"status":"ERROR","ignoredConditions":false,"caycStatus":"compliant","conditions":[
            {"status":"ERROR","metricKey":"coverage","comparator":"LT","errorThreshold":"80","actualValue":"41.2"},
            {"status":"OK","metricKey":"duplicated_lines_density","comparator":"GT","errorThreshold":"3","actualValue":"1"},
            {"status":"ERROR","metricKey":"new_security_rating","comparator":"GT","errorThreshold":"1","actualValue":"3"},
            {"status":"ERROR","metricKey":"new_coverage","comparator":"LT","errorThreshold":"80"}]}}"#;
        let read = gate(text).unwrap();
        assert_eq!(read.status, GateStatus::Error);
        assert_eq!(
            broken(&read),
            "coverage 41.2 is less than 80; new_security_rating C is worse than A; new_coverage without a value is less \
             than 80"
        );
        for (word, status) in [("OK", GateStatus::Ok), ("WARN", GateStatus::Warn), ("NONE", GateStatus::None)] {
            let text = format!(r#"{{"projectStatus":{{"status":"{word}"}}}}"#);
            assert_eq!(gate(text.as_bytes()).unwrap(), Gate { status, conditions: vec![] });
        }
        assert!(gate(b"{}").is_err());
    }

    #[test]
    fn a_sentence_stays_short() {
        let condition = || Condition {
            status: "ERROR".to_owned(),
            metric_key: "m".repeat(9000),
            comparator: "LT".to_owned(),
            error_threshold: "1".to_owned(),
            actual_value: Some("\u{1b}0".to_owned()),
        };
        let gate = Gate { status: GateStatus::Error, conditions: (0..50).map(|_| condition()).collect() };
        let said = broken(&gate);
        assert!(said.len() < 1000 && said.ends_with("; and 47 more") && !said.contains('\u{1b}'), "{said}");
        assert_eq!(broken(&Gate { status: GateStatus::Error, conditions: vec![] }), "the server names no condition");
    }

    #[test]
    fn names_and_errors() {
        assert_eq!(gate_name(br#"{"qualityGate":{"name":"Sonar way","default":true}}"#).unwrap(), "Sonar way");
        assert_eq!(said(br#"{"errors":[{"msg":"Insufficient privileges"}]}"#).unwrap(), "Insufficient privileges");
        for text in ["", "{}", r#"{"qualityGate":{}}"#, r#"{"errors":[]}"#] {
            assert_eq!((gate_name(text.as_bytes()), said(text.as_bytes())), (None, None), "{text}");
        }
    }
}
