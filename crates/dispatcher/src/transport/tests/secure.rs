//! TLS handshakes that must not succeed, what they offer, and the environment's proxies. `untrusted.*.pem` is a key that
//! nobody trusts.

use super::servers::{answering, silent};
use super::{Noon, TIMEOUT_MS, loopback_allowed, post, transport};
use crate::transport::{HttpTransport, TransportOptions};
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::ports::Transport;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("untrusted.cert.pem")).expect("a certificate")
}

pub(super) fn server_config() -> rustls::ServerConfig {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("untrusted.key.pem")).expect("a key");
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .expect("a server's settings");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// A transport that trusts the test's certificate after all.
pub(super) fn trusting_transport() -> HttpTransport {
    let options = TransportOptions { extra_roots: vec![certificate()], ..TransportOptions::default() };
    HttpTransport::with(loopback_allowed(), Arc::new(Noon), options).expect("a transport")
}

/// A server that speaks HTTP/2 over TLS and answers its first request with that status, or resets it.
async fn http_2(status: Option<u16>) -> (String, JoinHandle<http::Request<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/a?b=c", listener.local_addr().expect("an address"));
    let seen = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = TlsAcceptor::from(Arc::new(server_config())).accept(stream).await.expect("a handshake");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        let (request, mut respond) = connection.accept().await.expect("a request").expect("a good one");
        match status {
            Some(status) => {
                let head = http::Response::builder().status(status).body(()).expect("a head");
                let mut body = respond.send_response(head, false).expect("an answer");
                body.send_data("over HTTP/2".into(), true).expect("a body");
            }
            None => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        }
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        request.map(|_| ())
    });
    (url, seen)
}

#[tokio::test]
async fn a_receiver_that_takes_http_2_gets_it() {
    let (url, seen) = http_2(Some(201)).await;
    let exchange = trusting_transport().send(&post(url.clone()), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered, "{:?}", exchange.detail);
    assert_eq!(exchange.response.map(|head| head.status), Some(201));
    assert_eq!(exchange.response_body.as_deref(), Some("over HTTP/2"));
    assert!(exchange.remote_address.is_some());
    let request = seen.await.expect("a request");
    assert_eq!(request.version(), http::Version::HTTP_2);
    assert_eq!(request.uri().to_string(), url);
    assert_eq!(request.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn a_stream_that_is_reset_is_a_protocol_error() {
    let (url, _) = http_2(None).await;
    let exchange = trusting_transport().send(&post(url), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::ProtocolError);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (url, _) = http_2(Some(200)).await;
    let exchange = trusting_transport().send(&post(url.replace("127.0.0.1", "localhost")), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::TlsFailed);
    assert_eq!(exchange.detail.as_deref(), Some("the certificate is for another name"));
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_after_http_2_was_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let offered = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.expect("a hello");
        let offered: Vec<_> = start
            .client_hello()
            .alpn()
            .into_iter()
            .flatten()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let _ = start.into_stream(Arc::new(server_config())).await;
        offered
    });
    let exchange = transport().send(&post(url), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::TlsFailed);
    assert_eq!(exchange.detail.as_deref(), Some("the certificate's issuer is not trusted"));
    assert_eq!(offered.await.expect("a handshake"), ["h2", "http/1.1"]);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_is_a_tls_failure() {
    let exchange = greeted_with(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(exchange.code, OutcomeCode::TlsFailed);
    assert_eq!(exchange.detail.as_deref(), Some("the receiver does not speak TLS on this port"));
}

#[tokio::test]
async fn a_handshake_that_is_cut_is_a_tls_failure() {
    assert_eq!(greeted_with(b"").await.code, OutcomeCode::TlsFailed);
}

/// The exchange with a server that answers the first bytes of the handshake with those, and closes.
async fn greeted_with(answer: &'static [u8]) -> Exchange {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 16 * 1024]).await;
        let _ = stream.write_all(answer).await;
    });
    transport().send(&post(url), TIMEOUT_MS).await
}

/// Proxies are read from the environment, which belongs to the whole process: the test runs itself in one of its own.
#[tokio::test]
async fn the_environments_proxies_are_ignored() {
    const NAME: &str = "transport::tests::secure::the_environments_proxies_are_ignored";
    if std::env::var_os("HTTP_PROXY").is_some() {
        let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let exchange = transport().send(&post(server.url()), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::Delivered);
        return;
    }
    let proxy = silent().await;
    let status = tokio::process::Command::new(std::env::current_exe().expect("this test's program"))
        .args(["--exact", NAME])
        .envs(["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, proxy.url())))
        .status()
        .await
        .expect("this test in a process of its own");
    assert!(status.success());
    assert!(!proxy.seen.is_finished());
}
