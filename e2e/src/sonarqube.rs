//! What stands in for SonarQube, so that each of its answers can be had: a server that knows the few requests of its web
//! API that are asked here, and a scanner that sends it one count. Its gate wants a source without the word FIXME. The
//! real ones are met in `e2e/tests/sonarqube.rs`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, body::Incoming, header::AUTHORIZATION, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use switchyard_api::names::hex;
use tokio::net::TcpListener;

use crate::{
    ground::{Ground, root},
    process::run,
    registry::Registry,
};

/// The scanner's repository in the cluster's registry.
const SCANNER: &str = "sonar-scanner-stand-in";
/// What it is made of.
const PARTS: [&str; 2] = [include_str!("sonarqube/Dockerfile"), include_str!("sonarqube/scanner.py")];

/// The scanner's image, `host/name:tag`: the operator is told once, when it is installed.
pub fn scanner(ground: &Ground) -> String {
    format!("{}/{SCANNER}:{}", ground.setting("REGISTRY"), tag(ground))
}

fn tag(ground: &Ground) -> String {
    let mut hash = Sha256::new();
    for part in PARTS.iter().chain([&ground.setting("IMAGE_BASE_PYTHON")]) {
        hash.update(Sha256::digest(part));
    }
    hex(&hash.finalize(), 12)
}

/// Makes that image, unless it is there.
pub async fn publish_scanner(ground: &Ground) -> Result<()> {
    if Registry::of(ground).manifest(SCANNER, &tag(ground)).await?.is_some() {
        return Ok(());
    }
    let context = root().join("e2e/src/sonarqube");
    let mut build = ground.tool("build-image")?;
    build.arg(&context).arg(context.join("Dockerfile")).arg(format!("{SCANNER}:{}", tag(ground)));
    build.args(["--build-arg", &format!("BASE={}", ground.setting("IMAGE_BASE_PYTHON"))]);
    run(&mut build).await.context("build the scanner").map(drop)
}

/// What the server does with what it is sent of a project: with those it was not told of, it judges by the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Cannot compute it.
    Breaks,
    /// Shows nobody what came of it.
    Hides,
    /// Is too busy to say what came of it.
    IsBusy,
}

/// What a scanner sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    pub project: String,
    pub violations: u64,
    /// How often somebody asked what came of it.
    asked: usize,
}

/// The server. It ends with this value.
pub struct StandIn {
    /// As pods reach it.
    pub url: String,
    told: Arc<Told>,
    task: tokio::task::JoinHandle<()>,
}

struct Told {
    token: String,
    manners: BTreeMap<String, Manner>,
    analyses: Mutex<Vec<Analysis>>,
}

