//! What is to come before a request goes out, and does not: a place for its look-up, the receiver's part of the handshake.

use super::secure::{server_config, trusting_transport};
use super::servers::{never_answering, read_request};
use super::{Noon, TIMEOUT_MS, post, transport};
use crate::limits::{CONNECT_MS_MAX, LOOK_UPS_MAX};
use crate::transport::{HttpTransport, NameResolver, TransportOptions};
use async_trait::async_trait;
use futures::future::join_all;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::limits::TIMEOUT_MS_MIN;
use hookgraph_domain::ports::Transport;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Never answers.
struct Silence;

#[async_trait]
impl NameResolver for Silence {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_for_a_look_up_is_not_blamed_for_those_that_take_long() {
    let options = TransportOptions { names: Arc::new(Silence), ..TransportOptions::default() };
    let transport = HttpTransport::with(AddressRules::default(), Arc::new(Noon), options).expect("a transport");
    let requests: Vec<_> = (0..=LOOK_UPS_MAX).map(|number| post(format!("http://{number}.example/"))).collect();
    let exchanges = join_all(requests.iter().map(|request| transport.send(request, TIMEOUT_MS_MIN))).await;
    let count = |code: OutcomeCode| exchanges.iter().filter(|exchange| exchange.code == code).count();
    assert_eq!((count(OutcomeCode::Timeout), count(OutcomeCode::ServerFault)), (LOOK_UPS_MAX, 1));
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let request = post(format!("https://{}/", listener.local_addr().expect("an address")));
    let transport = transport();
    let timeout_ms = u32::try_from(2 * CONNECT_MS_MAX).expect("a deadline");
    let (exchange, _receiver) = tokio::join!(transport.send(&request, timeout_ms), never_answering(listener));
    assert_eq!(exchange.code, OutcomeCode::Timeout);
    assert_eq!(exchange.detail.as_deref(), Some("no connection was made in time"));
}

/// A receiver to which so many requests come at once. It answers all of them over the first connection, once each has dialled, and
/// none of the handshakes of the others.
async fn answering_one_of(dials: usize) -> (String, JoinHandle<(TlsStream<TcpStream>, Vec<TcpStream>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let mut config = server_config();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let receiver = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut answered = TlsAcceptor::from(Arc::new(config)).accept(stream).await.expect("a handshake");
        let mut silent = Vec::new();
        while silent.len() < dials - 1 {
            silent.push(listener.accept().await.expect("a connection").0);
        }
        for _ in 0..dials {
            read_request(&mut answered).await;
            answered.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
            answered.flush().await.expect("an answer");
        }
        (answered, silent)
    });
    (url, receiver)
}

#[tokio::test]
async fn dials_for_which_no_request_waits_any_more_are_given_up() {
    const DIALS: usize = 4;
    let (url, receiver) = answering_one_of(DIALS).await;
    let transport = trusting_transport();
    let request = post(url);
    let exchanges = join_all((0..DIALS).map(|_| transport.send(&request, TIMEOUT_MS))).await;
    assert!(exchanges.iter().all(|exchange| exchange.code == OutcomeCode::Delivered), "{exchanges:?}");
    let (_answered, mut silent) = receiver.await.expect("a receiver");
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(CONNECT_MS_MAX)).await;
    tokio::time::resume();
    for stream in &mut silent {
        let closed = timeout(Duration::from_millis(TIMEOUT_MS.into()), stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "a connection that no request waits for is still open");
    }
}
