//! TLS settings of a webhook, read: its certificate with the key, when that is valid, and the authorities that it trusts.

use hookgraph_domain::ports::{TlsFault, TlsJudge};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::{TlsIdentity, TlsSettings};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use std::time::Duration;
use x509_cert::der::Decode;
use x509_cert::{Certificate, Version};

use crate::limits::TLS_CERTIFICATES_MAX;

/// Judges TLS settings with what sends under them.
#[derive(Clone, Copy, Debug)]
pub struct X509Judge;

impl TlsJudge for X509Judge {
    fn judge(&self, tls: &TlsSettings, now: Timestamp) -> Result<(), TlsFault> {
        if let Some(identity) = &tls.identity {
            Identity::read(identity)?.validity.check(now)?;
        }
        tls.ca_certificates.as_deref().map_or(Ok(()), |pem| authorities(pem).map(|_| ()))
    }

    fn expires_at(&self, tls: &TlsSettings) -> Option<Timestamp> {
        let chain = chain(&tls.identity.as_ref()?.certificate, "clientCertificate").ok()?;
        Some(Validity::of(chain.first()?)?.not_after)
    }
}

/// A certificate with its key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) validity: Validity,
}

impl Identity {
    pub(super) fn read(identity: &TlsIdentity) -> Result<Self, TlsFault> {
        let chain = chain(&identity.certificate, "clientCertificate")?;
        let own = chain.first().ok_or_else(|| not_certificates("clientCertificate"))?;
        let validity = Validity::of(own).ok_or_else(|| not_certificates("clientCertificate"))?;
        check_version(own)?;
        let unusable = |message: &str| fault("clientKey", "CLIENT_KEY_INVALID", message);
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
            .map_err(|_| unusable("no private key in PEM: PKCS#8, PKCS#1 or SEC1, not encrypted"))?;
        let signing = ring::default_provider().key_provider.load_private_key(key.clone_key());
        let signing =
            signing.map_err(|_| unusable("a key of a kind that cannot be used: RSA, ECDSA or Ed25519 can"))?;
        match CertifiedKey::new(chain.clone(), signing).keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(fault("clientKey", "CLIENT_KEY_MISMATCH", "the key is not that of clientCertificate"));
            }
            Err(error) => {
                let message = format!("the certificate cannot be used: {error}");
                return Err(fault("clientCertificate", "CERTIFICATE_INVALID", &message));
            }
        }
        Ok(Self { chain, key, validity })
    }
}

/// Only certificates of version 3 are read by what sends under them.
fn check_version(certificate: &CertificateDer<'_>) -> Result<(), TlsFault> {
    let read = Certificate::from_der(certificate).map_err(|_| not_certificates("clientCertificate"))?;
    let version = match read.tbs_certificate.version {
        Version::V1 => 1,
        Version::V2 => 2,
        Version::V3 => return Ok(()),
    };
    let message = format!("X.509 version {version} is not supported: make one of version 3");
    Err(fault("clientCertificate", "CERTIFICATE_INVALID", &message))
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let validity = Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
        let at = |since_1970: Duration| Timestamp::from_timestamp(i64::try_from(since_1970.as_secs()).ok()?, 0);
        Some(Self {
            not_before: at(validity.not_before.to_unix_duration())?,
            not_after: at(validity.not_after.to_unix_duration())?,
        })
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), TlsFault> {
        if now < self.not_before {
            let message = format!("the client certificate is not valid before {}", self.not_before);
            return Err(fault("clientCertificate", "CLIENT_CERTIFICATE_NOT_YET_VALID", &message));
        }
        if now > self.not_after {
            let message = format!("the client certificate expired at {}", self.not_after);
            return Err(fault("clientCertificate", "CLIENT_CERTIFICATE_EXPIRED", &message));
        }
        Ok(())
    }
}

/// The authorities of a text.
pub(super) fn authorities(pem: &str) -> Result<RootCertStore, TlsFault> {
    let mut store = RootCertStore::empty();
    for certificate in chain(pem, "caCertificates")? {
        store.add(certificate).map_err(|_| not_certificates("caCertificates"))?;
    }
    Ok(store)
}

/// The certificates of a text: at least one.
fn chain(pem: &str, field: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).take(TLS_CERTIFICATES_MAX + 1).collect();
    let certificates = read.map_err(|_| not_certificates(field))?;
    if certificates.is_empty() {
        return Err(not_certificates(field));
    }
    if certificates.len() > TLS_CERTIFICATES_MAX {
        let message = format!("more than {TLS_CERTIFICATES_MAX} certificates");
        return Err(fault(field, "TLS_TOO_MANY_CERTIFICATES", &message));
    }
    Ok(certificates)
}

fn not_certificates(field: &'static str) -> TlsFault {
    fault(field, "CERTIFICATE_INVALID", "no X.509 certificates in PEM")
}

fn fault(field: &'static str, code: &'static str, message: &str) -> TlsFault {
    TlsFault { field, code, message: message.to_owned() }
}
