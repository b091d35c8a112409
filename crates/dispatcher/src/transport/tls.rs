//! TLS with the ring provider and the roots that the system trusts, so that an operator can add their own.

use super::identity::Identity;
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// The settings of connections that trust those roots beside the system's, or authorities of a webhook's own in place of
/// all others; and that show a certificate, where there is one. Where the system keeps no roots (a bare container),
/// Mozilla's, built in, are trusted instead of its.
pub(super) fn client_config(
    extra_roots: &[CertificateDer<'static>],
    authorities: Option<RootCertStore>,
    identity: Option<Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let config = match authorities {
        Some(authorities) => {
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            showing(builder.with_root_certificates(authorities), identity)?
        }
        None => showing(trusting_the_systems(extra_roots)?, identity)?,
    };
    Ok(offering_http_2(config))
}

fn showing(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<Identity>,
) -> Result<ClientConfig, rustls::Error> {
    match identity {
        Some(Identity { chain, key, .. }) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn trusting_the_systems(
    extra_roots: &[CertificateDer<'static>],
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = Verifier::new(Arc::clone(&provider))
        .and_then(|_| Verifier::new_with_extra_roots(extra_roots.iter().cloned(), provider));
    match verifier {
        Ok(verifier) => Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))),
        Err(error) => {
            tracing::warn!(%error, "the system's root certificates cannot be read: trusting the built-in ones");
            Ok(builder.with_root_certificates(built_in_roots(extra_roots)?))
        }
    }
}

/// HTTP/2 first, then HTTP/1.1.
fn offering_http_2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn built_in_roots(extra_roots: &[CertificateDer<'static>]) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in extra_roots {
        store.add(root.clone())?;
    }
    Ok(store)
}
