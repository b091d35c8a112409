//! The log of deliveries, their attempts and payloads.

use super::rows as page_rows;
use crate::entities::{attempt, delivery, payload};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{History, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

#[async_trait]
impl History for SqlStore {
    async fn events(&self, tenant_id: TenantId, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        self.read_events(tenant_id, ids).await
    }

    async fn event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        self.read_event_page(query).await
    }

    async fn event_skips(&self, event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        self.read_event_skips(event_ids).await
    }

    async fn deliveries(&self, tenant_id: TenantId, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        let found = delivery::Entity::find()
            .filter(delivery::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(delivery::Column::TenantId.eq(tenant_id.0))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::delivery::from_row).collect()
    }

    async fn delivery_page(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let found = delivery_page(query).all(&self.reader).await.map_err(store_error)?;
        found.into_iter().map(rows::delivery::from_row).collect()
    }

    async fn attempts(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError> {
        let found = attempt::Entity::find()
            .filter(attempt::Column::DeliveryId.is_in(delivery_ids.iter().map(|id| id.0)))
            .order_by_asc(attempt::Column::DeliveryId)
            .order_by_asc(attempt::Column::Number)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::attempt::from_row).collect()
    }

    async fn webhook_attempts(
        &self,
        webhook_id: WebhookId,
        before: Option<AttemptId>,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let select = webhook_attempts(webhook_id, before, limit);
        let found = select.all(&self.reader).await.map_err(store_error)?;
        found.into_iter().map(rows::attempt::from_row).collect()
    }

    async fn payloads(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        let found = payload::Entity::find()
            .filter(payload::Column::DeliveryId.is_in(delivery_ids.iter().map(|id| id.0)))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::attempt::payload_from_row).collect()
    }
}

pub fn delivery_page(query: &DeliveryQuery) -> Select<delivery::Entity> {
    let mut select = delivery::Entity::find().filter(delivery::Column::TenantId.eq(query.tenant_id.0));
    if let Some(webhook_id) = query.webhook_id {
        select = select.filter(delivery::Column::WebhookId.eq(webhook_id.0));
    }
    if let Some(event_id) = query.event_id {
        select = select.filter(delivery::Column::EventId.eq(event_id.0));
    }
    if !query.states.is_empty() {
        select = select.filter(delivery::Column::State.is_in(query.states.iter().map(|state| state.as_str())));
    }
    if let Some(from) = query.created_from {
        select = select.filter(delivery::Column::CreatedAtUs.gte(from_time(from)));
    }
    if let Some(before) = query.created_before {
        select = select.filter(delivery::Column::CreatedAtUs.lt(from_time(before)));
    }
    if let Some(before) = query.before {
        select = select.filter(delivery::Column::Id.lt(before));
    }
    select.order_by_desc(delivery::Column::Id).limit(page_rows(query.limit))
}

pub fn webhook_attempts(webhook_id: WebhookId, before: Option<AttemptId>, limit: u32) -> Select<attempt::Entity> {
    let mut select = attempt::Entity::find().filter(attempt::Column::WebhookId.eq(webhook_id.0));
    if let Some(before) = before {
        select = select.filter(attempt::Column::Id.lt(before.0));
    }
    select.order_by_desc(attempt::Column::Id).limit(page_rows(limit))
}
