//! The port of the loop that probes, drains and replays.

use super::StoreError;
use crate::delivery::Delivery;
use crate::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use crate::replay::Replay;
use crate::time::Timestamp;
use crate::webhook::Webhook;
use async_trait::async_trait;

/// The deliveries that are owed to a webhook and have not ended, tests left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many there are, counted no further than was asked.
    pub count: u32,
    /// When the first of them was or will be due; none where all are held.
    pub oldest_due_at: Option<Timestamp>,
}

/// Reads the work that waits for the flow loop, and how far behind a webhook is.
#[async_trait]
pub trait FlowReader: Send + Sync {
    /// Suspended webhooks of any tenant whose next probe may begin, longest waiting first.
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError>;

    /// Active webhooks of any tenant whose next batch of held deliveries may become due, longest waiting first.
    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError>;

    /// Webhooks of any tenant that stopped with more deliveries due than were held or cancelled at once, or whose
    /// ordering changed with more due than were put in order at once, longest waiting first; behind them the webhooks
    /// of deleted tenants for which anything is due. The webhooks in `but_not` are left out.
    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError>;

    /// The held deliveries of a webhook, oldest first.
    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError>;

    /// The oldest held deliveries of a webhook that would be sent if they were due: each stands behind no other of
    /// its record.
    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError>;

    /// The backlog of a webhook, counted up to `count_max`.
    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError>;

    /// Running replays of any tenant whose next batch is due, longest waiting first.
    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError>;

    /// The next deliveries of a replay's range, oldest first: those of its webhook in one of its states, after its
    /// position; neither tests nor replays.
    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// The time since which history is whole: older events and deliveries may have been removed. None where nothing
    /// was removed.
    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The tenant's replay of that id.
    async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError>;

    /// The tenant's replays, newest first; of one webhook where one is named, and older than `before`.
    async fn replay_page(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError>;

    /// The tenant's replays that run.
    async fn running_replays(&self, tenant_id: TenantId) -> Result<Vec<Replay>, StoreError>;
}

/// The part of a store that the flow loop works with.
pub trait FlowStore: super::UnitOfWork + super::WebhookReader + FlowReader {}

impl<T> FlowStore for T where T: super::UnitOfWork + super::WebhookReader + FlowReader {}
