//! Signature keys: Ed25519 pairs (RFC 8032), so that a receiver can verify without holding a secret.

use crate::ports::Entropy;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey as Pair, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// A key pair. Its text, as Standard Webhooks writes it, is `whsk_<base64 of private and public key, 64 bytes>`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Pair);

impl SigningKey {
    /// The pair of that private key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Pair::from_bytes(bytes))
    }

    /// A new one.
    pub fn fresh(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self::from_bytes(&bytes)
    }

    /// Reads a pair's text.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it: also where the two keys do not belong together.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::Private)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| KeyError::Private)?;
        let bytes = <[u8; 64]>::try_from(decoded).map_err(|_| KeyError::Private)?;
        Pair::from_keypair_bytes(&bytes).map(Self).map_err(|_| KeyError::Private)
    }

    /// The text, to be sealed and never shown.
    pub fn expose(&self) -> String {
        format!("{PRIVATE_PREFIX}{}", STANDARD.encode(self.0.to_keypair_bytes()))
    }

    /// What verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "whsk_… of {}", self.public().text())
    }
}

/// What verifies a pair's signatures: for everyone to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a key as Standard Webhooks writes it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::Public)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| KeyError::Public)?;
        let bytes = <[u8; 32]>::try_from(decoded).map_err(|_| KeyError::Public)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| KeyError::Public)
    }

    /// The key as Standard Webhooks writes it: `whpk_<base64 of 32 bytes>`.
    pub fn text(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.0.as_bytes()))
    }

    /// By what a JWT names it: its thumbprint (RFC 7638).
    pub fn id(&self) -> String {
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.encoded());
        URL_SAFE_NO_PAD.encode(Sha256::digest(members))
    }

    /// The key as a JWK (RFC 8037).
    pub fn jwk(&self) -> Value {
        let (id, encoded) = (self.id(), self.encoded());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded, "kid": id, "alg": "EdDSA", "use": "sig" })
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }

    fn encoded(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No pair.
    #[error("a signature key is whsk_ followed by the base64 of a private key and its public key, 64 bytes")]
    Private,
    /// No public key.
    #[error("a public key is whpk_ followed by the base64 of 32 bytes")]
    Public,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

    #[test]
    fn a_pair_is_read_back_and_never_shown_by_debug() {
        let key = SigningKey::parse(PRIVATE).unwrap();
        assert_eq!(key.expose(), PRIVATE);
        assert_eq!(key.public().text(), PUBLIC);
        assert_eq!(PublicKey::parse(PUBLIC), Ok(key.public()));
        assert_eq!(format!("{key:?}"), format!("whsk_… of {PUBLIC}"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let unpaired = PRIVATE.replace("VKIDij2H", "VKIDij2I");
        for text in ["", "whsk_", "whsk_BwcH", PUBLIC, &PRIVATE["whsk_".len()..], &unpaired] {
            assert_eq!(SigningKey::parse(text), Err(KeyError::Private), "{text}");
        }
        for text in ["", "whpk_", "whpk_BwcH", PRIVATE, &PUBLIC["whpk_".len()..]] {
            assert_eq!(PublicKey::parse(text), Err(KeyError::Public), "{text}");
        }
    }

    #[test]
    fn a_jwk_bears_the_thumbprint_of_the_specifications_example() {
        // RFC 8037, appendix A.2 and A.3.
        let key = PublicKey::parse("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap();
        assert_eq!(
            key.jwk().to_string(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}"#
        );
    }
}
