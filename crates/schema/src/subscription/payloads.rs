//! The answers of subscriptions.

use super::cursor;
use super::feed::Entries;
use crate::access::{DeliveriesRead, EventsRead};
use crate::context::ApiContext;
use crate::delivery::{DeliveryObject, DeliveryStateName};
use crate::event::EventObject;
use crate::limits::FEED_PAGE_ENTRIES_MAX;
use async_graphql::{ID, SimpleObject};
use hookgraph_domain::feed::{FeedChange, FeedEntry, FeedFilter, FeedPage};
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::DateTime;
use std::collections::HashMap;
use std::sync::Arc;

/// A delivery was made or changed its state.
#[derive(Clone, SimpleObject)]
pub(crate) struct DeliveryUpdate {
    /// Subscribe again with this as `after` to go on after this change.
    cursor: String,
    /// When it changed.
    at: DateTime,
    delivery_id: ID,
    webhook_id: ID,
    event_id: ID,
    /// The state that it came into.
    state: DeliveryStateName,
    /// How many attempts were made of it until then, all of them, as `Delivery.attemptCount` counts.
    attempt_count: u32,
    /// The delivery as it stands when this is sent; none once its history is gone.
    delivery: Option<DeliveryObject>,
}

impl Entries for DeliveryUpdate {
    async fn page(api: &ApiContext, after_seq: i64, filter: &FeedFilter) -> Result<FeedPage, Refusal> {
        Ok(api.may::<DeliveriesRead>()?.feed_page(after_seq, filter, FEED_PAGE_ENTRIES_MAX).await?)
    }

    async fn of(api: &ApiContext, entries: Vec<FeedEntry>) -> Result<Vec<Self>, Refusal> {
        let ids = entries.iter().filter_map(|entry| match entry.what {
            FeedChange::DeliveryUpdated { delivery_id, .. } => Some(delivery_id),
            FeedChange::EventRecorded { .. } => None,
        });
        let ids: Vec<_> = ids.collect();
        let deliveries = api.may::<DeliveriesRead>()?.deliveries(&ids).await?;
        let deliveries: HashMap<_, _> =
            deliveries.into_iter().map(|delivery| (delivery.id, DeliveryObject(Arc::new(delivery)))).collect();
        let updates = entries.into_iter().filter_map(|entry| match entry.what {
            FeedChange::DeliveryUpdated { delivery_id, webhook_id, event_id, state, attempt_count } => Some(Self {
                cursor: cursor::write(entry.seq),
                at: DateTime(entry.at),
                delivery_id: delivery_id.to_string().into(),
                webhook_id: webhook_id.to_string().into(),
                event_id: event_id.to_string().into(),
                state: state.into(),
                attempt_count,
                delivery: deliveries.get(&delivery_id).cloned(),
            }),
            FeedChange::EventRecorded { .. } => None,
        });
        Ok(updates.collect())
    }
}

/// An event was recorded.
#[derive(Clone, SimpleObject)]
pub(crate) struct RecordedEvent {
    /// Subscribe again with this as `after` to go on after this event.
    cursor: String,
    /// When it was recorded.
    at: DateTime,
    event_id: ID,
    /// The event; none once its history is gone.
    event: Option<EventObject>,
}

impl Entries for RecordedEvent {
    async fn page(api: &ApiContext, after_seq: i64, filter: &FeedFilter) -> Result<FeedPage, Refusal> {
        Ok(api.may::<EventsRead>()?.feed_page(after_seq, filter, FEED_PAGE_ENTRIES_MAX).await?)
    }

    async fn of(api: &ApiContext, entries: Vec<FeedEntry>) -> Result<Vec<Self>, Refusal> {
        let ids: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry.what {
                FeedChange::EventRecorded { event_id, .. } => Some(event_id),
                FeedChange::DeliveryUpdated { .. } => None,
            })
            .collect();
        let events = api.may::<EventsRead>()?.events(&ids).await?;
        let events: HashMap<_, _> = events.into_iter().map(|event| (event.id, EventObject(Arc::new(event)))).collect();
        let recorded = entries.into_iter().filter_map(|entry| match entry.what {
            FeedChange::EventRecorded { event_id, .. } => Some(Self {
                cursor: cursor::write(entry.seq),
                at: DateTime(entry.at),
                event_id: event_id.to_string().into(),
                event: events.get(&event_id).cloned(),
            }),
            FeedChange::DeliveryUpdated { .. } => None,
        });
        Ok(recorded.collect())
    }
}
