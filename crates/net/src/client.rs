//! One request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderValue},
    redirect,
};

use crate::{
    Guard,
    body::{innermost, read},
    guard::{Forbidden, Names},
};

/// Asks. One serves a whole process; it keeps no connections, so that each answer is also one about connecting.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    guard: Guard,
}

/// How much of a body is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is not even read.
    Ignored,
    /// All of it, and it may not be longer than so many bytes.
    UpTo(usize),
}

/// What came back, whatever its status. A redirect is an answer like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no http or https address, or one with a user or a password.
    #[error("{0:?} is no http or https address without a user")]
    Address(String),
    #[error("its address may not be reached from here")]
    Forbidden,
    #[error("no answer in time")]
    Time,
    #[error("the answer is larger than {} KiB", cap / 1024)]
    TooLarge { cap: usize },
    /// Name, connection, TLS, or a cut in the middle.
    #[error("{0}")]
    Network(String),
}

impl Error {
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        loop {
            if cause.is::<Forbidden>() {
                return Self::Forbidden;
            }
            match cause.source() {
                Some(inner) => cause = inner,
                None => break,
            }
        }
        if error.is_timeout() { Self::Time } else { Self::Network(innermost(error)) }
    }
}

impl Client {
    /// Fails only where the process lacks a TLS provider.
    pub fn new(guard: Guard) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("switchyard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Names(guard)))
            .build()
            .map_err(|error| Error::of(&error))?;
        Ok(Self { http, guard })
    }

    /// GET of a path, which starts with `/`, at one address, in plain text.
    pub async fn get(&self, address: SocketAddr, path: &str, body: Body, limit: Duration) -> Result<Answer, Error> {
        let url = self.checked(&format!("http://{address}{path}"))?;
        send(self.http.get(url), body, limit).await
    }

    /// GET with a credential, which goes to the address that was named and to no other: no redirect is followed.
    pub async fn get_authorized(
        &self,
        url: &str,
        authorization: &str,
        body: Body,
        limit: Duration,
    ) -> Result<Answer, Error> {
        // Its text is not quoted: it is the credential.
        let wrong = || Error::Network("the credential cannot stand in a header".to_owned());
        let mut authorization = HeaderValue::from_str(authorization).map_err(|_| wrong())?;
        authorization.set_sensitive(true);
        send(self.http.get(self.checked(url)?).header(AUTHORIZATION, authorization), body, limit).await
    }

    /// POST of a form.
    pub async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        body: Body,
        limit: Duration,
    ) -> Result<Answer, Error> {
        send(self.http.post(self.checked(url)?).form(form), body, limit).await
    }

    /// An address written as numbers is never resolved, so it is looked at here.
    fn checked(&self, text: &str) -> Result<Url, Error> {
        let wrong = || Error::Address(text.chars().take(100).collect());
        let url: Url = text.parse().map_err(|_| wrong())?;
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let host = url.host_str().filter(|_| plain).ok_or_else(wrong)?;
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.guard.allows(address) => Err(Error::Forbidden),
            Ok(_) | Err(_) => Ok(url),
        }
    }
}

async fn send(request: RequestBuilder, body: Body, limit: Duration) -> Result<Answer, Error> {
    let answer = request.timeout(limit).send().await.map_err(|error| Error::of(&error))?;
    let status = answer.status().as_u16();
    let body = match body {
        Body::Ignored => Vec::new(),
        Body::UpTo(cap) => read(answer, cap).await?,
    };
    Ok(Answer { status, body })
}
