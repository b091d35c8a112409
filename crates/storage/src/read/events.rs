//! The log of events.

use super::rows as page_rows;
use crate::entities::{event, event_skip};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::store::SqlStore;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::page::EventQuery;
use hookgraph_domain::ports::StoreError;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

impl SqlStore {
    pub(super) async fn read_events(&self, tenant_id: TenantId, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        let found = event::Entity::find()
            .filter(event::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(event::Column::TenantId.eq(tenant_id.0))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::event::from_row).collect()
    }

    pub(super) async fn read_event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let found = event_page(query).all(&self.reader).await.map_err(store_error)?;
        found.into_iter().map(rows::event::from_row).collect()
    }

    pub(super) async fn read_event_skips(&self, event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        let found = event_skip::Entity::find()
            .filter(event_skip::Column::EventId.is_in(event_ids.iter().map(|id| id.0)))
            .order_by_asc(event_skip::Column::EventId)
            .order_by_asc(event_skip::Column::WebhookId)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::event::skip_from_row).collect()
    }
}

pub fn event_page(query: &EventQuery) -> Select<event::Entity> {
    let mut select = event::Entity::find()
        .filter(event::Column::TenantId.eq(query.tenant_id.0))
        .filter(event::Column::IsTest.eq(false));
    if let Some(concern) = &query.concern {
        select = select.filter(event::Column::Concern.eq(concern.as_str()));
    }
    if let Some(event) = &query.event {
        select = select.filter(event::Column::Event.eq(event.as_str()));
    }
    if let Some(from) = query.recorded_from {
        select = select.filter(event::Column::RecordedAtUs.gte(from_time(from)));
    }
    if let Some(before) = query.recorded_before {
        select = select.filter(event::Column::RecordedAtUs.lt(from_time(before)));
    }
    if let Some(before) = query.before {
        select = select.filter(event::Column::Id.lt(before));
    }
    select.order_by_desc(event::Column::Id).limit(page_rows(query.limit))
}
