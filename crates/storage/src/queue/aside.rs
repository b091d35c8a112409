//! A delivery that a claim cannot read is set aside: it stays due, at a later time, with the reason. That spends no
//! attempt, because the fault is ours, and deliveries that stand behind it in its line are sent.

use super::lines::{MovedUp, move_up};
use crate::batch::{Cell, Kind, Table, execute_ahead};
use crate::commit::feed::FeedLog;
use crate::connections::DatabaseTransaction;
use crate::entities::delivery::Model;
use crate::micros::from_time;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::limits::SET_ASIDE_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::{Timestamp, plus_ms};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// A delivery to set aside.
pub(super) struct Aside {
    delivery_id: DeliveryId,
    tenant_id: TenantId,
    change: FeedChange,
    /// The line in which the delivery stands.
    line: Option<(Uuid, String)>,
    leaves_its_line: bool,
    reason: String,
}

/// Why a delivery cannot be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Webhook,
    Tenant,
    Event,
    Payload,
    Delivery,
}

impl Unread {
    fn reason(self) -> &'static str {
        match self {
            Unread::Webhook => "set aside: its webhook cannot be read",
            Unread::Tenant => "set aside: its tenant cannot be read",
            Unread::Event => "set aside: its event cannot be read",
            Unread::Payload => "set aside: its frozen payload cannot be read",
            Unread::Delivery => "set aside: it cannot be read",
        }
    }
}

impl Aside {
    /// A delivery that cannot be read itself leaves its record's line, so that those behind it are sent. If its webhook
    /// or its tenant cannot be read, all of the line waits.
    pub fn new(row: &Model, unread: Unread) -> Self {
        let state = if row.attempts_spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying };
        Self {
            delivery_id: DeliveryId(row.id),
            tenant_id: TenantId(row.tenant_id),
            change: FeedChange::DeliveryUpdated {
                delivery_id: DeliveryId(row.id),
                webhook_id: WebhookId(row.webhook_id),
                event_id: EventId(row.event_id),
                state,
                attempt_count: u32::try_from(row.attempt_count).unwrap_or_default(),
            },
            line: row.line(),
            leaves_its_line: !matches!(unread, Unread::Webhook | Unread::Tenant),
            reason: unread.reason().to_owned(),
        }
    }
}

const ASIDE: Table =
    Table { name: "aside", columns: &[("id", Kind::Uuid), ("order_key", Kind::TextOrNull), ("reason", Kind::Text)] };

/// Sets deliveries aside whose rows the caller has locked.
pub(super) async fn set_aside(
    transaction: &DatabaseTransaction,
    asides: Vec<Aside>,
    now: Timestamp,
    feed: &mut FeedLog,
) -> Result<(), StoreError> {
    if asides.is_empty() {
        return Ok(());
    }
    let backend = transaction.get_database_backend();
    let sql = format!(
        "UPDATE due SET state = CASE WHEN due.attempts_spent = 0 THEN 'PENDING' ELSE 'RETRYING' END, \
         state_reason = given.reason, order_key = given.order_key, leased_until_us = NULL, due_at_us = $1, \
         updated_at_us = $2 FROM {} AS given WHERE due.id = given.id",
        ASIDE.source(backend, 3)
    );
    let mut values = vec![from_time(plus_ms(now, SET_ASIDE_MS)).into(), from_time(now).into()];
    let (mut rows, mut left) = (Vec::with_capacity(asides.len()), Vec::new());
    for aside in asides {
        feed.change(aside.tenant_id, aside.change);
        let (left_now, kept) = if aside.leaves_its_line { (aside.line, None) } else { (None, aside.line) };
        left.extend(left_now);
        let order_key = kept.map(|(_, key)| key);
        rows.push(vec![Cell::Uuid(aside.delivery_id.0), Cell::TextOrNull(order_key), Cell::Text(aside.reason)]);
    }
    values.extend(ASIDE.parameters(backend, rows));
    execute_ahead(transaction, &sql, values).await?;
    move_up(transaction, left, MovedUp::AsBefore).await
}
