//! Deliveries: one event owed to one webhook.

use crate::event::{Event, NewEvent};
use crate::ids::{DeliveryId, EventId, ReplayId, TenantId, WebhookId};
use crate::payload::FrozenPayload;
use crate::signing::SigningKeys;
use crate::time::Timestamp;
use crate::webhook::Webhook;
use std::sync::Arc;

/// Where a delivery stands. `settle` holds the diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// Due; no attempt is spent since it was made or last retried.
    Pending,
    /// Leased by a worker.
    InFlight,
    /// A 2xx came back.
    Delivered,
    /// Due again, at a later time.
    Retrying,
    /// Kept without being sent, because its webhook is.
    Held,
    /// Every attempt is spent.
    Failed,
    /// The payload query cannot be rendered.
    RenderFailed,
    /// Ended by a person, or with its webhook.
    Cancelled,
    /// Too old to be sent.
    Expired,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 9] = [
        Self::Pending,
        Self::InFlight,
        Self::Delivered,
        Self::Retrying,
        Self::Held,
        Self::Failed,
        Self::RenderFailed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "PENDING",
            DeliveryState::InFlight => "IN_FLIGHT",
            DeliveryState::Delivered => "DELIVERED",
            DeliveryState::Retrying => "RETRYING",
            DeliveryState::Held => "HELD",
            DeliveryState::Failed => "FAILED",
            DeliveryState::RenderFailed => "RENDER_FAILED",
            DeliveryState::Cancelled => "CANCELLED",
            DeliveryState::Expired => "EXPIRED",
        }
    }

    /// The state of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it has ended: only `retry` makes it due again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::RenderFailed | Self::Cancelled | Self::Expired)
    }
}

/// A delivery outside the fan out: a test of one webhook, with its made-up event or one that was recorded, or a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// Its id, made by the caller.
    pub id: DeliveryId,
    /// Whose.
    pub tenant_id: TenantId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// Which event it carries.
    pub event: DeliveryEvent,
    /// What it is made for.
    pub purpose: DeliveryPurpose,
}

/// What a delivery outside the fan out is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPurpose {
    /// A test: it reaches its webhook alone and counts in no health, breaker or event feed.
    Test,
    /// A replay. It goes the way of its webhook like one of the fan out.
    Replay {
        /// Which.
        replay_id: ReplayId,
        /// The delivery whose frozen payload it bears, where that has one; rendered anew where none is named.
        payload_of: Option<DeliveryId>,
    },
}

/// The event of a delivery outside the fan out.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryEvent {
    /// One that was recorded.
    Recorded(EventId),
    /// One made up for the test: recorded with it, marked, and fanned out to nobody.
    Synthetic(Box<NewEvent>),
}

/// A delivery as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its id: the `webhook-id` header of its requests.
    pub id: DeliveryId,
    /// Whose.
    pub tenant_id: TenantId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// Which event.
    pub event_id: EventId,
    /// Whether it is a test: it reaches its webhook alone and counts in no health, breaker or event feed.
    pub is_test: bool,
    /// The replay that made it.
    pub replay_id: Option<ReplayId>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why, where the state alone does not say.
    pub state_reason: Option<String>,
    /// When it is to be sent next; none while it is held and once it has ended.
    pub due_at: Option<Timestamp>,
    /// Since when it has been owed: `created_at`, or when a person last retried it. [`crate::settle::is_expired`] counts
    /// from here.
    pub due_since: Timestamp,
    /// Attempts spent since it was created or last retried by a person.
    pub attempts_spent: u32,
    /// All its attempts: the number of the last one.
    pub attempt_count: u32,
    /// Rises with every claim; settling needs the one of the claim.
    pub fencing_token: i64,
    /// Whether a person asked for its end while it was in flight.
    pub cancel_requested: bool,
    /// When the event was recorded for it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The part of a delivery on which it depends whether its webhook sends it. A store fills it in from a row without
/// reading the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryStanding {
    /// The delivery.
    pub id: DeliveryId,
    /// Whether the delivery is a test.
    pub is_test: bool,
    /// Whether a person asked for the delivery's end while it was in flight.
    pub cancel_requested: bool,
}

impl From<&Delivery> for DeliveryStanding {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { id, is_test, cancel_requested, .. } = *delivery;
        Self { id, is_test, cancel_requested }
    }
}

/// A delivery leased to a worker, with all that rendering, signing and sending need.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// The delivery; its `fencing_token` is this claim's.
    pub delivery: Delivery,
    /// Its event.
    pub event: Arc<Event>,
    /// Its webhook, as it stood at the claim.
    pub webhook: Arc<Webhook>,
    /// Its tenant's identifier and signature keys, as they stood at the claim.
    pub signer: Arc<Signer>,
    /// Its payload, where it is frozen already.
    pub payload: Option<FrozenPayload>,
    /// Until when the lease holds.
    pub leased_until: Timestamp,
    /// Whether it was taken over from a lease that had ended: whoever held it died, or was cut off.
    pub was_orphaned: bool,
}

/// In whose name a request is signed.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its identifier, a claim of the JWT.
    pub tenant_identifier: String,
    /// Its keys.
    pub keys: SigningKeys,
}
