//! The certificates of hostile receivers. `key.pem` is the key of all; nothing but a test trusts them.

use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Which certificate a receiver shows; each is for 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// A certificate that trusts itself: [`trusted_certificate`].
    Trusted,
    /// A certificate that ended in 2020.
    Expired,
}

impl Certificate {
    fn pem(self) -> &'static [u8] {
        match self {
            Certificate::Trusted => include_bytes!("trusted.cert.pem"),
            Certificate::Expired => include_bytes!("expired.cert.pem"),
        }
    }

    /// The certificate in the form in which TLS shows it.
    ///
    /// # Panics
    /// When the file beside this one is no certificate.
    pub fn der(self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem()).expect("a certificate")
    }
}

/// The certificate that a client must trust to get on with receivers that show [`Certificate::Trusted`].
pub fn trusted_certificate() -> CertificateDer<'static> {
    Certificate::Trusted.der()
}

/// Accepts connections with that certificate, and chooses that protocol.
pub(super) fn acceptor(certificate: Certificate, protocol: &str) -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("key.pem")).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der()], key)
        .expect("a server's settings");
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(config))
}
