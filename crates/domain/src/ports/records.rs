//! Ports to everything that tenants keep: records, tenants, webhooks, tokens; and the one way to change it.

use super::StoreError;
use crate::audit::{AuditEntry, AuditQuery};
use crate::change::{Change, CommitError, Committed};
use crate::idempotency::{AnswerKey, KeptAnswer};
use crate::ids::{CopyTaskId, EventId, TenantId, TokenId, WebhookId};
use crate::page::{RecordQuery, WebhookQuery};
use crate::record::{Record, RecordKind};
use crate::tenant::{CopyTask, Tenant};
use crate::time::Timestamp;
use crate::token::AccessToken;
use crate::webhook::Webhook;
use async_trait::async_trait;

/// The one way to write: a change, its events and their fan out commit together, or nothing does.
#[async_trait]
pub trait UnitOfWork: Send + Sync {
    /// Applies a change in one transaction, fans its events out in the same one, and appends to the feed.
    ///
    /// # Errors
    /// [`CommitError`]; then nothing was written.
    async fn commit(&self, change: Change) -> Result<Committed, CommitError>;
}

/// Reads records, always of one tenant, always in batches.
#[async_trait]
pub trait RecordReader: Send + Sync {
    /// The records of those keys that exist, in no particular order.
    async fn records(&self, tenant_id: TenantId, kind: RecordKind, keys: &[String]) -> Result<Vec<Record>, StoreError>;

    /// The records that bear a name of the scope: for each name that is taken, its value and its record.
    async fn records_by_name(
        &self,
        tenant_id: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError>;

    /// The keys of the records that have a link of that relation to one of the targets, as (target, key), by target and
    /// rank; at most `limit_per_target` each.
    async fn linked_keys(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError>;

    /// One page of records.
    async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError>;

    /// How many records the query matches over all its pages.
    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError>;

    /// The record that a `delete` event was about, as it was.
    async fn tombstone(&self, event_id: EventId) -> Result<Option<Record>, StoreError>;
}

/// Reads tenants and their copy tasks. A deleted tenant is not found, though rows of it may still be there.
#[async_trait]
pub trait TenantReader: Send + Sync {
    /// The tenant of that id.
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// The tenant of that identifier.
    async fn tenant_by_identifier(&self, identifier: &str) -> Result<Option<Tenant>, StoreError>;

    /// How many tenants there are.
    async fn tenant_count(&self) -> Result<u64, StoreError>;

    /// The copy task of that id.
    async fn copy_task(&self, id: CopyTaskId) -> Result<Option<CopyTask>, StoreError>;

    /// Copy tasks that have not ended, oldest first.
    async fn running_copy_tasks(&self, limit: u32) -> Result<Vec<CopyTask>, StoreError>;
}

/// Reads access tokens.
#[async_trait]
pub trait TokenReader: Send + Sync {
    /// The token with that hash, expired or not, unless it is revoked.
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError>;

    /// The tenant's tokens, oldest first, revoked ones too; all tenants' tokens where no tenant is named.
    async fn tokens(&self, tenant_id: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError>;

    /// The token of that id.
    async fn token(&self, id: TokenId) -> Result<Option<AccessToken>, StoreError>;
}

/// Reads the audit log.
#[async_trait]
pub trait AuditReader: Send + Sync {
    /// One page of entries.
    async fn audit_page(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError>;
}

/// Reads the answers that are kept under idempotency keys.
#[async_trait]
pub trait AnswerReader: Send + Sync {
    /// The answer of the step, and one answer of another request under the same key, where they exist. Answers older
    /// than [`crate::limits::IDEMPOTENCY_KEPT_MS`] are left out.
    async fn kept_answers(
        &self,
        key: &AnswerKey,
        request_sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Vec<KeptAnswer>, StoreError>;
}

/// Reads webhooks.
#[async_trait]
pub trait WebhookReader: Send + Sync {
    /// The tenant's webhooks with those ids, deleted ones too.
    async fn webhooks(&self, tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError>;

    /// One page of webhooks.
    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError>;

    /// Webhooks of any tenant whose payload query was checked against another schema than `schema_sha256`, by id,
    /// after `after`.
    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError>;
}
