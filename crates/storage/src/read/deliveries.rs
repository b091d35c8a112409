//! The log of deliveries, their attempts and payloads.

use super::delivery_pages::delivery_page;
use super::{left, rows as page_rows};
use crate::batch::{self, IDS, query};
use crate::entities::delivery::{DUE_COLUMNS, ENDED_COLUMNS, PAYLOAD_DEFAULT};
use crate::entities::{attempt, delivery, event, payload};
use crate::error::store_error;
use crate::limits::{CLOCKS_APART_MS_MAX, PAGE_REFILLS_MAX};
use crate::micros::to_time;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{History, RowKind, StoreError};
use hookgraph_domain::retention::{created_at, lowest_id};
use hookgraph_domain::time::minus_ms;
use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult, QuerySelect, Select,
};
use uuid::Uuid;

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
        let backend = self.backend();
        let source = IDS.source(backend, 2);
        let of = |table: &str, columns: &str| {
            format!("SELECT {columns} FROM {table} WHERE tenant_id = $1 AND id IN (SELECT id FROM {source} AS given)")
        };
        let sql = format!("{} UNION ALL {}", of("due", DUE_COLUMNS), of("delivery", ENDED_COLUMNS));
        let mut values: Vec<Value> = vec![tenant_id.0.into()];
        values.extend(batch::ids(backend, ids.iter().map(|id| id.0)));
        let found: Vec<delivery::Model> = query(&self.reader, &sql, values).await?;
        Ok(found.into_iter().filter_map(|row| self.read_delivery(row)).collect())
    }

    async fn delivery_page(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let (mut asked, mut page) = (query.clone(), Vec::new());
        for _ in 0..=PAGE_REFILLS_MAX {
            let (sql, values) = delivery_page(self.backend(), &asked);
            let found: Vec<delivery::Model> = batch::query(&self.reader, &sql, values).await?;
            let is_last = (found.len() as u64) < page_rows(asked.limit);
            asked.before = found.last().map(|row| row.id).or(asked.before);
            page.extend(found.into_iter().filter_map(|row| self.read_delivery(row)));
            asked.limit = left(query.limit, page.len());
            if is_last || asked.limit == 0 {
                break;
            }
        }
        Ok(page)
    }

    async fn attempts(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError> {
        let Some(first) = delivery_ids.iter().map(|id| id.0).min() else { return Ok(Vec::new()) };
        let found = attempt::Entity::find()
            .filter(attempt::Column::DeliveryId.is_in(delivery_ids.iter().map(|id| id.0)))
            // Days before the first of them need no look.
            .filter(attempt::Column::Id.gte(lowest_of_attempts(first)))
            .order_by_asc(attempt::Column::DeliveryId)
            .order_by_asc(attempt::Column::Number)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        Ok(found.into_iter().filter_map(|row| self.read_attempt(row)).collect())
    }

    async fn webhook_attempts(
        &self,
        webhook_id: WebhookId,
        before: Option<AttemptId>,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let select = webhook_attempts(webhook_id, before, limit);
        let found = select.all(&self.reader).await.map_err(store_error)?;
        Ok(found.into_iter().filter_map(|row| self.read_attempt(row)).collect())
    }

    async fn payloads(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        let found = payload::Entity::find()
            .filter(payload::Column::DeliveryId.is_in(delivery_ids.iter().map(|id| id.0)))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let read = |row: payload::Model| {
            let id = row.delivery_id;
            self.unreadable.passed_over(RowKind::Payload, id, rows::attempt::payload_from_row(row))
        };
        let mut payloads: Vec<_> = found.into_iter().filter_map(read).collect();
        payloads.extend(self.default_payloads(delivery_ids).await?);
        Ok(payloads)
    }
}

/// A delivery whose default payload is frozen, with its event.
struct WithDefault {
    delivery_id: Uuid,
    webhook_id: Uuid,
    default_frozen_at_us: i64,
    event: event::Model,
}

impl FromQueryResult for WithDefault {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            delivery_id: row.try_get(prefix, "delivery_id")?,
            webhook_id: row.try_get(prefix, "webhook_id")?,
            default_frozen_at_us: row.try_get(prefix, "default_frozen_at_us")?,
            event: event::Model::from_query_result(row, prefix)?,
        })
    }
}

/// Below any id that an attempt of that delivery or of a later one may have.
fn lowest_of_attempts(delivery_id: Uuid) -> Uuid {
    created_at(delivery_id).map_or(Uuid::nil(), |at| lowest_id(minus_ms(at, CLOCKS_APART_MS_MAX)))
}

impl SqlStore {
    pub(super) fn read_delivery(&self, row: delivery::Model) -> Option<Delivery> {
        let id = row.id;
        self.unreadable.passed_over(RowKind::Delivery, id, rows::delivery::from_row(row))
    }

    fn read_attempt(&self, row: attempt::Model) -> Option<Attempt> {
        let id = row.id;
        self.unreadable.passed_over(RowKind::Attempt, id, rows::attempt::from_row(row))
    }

    /// The default payloads that claims froze, made from their events.
    async fn default_payloads(
        &self,
        delivery_ids: &[DeliveryId],
    ) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        let backend = self.backend();
        let source = IDS.source(backend, 1);
        let of = |table: &str| {
            format!(
                "SELECT id AS delivery_id, tenant_id, webhook_id, event_id, default_frozen_at_us FROM {table} \
                 WHERE id IN (SELECT id FROM {source} AS given) AND payload_kind = '{PAYLOAD_DEFAULT}'"
            )
        };
        let sql = format!(
            "SELECT frozen.delivery_id, frozen.webhook_id, frozen.default_frozen_at_us, event.* \
             FROM ({} UNION ALL {}) AS frozen \
             JOIN event ON event.tenant_id = frozen.tenant_id AND event.id = frozen.event_id",
            of("due"),
            of("delivery")
        );
        let values = batch::ids(backend, delivery_ids.iter().map(|id| id.0));
        let found: Vec<WithDefault> = query(&self.reader, &sql, values).await?;
        let payload = |row: WithDefault| {
            let id = row.event.id;
            let event = self.unreadable.passed_over(RowKind::Event, id, rows::event::from_row(row.event))?;
            let frozen_at =
                self.unreadable.passed_over(RowKind::Delivery, row.delivery_id, to_time(row.default_frozen_at_us))?;
            let payload = FrozenPayload::default_of(&event, WebhookId(row.webhook_id), frozen_at);
            Some((DeliveryId(row.delivery_id), payload))
        };
        Ok(found.into_iter().filter_map(payload).collect())
    }
}

pub fn webhook_attempts(webhook_id: WebhookId, before: Option<AttemptId>, limit: u32) -> Select<attempt::Entity> {
    let mut select = attempt::Entity::find().filter(attempt::Column::WebhookId.eq(webhook_id.0));
    if let Some(before) = before {
        select = select.filter(attempt::Column::Id.lt(before.0));
    }
    select.order_by_desc(attempt::Column::Id).limit(page_rows(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_looked_for_from_a_day_before_their_delivery() {
        let at = |text: &str| text.parse().map(lowest_id).unwrap_or_default();
        let delivery_id = Uuid::from_u128(at("2026-03-02T12:00:00Z").as_u128() + 12_345);
        assert_eq!(lowest_of_attempts(delivery_id), at("2026-03-01T12:00:00Z"));
        assert_eq!(lowest_of_attempts(Uuid::from_u128(1)), Uuid::nil());
    }
}
