//! A server that answers as it is told, byte by byte.
#![allow(clippy::unwrap_used)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a request is answered.
#[derive(Clone)]
pub enum Manner {
    /// With this status and body.
    Say(&'static str, String),
    /// With a redirect to this place.
    Send(String),
    /// Not at all, and the connection stays open.
    Silence,
    /// With a status, a promise of more, and then one byte now and then.
    Drip,
    /// With half a body, and a cut.
    Cut,
}

pub struct Server {
    pub address: SocketAddr,
    /// Head and body of every request, as they came.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (manner, requests) = (manner, Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, manner.clone(), Arc::clone(&requests)));
            }
        });
        Self { address, seen }
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn answer(mut stream: TcpStream, manner: Manner, seen: Arc<Mutex<Vec<String>>>) {
    let request = request(&mut stream).await;
    seen.lock().unwrap().push(request);
    let head = match &manner {
        Manner::Say(status, body) => {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Manner::Send(to) => {
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Manner::Silence => String::new(),
        Manner::Drip | Manner::Cut => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf".to_owned(),
    };
    let _ = stream.write_all(head.as_bytes()).await;
    match manner {
        Manner::Say(..) | Manner::Send(_) | Manner::Cut => {}
        Manner::Silence => std::future::pending().await,
        Manner::Drip => loop {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if stream.write_all(b".").await.is_err() {
                return;
            }
        },
    }
}

/// Up to the end of the body that it announces.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece).await.unwrap_or(0);
        text.extend_from_slice(piece.get(..length).unwrap());
        let read = String::from_utf8_lossy(&text).into_owned();
        let whole = read.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let announced = head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
            body.len() >= announced.unwrap_or(0)
        });
        if whole || length == 0 {
            return read;
        }
    }
}
