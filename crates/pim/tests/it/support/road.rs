//! The ports of the road, and of tokens: no resolver of records asks them.

use super::RecordStore;
use async_trait::async_trait;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::feed::{FeedFilter, FeedMoves, FeedPage};
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, TokenId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    AnswerReader, AuditReader, ClaimRequest, DeliveryQueue, Feed, Fenced, Freeze, History, HistoryKept, PrunePosition,
    PruneStep, Retention, StoreError, TokenReader,
};
use hookgraph_domain::retention::{HistoryCut, WorkCut};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;

fn not_kept<T>() -> Result<T, StoreError> {
    Err(StoreError::Failed("this store keeps records alone".to_owned()))
}

#[async_trait]
impl DeliveryQueue for RecordStore {
    async fn claim(&self, _request: &ClaimRequest) -> Result<hookgraph_domain::ports::Claims, StoreError> {
        not_kept()
    }

    fn claim_with_recordings(&self, _: std::sync::Weak<dyn hookgraph_domain::ports::Claimer>) {}

    async fn freeze(&self, _freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        not_kept()
    }

    async fn settle(&self, _settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        not_kept()
    }

    async fn extend(&self, _claims: &[(DeliveryId, i64)], _leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        not_kept()
    }

    async fn release(&self, _claims: &[(DeliveryId, i64)], _now: Timestamp) -> Result<(), StoreError> {
        not_kept()
    }

    async fn next_due_at(&self, _after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl History for RecordStore {
    async fn events(&self, _tenant_id: TenantId, _ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        not_kept()
    }

    async fn event_page(&self, _query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        not_kept()
    }

    async fn event_skips(&self, _event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        not_kept()
    }

    async fn deliveries(&self, _tenant_id: TenantId, _ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        not_kept()
    }

    async fn delivery_page(&self, _query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        not_kept()
    }

    async fn attempts(&self, _delivery_ids: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError> {
        not_kept()
    }

    async fn webhook_attempts(
        &self,
        _webhook_id: WebhookId,
        _before: Option<AttemptId>,
        _limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        not_kept()
    }

    async fn payloads(&self, _delivery_ids: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl Feed for RecordStore {
    async fn feed_page(
        &self,
        _tenant_id: TenantId,
        _after_seq: i64,
        _filter: &FeedFilter,
        _limit: u32,
    ) -> Result<FeedPage, StoreError> {
        not_kept()
    }

    async fn feed_moves(&self, _after_seq: i64, _batches_max: u32) -> Result<FeedMoves, StoreError> {
        not_kept()
    }

    async fn latest_seq(&self) -> Result<i64, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl AuditReader for RecordStore {
    async fn audit_page(&self, _: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl TokenReader for RecordStore {
    async fn token_by_sha256(&self, _secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        not_kept()
    }

    async fn tokens(&self, _tenant_id: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        not_kept()
    }

    async fn token(&self, _id: TokenId) -> Result<Option<AccessToken>, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl AnswerReader for RecordStore {
    async fn kept_answers(&self, _: &AnswerKey, _: [u8; 32], _: Timestamp) -> Result<Vec<KeptAnswer>, StoreError> {
        not_kept()
    }
}

#[async_trait]
impl Retention for RecordStore {
    async fn expire_due(
        &self,
        _: Timestamp,
        _: &str,
        _: Timestamp,
        _: PrunePosition,
        _: u32,
    ) -> Result<PruneStep, StoreError> {
        not_kept()
    }

    async fn prune_history(&self, _: &HistoryCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        not_kept()
    }

    async fn prune_feed(&self, _: Timestamp, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        not_kept()
    }

    async fn prune_work(&self, _: &WorkCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        not_kept()
    }

    async fn prune_tenants(&self, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        not_kept()
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        not_kept()
    }
}
