//! The quality gate, asked of a small server that answers as SonarQube does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod pod;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use pod::{Pod, reason};
use switchyard_api::report::{Failed, Passed, Reason, Report};

const TOKEN: &str = "squ_hunter2";
/// "squ_hunter2:" in base64.
const AS_USER: &str = "Basic c3F1X2h1bnRlcjI6";
const TASK: &str = "/api/ce/task?id=T1";
const STATUS: &str = "/api/qualitygates/project_status?analysisId=A1";
const NAME: &str = "/api/qualitygates/get_by_project?project=shop";

/// Status, headers and body for a path, by how often it was asked before.
type Answers = dyn Fn(&str, usize, &str) -> (u16, String, String) + Send + Sync;

struct Server {
    origin: String,
    /// Path and Authorization.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

fn serve(answers: impl Fn(&str, usize, &str) -> (u16, String, String) + Send + Sync + 'static) -> Server {
    let answers: Box<Answers> = Box::new(answers);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let log = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let authorization =
                head.iter().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default().to_owned();
            let before = log.lock().unwrap().iter().filter(|(asked, _)| *asked == path).count();
            log.lock().unwrap().push((path.clone(), authorization.clone()));
            let (status, headers, body) = answers(&path, before, &authorization);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Server { origin, seen }
}

fn ok(body: &str) -> (u16, String, String) {
    (200, String::new(), body.to_owned())
}

fn status(status: u16) -> (u16, String, String) {
    (status, String::new(), String::new())
}

fn task(word: &str) -> (u16, String, String) {
    ok(&format!(
        r#"{{"task":{{"id":"T1","type":"REPORT","componentKey":"shop","status":"{word}","analysisId":"A1","errorMessage":"no luck"}}}}"#
    ))
}

fn gate(word: &str) -> (u16, String, String) {
    ok(&format!(
        r#"{{"projectStatus":{{"status":"{word}","conditions":[{{"status":"{word}","metricKey":"coverage","comparator":"LT","errorThreshold":"80","actualValue":"41.2"}}]}}}}"#
    ))
}

fn name() -> (u16, String, String) {
    ok(r#"{"qualityGate":{"name":"Sonar way","default":true}}"#)
}

/// Answers as a server whose gate says `word`.
fn healthy(word: &'static str) -> impl Fn(&str, usize, &str) -> (u16, String, String) {
    move |path, before, _| match path {
        TASK if before == 0 => task("PENDING"),
        TASK if before == 1 => task("IN_PROGRESS"),
        TASK => task("SUCCESS"),
        STATUS => gate(word),
        NAME => name(),
        _ => status(404),
    }
}

fn ready() -> Pod {
    let pod = Pod::new();
    pod.write("src/.scannerwork/report-task.txt", "projectKey=shop\nserverUrl=http://127.0.0.1:9\nceTaskId=T1\n");
    pod.write("token", &format!("{TOKEN}\n"));
    pod
}

fn ask_in(pod: &Pod, url: &str, seconds: &str) -> Report {
    let (file, token) = (pod.path("src/.scannerwork/report-task.txt"), pod.path("token"));
    let (_, report, said) = pod.run(&[
        "quality",
        "--url",
        url,
        "--project",
        "shop",
        "--task-file",
        &file,
        "--token-file",
        &token,
        "--timeout-seconds",
        seconds,
    ]);
    assert!(!said.contains("hunter2") && !said.contains("c3F1X2h1bnRlcjI6"), "{said}");
    report
}

fn ask(server: &Server) -> Report {
    ask_in(&ready(), &server.origin, "60")
}

fn message(report: Report) -> String {
    match report {
        Report::Failed(Failed { message, .. }) | Report::Passed(Passed { message }) => message,
        other @ (Report::Cloned(_) | Report::Pushed(_) | Report::Saved(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_gate_that_passes_and_one_that_does_not() {
    let server = serve(healthy("OK"));
    assert_eq!(ask(&server), Report::Passed(Passed { message: "quality gate Sonar way: OK".to_owned() }));
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [TASK, TASK, TASK, STATUS, NAME]);
    assert!(seen.iter().all(|(_, authorization)| *authorization == format!("Bearer {TOKEN}")), "{seen:?}");

    let failed = ask(&serve(healthy("ERROR")));
    assert_eq!(reason(failed.clone()), Reason::QualityGateFailed);
    assert_eq!(message(failed), "quality gate Sonar way: coverage 41.2 is less than 80");
    assert_eq!(reason(ask(&serve(healthy("NONE")))), Reason::QualityGateFailed);
    let nameless = serve(|path, before, who| if path == NAME { status(403) } else { healthy("OK")(path, before, who) });
    assert_eq!(message(ask(&nameless)), "quality gate: OK");
    let beneath = serve(|path, before, who| match path.strip_prefix("/sonar") {
        Some(path) => healthy("OK")(path, before + 2, who),
        None => status(404),
    });
    let report = ask_in(&ready(), &format!("{}/sonar/", beneath.origin), "60");
    assert_eq!(message(report), "quality gate Sonar way: OK");
}

#[test]
fn older_servers_know_a_token_as_a_user() {
    let server =
        serve(|path, before, who| if who == AS_USER { healthy("OK")(path, before + 1, who) } else { status(401) });
    assert_eq!(message(ask(&server)), "quality gate Sonar way: OK");
    // Once it is known, it is not tried otherwise.
    assert_eq!(server.seen.lock().unwrap().iter().filter(|(_, who)| who != AS_USER).count(), 1);
}

#[test]
fn what_the_server_refuses_or_cannot_do() {
    let of = |answer: (u16, String, String)| reason(ask(&serve(move |_, _, _| answer.clone())));
    assert_eq!(of(status(401)), Reason::SonarQubeUnauthorized);
    assert_eq!(
        of((403, String::new(), r#"{"errors":[{"msg":"Insufficient privileges"}]}"#.to_owned())),
        Reason::SonarQubeUnauthorized
    );
    assert_eq!(of(status(404)), Reason::SonarQubeAnalysisFailed);
    assert_eq!(of(task("FAILED")), Reason::SonarQubeAnalysisFailed);
    assert_eq!(of(task("CANCELED")), Reason::SonarQubeAnalysisFailed);
    assert_eq!(message(ask(&serve(|_, _, _| task("FAILED")))), "the analysis failed: no luck");
    let other = r#"{"task":{"componentKey":"another","status":"SUCCESS","analysisId":"A1"}}"#;
    assert_eq!(of(ok(other)), Reason::SonarQubeAnalysisFailed);
    let odd = r#"{"task":{"componentKey":"shop","status":"SUCCESS","analysisId":"A1&projectKey=x"}}"#;
    assert_eq!(of(ok(odd)), Reason::SonarQubeAnalysisFailed);
}

#[test]
fn an_analysis_from_before_the_check_is_not_taken() {
    let server = serve(|path, _, _| match path {
        TASK => ok(
            r#"{"task":{"componentKey":"shop","status":"SUCCESS","analysisId":"A1","submittedAt":"2020-01-01T00:00:00+0000"}}"#,
        ),
        STATUS => gate("OK"),
        _ => name(),
    });
    let refused = ask(&server);
    assert_eq!(reason(refused.clone()), Reason::SonarQubeAnalysisFailed);
    assert!(message(refused).contains("before this check ran"));
}

#[test]
fn what_may_pass_is_asked_again_until_the_time_is_over() {
    let shaky = serve(|path, before, who| match (path, before) {
        (TASK, 0) => status(503),
        (TASK, 1) => ok("<html>starting"),
        (STATUS, 0) => status(429),
        (path, before) => healthy("OK")(path, before + 2, who),
    });
    assert_eq!(message(ask(&shaky)), "quality gate Sonar way: OK");
    let late = |server: &Server| ask_in(&ready(), &server.origin, "1");
    assert_eq!(reason(late(&serve(|_, _, _| task("PENDING")))), Reason::SonarQubeUnavailable);
    assert_eq!(reason(late(&serve(|_, _, _| status(500)))), Reason::SonarQubeUnavailable);
    assert_eq!(reason(late(&serve(|_, _, _| ok(&" ".repeat(2_000_000))))), Reason::SonarQubeUnavailable);
    assert_eq!(reason(ask_in(&ready(), "http://127.0.0.1:9", "1")), Reason::SonarQubeUnavailable);
}

#[test]
fn a_token_follows_no_redirect() {
    let thief = serve(|_, _, _| task("SUCCESS"));
    let to = format!("Location: {}{TASK}\r\n", thief.origin);
    let server = serve(move |_, _, _| (302, to.clone(), String::new()));
    assert_eq!(reason(ask(&server)), Reason::SonarQubeUnavailable);
    assert!(thief.seen.lock().unwrap().is_empty());
}

#[test]
fn what_the_source_says_of_a_server_is_not_asked() {
    let thief = serve(healthy("OK"));
    let server = serve(healthy("ERROR"));
    let pod = ready();
    let text = format!("serverUrl={0}\nceTaskUrl={0}{TASK}\ndashboardUrl={0}\nceTaskId=T1\n", thief.origin);
    pod.write("src/.scannerwork/report-task.txt", &text);
    assert_eq!(reason(ask_in(&pod, &server.origin, "60")), Reason::QualityGateFailed);
    assert!(thief.seen.lock().unwrap().is_empty());

    // A link to a file of this container, whose content would end up in a message or a request.
    for target in ["secret", "src/real"] {
        let pod = ready();
        pod.write("secret", "ceTaskId=T1\n");
        pod.write("src/real", "ceTaskId=T1\n");
        std::fs::remove_file(pod.path("src/.scannerwork/report-task.txt")).unwrap();
        std::os::unix::fs::symlink(pod.path(target), pod.path("src/.scannerwork/report-task.txt")).unwrap();
        assert_eq!(reason(ask_in(&pod, &server.origin, "60")), Reason::SonarQubeAnalysisFailed, "{target}");
    }
    let pod = ready();
    std::fs::rename(pod.path("src/.scannerwork"), pod.path("moved")).unwrap();
    std::os::unix::fs::symlink(pod.path("moved"), pod.path("src/.scannerwork")).unwrap();
    assert_eq!(reason(ask_in(&pod, &server.origin, "60")), Reason::SonarQubeAnalysisFailed);
    for text in ["", "ceTaskId=../../x\n", &"x".repeat(20_000)] {
        pod.write("src/.scannerwork/report-task.txt", text);
        assert_eq!(reason(ask_in(&pod, &server.origin, "60")), Reason::SonarQubeAnalysisFailed);
    }
}
