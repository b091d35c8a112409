//! Feed entries.

use super::delivery::state;
use super::number;
use crate::entities::feed::Model;
use crate::error::corrupt;
use crate::micros::to_time;
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::feed::{FeedChange, FeedEntry};
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;

/// `kind` of a recorded event.
pub const EVENT: &str = "EVENT";
/// `kind` of a delivery that was made or changed its state.
pub const DELIVERY: &str = "DELIVERY";

pub fn from_row(row: Model) -> Result<FeedEntry, StoreError> {
    let seq = row.seq;
    let incomplete = || corrupt("feed entry", seq);
    let event_id = EventId(row.event_id);
    let what = match row.kind.as_str() {
        EVENT => FeedChange::EventRecorded {
            event_id,
            event_type: EventTypeKey::new(row.concern.ok_or_else(incomplete)?, row.event.ok_or_else(incomplete)?),
        },
        DELIVERY => FeedChange::DeliveryUpdated {
            delivery_id: DeliveryId(row.delivery_id.ok_or_else(incomplete)?),
            webhook_id: WebhookId(row.webhook_id.ok_or_else(incomplete)?),
            event_id,
            state: state(&row.state.ok_or_else(incomplete)?)?,
            attempt_count: number("attempt count", row.attempt_count.ok_or_else(incomplete)?)?,
        },
        other => return Err(corrupt("feed kind", other)),
    };
    Ok(FeedEntry { seq, tenant_id: TenantId(row.tenant_id), at: to_time(row.at_us)?, what })
}
