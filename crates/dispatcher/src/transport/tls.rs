//! TLS with the ring provider and the roots that the system trusts, so that an operator can add their own.

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// The settings of every connection, trusting those roots beside the system's. Where the system keeps none (a bare
/// container), Mozilla's, built in, are trusted instead of its.
pub(super) fn client_config(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Verifier::new(Arc::clone(&provider))
        .and_then(|_| Verifier::new_with_extra_roots(extra_roots.iter().cloned(), provider));
    let config = match verifier {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "the system's root certificates cannot be read: trusting the built-in ones");
            builder.with_root_certificates(built_in_roots(extra_roots)?).with_no_client_auth()
        }
    };
    Ok(offering_http_2(config))
}

/// HTTP/2 first, then HTTP/1.1.
fn offering_http_2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn built_in_roots(extra_roots: &[CertificateDer<'static>]) -> Result<rustls::RootCertStore, rustls::Error> {
    let mut store = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in extra_roots {
        store.add(root.clone())?;
    }
    Ok(store)
}
