//! TLS settings of a webhook's own, against real servers that demand a certificate, or have one that nobody else trusts.

use super::{Noon, TIMEOUT_MS, loopback_allowed, post};
use crate::limits::{TLS_CERTIFICATES_MAX, TLS_CLIENTS_MAX};
use crate::transport::{HttpTransport, X509Judge};
use chrono::{TimeZone, Utc};
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::ports::{Clock, TlsJudge, Transport};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::{TlsIdentity, TlsSettings};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const AUTHORITY: &str = include_str!("authority.cert.pem");
const RECEIVER: &str = include_str!("receiver.cert.pem");
const RECEIVER_KEY: &str = include_str!("receiver.key.pem");
const CLIENT: &str = include_str!("client.cert.pem");
const CLIENT_KEY: &str = include_str!("client.key.pem");
const CLIENT_OF_V1: &str = include_str!("client_v1.cert.pem");
const OTHER: &str = include_str!("other.cert.pem");
const OTHER_KEY: &str = include_str!("other.key.pem");

fn settings(identity: Option<(&str, &str)>, ca_certificates: Option<&str>) -> TlsSettings {
    let identity = identity.map(|(certificate, key)| TlsIdentity { certificate: certificate.into(), key: key.into() });
    TlsSettings { identity, ca_certificates: ca_certificates.map(str::to_owned) }
}

fn transport() -> HttpTransport {
    HttpTransport::new(loopback_allowed(), Arc::new(Noon)).expect("a transport")
}

/// What a receiver asks its callers for.
#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Nothing,
    ForACertificate,
}

