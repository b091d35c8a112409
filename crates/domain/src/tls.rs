//! TLS settings of a webhook: a certificate that its requests show, and an authority that its receiver's must come from.

use crate::limits::TLS_PEM_BYTES_MAX;
use crate::problem::Problem;
use sha2::{Digest, Sha256};

/// What the connections of a webhook show, and whom they trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TlsSettings {
    /// What they show to a receiver that asks for a certificate.
    pub identity: Option<TlsIdentity>,
    /// Authorities, PEM: trusted in place of the server's. None trusts the server's.
    pub ca_certificates: Option<String>,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TlsIdentity {
    /// PEM, the own one first, then those that vouch for it.
    pub certificate: String,
    /// PEM: a secret.
    pub key: String,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity(…)")
    }
}

impl TlsSettings {
    /// What two settings differ in: one connection may never serve both.
    pub fn digest(&self) -> [u8; 32] {
        let identity = self.identity.as_ref();
        let mut digest = Sha256::new();
        for part in [
            identity.map(|identity| &identity.certificate),
            identity.map(|identity| &identity.key),
            self.ca_certificates.as_ref(),
        ] {
            let part = part.map_or("", String::as_str);
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// TLS settings as a user writes them; blank texts are none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsDraft {
    /// `clientCertificate`.
    pub client_certificate: Option<String>,
    /// `clientKey`; none keeps the saved one.
    pub client_key: Option<String>,
    /// `caCertificates`.
    pub ca_certificates: Option<String>,
}

/// Judges the form of a draft and fills in what it keeps; what is in the texts is judged by
/// [`crate::ports::TlsJudge`]. `path` is where it stands, e.g. `input.tls`.
///
/// # Errors
/// Every problem that it has.
pub fn fill(draft: TlsDraft, saved: Option<&TlsSettings>, path: &str) -> Result<Option<TlsSettings>, Vec<Problem>> {
    let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let certificate = given(draft.client_certificate);
    let key = given(draft.client_key);
    let ca_certificates = given(draft.ca_certificates);
    let mut problems = Vec::new();
    let mut refuse = |field: &str, code: &str, message: &str| {
        problems.push(Problem::new(format!("{path}.{field}"), code, message));
    };
    for (field, text) in
        [("clientCertificate", &certificate), ("clientKey", &key), ("caCertificates", &ca_certificates)]
    {
        let text = text.as_deref().unwrap_or_default();
        if text.len() > TLS_PEM_BYTES_MAX {
            let message = format!("{} bytes, {TLS_PEM_BYTES_MAX} are allowed", text.len());
            refuse(field, "TLS_TOO_LONG", &message);
        }
        // It would be shown to whoever may read webhooks.
        if field != "clientKey" && text.contains("PRIVATE KEY-----") {
            refuse(field, "TLS_KEY_MISPLACED", "holds a private key, which belongs into clientKey alone");
        }
    }
    if certificate.is_none() && key.is_some() {
        refuse("clientCertificate", "CLIENT_CERTIFICATE_MISSING", "a key needs its certificate");
    }
    let kept = || saved.and_then(|saved| saved.identity.as_ref()).map(|identity| identity.key.clone());
    let identity = match certificate {
        None => None,
        Some(certificate) => match key.or_else(kept) {
            Some(key) => Some(TlsIdentity { certificate, key }),
            None => {
                refuse("clientKey", "CLIENT_KEY_MISSING", "a certificate needs its key");
                None
            }
        },
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let settings = TlsSettings { identity, ca_certificates };
    Ok((settings != TlsSettings::default()).then_some(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(certificate: Option<&str>, key: Option<&str>, ca: Option<&str>) -> TlsDraft {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        TlsDraft { client_certificate: owned(certificate), client_key: owned(key), ca_certificates: owned(ca) }
    }

    fn settings(certificate: &str, key: &str) -> TlsSettings {
        let identity = TlsIdentity { certificate: certificate.to_owned(), key: key.to_owned() };
        TlsSettings { identity: Some(identity), ca_certificates: None }
    }

    #[test]
    fn a_key_that_is_left_out_is_kept() {
        let saved = settings("C", "K");
        let filled = |draft, saved| fill(draft, saved, "input.tls").unwrap();
        assert_eq!(filled(draft(Some("C2"), None, None), Some(&saved)), Some(settings("C2", "K")));
        assert_eq!(filled(draft(Some("C2"), Some("K2"), None), Some(&saved)), Some(settings("C2", "K2")));
        assert_eq!(filled(draft(None, None, Some(" ")), Some(&saved)), None);
        let only_ca = TlsSettings { identity: None, ca_certificates: Some("A".to_owned()) };
        assert_eq!(filled(draft(None, None, Some("A\n")), None), Some(only_ca));
    }

    #[test]
    fn what_does_not_belong_together_is_named() {
        let long = "x".repeat(TLS_PEM_BYTES_MAX + 1);
        for (draft, expected) in [
            (draft(Some("C"), None, None), "input.tls.clientKey CLIENT_KEY_MISSING"),
            (draft(None, Some("K"), None), "input.tls.clientCertificate CLIENT_CERTIFICATE_MISSING"),
            (
                draft(Some("C -----BEGIN PRIVATE KEY-----"), Some("K"), None),
                "input.tls.clientCertificate TLS_KEY_MISPLACED",
            ),
            (draft(None, None, Some(&long)), "input.tls.caCertificates TLS_TOO_LONG"),
        ] {
            let problems = fill(draft, None, "input.tls").unwrap_err();
            let found: Vec<_> = problems.iter().map(|it| format!("{} {}", it.path, it.code)).collect();
            assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn a_digest_tells_settings_apart_and_debug_shows_no_key() {
        let mut digests: Vec<_> = [settings("C", "K"), settings("CK", ""), settings("C", "L"), TlsSettings::default()]
            .iter()
            .map(TlsSettings::digest)
            .collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 4);
        assert!(!format!("{:?}", settings("C", "topsecret")).contains("topsecret"));
    }
}
