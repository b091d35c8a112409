//! Events: one occurrence each, immutable.

use crate::ids::{EventId, TenantId, WebhookId};
use crate::record::Record;
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// A concern and an event of it, e.g. `orders`/`create`, as they stand in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTypeKey {
    /// What the event is about, e.g. `orders`.
    pub concern: String,
    /// What happened, e.g. `create`.
    pub event: String,
}

impl EventTypeKey {
    /// The pair.
    pub fn new(concern: impl Into<String>, event: impl Into<String>) -> Self {
        Self { concern: concern.into(), event: event.into() }
    }
}

impl std::fmt::Display for EventTypeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.concern, self.event)
    }
}

/// What happened, before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Its id, made by the caller.
    pub id: EventId,
    /// Whose event.
    pub tenant_id: TenantId,
    /// Its type, of the catalogue.
    pub event_type: EventTypeKey,
    /// The values of the type's declared variables, all but `webhookId`, in the catalogue's order; absent ones as null.
    pub variables: Map<String, Value>,
    /// Which top-level fields of the record the change touched; empty where the event is no update.
    pub changed_fields: Vec<String>,
    /// The record as it was, for a `delete` event: what its own render reads.
    pub tombstone: Option<Record>,
    /// What `ordering: BY_RECORD` and the log group by, e.g. `order:0198…`.
    pub record_label: String,
}

/// An event as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Whose event.
    pub tenant_id: TenantId,
    /// Its type, of the catalogue.
    pub event_type: EventTypeKey,
    /// The values of the type's declared variables, all but `webhookId`.
    pub variables: Map<String, Value>,
    /// Which top-level fields of the record the change touched.
    pub changed_fields: Vec<String>,
    /// The record it is about, e.g. `order:0198…`.
    pub record_label: String,
    /// Whether it was made up for a test or a preview; such an event is in no event feed and fans out to nobody.
    pub is_test: bool,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// Why a webhook of an event's type got no delivery of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSkip {
    /// The event.
    pub event_id: EventId,
    /// The webhook that got none.
    pub webhook_id: WebhookId,
    /// Why.
    pub reason: SkipReason,
}

/// The reasons for which a webhook of an event's type gets no delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It was switched off when the event was recorded.
    Disabled,
    /// It was created after the event.
    CreatedLater,
    /// It was moved to this event type after the event.
    SubscribedLater,
}

impl SkipReason {
    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            SkipReason::Disabled => "DISABLED",
            SkipReason::CreatedLater => "CREATED_LATER",
            SkipReason::SubscribedLater => "SUBSCRIBED_LATER",
        }
    }
}
