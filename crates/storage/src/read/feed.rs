//! The feed, read by cursor.

use super::rows as page_rows;
use crate::entities::feed;
use crate::error::store_error;
use crate::limits::FEED_SCAN_ENTRIES_MAX;
use crate::rows;
use crate::rows::feed::{DELIVERY, EVENT};
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::feed::{FeedFilter, FeedKind, FeedPage};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{Feed, StoreError};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

#[async_trait]
impl Feed for SqlStore {
    async fn feed_page(
        &self,
        tenant_id: TenantId,
        after_seq: i64,
        filter: &FeedFilter,
        limit: u32,
    ) -> Result<FeedPage, StoreError> {
        // The end is read first: whatever is committed after it has a higher number and waits for the next page.
        let latest = self.latest_seq().await?;
        let end = latest.min(after_seq.saturating_add(FEED_SCAN_ENTRIES_MAX));
        if end <= after_seq {
            return Ok(FeedPage { entries: Vec::new(), read_to_seq: after_seq, more: false });
        }
        let select = feed_entries(tenant_id, after_seq, end, filter, limit);
        let found = select.all(&self.reader).await.map_err(store_error)?;
        let entries = found.into_iter().map(rows::feed::from_row).collect::<Result<Vec<_>, _>>()?;
        let is_full = entries.len() as u64 >= page_rows(limit);
        let read_to_seq = match entries.last() {
            Some(last) if is_full => last.seq,
            _ => end,
        };
        Ok(FeedPage { entries, read_to_seq, more: read_to_seq < latest })
    }

    async fn latest_seq(&self) -> Result<i64, StoreError> {
        let latest: Option<Option<i64>> = feed::Entity::find()
            .select_only()
            .column_as(feed::Column::Seq.max(), "seq")
            .into_tuple()
            .one(&self.reader)
            .await
            .map_err(store_error)?;
        Ok(latest.flatten().unwrap_or(0))
    }
}

/// The entries after one number up to another.
pub fn feed_entries(
    tenant_id: TenantId,
    after_seq: i64,
    end_seq: i64,
    filter: &FeedFilter,
    limit: u32,
) -> Select<feed::Entity> {
    feed::Entity::find()
        .filter(feed::Column::TenantId.eq(tenant_id.0))
        .filter(feed::Column::Seq.gt(after_seq))
        .filter(feed::Column::Seq.lte(end_seq))
        .filter(wanted(filter))
        .order_by_asc(feed::Column::Seq)
        .limit(page_rows(limit))
}

fn wanted(filter: &FeedFilter) -> Condition {
    let mut events = Condition::all().add(feed::Column::Kind.eq(EVENT));
    if let Some(concern) = &filter.concern {
        events = events.add(feed::Column::Concern.eq(concern.as_str()));
    }
    if let Some(event) = &filter.event {
        events = events.add(feed::Column::Event.eq(event.as_str()));
    }
    let mut deliveries = Condition::all().add(feed::Column::Kind.eq(DELIVERY));
    if let Some(webhook_id) = filter.webhook_id {
        deliveries = deliveries.add(feed::Column::WebhookId.eq(webhook_id.0));
    }
    if !filter.states.is_empty() {
        deliveries = deliveries.add(feed::Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
    }
    match filter.only {
        Some(FeedKind::Events) => events,
        Some(FeedKind::Deliveries) => deliveries,
        None => Condition::any().add(events).add(deliveries),
    }
}
