//! A DNS server that says of every name that it is at one address: what a hostile container turns others to.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use tokio::net::UdpSocket;

/// The server. It ends with this value.
pub struct Names {
    task: tokio::task::JoinHandle<()>,
}

impl Names {
    /// Listens on the usual port of this address.
    pub async fn start(listen: Ipv4Addr, everything_is_at: Ipv4Addr) -> Result<Self> {
        let socket = UdpSocket::bind((listen, 53)).await.with_context(|| format!("listen on {listen}:53"))?;
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = answer(&buffer[..length], everything_is_at) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035: the header, the question again, and for a question of type A one answer.
fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let question = query.get(12..)?;
    let mut end = 0;
    while *question.get(end)? != 0 {
        end += 1 + usize::from(question[end]);
    }
    // After the name: its type and class.
    let question = question.get(..end + 5)?;
    let is_address = question[end + 1..end + 3] == [0, 1];
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_address {
        // The name that stands at byte 12; type A, class IN, for one second, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_at_the_address() {
        let question = b"\x08registry\x05forge\x03svc\x00";
        let query = |kind: u8| [&[7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], question, &[0, kind, 0, 1]].concat();
        let here = Ipv4Addr::new(198, 18, 0, 1);
        let given = answer(&query(1), here).unwrap();
        assert_eq!((&given[..2], given[7], &given[given.len() - 4..]), (&[7, 9][..], 1, &[198, 18, 0, 1][..]));
        let nothing = answer(&query(28), here).unwrap();
        assert_eq!((nothing[7], nothing.len()), (0, query(28).len()));
        assert!(answer(b"short", here).is_none());
        assert!(answer(&query(1)[..30], here).is_none());
    }
}
