//! What each answer of a pod, and of a Prometheus, means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{net::SocketAddr, time::Duration};

use switchyard_api::check::NoData;
use switchyard_net::{Client, Guard};
use switchyard_probes::{HttpQuestion, Inconclusive, PrometheusQuestion, Verdict, http, prometheus};

use support::{Manner, Server};

fn client(guard: Guard) -> Client {
    // The first test wins, and every one wants the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(guard).unwrap()
}

async fn probe(address: SocketAddr, condition: Option<&str>) -> (bool, String) {
    let limit = Duration::from_millis(400);
    let question = HttpQuestion { address, path: "/health?deep=1", condition, limit };
    let Verdict { passed, said } = http(&client(Guard::Everything), question).await;
    (passed, said)
}

async fn said(manner: Manner, condition: Option<&str>) -> (bool, String) {
    probe(Server::start(manner).await.address, condition).await
}

fn body(text: &str) -> Manner {
    Manner::Say("200 OK", text.to_owned())
}

#[tokio::test]
async fn a_status_from_200_to_299_passes() {
    for (status, passed) in [
        ("200 OK", true),
        ("204 No Content", true),
        ("299 X", true),
        ("302 Found", false),
        ("404 Not Found", false),
        ("503 Service Unavailable", false),
    ] {
        let wanted = (passed, format!("HTTP {}", &status[..3]));
        assert_eq!(said(Manner::Say(status, String::new()), None).await, wanted);
    }
}

#[tokio::test]
async fn a_condition_decides_instead() {
    let shop = r#"{"ok": true, "lag": 3}"#;
    let table = [
        (body(shop), "json.ok && json.lag < 5", (true, "HTTP 200")),
        (body(shop), "json.lag < 2", (false, "HTTP 200 does not meet json.lag < 2")),
        (body(shop), "json.missing", (false, "HTTP 200: json.missing cannot be evaluated: the answer has no missing")),
        (body("is ready"), "body == 'is ready'", (true, "HTTP 200")),
        (Manner::Say("503 X", "{}".to_owned()), "status == 503", (true, "HTTP 503")),
        (
            body("s3cret"),
            "json.token == 'x'",
            (false, "HTTP 200: json.token == 'x' cannot be evaluated: the types do not fit: . of null_type and string"),
        ),
    ];
    for (manner, condition, (passed, words)) in table {
        assert_eq!(said(manner, Some(condition)).await, (passed, words.to_owned()), "{condition}");
    }
}

#[tokio::test]
async fn a_pod_that_does_not_answer_in_time_or_at_all_fails() {
    assert_eq!(said(Manner::Silence, None).await, (false, "no answer within 400ms".to_owned()));
    assert_eq!(said(Manner::Drip, Some("body != ''")).await, (false, "no answer within 400ms".to_owned()));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(probe(nobody, None).await, (false, "Connection refused (os error 111)".to_owned()));
    let (passed, _) = said(Manner::Cut, Some("body != ''")).await;
    assert!(!passed, "half an answer is none");
}

