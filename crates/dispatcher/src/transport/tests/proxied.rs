//! Exchanges through an egress proxy: what it is told, what is still checked here, and whose fault its failures are.

use super::servers::{Server, answering, never_answering};
use super::{Noon, TIMEOUT_MS, post};
use crate::limits::CONNECT_MS_MAX;
use crate::transport::{HttpTransport, NameResolver, TransportOptions};
use async_trait::async_trait;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::ports::Transport;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Knows the proxy's name alone.
struct OnlyTheProxy;

#[async_trait]
impl NameResolver for OnlyTheProxy {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "proxy.lan" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            other => Err(io::Error::other(format!("{other} is looked up"))),
        }
    }
}

/// By the default rules, loopback is refused: it is the proxy alone that is there.
fn through(proxy: &str) -> HttpTransport {
    let egress_proxy = Some(proxy.parse().expect("a URL"));
    let options = TransportOptions { egress_proxy, names: Arc::new(OnlyTheProxy), ..TransportOptions::default() };
    HttpTransport::with(AddressRules::default(), Arc::new(Noon), options).expect("a transport")
}

async fn through_server(proxy: &Server, url: &str) -> Exchange {
    through(&format!("http://proxy.lan:{}", proxy.address.port())).send(&post(url), TIMEOUT_MS).await
}

#[tokio::test]
async fn a_plain_request_goes_to_the_proxy_whole_and_the_name_is_the_proxys_to_look_up() {
    let proxy = answering("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://user:secret@proxy.lan:{}", proxy.address.port());
    let exchange = through(&url).send(&post("http://receiver.example/a?b=c"), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered, "{:?}", exchange.detail);
    let seen = proxy.seen.await.expect("a request");
    assert!(seen.starts_with("POST http://receiver.example/a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ="), "{seen}");
    assert!(seen.contains("host: receiver.example\r\n"), "{seen}");
}

#[tokio::test]
async fn a_request_over_tls_asks_the_proxy_for_a_tunnel_and_shows_it_nothing() {
    let proxy = answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    let exchange = through_server(&proxy, "https://receiver.example/secret-path").await;
    assert_eq!(exchange.code, OutcomeCode::ConnectFailed);
    assert_eq!(exchange.detail.as_deref(), Some("the egress proxy does not connect to the receiver"));
    let seen = proxy.seen.await.expect("a request");
    assert!(seen.starts_with("CONNECT receiver.example:443 HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.contains("secret-path"), "{seen}");
}

#[tokio::test]
async fn a_proxy_that_wants_another_password_is_a_fault_of_ours() {
    let proxy = answering("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    let exchange = through_server(&proxy, "https://receiver.example/").await;
    assert_eq!(exchange.code, OutcomeCode::ServerFault);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_fault_of_ours() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for url in ["http://receiver.example/", "https://receiver.example/"] {
        let exchange = through(&proxy).send(&post(url), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::ServerFault, "{url}: {:?}", exchange.detail);
        assert_eq!(exchange.detail.as_deref(), Some("the egress proxy cannot be reached"));
    }
}

#[tokio::test]
async fn a_tunnel_that_is_never_answered_is_a_timeout_for_which_nobody_blames_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let transport = through(&format!("http://{}", listener.local_addr().expect("an address")));
    let request = post("https://receiver.example/");
    let timeout_ms = u32::try_from(2 * CONNECT_MS_MAX).expect("a deadline");
    let (exchange, _proxy) = tokio::join!(transport.send(&request, timeout_ms), never_answering(listener));
    assert_eq!(exchange.code, OutcomeCode::Timeout);
    assert_eq!(exchange.detail.as_deref(), Some("no connection was made in time"));
}

#[tokio::test]
async fn a_proxy_whose_name_does_not_resolve_is_a_fault_of_ours() {
    let exchange = through("http://gone.lan:3128").send(&post("http://receiver.example/"), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::ServerFault);
}

#[tokio::test]
async fn literal_addresses_and_localhost_are_refused_before_the_proxy_is_asked() {
    let proxy = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for url in
        ["http://127.0.0.1/", "http://169.254.169.254/", "https://[::1]/", "http://localhost/", "http://a.localhost/"]
    {
        assert_eq!(through_server(&proxy, url).await.code, OutcomeCode::AddressRefused, "{url}");
    }
    assert!(!proxy.seen.is_finished());
}
