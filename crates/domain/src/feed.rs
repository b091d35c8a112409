//! The append-only feed of changes that subscribers read. `seq` follows commit order and is the cursor.

use crate::delivery::DeliveryState;
use crate::event::EventTypeKey;
use crate::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::time::Timestamp;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place in commit order: an entry once readable never gets one before it.
    pub seq: i64,
    /// Whose.
    pub tenant_id: TenantId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: FeedChange,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedChange {
    /// An event was recorded (tests are not).
    EventRecorded {
        /// Which event.
        event_id: EventId,
        /// Its type.
        event_type: EventTypeKey,
    },
    /// A delivery was made or changed its state.
    DeliveryUpdated {
        /// Which delivery.
        delivery_id: DeliveryId,
        /// To which webhook.
        webhook_id: WebhookId,
        /// Of which event.
        event_id: EventId,
        /// The state it now has.
        state: DeliveryState,
        /// Its attempts so far.
        attempt_count: u32,
    },
}

/// Which entries a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// Deliveries or events; both where none is set.
    pub only: Option<FeedKind>,
    /// Deliveries to this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Deliveries that came into one of these states; empty means any.
    pub states: Vec<DeliveryState>,
    /// Events of this concern.
    pub concern: Option<String>,
    /// Events of this name.
    pub event: Option<String>,
}

impl FeedFilter {
    /// Whether a subscriber with this filter gets the change.
    pub fn wants(&self, change: &FeedChange) -> bool {
        match change {
            FeedChange::EventRecorded { event_type, .. } => {
                self.only != Some(FeedKind::Deliveries)
                    && self.concern.as_ref().is_none_or(|concern| *concern == event_type.concern)
                    && self.event.as_ref().is_none_or(|event| *event == event_type.event)
            }
            FeedChange::DeliveryUpdated { webhook_id, state, .. } => {
                self.only != Some(FeedKind::Events)
                    && self.webhook_id.is_none_or(|wanted| wanted == *webhook_id)
                    && (self.states.is_empty() || self.states.contains(state))
            }
        }
    }
}

/// The two kinds of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// `EventRecorded`.
    Events,
    /// `DeliveryUpdated`.
    Deliveries,
}

/// Entries in the order of `seq`, and how far the reader now is, matches or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The matching entries.
    pub entries: Vec<FeedEntry>,
    /// The last `seq` looked at: where to read on.
    pub read_to_seq: i64,
    /// Whether there may be more at once.
    pub more: bool,
    /// Where entries after the `seq` asked for were removed: the oldest `seq` that may be read on from.
    pub pruned_to: Option<i64>,
}

/// Whose feeds moved, and how far the reader now is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedMoves {
    /// Each tenant once, with the last `seq` of its entries that was found; in no order.
    pub tenants: Vec<(TenantId, i64)>,
    /// The last `seq` looked at: where to read on.
    pub read_to_seq: i64,
    /// Whether there may be more at once.
    pub more: bool,
}
