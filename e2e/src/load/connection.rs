//! One HTTP/1.1 connection of the load generator.

use std::{error::Error as _, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request,
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    header::{CONNECTION, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::report::{Kind, Served};

/// Who answered is read from the first of these headers that is there, otherwise from the body: what its member `pod`
/// says if it is a JSON object, or else its first line.
const SERVED_BY: [&str; 2] = ["x-served-by", "x-pod"];
/// Of the body's first line, that much.
const LONGEST_NAME: usize = 80;

pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, (Kind, String)> {
        let stream = TcpStream::connect(address).await.map_err(|e| (of_io(&e, Kind::Refused), e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| (Kind::Other, e.to_string()))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|e| (kind(&e), format!("at the handshake: {e}")))?;
        // Ends with the connection; what went wrong on it comes back from the request.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// False once the server has closed it.
    pub(super) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) async fn ask(&mut self, host: &str, path: &str, keep: bool) -> Result<Served, (Kind, String)> {
        let (named, answer) = self.begin(host, path, keep).await?;
        let body = answer.collect().await.map_err(|e| (kind(&e), sentence(&e)))?.to_bytes();
        let member = || {
            let object: serde_json::Value = serde_json::from_slice(&body).ok()?;
            object.get("pod")?.as_str().map(str::to_owned)
        };
        Ok(named.unwrap_or_else(|| Arc::from(member().unwrap_or_else(|| first_line(&body)))))
    }

    /// Sends a request, and waits for an answer that is not an error: who gives it, as far as a header says so, and its
    /// body, still to come.
    pub(super) async fn begin(
        &mut self,
        host: &str,
        path: &str,
        keep: bool,
    ) -> Result<(Option<Served>, Incoming), (Kind, String)> {
        let mut request = Request::get(path).header(HOST, host);
        if !keep {
            request = request.header(CONNECTION, "close");
        }
        let request = request.body(Empty::new()).map_err(|e| (Kind::Other, e.to_string()))?;
        let answer = self.sender.send_request(request).await.map_err(|e| (kind(&e), sentence(&e)))?;
        let status = answer.status();
        let named = SERVED_BY
            .iter()
            .find_map(|name| answer.headers().get(*name))
            .map(|value| Arc::from(String::from_utf8_lossy(value.as_bytes())));
        if status.is_success() {
            return Ok((named, answer.into_body()));
        }
        let body = answer.into_body().collect().await.map_err(|e| (kind(&e), sentence(&e)))?.to_bytes();
        Err((Kind::Status(status.as_u16()), format!("{status}: {}", first_line(&body))))
    }
}

fn first_line(body: &[u8]) -> String {
    let line = body.split(|b| *b == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(LONGEST_NAME)]).into_owned()
}

fn of_io(error: &io::Error, otherwise: Kind) -> Kind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Kind::Refused
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => Kind::Reset,
        io::ErrorKind::TimedOut => Kind::Timeout,
        io::ErrorKind::UnexpectedEof => Kind::Closed,
        _ => otherwise,
    }
}

pub(super) fn kind(error: &hyper::Error) -> Kind {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return of_io(io, Kind::Other);
        }
        cause = inner.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() { Kind::Closed } else { Kind::Other }
}

pub(super) fn sentence(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
