//! Waits for the quality gate of a SonarQube server. The token goes to the address in the spec and to no other: what the
//! source says of a server is not asked.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use switchyard_api::report::{Passed, Reason, Report};
use switchyard_net::{Answer, Body, Client, Guard};

use crate::command::Quality;
use crate::failure::Failure;
use crate::sonarqube::{self, GateStatus, Task, TaskStatus};
use crate::source;

const REQUEST_LIMIT: Duration = Duration::from_secs(20);
const MAX_ANSWER: usize = 1024 * 1024;
const MAX_TASK_FILE: u64 = 16 * 1024;
const MAX_TOKEN: u64 = 4096;
/// From one question to the next: soon at first, since most analyses are small.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How far the clocks of the server and of this node may be apart.
const MAX_SKEW: Duration = Duration::from_mins(10);

/// One server, and who we are to it.
struct Server {
    client: Client,
    base: String,
    token: String,
    until: Instant,
    /// Servers before 10.0 know a token only as a user without a password.
    as_user: bool,
}

pub async fn run(arguments: &Quality) -> Result<Report, Failure> {
    let token = token(&arguments.token_file)?;
    let left = source::read(&arguments.task_file, MAX_TASK_FILE)
        .map_err(|why| unusable(&format!("the scanner left no report-task.txt that can be used: {why}")))?;
    let left = String::from_utf8_lossy(&left);
    let id = sonarqube::task_id(&left).ok_or_else(|| unusable("report-task.txt names no task"))?;
    // In a pod of the user's own namespace, whose other containers reach all that this one does.
    let client = Client::new(Guard::Everything).map_err(|error| Failure::new(Reason::StepFailed, error.to_string()))?;
    let limit = Duration::from_secs(arguments.timeout_seconds);
    let until = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
    let mut server = Server { client, base: base(&arguments.url)?, token, until, as_user: false };

    let task = server.computed(id, limit).await?;
    if task.component_key != arguments.project {
        let other = switchyard_net::excerpt(&task.component_key);
        return Err(unusable(&format!(
            "report-task.txt names an analysis of {other:?}, not of {:?}",
            arguments.project
        )));
    }
    if is_older(&task.submitted_at, &arguments.task_file) {
        return Err(unusable("report-task.txt names an analysis from before this check ran"));
    }
    let analysis =
        task.analysis_id.filter(|id| sonarqube::is_id(id)).ok_or_else(|| unusable("the analysis has no id"))?;
    let path = format!("api/qualitygates/project_status?analysisId={analysis}");
    let gate = server.asked(&path, sonarqube::gate).await?;
    let name = server.gate_name(&arguments.project).await;
    match gate.status {
        GateStatus::Ok | GateStatus::Warn => Ok(Report::Passed(Passed { message: format!("{name}: OK") })),
        GateStatus::Error => {
            Err(Failure::new(Reason::QualityGateFailed, format!("{name}: {}", sonarqube::broken(&gate))))
        }
        GateStatus::None => Err(Failure::new(
            Reason::QualityGateFailed,
            "the project has no quality gate, so nothing says that it passed",
        )),
    }
}

impl Server {
    /// Asks until the analysis is computed.
    async fn computed(&mut self, id: &str, limit: Duration) -> Result<Task, Failure> {
        let path = format!("api/ce/task?id={id}");
        let mut pause = FIRST_PAUSE;
        loop {
            let task = self.asked(&path, sonarqube::task).await?;
            match task.status {
                TaskStatus::Success => return Ok(task),
                TaskStatus::Failed | TaskStatus::Canceled => {
                    let said = task.error_message.as_deref().map(switchyard_net::excerpt);
                    let said = said.unwrap_or_else(|| "the server does not say why".to_owned());
                    let word = if task.status == TaskStatus::Failed { "failed" } else { "was cancelled" };
                    return Err(unusable(&format!("the analysis {word}: {said}")));
                }
                TaskStatus::Pending | TaskStatus::InProgress => {}
            }
            if !self.pauses(&mut pause).await {
                let why = format!("the server did not compute the analysis within {} s", limit.as_secs());
                return Err(Failure::new(Reason::SonarQubeUnavailable, why));
            }
        }
    }

