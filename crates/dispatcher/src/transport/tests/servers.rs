//! Servers of one connection each, as rude as the test needs.

use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server on a port of its own; `seen` yields the first request's text.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) seen: JoinHandle<String>,
}

impl Server {
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// Reads one request whole: its head, and as much body as it announces.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if count == 0 {
                return text;
            }
            continue;
        };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if count == 0 || body.len() >= announced.map_or(0, |length| length.parse().expect("a length")) {
            return text;
        }
    }
}

/// Answers the first request with those bytes, then closes.
pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Server {
    let answer = answer.into();
    serving(async move |mut stream| {
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    })
    .await
}

/// Reads the first request and never answers.
pub(super) async fn silent() -> Server {
    serving(async |_stream| std::future::pending().await).await
}

/// Takes one connection, and stops the clock once its first bytes have come: from then on nothing but timers moves. The
/// connection is never answered.
pub(super) async fn never_answering(listener: TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().await.expect("a connection");
    stream.readable().await.expect("first bytes");
    tokio::time::pause();
    stream
}

/// Answers with that head, then with `x` until the client leaves.
pub(super) async fn endless(head: &'static str) -> Server {
    serving(async move |mut stream| {
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await
}

/// Reads the first request and then does as it is told.
pub(super) async fn serving<F, D>(then: F) -> Server
where
    F: FnOnce(TcpStream) -> D + Send + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let request = read_request(&mut stream).await;
        tokio::spawn(then(stream));
        request
    });
    Server { address, seen }
}
