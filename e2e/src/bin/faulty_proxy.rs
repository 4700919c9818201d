//! The proxy by itself, for any client of any API server: `faulty_proxy FILE`, with a plan in JSON. See `docs/faults.md`.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1 as server, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use switchyard_e2e::proxy::{Front, Plan, Proxy, Upstream};
use tokio::net::TcpListener;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    /// Where the client is to go.
    listen: SocketAddr,
    /// Shown to the client, both in PEM; without them it speaks plain HTTP.
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Where its requests go, `https://ADDRESS:PORT`, and the authority that vouches for that.
    upstream: String,
    authority: PathBuf,
    /// `kill-before@3`
    plan: String,
    /// Run to kill the client; has killed it when it ends.
    #[serde(default)]
    kill: Vec<String>,
    /// Where the proxy itself is asked and told.
    control: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("usage: faulty_proxy FILE")?;
    let settings: Settings = serde_json::from_slice(&std::fs::read(&file)?).with_context(|| format!("read {file}"))?;
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    let front = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => Front::tls(&read(certificate)?, &read(key)?)?,
        _ => Front::PLAIN,
    };
    let plan: Plan = settings.plan.parse()?;
    ensure!(
        !settings.kill.is_empty() || !plan.fault.is_some_and(|(fault, _)| fault.kills()),
        "{plan} needs a command that kills"
    );
    let upstream = Upstream::new(&settings.upstream, &read(&settings.authority)?)?;
    let kill = settings.kill.clone();
    let proxy = Proxy::start(settings.listen, front, upstream, move || {
        let [program, arguments @ ..] = kill.as_slice() else { return };
        if let Err(error) = Command::new(program).args(arguments).status() {
            eprintln!("kill: {error}");
        }
    })
    .await?;
    proxy.plan(plan);
    println!("{plan}: {} in front of {}, control at {}", proxy.url(), settings.upstream, settings.control);
    control(settings.control, Arc::new(proxy)).await
}

/// Plain HTTP, a request a connection.
async fn control(listen: SocketAddr, proxy: Arc<Proxy>) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let proxy = proxy.clone();
        let service = service_fn(move |request| {
            let proxy = proxy.clone();
            async move { Ok::<_, Infallible>(answer(&proxy, request).await) }
        });
        tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(proxy: &Proxy, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let said = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/writes") => {
            Ok(proxy.writes().iter().fold(String::new(), |text, write| text + &write.to_string() + "\n"))
        }
        (&Method::GET, "/struck") => Ok(proxy.struck().map(|w| format!("{w}\n")).unwrap_or_default()),
        (&Method::POST, "/plan") => plan(proxy, body).await,
        (&Method::POST, "/reopen") => {
            proxy.reopen();
            Ok(String::new())
        }
        (&Method::POST, "/release") => {
            proxy.release();
            Ok(String::new())
        }
        _ => Err(anyhow::anyhow!("GET /writes, GET /struck, POST /plan, POST /reopen or POST /release")),
    };
    let (status, text) = match said {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}\n")),
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
}

async fn plan(proxy: &Proxy, body: Incoming) -> Result<String> {
    let body = body.collect().await?.to_bytes();
    let plan: Plan = String::from_utf8_lossy(&body).trim().parse()?;
    proxy.plan(plan);
    Ok(format!("{plan}\n"))
}
