//! The log of events.

use super::flow::{id_ceiling, id_floor};
use super::{left, rows as page_rows};
use crate::entities::{event, event_skip};
use crate::error::store_error;
use crate::limits::PAGE_REFILLS_MAX;
use crate::micros::from_time;
use crate::rows;
use crate::store::SqlStore;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::page::EventQuery;
use hookgraph_domain::ports::{RowKind, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

impl SqlStore {
    pub(super) async fn read_events(&self, tenant_id: TenantId, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        let found = event::Entity::find()
            .filter(event::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(event::Column::TenantId.eq(tenant_id.0))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        Ok(found.into_iter().filter_map(|row| self.read_event(row)).collect())
    }

    fn read_event(&self, row: event::Model) -> Option<Event> {
        let id = row.id;
        self.unreadable.passed_over(RowKind::Event, id, rows::event::from_row(row))
    }

    pub(super) async fn read_event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let (mut asked, mut page) = (query.clone(), Vec::new());
        for _ in 0..=PAGE_REFILLS_MAX {
            let found = event_page(&asked).all(&self.reader).await.map_err(store_error)?;
            let is_last = (found.len() as u64) < page_rows(asked.limit);
            asked.before = found.last().map(|row| row.id).or(asked.before);
            page.extend(found.into_iter().filter_map(|row| self.read_event(row)));
            asked.limit = left(query.limit, page.len());
            if is_last || asked.limit == 0 {
                break;
            }
        }
        Ok(page)
    }

    pub(super) async fn read_event_skips(&self, event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        let found = event_skip::Entity::find()
            .filter(event_skip::Column::EventId.is_in(event_ids.iter().map(|id| id.0)))
            .order_by_asc(event_skip::Column::EventId)
            .order_by_asc(event_skip::Column::WebhookId)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let read = |row: event_skip::Model| {
            let id = row.event_id;
            self.unreadable.passed_over(RowKind::EventSkip, id, rows::event::skip_from_row(row))
        };
        Ok(found.into_iter().filter_map(read).collect())
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
    // What was recorded in a time has ids of about that time: they bound what is read of the index.
    if let Some(from) = query.recorded_from {
        select = select.filter(event::Column::RecordedAtUs.gte(from_time(from)));
        select = select.filter(event::Column::Id.gte(id_floor(from)));
    }
    if let Some(before) = query.recorded_before {
        select = select.filter(event::Column::RecordedAtUs.lt(from_time(before)));
    }
    // One bound, since SQLite searches by no more.
    let ceiling = query.recorded_before.map(id_ceiling);
    if let Some(before) = query.before.into_iter().chain(ceiling).min() {
        select = select.filter(event::Column::Id.lt(before));
    }
    select.order_by_desc(event::Column::Id).limit(page_rows(query.limit))
}
