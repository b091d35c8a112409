//! Authentication: from a bearer token to the caller it stands for.

use crate::limits;
use hookgraph_domain::ports::{Entropy, StoreError, TokenReader};
use hookgraph_domain::token::AccessToken;
use hookgraph_pim::Caller;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What every token that this server makes starts with, so that secret scanners find it.
pub const TOKEN_PREFIX: &str = "hgt_";

/// Why nobody is let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// No token was shown.
    #[error("a token is needed: send the header `authorization: Bearer <token>`")]
    Missing,
    /// Something else than one bearer token was shown.
    #[error("the authorization is not of the form `Bearer <token>`")]
    Malformed,
    /// The token is unknown or revoked.
    #[error("the token is not valid: it is unknown or was revoked")]
    Invalid,
    /// It could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token that was shown: only its hash is kept, so that it can be looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownToken {
    secret_sha256: [u8; 32],
}

impl ShownToken {
    /// Reads the value of an `authorization` header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] and [`AuthError::Malformed`].
    pub fn read(authorization: Option<&str>) -> Result<Self, AuthError> {
        let authorization = authorization.map(str::trim).filter(|text| !text.is_empty()).ok_or(AuthError::Missing)?;
        let (scheme, token) = authorization.split_once(' ').ok_or(AuthError::Malformed)?;
        let token = token.trim();
        let is_token = !token.is_empty() && token.len() <= limits::TOKEN_BYTES_MAX && !token.contains(' ');
        if !scheme.eq_ignore_ascii_case("bearer") || !is_token {
            return Err(AuthError::Malformed);
        }
        Ok(Self { secret_sha256: sha256(token) })
    }

    /// Whom the token stands for. It is found by its hash, so that the time this takes says nothing of the tokens kept.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] and [`AuthError::Store`].
    pub async fn caller(self, tokens: &dyn TokenReader) -> Result<Caller, AuthError> {
        let AccessToken { id, tenant_id, .. } =
            tokens.token_by_sha256(self.secret_sha256).await?.ok_or(AuthError::Invalid)?;
        Ok(Caller { tenant_id, user_id: Some(id.to_string()) })
    }
}

/// The hash that a token is kept by.
pub fn sha256(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A new token: the prefix and 32 random bytes as base64url. Shown once, by whoever makes it.
pub fn new_token(entropy: &dyn Entropy) -> SecretString {
    use base64::Engine;
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let random = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    SecretString::from(format!("{TOKEN_PREFIX}{random}"))
}

/// Whether a token that an operator chose is long and plain enough.
///
/// # Errors
/// What is wrong with it, without repeating it.
pub fn check_chosen_token(token: &SecretString) -> Result<(), String> {
    let text = token.expose_secret();
    let range = limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX;
    if !range.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "a token is {} to {} printable ASCII characters without spaces",
            range.start(),
            range.end()
        ));
    }
    Ok(())
}