#[tokio::test]
async fn a_large_body_matters_only_to_a_condition_that_reads_it() {
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(said(body(&large), None).await, (true, "HTTP 200".to_owned()));
    assert_eq!(said(body(&large), Some("status == 200")).await, (true, "HTTP 200".to_owned()));
    let wanted = (false, "the answer is larger than 64 KiB".to_owned());
    assert_eq!(said(body(&large), Some("body.contains('x')")).await, wanted);
    assert_eq!(said(body(&large[1..]), Some("body.contains('x')")).await, (true, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::start(body("{}")).await;
    let to = format!("http://{}/", elsewhere.address);
    assert_eq!(said(Manner::Send(to), None).await, (false, "HTTP 302".to_owned()));
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn this_machine_is_out_of_reach_unless_allowed() {
    let server = Server::start(body("{}")).await;
    let limit = Duration::from_secs(5);
    let question = HttpQuestion { address: server.address, path: "/", condition: None, limit };
    let verdict = http(&client(Guard::Network), question).await;
    assert_eq!(verdict.said, "its address may not be reached from here");
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
        let address = format!("http://{host}:{}", server.address.port());
        let question = question_to(&address, "value > 0", NoData::Pass);
        let Err(Inconclusive(why)) = prometheus(&client(Guard::Network), question).await else { panic!("{host}") };
        assert_eq!(why, format!("{address}: its address may not be reached from here"));
    }
    assert_eq!(server.requests(), 0);
    let question = question_to("http://ann:secret@127.0.0.1:1", "value > 0", NoData::Pass);
    assert!(prometheus(&client(Guard::Everything), question).await.is_err());
}

#[tokio::test]
async fn no_measurement_says_more_than_256_characters() {
    let condition = format!("status == 1{}", " || status == 2".repeat(60));
    let (passed, words) = said(body(""), Some(&condition)).await;
    assert!(!passed && words.chars().count() == 256 && words.ends_with("..."), "{words}");
}

fn question_to<'a>(address: &'a str, condition: &'a str, no_data: NoData) -> PrometheusQuestion<'a> {
    PrometheusQuestion { address, query: "up{a=\"b&c\"}", condition, no_data, limit: Duration::from_millis(400) }
}

async fn measured(manner: Manner, condition: &str, no_data: NoData) -> Result<(bool, String), String> {
    let server = Server::start(manner).await;
    let address = format!("http://{}/prometheus/", server.address);
    let result = prometheus(&client(Guard::Everything), question_to(&address, condition, no_data)).await;
    assert!(server.seen.lock().unwrap()[0].starts_with("POST /prometheus/api/v1/query HTTP/1.1\r\n"));
    let without = |why: String| why.replace(&format!("{address}: "), "");
    result.map(|v| (v.passed, v.said)).map_err(|Inconclusive(why)| without(why))
}

fn vector(values: &[&str]) -> Manner {
    let samples: Vec<_> =
        values.iter().map(|v| serde_json::json!({"metric": {"pod": "a"}, "value": [1.5, v]})).collect();
    success("vector", &serde_json::json!(samples))
}

fn success(kind: &str, result: &serde_json::Value) -> Manner {
    body(&serde_json::json!({"status": "success", "data": {"resultType": kind, "result": result}}).to_string())
}

#[tokio::test]
async fn numbers_are_held_to_the_condition() {
    let table = [
        (vector(&["0.009"]), "value < 0.01", (true, "value 0.009")),
        (vector(&["0.034"]), "value < 0.01", (false, "value 0.034 does not meet value < 0.01")),
        (success("scalar", &serde_json::json!([1, "2"])), "value == 2", (true, "value 2")),
        (vector(&["+Inf"]), "value < 0.01", (false, "value inf does not meet value < 0.01")),
        (vector(&["-Inf"]), "value < 0.01", (true, "value -inf")),
        (vector(&["1", "2"]), "values.all(v, v < 3)", (true, "2 values")),
        (vector(&["1", "4"]), "values.all(v, v < 3)", (false, "2 values does not meet values.all(v, v < 3)")),
    ];
    for (manner, condition, (passed, words)) in table {
        assert_eq!(measured(manner, condition, NoData::Wait).await, Ok((passed, words.to_owned())), "{condition}");
    }
}

#[tokio::test]
async fn no_data_means_what_the_check_says() {
    let (empty, nan) = ("no data: the result is empty".to_owned(), "no data: the result is NaN".to_owned());
    for (values, said) in [(&[][..], &empty), (&["NaN"], &nan)] {
        let by = |no_data| measured(vector(values), "value < 1", no_data);
        assert_eq!(by(NoData::Wait).await, Err(said.clone()));
        assert_eq!(by(NoData::Pass).await, Ok((true, said.clone())));
        assert_eq!(by(NoData::Fail).await, Ok((false, said.clone())));
    }
    let by = |other: &'static str, no_data| measured(vector(&["NaN", other]), "values.all(v, v < 1)", no_data);
    assert_eq!(by("0", NoData::Wait).await, Err(nan.clone()));
    assert_eq!(by("0", NoData::Fail).await, Ok((false, nan)));
    assert_eq!(by("0", NoData::Pass).await, Ok((true, "value 0".to_owned())));
    assert!(matches!(by("2", NoData::Pass).await, Ok((false, _))), "what is NaN covers up nothing");
}

#[tokio::test]
async fn what_says_nothing_about_the_revision_is_inconclusive() {
    let refused = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\":\n parse error"}"#;
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    let many: Vec<&str> = vec!["1"; 1001];
    let table = [
        (vector(&["1", "2"]), "value needs exactly one series, and there are 2"),
        (Manner::Say("400 Bad Request", refused.to_owned()), "invalid parameter \"query\": parse error"),
        (Manner::Say("503 Service Unavailable", "<html>s3cret".to_owned()), "HTTP 503"),
        (Manner::Say("401 Unauthorized", String::new()), "HTTP 401"),
        (Manner::Send("http://127.0.0.1:1/".to_owned()), "HTTP 302"),
        (body("<html>s3cret"), "the answer is not one of Prometheus"),
        (body("{}"), "the answer is not one of Prometheus"),
        (
            body(r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,2]}]}}"#),
            "the answer is not one of Prometheus",
        ),
        (
            body(r#"{"status":"success","data":{"resultType":"vector","result":[{"histogram":[1,{}]}]}}"#),
            "the result is a histogram, and a number is needed",
        ),
        (success("matrix", &serde_json::json!([])), "the result is a range, and a number is needed"),
        (success("string", &serde_json::json!([1, "a"])), "the result is a text, and a number is needed"),
        (vector(&["s3cret"]), "the result is no number"),
        (Manner::Say("403 Forbidden", r#"{"status":"error","error":"s3cret"}"#.to_owned()), "HTTP 403"),
        (body(r#"{"status":"s3cret","error":"s3cret"}"#), "the answer is not one of Prometheus"),
        (vector(&many), "the result has 1001 series, and more than 1000 are not judged"),
        (body(&large), "the answer is larger than 1024 KiB"),
        (Manner::Silence, "no answer within 400ms"),
        (Manner::Drip, "no answer within 400ms"),
    ];
    for no_data in [NoData::Pass, NoData::Fail] {
        for (manner, why) in &table {
            let wanted = Err((*why).to_owned());
            assert_eq!(measured(manner.clone(), "value < 1", no_data).await, wanted, "{no_data:?}");
        }
    }
    assert_eq!(
        measured(vector(&["1"]), "values[1] < 1.0", NoData::Pass).await,
        Err("values[1] < 1.0 cannot be evaluated: an index is out of range".to_owned())
    );
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{nobody}");
    let Inconclusive(why) =
        prometheus(&client(Guard::Everything), question_to(&address, "value < 1", NoData::Fail)).await.unwrap_err();
    assert_eq!(why, format!("{address}: Connection refused (os error 111)"));
}

#[tokio::test]
async fn a_query_arrives_as_it_was_written() {
    let server = Server::start(vector(&["1"])).await;
    let address = format!("http://{}", server.address);
    prometheus(&client(Guard::Everything), question_to(&address, "value > 0", NoData::Wait)).await.unwrap();
    let seen = server.seen.lock().unwrap()[0].clone();
    let (head, form) = seen.split_once("\r\n\r\n").unwrap();
    assert_eq!(form, "query=up%7Ba%3D%22b%26c%22%7D&timeout=400ms");
    assert!(!head.to_lowercase().contains("authorization"));
}