/// A receiver whose certificate is the test authority's; it answers with how many certificates its caller showed.
async fn receiver(asks: Asks, versions: &[&'static rustls::SupportedProtocolVersion]) -> String {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).expect("an authority")).expect("a root");
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("protocol versions");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
    let builder = match asks {
        Asks::Nothing => builder.with_no_client_auth(),
        Asks::ForACertificate => builder.with_client_cert_verifier(verifier),
    };
    let chain = vec![CertificateDer::from_pem_slice(RECEIVER.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(RECEIVER_KEY.as_bytes()).expect("a key");
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("a server's settings")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{shown}");
                while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    url
}

async fn sent(url: &str, tls: Option<&TlsSettings>) -> Exchange {
    transport().send_under(&post(url), TIMEOUT_MS, tls).await
}

fn verdict(exchange: &Exchange) -> (OutcomeCode, &str) {
    (exchange.code, exchange.detail.as_deref().unwrap_or_default())
}

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_is_shown_it() {
    for versions in VERSIONS {
        let url = receiver(Asks::ForACertificate, versions).await;
        let exchange = sent(&url, Some(&settings(Some((CLIENT, CLIENT_KEY)), Some(AUTHORITY)))).await;
        assert_eq!((exchange.code, exchange.response_body.as_deref()), (OutcomeCode::Delivered, Some("1")));
    }
}

#[tokio::test]
async fn a_receiver_that_gets_no_certificate_or_another_says_so() {
    const WANTED: &str = "the receiver wants a client certificate that it trusts";
    for versions in VERSIONS {
        let url = receiver(Asks::ForACertificate, versions).await;
        for identity in [None, Some((OTHER, OTHER_KEY))] {
            let exchange = sent(&url, Some(&settings(identity, Some(AUTHORITY)))).await;
            assert_eq!(verdict(&exchange), (OutcomeCode::TlsFailed, WANTED), "{versions:?}");
        }
    }
}

#[tokio::test]
async fn a_webhooks_own_authority_is_trusted_in_place_of_all_others() {
    let url = receiver(Asks::Nothing, VERSIONS[1]).await;
    let untrusted = (OutcomeCode::TlsFailed, "the certificate's issuer is not trusted");
    assert_eq!(verdict(&sent(&url, None).await), untrusted);
    let own = settings(None, Some(AUTHORITY));
    let exchange = sent(&url, Some(&own)).await;
    assert_eq!((exchange.code, exchange.response_body.as_deref()), (OutcomeCode::Delivered, Some("0")));
    let another = settings(None, Some(include_str!("../untrusted.cert.pem")));
    assert_eq!(verdict(&sent(&url, Some(&another)).await), untrusted);
}

#[tokio::test]
async fn no_connection_is_shared_between_settings() {
    let url = receiver(Asks::Nothing, VERSIONS[1]).await;
    let transport = transport();
    let own = settings(None, Some(AUTHORITY));
    assert_eq!(transport.send_under(&post(&url), TIMEOUT_MS, Some(&own)).await.code, OutcomeCode::Delivered);
    // The connection that is idle now would be open to it, were there one pool.
    assert_eq!(transport.send(&post(&url), TIMEOUT_MS).await.code, OutcomeCode::TlsFailed);
    assert_eq!(transport.send_under(&post(&url), TIMEOUT_MS, Some(&own)).await.code, OutcomeCode::Delivered);
    assert_eq!(transport.clients.own_count(), 1);
}

#[tokio::test]
async fn clients_under_own_settings_are_kept_up_to_a_number() {
    let transport = transport();
    for number in 0..TLS_CLIENTS_MAX + 5 {
        // Comments are no part of a certificate, and of the settings they are.
        let own = settings(None, Some(&format!("{number}\n{AUTHORITY}")));
        transport.clients.under(Some(&own), Noon.now()).map_err(|_| "no client").expect("a client");
    }
    assert!(transport.clients.own_count() <= TLS_CLIENTS_MAX);
}

fn year(year: i32) -> Timestamp {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 1).single().expect("a time that exists")
}

fn judged(tls: &TlsSettings, now: Timestamp) -> String {
    match X509Judge.judge(tls, now) {
        Ok(()) => "fits".to_owned(),
        Err(fault) => format!("{} {}", fault.field, fault.code),
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_code() {
    let pair = settings(Some((CLIENT, CLIENT_KEY)), Some(AUTHORITY));
    assert_eq!(judged(&pair, year(2026)), "fits");
    assert_eq!(judged(&pair, year(2126)), "clientCertificate CLIENT_CERTIFICATE_EXPIRED");
    assert_eq!(judged(&pair, year(2019)), "clientCertificate CLIENT_CERTIFICATE_NOT_YET_VALID");
    assert_eq!(X509Judge.expires_at(&pair).map(|at| at.to_rfc3339()), Some("2126-01-01T00:00:00+00:00".to_owned()));
    let many = AUTHORITY.repeat(TLS_CERTIFICATES_MAX + 1);
    for (identity, ca, expected) in [
        (Some((CLIENT, OTHER_KEY)), None, "clientKey CLIENT_KEY_MISMATCH"),
        (Some((CLIENT_OF_V1, CLIENT_KEY)), None, "clientCertificate CERTIFICATE_INVALID"),
        (Some((CLIENT_OF_V1, OTHER_KEY)), None, "clientCertificate CERTIFICATE_INVALID"),
        (Some((CLIENT, "no key")), None, "clientKey CLIENT_KEY_INVALID"),
        (Some((CLIENT, CLIENT)), None, "clientKey CLIENT_KEY_INVALID"),
        (Some(("no certificate", CLIENT_KEY)), None, "clientCertificate CERTIFICATE_INVALID"),
        (Some((CLIENT_KEY, CLIENT_KEY)), None, "clientCertificate CERTIFICATE_INVALID"),
        (None, Some("no certificate"), "caCertificates CERTIFICATE_INVALID"),
        (None, Some(many.as_str()), "caCertificates TLS_TOO_MANY_CERTIFICATES"),
    ] {
        let fault = judged(&settings(identity, ca), year(2026));
        assert_eq!(fault, expected);
    }
    let of_version_1 = X509Judge.judge(&settings(Some((CLIENT_OF_V1, CLIENT_KEY)), None), year(2026)).err();
    let told = "X.509 version 1 is not supported: make one of version 3";
    assert_eq!(of_version_1.map(|fault| fault.message).as_deref(), Some(told));
}

/// A clock of that year.
struct In(i32);

impl Clock for In {
    fn now(&self) -> Timestamp {
        year(self.0)
    }
}

#[tokio::test]
async fn a_certificate_that_expired_since_it_was_saved_is_not_shown() {
    let url = receiver(Asks::ForACertificate, VERSIONS[1]).await;
    let own = settings(Some((CLIENT, CLIENT_KEY)), Some(AUTHORITY));
    for (at, words) in [
        (2126, "the client certificate expired at 2126-01-01 00:00:00 UTC"),
        (2019, "the client certificate is not valid before 2020-01-01 00:00:00 UTC"),
    ] {
        let transport = HttpTransport::new(loopback_allowed(), Arc::new(In(at))).expect("a transport");
        let exchange = transport.send_under(&post(&url), TIMEOUT_MS, Some(&own)).await;
        assert_eq!(verdict(&exchange), (OutcomeCode::TlsFailed, words));
    }
}
