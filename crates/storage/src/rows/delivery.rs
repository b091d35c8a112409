//! Deliveries.

use super::number;
use crate::entities::delivery::Model;
use crate::error::corrupt;
use crate::micros::{to_optional_time, to_time};
use hookgraph_domain::delivery::{Delivery, DeliveryStanding, DeliveryState};
use hookgraph_domain::ids::{DeliveryId, EventId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;

pub fn state(name: &str) -> Result<DeliveryState, StoreError> {
    DeliveryState::from_name(name).ok_or_else(|| corrupt("delivery state", name))
}

/// Reads nothing of the row that may be corrupt.
pub fn standing(row: &Model) -> DeliveryStanding {
    DeliveryStanding { id: DeliveryId(row.id), is_test: row.is_test, cancel_requested: row.cancel_requested }
}

pub fn from_row(row: Model) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: DeliveryId(row.id),
        tenant_id: TenantId(row.tenant_id),
        webhook_id: WebhookId(row.webhook_id),
        event_id: EventId(row.event_id),
        is_test: row.is_test,
        replay_id: row.replay_id.map(ReplayId),
        state: state(&row.state)?,
        state_reason: row.state_reason,
        due_at: to_optional_time(row.due_at_us)?,
        due_since: to_time(row.due_since_us)?,
        attempts_spent: number("attempts spent", row.attempts_spent)?,
        attempt_count: number("attempt count", row.attempt_count)?,
        fencing_token: row.fencing_token,
        cancel_requested: row.cancel_requested,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}
