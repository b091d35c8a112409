//! Signing: a pure function of request, secret and time.

use crate::delivery::Signer;
use crate::ids::DeliveryId;
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "whsec_";

/// A tenant's signature secret: the text `whsec_<base64 of 32 bytes>`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// The secret of those bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD.encode(bytes)))
    }

    /// Reads a secret's text.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        match STANDARD.decode(encoded) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(SecretError),
        }
    }

    /// The text, to be shown once, sealed or used as a key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("whsec_…")
    }
}

/// A text that is no signature secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature secret is whsec_ followed by the base64 of 32 bytes")]
pub struct SecretError;

/// What is signed: the parts of a request that the signatures cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedParts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// The configured URL, normalised; without the parameters that GET appends.
    pub url: &'a str,
    /// The canonical JSON that is signed: the body, or for GET the appended parameters as a flat object of strings;
    /// none for an empty one.
    pub body_json: Option<&'a str>,
}

/// The signature headers of one attempt: `x-crystallize-signature`, `webhook-id`, `webhook-timestamp`, `webhook-signature`.
pub fn sign(
    parts: SignedParts<'_>,
    signer: &Signer,
    user_id: Option<&str>,
    delivery_id: DeliveryId,
    now: Timestamp,
) -> Vec<(String, String)> {
    let _ = (parts, signer, user_id, delivery_id, now);
    todo!()
}