    /// One answer, read. What may pass is asked again until the time is over.
    async fn asked<T>(&mut self, path: &str, read: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let why = match self.get(path).await {
                Ok(answer) => match (answer.status, read(&answer.body)) {
                    (200, Ok(value)) => return Ok(value),
                    (200, Err(why)) => format!("its answer cannot be read: {why}"),
                    (401 | 403, _) => return Err(refused(&answer)),
                    (404, _) => {
                        let said = sonarqube::said(&answer.body).unwrap_or_else(|| "it has no such page".to_owned());
                        return Err(unusable(&format!("the server knows no such analysis: {said}")));
                    }
                    (status @ 300..=399, _) => {
                        let why = format!("it answers with a redirect ({status}), and its own address is needed");
                        return Err(Failure::new(Reason::SonarQubeUnavailable, format!("cannot ask SonarQube: {why}")));
                    }
                    (status, _) => format!("it answers with status {status}"),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!("SonarQube gives no answer yet: {why}");
            if !self.pauses(&mut pause).await {
                return Err(Failure::new(Reason::SonarQubeUnavailable, format!("cannot ask SonarQube: {why}")));
            }
        }
    }

    /// The name of the gate, for people: without it, it is only called a gate.
    async fn gate_name(&mut self, project: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let name = if project.bytes().all(plain) {
            self.get(&format!("api/qualitygates/get_by_project?project={project}")).await.ok()
        } else {
            None
        };
        let name = name.filter(|answer| answer.status == 200).and_then(|answer| sonarqube::gate_name(&answer.body));
        name.map_or_else(|| "quality gate".to_owned(), |name| format!("quality gate {name}"))
    }

    async fn get(&mut self, path: &str) -> Result<Answer, switchyard_net::Error> {
        let url = format!("{}/{path}", self.base);
        let answer = self.once(&url).await?;
        if answer.status != 401 || self.as_user {
            return Ok(answer);
        }
        self.as_user = true;
        let answer = self.once(&url).await?;
        self.as_user = answer.status != 401;
        Ok(answer)
    }

    async fn once(&self, url: &str) -> Result<Answer, switchyard_net::Error> {
        let authorization = if self.as_user {
            format!("Basic {}", STANDARD.encode(format!("{}:", self.token)))
        } else {
            format!("Bearer {}", self.token)
        };
        self.client.get_authorized(url, &authorization, Body::UpTo(MAX_ANSWER), REQUEST_LIMIT).await
    }

    /// Waits, each time a little longer; whether there is time left.
    async fn pauses(&self, pause: &mut Duration) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep((*pause).min(left)).await;
        *pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        true
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(Reason::SonarQubeAnalysisFailed, why)
}

fn refused(answer: &Answer) -> Failure {
    let said = sonarqube::said(&answer.body).unwrap_or_else(|| format!("status {}", answer.status));
    Failure::new(Reason::SonarQubeUnauthorized, format!("SonarQube refuses the token: {said}"))
}

/// The server's address without a slash at its end. A query or a fragment would swallow the path that follows.
fn base(url: &str) -> Result<String, Failure> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if !web || url.contains(['?', '#', '@']) || url.chars().any(|c| c.is_control() || c == ' ') {
        let shown: String = url.chars().take(100).collect();
        return Err(Failure::new(Reason::StepFailed, format!("{shown:?} is no address of a SonarQube server")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// A mounted Secret is a link, and ours to follow.
fn token(path: &Path) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(Reason::SonarQubeUnauthorized, format!("cannot use the token: {why}"));
    let io = |error: std::io::Error| Failure::io("read the token", &error);
    if std::fs::metadata(path).map_err(io)?.len() > MAX_TOKEN {
        return Err(wrong("it is too long"));
    }
    let token = std::fs::read_to_string(path).map_err(io)?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it is empty, or has a character that no token has"));
    }
    Ok(token.to_owned())
}

/// Whether the analysis was sent before the scanner's file was there: a file that was committed with the source names an
/// old analysis that passed. What cannot be read is not old.
fn is_older(submitted: &str, file: &Path) -> bool {
    let Ok(submitted) =
        jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", submitted).and_then(|time| time.to_timestamp())
    else {
        return false;
    };
    let written = std::fs::symlink_metadata(file).and_then(|file| file.modified()).ok();
    let Some(written) = written.and_then(|written| jiff::Timestamp::try_from(written).ok()) else { return false };
    written.as_second().saturating_sub(submitted.as_second()) > i64::try_from(MAX_SKEW.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(base("https://sonar.acme.dev/").unwrap(), "https://sonar.acme.dev");
        assert_eq!(base("http://s:9000/sonar").unwrap(), "http://s:9000/sonar");
        for url in
            ["", "sonar.acme.dev", "ftp://x", "https://x?y", "https://x#y", "https://u:p@x", "https://x y", "file:///x"]
        {
            assert!(base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_analysis_from_before_is_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ago = |minutes: i64| {
            let time = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
            time.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
        };
        for (submitted, old) in
            [(ago(0), false), (ago(9), false), (ago(-60), false), (ago(11), true), (ago(9000), true)]
        {
            assert_eq!(is_older(&submitted, file.path()), old, "{submitted}");
        }
        assert!(!is_older("", file.path()) && !is_older("yesterday", file.path()));
    }

    #[test]
    fn a_token_is_one_word() {
        let of = |content: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), content).unwrap();
            token(file.path())
        };
        assert_eq!(of("squ_1\n").unwrap(), "squ_1");
        for content in ["", "\n", "a b", "a\nb: c", "\u{fc}", &"x".repeat(5000)] {
            let refused = of(content).unwrap_err();
            assert_eq!(refused.reason, Reason::SonarQubeUnauthorized);
        }
    }
}
