//! A name server that answers otherwise every time it is asked, as who wants to get behind the filter runs one.

use super::servers::answering;
use super::{Noon, TIMEOUT_MS, post};
use crate::transport::{HttpTransport, NameResolver, TransportOptions};
use async_trait::async_trait;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::ports::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;

const HEADER_BYTES: usize = 12;

/// A name server on a port of its own.
struct NameServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// Answers the first question with the first address, and so on; the last for ever. Its answers may not be cached.
    async fn answering(addresses: Vec<Ipv4Addr>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let turn = count.fetch_add(1, Ordering::SeqCst).min(addresses.len() - 1);
                let _ = socket.send_to(&reply(&buffer[..length], addresses[turn]), client).await;
            }
        });
        Self { address, asked }
    }
}

/// The question with one A record after it (RFC 1035, 4.1).
fn reply(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut reply = question.to_vec();
    reply[2] |= 0x80;
    reply[7] = 1;
    // The name of the question, type A, class IN, no time to live, four bytes.
    reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
    reply.extend(address.octets());
    reply
}

/// Asks that name server, and remembers nothing.
struct Asking(SocketAddr);

#[async_trait]
impl NameResolver for Asking {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        // One question, recursion desired.
        let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).map_err(io::Error::other)?);
            question.extend(label.bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        socket.send_to(&question, self.0).await?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).await?;
        assert_eq!(buffer[HEADER_BYTES..question.len()], question[HEADER_BYTES..]);
        let octets: [u8; 4] = buffer[length - 4..length].try_into().map_err(io::Error::other)?;
        Ok(vec![Ipv4Addr::from(octets).into()])
    }
}

/// Only 127.0.0.1 is allowed: 127.0.0.2 stands for what must not be reached.
fn asking(server: &NameServer) -> HttpTransport {
    let rules = AddressRules { allowed: vec!["127.0.0.1/32".parse().expect("a range")], ..AddressRules::default() };
    let options = TransportOptions { names: Arc::new(Asking(server.address)), ..TransportOptions::default() };
    HttpTransport::with(rules, Arc::new(Noon), options).expect("a transport")
}

const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const REFUSED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test]
async fn a_name_is_asked_for_once_a_dial_so_what_was_checked_is_what_is_dialled() {
    let receiver = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let names = NameServer::answering(vec![ALLOWED, REFUSED]).await;
    let url = format!("http://rebinding.example:{}/", receiver.address.port());
    let exchange = asking(&names).send(&post(url), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered, "{:?}", exchange.detail);
    assert_eq!(exchange.remote_address, Some(receiver.address.to_string()));
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_bound_anew_between_two_attempts_is_refused_at_the_second() {
    let receiver = answering("HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let names = NameServer::answering(vec![ALLOWED, REFUSED]).await;
    let transport = asking(&names);
    let url = format!("http://rebinding.example:{}/", receiver.address.port());
    assert_eq!(transport.send(&post(url.clone()), TIMEOUT_MS).await.code, OutcomeCode::HttpStatus);
    let exchange = transport.send(&post(url), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::AddressRefused);
    assert_eq!(exchange.detail.as_deref(), Some("the name leads to an address that webhooks may not call"));
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_name_that_is_bound_to_a_refused_address_first_is_refused_first() {
    let receiver = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let names = NameServer::answering(vec![REFUSED, ALLOWED]).await;
    let transport = asking(&names);
    let url = format!("http://rebinding.example:{}/", receiver.address.port());
    assert_eq!(transport.send(&post(url.clone()), TIMEOUT_MS).await.code, OutcomeCode::AddressRefused);
    assert!(!receiver.seen.is_finished());
    assert_eq!(transport.send(&post(url), TIMEOUT_MS).await.code, OutcomeCode::Delivered);
}
