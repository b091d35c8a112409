//! The flow port of a store of records: nothing ever waits.

use super::store::RecordStore;
use async_trait::async_trait;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::ports::{Backlog, FlowReader, StoreError};
use hookgraph_domain::replay::Replay;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;

#[async_trait]
impl FlowReader for RecordStore {
    async fn webhooks_to_probe(&self, _: Timestamp, _: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(Default::default())
    }

    async fn webhooks_to_drain(&self, _: Timestamp, _: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(Default::default())
    }

    async fn webhooks_stopping(&self, _: &[WebhookId], _: u32) -> Result<Vec<WebhookId>, StoreError> {
        Ok(Default::default())
    }

    async fn held(&self, _: WebhookId, _: u32) -> Result<Vec<DeliveryId>, StoreError> {
        Ok(Default::default())
    }

    async fn held_to_probe(&self, _: WebhookId, _: u32) -> Result<Vec<DeliveryId>, StoreError> {
        Ok(Default::default())
    }

    async fn backlog(&self, _: WebhookId, _: u32) -> Result<Backlog, StoreError> {
        Ok(Default::default())
    }

    async fn replays_due(&self, _: Timestamp, _: u32) -> Result<Vec<Replay>, StoreError> {
        Ok(Default::default())
    }

    async fn deliveries_to_replay(&self, _: &Replay, _: u32) -> Result<Vec<Delivery>, StoreError> {
        Ok(Default::default())
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn replay(&self, _: TenantId, _: ReplayId) -> Result<Option<Replay>, StoreError> {
        Ok(Default::default())
    }

    async fn replay_page(
        &self,
        _: TenantId,
        _: Option<WebhookId>,
        _: Option<ReplayId>,
        _: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        Ok(Default::default())
    }

    async fn running_replays(&self, _: TenantId) -> Result<Vec<Replay>, StoreError> {
        Ok(Default::default())
    }
}
