//! TLS handshakes that must not succeed, what they offer, and the environment's proxies. `untrusted.*.pem` is a key that
//! nobody trusts.

use super::servers::{answering, silent};
use super::{TIMEOUT_MS, post, transport};
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::ports::Transport;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::LazyConfigAcceptor;

fn server_config() -> rustls::ServerConfig {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("untrusted.cert.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("untrusted.key.pem")).expect("a key");
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server's settings")
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
