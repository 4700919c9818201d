//! What becomes of the watches that are open: a watch is an answer that goes on, so its body is what is held up.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Request,
    body::{Frame, Incoming},
};
use tokio::sync::watch;

use super::BoxError;

/// How often each has happened. A watch knows how often by the time it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Happened {
    cuts: usize,
    stalls: usize,
}

#[derive(Clone)]
pub struct Watches {
    happened: Arc<watch::Sender<Happened>>,
    /// Once watches are told that they are too old: the paths that were told.
    told: Arc<Mutex<Option<BTreeSet<String>>>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self { happened: Arc::new(watch::Sender::new(Happened::default())), told: Arc::default() }
    }
}

/// A request that asks to be told of changes.
pub fn is_watch<B>(request: &Request<B>) -> bool {
    has(request, "watch", |value| value == "true" || value == "1")
}

fn has<B>(request: &Request<B>, name: &str, right: impl Fn(&str) -> bool) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').filter_map(|pair| pair.split_once('=')).any(|(key, value)| key == name && right(value))
}

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + Sync>>;

impl Watches {
    /// Ends all that are open, as a connection that is cut ends.
    pub fn cut(&self) {
        self.happened.send_modify(|h| h.cuts += 1);
    }

    /// All that are open say nothing any more.
    pub fn stall(&self) {
        self.happened.send_modify(|h| h.stalls += 1);
    }

    /// Cuts them, and tells the next one on each path that it is too old.
    pub fn expire(&self) {
        *self.told.lock().unwrap() = Some(BTreeSet::new());
        self.cut();
    }

    /// Whether this one is to be told that. (One that asks from no version on cannot be too old.)
    pub fn is_too_old<B>(&self, request: &Request<B>) -> bool {
        let resumes = has(request, "resourceVersion", |version| !version.is_empty() && version != "0");
        let mut told = self.told.lock().unwrap();
        let Some(told) = told.as_mut().filter(|_| resumes) else { return false };
        told.insert(request.uri().path().to_owned())
    }

    /// The body of a watch that opens now.
    pub fn hold(&self, body: Incoming) -> StreamBody<Frames> {
        let changes = self.happened.subscribe();
        let born = *changes.borrow();
        let frames = futures::stream::unfold((body, changes), move |(mut body, mut changes)| async move {
            let frame = tokio::select! {
                biased;
                _ = changes.changed() => {
                    let now = *changes.borrow();
                    if now.stalls > born.stalls {
                        // Until its client gives up.
                        std::future::pending::<()>().await;
                    }
                    Err(BoxError::from("cut"))
                }
                frame = body.frame() => frame?.map_err(Into::into),
            };
            Some((frame, (body, changes)))
        });
        StreamBody::new(Box::pin(frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        Request::builder().uri(uri).body(()).unwrap()
    }

    #[test]
    fn a_watch_is_told_once_on_each_path_that_it_is_too_old() {
        let watches = Watches::default();
        let resumed = request("/api/v1/pods?watch=true&resourceVersion=7");
        assert!(is_watch(&resumed) && !is_watch(&request("/api/v1/pods?watch=false")));
        assert!(!watches.is_too_old(&resumed));
        watches.expire();
        assert!(!watches.is_too_old(&request("/api/v1/pods?watch=true&resourceVersion=0")));
        assert!(watches.is_too_old(&resumed));
        assert!(!watches.is_too_old(&resumed));
        assert!(watches.is_too_old(&request("/api/v1/services?watch=1&resourceVersion=7")));
    }
}
