//! When a request is sent again.
//!
//! Only reads. A write whose answer was lost may have happened; the next round looks and decides anew, and every write
//! of ours is conditional, so a repeat that is decided is harmless while a repeat that is automatic is not.

use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use kube::client::Body;
use tower::{
    BoxError,
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, InvalidBackoff, MakeBackoff},
    },
    util::rng::HasherRng,
};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
const RETRIES: u32 = 2;

/// Sends a read again, at most twice, after 429, 503, 504 or a connection that could not be opened.
///
/// `Retry-After` is honoured up to 5 s. A server that asks for more gets its way: the refusal goes to the caller, who
/// has a back-off that shows in status, and a waiting request does not.
#[derive(Clone)]
pub(crate) struct ReadsOnly {
    backoff: ExponentialBackoff,
    left: u32,
}

impl ReadsOnly {
    pub(crate) fn new() -> Result<Self, InvalidBackoff> {
        let backoff = ExponentialBackoffMaker::new(FIRST, LONGEST, 0.5, HasherRng::new())?.make_backoff();
        Ok(Self { backoff, left: RETRIES })
    }

    fn pause(&mut self, asked: Option<Duration>) -> Option<tokio::time::Sleep> {
        self.left = self.left.checked_sub(1)?;
        let ours = self.backoff.next_backoff();
        match asked {
            Some(asked) if asked > LONGEST => None,
            Some(asked) => Some(tokio::time::sleep(asked)),
            None => Some(ours),
        }
    }
}

impl<Answer> Policy<Request<Body>, Response<Answer>, BoxError> for ReadsOnly {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Answer>, BoxError>,
    ) -> Option<Self::Future> {
        match result {
            Ok(response) if busy(response.status()) => self.pause(retry_after(response.headers())),
            Err(error) if unopened(error) => self.pause(None),
            Ok(_) | Err(_) => None,
        }
    }

    /// A request that is not cloned is not retried: that is how writes are left alone.
    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return None;
        }
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }
}

pub(crate) fn busy(status: StatusCode) -> bool {
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(&status)
}

/// The header in seconds; its other form, a date, is not one that an API server sends.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Whether the connection never came to be, so that the server cannot have seen the request.
fn unopened(error: &BoxError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        if error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::time::Instant;
    use tower::{ServiceBuilder, ServiceExt, buffer::BufferLayer, retry::RetryLayer, service_fn};

    use super::*;

    /// How often the server was asked, the last status, and how long it took.
    async fn asked(method: Method, code: u16, after: Option<&'static str>) -> (u32, u16, Duration) {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let server = service_fn(move |_: Request<Body>| {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut answer = Response::builder().status(code);
            if let Some(after) = after {
                answer = answer.header("retry-after", after);
            }
            async move { Ok::<_, BoxError>(answer.body(()).unwrap()) }
        });
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(ReadsOnly::new().unwrap()))
            .layer(BufferLayer::new(8))
            .service(server);
        let request = Request::builder().method(method).uri("/").body(Body::from(b"x".to_vec())).unwrap();
        let began = Instant::now();
        let status = stack.oneshot(request).await.unwrap().status().as_u16();
        (asked.load(Ordering::SeqCst), status, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_sent_three_times_and_writes_once() {
        for code in [429, 503, 504] {
            let (times, status, took) = asked(Method::GET, code, None).await;
            assert_eq!((times, status), (3, code));
            assert!((FIRST..LONGEST).contains(&took), "{took:?}");
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(asked(method, code, None).await, (1, code, Duration::ZERO));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_answers_are_answers() {
        for code in [200, 404, 409, 410, 500, 502] {
            assert_eq!(asked(Method::GET, code, None).await.0, 1, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_ask_for_a_little_patience() {
        assert_eq!(asked(Method::GET, 429, Some("2")).await, (3, 429, Duration::from_secs(4)));
        assert_eq!(asked(Method::GET, 429, Some("6")).await, (1, 429, Duration::ZERO));
        assert_eq!(asked(Method::GET, 429, Some("18446744073709551615")).await.0, 1);
    }

    #[tokio::test]
    async fn a_connection_that_cannot_be_opened_is_tried_again_for_reads() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = crate::client::client(config).unwrap();
        let took = async |request| {
            let began = Instant::now();
            client.request::<serde_json::Value>(request).await.unwrap_err();
            began.elapsed()
        };
        assert!(took(Request::get("/version").body(vec![]).unwrap()).await > FIRST);
        assert!(took(Request::post("/version").body(vec![]).unwrap()).await < FIRST);
    }
}