impl StandIn {
    /// It takes this token and no other.
    pub async fn start(ground: &Ground, token: &str, manners: &[(&str, Manner)]) -> Result<Self> {
        let listen: SocketAddr = format!("{}:0", ground.setting("HOST_ADDRESS")).parse().context("this machine")?;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        let manners = manners.iter().map(|(project, manner)| ((*project).to_owned(), *manner)).collect();
        let told = Arc::new(Told { token: token.to_owned(), manners, analyses: Mutex::default() });
        let for_all = told.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let told = for_all.clone();
                let service = service_fn(move |request| one(told.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { url, told, task })
    }

    /// What scanners sent, in order.
    pub fn analyses(&self) -> Vec<Analysis> {
        self.told.analyses.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn one(told: Arc<Told>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (status, answer) =
        told.answer(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), authorization, &body);
    Ok(Response::builder().status(status).body(Full::from(answer.to_string()))?)
}

impl Told {
    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> (u16, Value) {
        if authorization != Some(format!("Bearer {}", self.token).as_str()) {
            return (401, json!({}));
        }
        let Some((name, value)) = query.split_once('=') else { return (404, json!({})) };
        match (method.as_str(), path, name) {
            ("POST", "/api/ce/submit", "projectKey") => self.take(value, body),
            ("GET", "/api/ce/task", "id") => self.task(value),
            ("GET", "/api/qualitygates/project_status", "analysisId") => self.gate(value),
            ("GET", "/api/qualitygates/get_by_project", "project") => {
                (200, json!({"qualityGate": {"name": "Stand-in way", "default": true}}))
            }
            _ => (404, json!({"errors": [{"msg": format!("Unknown url : {path}")}]})),
        }
    }

    fn take(&self, project: &str, body: &[u8]) -> (u16, Value) {
        let Some(violations) = serde_json::from_slice::<Value>(body).ok().and_then(|b| b["violations"].as_u64()) else {
            return (400, json!({"errors": [{"msg": "that is no analysis"}]}));
        };
        let mut all = self.analyses.lock().unwrap();
        all.push(Analysis { project: project.to_owned(), violations, asked: 0 });
        (200, json!({"taskId": format!("task-{}", all.len())}))
    }

    /// The first time it is not computed yet.
    fn task(&self, id: &str) -> (u16, Value) {
        let mut all = self.analyses.lock().unwrap();
        let Some((number, analysis)) = numbered(id, "task-", &mut all) else { return unknown(id) };
        analysis.asked += 1;
        let task = |status: &str, more: Value| {
            let mut task = json!({"id": id, "type": "REPORT", "componentKey": analysis.project, "status": status,
                "submittedAt": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()});
            task.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            (200, json!({"task": task}))
        };
        match self.manners.get(&analysis.project) {
            Some(Manner::Hides) => (403, json!({"errors": [{"msg": "Insufficient privileges"}]})),
            Some(Manner::IsBusy) => (503, json!({})),
            Some(Manner::Breaks) => task("FAILED", json!({"errorMessage": "the report is damaged"})),
            None if analysis.asked == 1 => task("PENDING", json!({})),
            None => task("SUCCESS", json!({"analysisId": format!("analysis-{number}")})),
        }
    }

    fn gate(&self, id: &str) -> (u16, Value) {
        let mut all = self.analyses.lock().unwrap();
        let Some((_, analysis)) = numbered(id, "analysis-", &mut all) else { return unknown(id) };
        let status = if analysis.violations == 0 { "OK" } else { "ERROR" };
        let condition = json!({"status": status, "metricKey": "violations", "comparator": "GT", "errorThreshold": "0",
            "actualValue": analysis.violations.to_string()});
        (200, json!({"projectStatus": {"status": status, "conditions": [condition]}}))
    }
}

fn numbered<'a>(id: &str, prefix: &str, analyses: &'a mut [Analysis]) -> Option<(usize, &'a mut Analysis)> {
    let number: usize = id.strip_prefix(prefix)?.parse().ok()?;
    Some((number, analyses.get_mut(number.checked_sub(1)?)?))
}

fn unknown(id: &str) -> (u16, Value) {
    (404, json!({"errors": [{"msg": format!("No activity found for {id:?}")}]}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Told {
        let manners = [("broken".to_owned(), Manner::Breaks), ("hidden".to_owned(), Manner::Hides)].into();
        Told { token: "good".to_owned(), manners, analyses: Mutex::default() }
    }

    fn ask(server: &Told, path: &str, query: &str) -> (u16, Value) {
        server.answer(&Method::GET, path, query, Some("Bearer good"), b"")
    }

    fn send(server: &Told, project: &str, violations: u64) -> String {
        let body = json!({"violations": violations}).to_string();
        let query = format!("projectKey={project}");
        let answer = server.answer(&Method::POST, "/api/ce/submit", &query, Some("Bearer good"), body.as_bytes());
        answer.1["taskId"].as_str().unwrap().to_owned()
    }

    #[test]
    fn it_judges_by_the_count_and_takes_its_time() {
        let server = server();
        for (violations, status) in [(0, "OK"), (2, "ERROR")] {
            let id = send(&server, "shop", violations);
            assert_eq!(ask(&server, "/api/ce/task", &format!("id={id}")).1["task"]["status"], "PENDING");
            let task = ask(&server, "/api/ce/task", &format!("id={id}")).1["task"].clone();
            assert_eq!((task["status"].as_str(), task["componentKey"].as_str()), (Some("SUCCESS"), Some("shop")));
            let query = format!("analysisId={}", task["analysisId"].as_str().unwrap());
            assert_eq!(ask(&server, "/api/qualitygates/project_status", &query).1["projectStatus"]["status"], status);
        }
    }

    #[test]
    fn it_refuses_and_breaks_as_told() {
        let server = server();
        assert_eq!(server.answer(&Method::GET, "/api/ce/task", "id=task-1", Some("Bearer bad"), b"").0, 401);
        assert_eq!(server.answer(&Method::GET, "/api/ce/task", "id=task-1", None, b"").0, 401);
        assert_eq!(ask(&server, "/api/ce/task", "id=task-1").0, 404, "nobody sent anything yet");
        let (broken, hidden) = (send(&server, "broken", 0), send(&server, "hidden", 0));
        assert_eq!(ask(&server, "/api/ce/task", &format!("id={broken}")).1["task"]["status"], "FAILED");
        assert_eq!(ask(&server, "/api/ce/task", &format!("id={hidden}")).0, 403);
    }
}
