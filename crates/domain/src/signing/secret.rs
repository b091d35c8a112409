//! Signature secrets: the symmetric half of what signs, known to tenant and receiver.

use crate::ports::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "whsec_";

/// A signature secret: the text `whsec_<base64 of 32 bytes>`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret {
    text: String,
    bytes: [u8; 32],
}

impl SigningSecret {
    /// The secret of those bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), bytes: *bytes }
    }

    /// A new one.
    pub fn fresh(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self::from_bytes(&bytes)
    }

    /// Reads a secret's text.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| SecretError)?;
        let bytes = <[u8; 32]>::try_from(decoded).map_err(|_| SecretError)?;
        Ok(Self { text: text.to_owned(), bytes })
    }

    /// The text, to be shown once, sealed or used as the JWT's key.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The decoded bytes: the key of Standard Webhooks signatures.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_never_shown_by_debug() {
        let secret = SigningSecret::from_bytes(&[7; 32]);
        assert_eq!(secret.expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(SigningSecret::parse(secret.expose()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "whsec_…");
        for text in ["", "whsec_", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "whsec_BwcH", "whsec_!!"] {
            assert_eq!(SigningSecret::parse(text), Err(SecretError), "{text}");
        }
    }
}
