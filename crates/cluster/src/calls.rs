//! The outermost layer of a client: every call ends, and not too many run at once.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Either, Full, combinators::MapErr};
use kube::{client::Body, core::Status};
use tokio::sync::Semaphore;
use tower::{BoxError, Service, ServiceExt};

use crate::retry;

/// What a call may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the moment the caller asks until the last byte of the answer, waiting and retries included. For an answer
    /// that streams, until its head.
    pub(crate) call: Duration,
    /// Calls under way at once. A stream stops counting when its head is there.
    pub(crate) at_once: usize,
}

/// How the answer to a request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// Whole: its last byte is part of the call.
    Whole,
    /// As long as the server likes: watches and logs.
    Streaming,
}

#[derive(Clone, Debug)]
pub(crate) struct Calls<S> {
    inner: S,
    limits: Limits,
    slots: Arc<Semaphore>,
}

impl<S> Calls<S> {
    pub(crate) fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits, slots: Arc::new(Semaphore::new(limits.at_once)) }
    }
}

type Whole = MapErr<Full<Bytes>, fn(Infallible) -> BoxError>;
type Answer<B> = Either<Whole, B>;

/// A call did not end in time. Whether the server acted on it is unknown.
#[derive(Debug, thiserror::Error)]
#[error("no whole answer to {what} within {limit:?}")]
pub struct Overdue {
    what: String,
    limit: Duration,
}

impl<S, B> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Answer<MapErr<B, fn(B::Error) -> BoxError>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    /// Always ready: waiting happens inside the call, where it is counted.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, limits, slots) = (self.inner.clone(), self.limits, self.slots.clone());
        Box::pin(async move {
            let answers = answers(&request);
            let what = format!("{} {}", request.method(), request.uri().path());
            let call = async move {
                let _slot = slots.acquire().await?;
                let response = inner.oneshot(request).await?;
                match answers {
                    Answers::Streaming if response.status().is_success() => {
                        Ok(response.map(|body| Either::Right(body.map_err(Into::into as fn(B::Error) -> BoxError))))
                    }
                    Answers::Streaming | Answers::Whole => collected(response).await,
                }
            };
            match tokio::time::timeout(limits.call, call).await {
                Ok(result) => result,
                Err(_) => Err(BoxError::from(Overdue { what, limit: limits.call })),
            }
        })
    }
}

fn answers(request: &Request<Body>) -> Answers {
    let watch = request.uri().query().unwrap_or_default().split('&').any(|pair| pair == "watch=true");
    let log = request.uri().path().ends_with("/log");
    if watch || log { Answers::Streaming } else { Answers::Whole }
}

async fn collected<B, R>(response: Response<B>) -> Result<Response<Answer<R>>, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = response.into_parts();
    let mut bytes = body.collect().await.map_err(Into::into)?.to_bytes();
    if retry::busy(head.status)
        && let Some(wait) = retry::retry_after(&head.headers)
    {
        bytes = with_retry_after(&bytes, head.status.as_u16(), wait)?;
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let never: fn(Infallible) -> BoxError = |never| match never {};
    Ok(Response::from_parts(head, Either::Left(Full::new(bytes).map_err(never))))
}

/// `kube::Error` has no headers, and priority-and-fairness answers in plain text: the wait moves into the body.
fn with_retry_after(body: &[u8], code: u16, wait: Duration) -> Result<Bytes, serde_json::Error> {
    let mut status: Status = serde_json::from_slice(body)
        .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(body).trim(), "TooManyRequests").with_code(code));
    let mut details = status.details.take().unwrap_or_else(|| kube::core::response::StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    });
    if details.retry_after_seconds == 0 {
        details.retry_after_seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    }
    status.details = Some(details);
    serde_json::to_vec(&status).map(Bytes::from)
}

#[cfg(test)]
mod tests;
