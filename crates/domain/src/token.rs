//! Access tokens: what a caller of the API shows. Only a hash of the secret is kept.

use crate::ids::{TenantId, TokenId};
use crate::limits::TOKEN_USED_EVERY_S;
use crate::permission::PermissionSet;
use crate::ports::Entropy;
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What every token that this server makes starts with, so that secret scanners find it.
pub const TOKEN_PREFIX: &str = "hgt_";

/// The text of a new token: the prefix and 32 random bytes as base64url. Shown once, by whoever makes it.
pub fn new_text(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash that a token is kept by.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Its id: what the log and `userId` show.
    pub id: TokenId,
    /// The tenant it opens.
    pub tenant_id: TenantId,
    /// What it is for, in its owner's words.
    pub name: String,
    /// SHA-256 of the whole token text.
    pub secret_sha256: [u8; 32],
    /// What it may read and change.
    pub permissions: PermissionSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not valid any more; none means never.
    pub expires_at: Option<Timestamp>,
    /// When it was last shown, give or take [`TOKEN_USED_EVERY_S`].
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl AccessToken {
    /// Whether it lets anybody in at that time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether its use at that time is to be written down: rarely, so that a busy client costs no write a request.
    pub fn is_use_news(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|used| (now - used).num_seconds() >= i64::from(TOKEN_USED_EVERY_S))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use chrono::Duration;

    fn token() -> AccessToken {
        AccessToken {
            id: TokenId(uuid::Uuid::nil()),
            tenant_id: TenantId(uuid::Uuid::nil()),
            name: "ci".to_owned(),
            secret_sha256: [0; 32],
            permissions: PermissionSet::all(),
            created_at: sample::now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_is_valid_up_to_but_not_at_its_expiry() {
        let (now, one) = (sample::now(), Duration::microseconds(1));
        assert!(token().is_valid(now));
        let expiring = AccessToken { expires_at: Some(now), ..token() };
        assert!(expiring.is_valid(now - one) && !expiring.is_valid(now));
        assert!(!AccessToken { revoked_at: Some(now), ..token() }.is_valid(now));
    }

    #[test]
    fn a_use_is_news_once_a_minute() {
        let now = sample::now();
        assert!(token().is_use_news(now));
        let used = AccessToken { last_used_at: Some(now), ..token() };
        let every = Duration::seconds(i64::from(TOKEN_USED_EVERY_S));
        assert!(!used.is_use_news(now + every - Duration::microseconds(1)));
        assert!(used.is_use_news(now + every));
    }
}
