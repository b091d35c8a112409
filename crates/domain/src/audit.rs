//! The audit log: who did what to what is managed here, when, and what it was before and after.
//!
//! Records are not in it: each of their changes is an event. Secrets are redacted by whoever makes an entry.

use crate::ids::{AuditEntryId, TenantId};
use crate::time::Timestamp;
use uuid::Uuid;

/// One management action. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its id: UUID v7, so that it sorts by time.
    pub id: AuditEntryId,
    /// Whose.
    pub tenant_id: TenantId,
    /// When.
    pub at: Timestamp,
    /// Who: the token's id, or the subject that an issuer vouched for; none for the command line.
    pub user_id: Option<String>,
    /// What was done, e.g. `webhook.update`.
    pub action: String,
    /// To what, e.g. `webhook:0198…`.
    pub subject: String,
    /// JSON of what it was, secrets redacted; none for what is new.
    pub before: Option<String>,
    /// JSON of what it became; none for what is gone.
    pub after: Option<String>,
}

/// Which entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// About this subject.
    pub subject: Option<String>,
    /// Older than this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}
