//! Access tokens: what a caller of the API shows. Only a hash of the secret is kept.

use crate::ids::{TenantId, TokenId};
use crate::time::Timestamp;

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
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
