//! A TCP proxy that can fall silent without closing anything: a cut that no peer reports, as by a lost NAT entry.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kube::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
};

/// Connections of a generation up to the one that was cut are silent.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    server: String,
    born: Arc<AtomicU64>,
    cut: Arc<AtomicU64>,
}

impl Proxy {
    /// In front of the server of `config`.
    pub async fn before(config: &Config) -> Self {
        let host = config.cluster_url.host().unwrap().to_owned();
        let server = format!("{host}:{}", config.cluster_url.port_u16().unwrap_or(443));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            server,
            born: Arc::new(AtomicU64::new(1)),
            cut: Arc::new(AtomicU64::new(0)),
        };
        tokio::spawn(proxy.clone().run(listener));
        proxy
    }

    /// `config`, by way of this proxy.
    pub fn config(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.tls_server_name = Some(config.cluster_url.host().unwrap().to_owned());
        config.cluster_url = format!("https://{}", self.address).parse().unwrap();
        config
    }

    /// Silences every connection there is. New ones work. Returns how many connections there were so far.
    pub fn cut(&self) -> u64 {
        let newest = self.born.load(Ordering::SeqCst) - 1;
        self.cut.store(newest, Ordering::SeqCst);
        newest
    }

    /// Silences every connection, new ones too.
    pub fn cut_for_good(&self) {
        self.cut.store(u64::MAX, Ordering::SeqCst);
    }

    async fn run(self, listener: TcpListener) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let generation = self.born.fetch_add(1, Ordering::SeqCst);
            let proxy = self.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(&proxy.server).await else { return };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let up = tokio::spawn(proxy.clone().forward(generation, from_client, to_server));
                proxy.forward(generation, from_server, to_client).await;
                let _ = up.await;
            });
        }
    }

    /// Goes on reading when cut, so that TCP acknowledges what nobody will answer.
    async fn forward(self, generation: u64, mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if generation <= self.cut.load(Ordering::SeqCst) => {}
                Ok(n) => {
                    if to.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
            }
        }
        if generation <= self.cut.load(Ordering::SeqCst) {
            // Neither end is told.
            std::future::pending::<()>().await;
        }
    }
}
