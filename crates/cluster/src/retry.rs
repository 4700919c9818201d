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
