//! Both ends of the proxy: what its client speaks to, and what it speaks to.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1 as client;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub type Sender = client::SendRequest<Full<Bytes>>;

/// Where requests go.
#[derive(Clone)]
pub struct Upstream {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Upstream {
    /// `https://198.18.0.2:6443`, by its authority's certificate in PEM; or a plain address for a test.
    pub fn new(url: &str, authority: &str) -> Result<Self> {
        if let Some(address) = url.strip_prefix("http://") {
            return Ok(Self { address: address.parse().with_context(|| format!("the address in {url}"))?, tls: None });
        }
        let address = url.strip_prefix("https://").with_context(|| format!("{url} is no http(s) URL"))?;
        let address: SocketAddr = address.parse().with_context(|| format!("the address in {url}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.context("read the authority's certificate")?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(address.ip().into());
        Ok(Self { address, tls: Some((TlsConnector::from(Arc::new(config)), name)) })
    }

    pub async fn connect(&self) -> Result<Sender> {
        let stream = TcpStream::connect(self.address).await.with_context(|| format!("connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => shake(stream).await,
            Some((connector, name)) => shake(connector.connect(name.clone(), stream).await?).await,
        }
    }
}

async fn shake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender> {
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// What the proxy shows to its client: nothing, and it speaks plain HTTP; or a certificate and its key, both in PEM.
#[derive(Clone, Default)]
pub struct Front(Option<TlsAcceptor>);

impl Front {
    pub const PLAIN: Self = Self(None);

    /// HTTP/1.1 only: no other protocol is offered.
    pub fn tls(certificates: &str, key: &str) -> Result<Self> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).context("read the key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates.context("read the certificate")?, key)?;
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    pub fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.0.as_ref()
    }

    pub fn scheme(&self) -> &'static str {
        if self.0.is_some() { "https" } else { "http" }
    }
}
