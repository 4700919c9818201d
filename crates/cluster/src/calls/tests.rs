#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::{Instant, sleep};
use tower::service_fn;

use super::*;

const LIMITS: Limits = Limits { call: Duration::from_secs(30), at_once: 2 };

type Frames = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, BoxError>>>;

fn says(parts: Vec<&'static str>) -> Frames {
    StreamBody::new(stream::iter(parts).map(|part| Ok(Frame::data(Bytes::from(part)))).boxed())
}

fn says_and_hangs(part: &'static str) -> Frames {
    StreamBody::new(
        stream::iter([part]).map(|part| Ok(Frame::data(Bytes::from(part)))).chain(stream::pending()).boxed(),
    )
}

fn request(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Frames>, BoxError>>());
    let began = Instant::now();
    let error = Calls::new(silent, LIMITS).oneshot(request("/api/v1/pods")).await.err().unwrap();
    assert_eq!(began.elapsed().as_secs(), LIMITS.call.as_secs());
    assert_eq!(error.downcast_ref::<Overdue>().unwrap().to_string(), "no whole answer to GET /api/v1/pods within 30s");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_is_not_waited_for_unless_it_streams() {
    let half = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(says_and_hangs("{"))) });
    let began = Instant::now();
    assert!(Calls::new(half, LIMITS).oneshot(request("/api/v1/pods?limit=5")).await.is_err());
    assert_eq!(began.elapsed().as_secs(), LIMITS.call.as_secs());
    for stream in ["/api/v1/pods?limit=5&watch=true", "/api/v1/namespaces/a/pods/b/log?follow=true"] {
        let began = Instant::now();
        assert!(Calls::new(half, LIMITS).oneshot(request(stream)).await.is_ok());
        assert!(began.elapsed().is_zero());
    }
}

#[tokio::test]
async fn whole_answers_arrive_whole() {
    let server = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(says(vec!["a", "b", "c"]))) });
    for uri in ["/a", "/a?watch=true"] {
        assert_eq!(text(Calls::new(server, LIMITS).oneshot(request(uri)).await.unwrap()).await, "abc");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_at_once_than_allowed_and_the_queue_counts() {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    static NOW: AtomicUsize = AtomicUsize::new(0);
    let slow = service_fn(|_: Request<Body>| async {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        sleep(Duration::from_secs(20)).await;
        NOW.fetch_sub(1, Ordering::SeqCst);
        Ok::<_, BoxError>(Response::new(says(vec!["done"])))
    });
    let calls = Calls::new(slow, LIMITS);
    let asked = (0..4).map(|_| calls.clone().oneshot(request("/a")));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(MOST.load(Ordering::SeqCst), LIMITS.at_once);
    // The second pair waited for 20 s and had 10 s left.
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
}

#[tokio::test]
async fn streams_do_not_hold_a_slot() {
    let server = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(says_and_hangs("{"))) });
    let calls = Calls::new(server, LIMITS);
    let mut open = Vec::new();
    for _ in 0..LIMITS.at_once * 2 {
        open.push(calls.clone().oneshot(request("/a?watch=true")).await.unwrap());
    }
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_reaches_the_caller() {
    for body in ["Too many requests, please try again later.\n", r#"{"kind":"Status","code":429,"message":"later"}"#] {
        let busy = service_fn(move |_: Request<Body>| async move {
            let head = Response::builder().status(429).header("retry-after", "7").header("content-length", body.len());
            Ok::<_, BoxError>(head.body(says(vec![body])).unwrap())
        });
        let answer = Calls::new(busy, LIMITS).oneshot(request("/a")).await.unwrap();
        assert!(!answer.headers().contains_key("content-length"));
        let status: Status = serde_json::from_str(&text(answer).await).unwrap();
        let refusal = crate::refusal::refusal(&kube::Error::Api(status.boxed()));
        assert_eq!(refusal, crate::Refusal::Unavailable { retry_after_seconds: Some(7) });
    }
}
