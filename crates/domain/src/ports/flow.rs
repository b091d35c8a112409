//! The port of the loop that probes, drains and replays.

use super::StoreError;
use crate::delivery::Delivery;
use crate::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use crate::replay::Replay;
use crate::time::Timestamp;
use crate::webhook::Webhook;
use async_trait::async_trait;

/// What is owed to a webhook and has not ended, tests left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many, counted no further than was asked.
    pub count: u32,
    /// When the first of them was or will be due; none where all are held.
    pub oldest_due_at: Option<Timestamp>,
}

/// Reads what waits for the flow loop, and how far behind a webhook is.
#[async_trait]
pub trait FlowReader: Send + Sync {
    /// Suspended webhooks of any tenant whose next probe may begin, longest waiting first.
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError>;

    /// Active webhooks of any tenant whose next batch of held deliveries may become due, longest waiting first.
    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError>;

    /// Webhooks of any tenant that stopped with more due than was held or cancelled at once, longest stopped first; behind
    /// them those of deleted tenants for which anything is due. Those that are named are left out.
    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError>;

    /// The held deliveries of a webhook, oldest first.
    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError>;

    /// Those of its oldest held deliveries that would be sent if they were due: that stand behind no other of their record.
    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError>;

    /// What is owed to a webhook, counted up to `count_max`.
    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError>;

    /// Running replays of any tenant whose next batch is due, longest waiting first.
    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError>;

    /// The next deliveries of a replay's range, oldest first: those of its webhook in one of its states, after its
    /// position; neither tests nor replays.
    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// Since when history is whole: what was created earlier may have been removed. None where nothing was.
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

/// What the loop that probes, drains and replays needs of a store.
pub trait FlowStore: super::UnitOfWork + super::WebhookReader + FlowReader {}

impl<T> FlowStore for T where T: super::UnitOfWork + super::WebhookReader + FlowReader {}
