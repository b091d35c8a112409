//! Keyset pages: a page starts after a position, never at an offset.

use crate::delivery::DeliveryState;
use crate::event::EventTypeKey;
use crate::ids::{EventId, ReplayId, TenantId, WebhookId};
use crate::record::RecordKind;
use crate::replay::{Replay, ReplayState};
use crate::time::Timestamp;
use uuid::Uuid;

/// Which way a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From low to high.
    Ascending,
    /// From high to low.
    Descending,
}

/// By what records are sorted; ties by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordSort {
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By key.
    Key,
}

/// A position among records: that of the record last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPosition {
    /// The time sorted by; ignored when sorting by key.
    pub at: Timestamp,
    /// The key.
    pub key: String,
}

/// Which records, and which page of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// Which kind.
    pub kind: RecordKind,
    /// Only those with a link of each relation to its target.
    pub linked: Vec<(String, String)>,
    /// By what.
    pub sort: RecordSort,
    /// Which way.
    pub direction: Direction,
    /// After which position, in the list's own direction.
    pub after: Option<RecordPosition>,
    /// At most so many.
    pub limit: u32,
}

/// Which deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// To this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of this event.
    pub event_id: Option<EventId>,
    /// Made by this replay: name its webhook too, whose deliveries are then read from its beginning to its end alone.
    pub replay: Option<MadeByReplay>,
    /// In one of these states; empty means any.
    pub states: Vec<DeliveryState>,
    /// Created at or after.
    pub created_from: Option<Timestamp>,
    /// Created before.
    pub created_before: Option<Timestamp>,
    /// Older than this one (ids are UUID v7: they sort by creation).
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl DeliveryQuery {
    /// All of the tenant's, the newest so many.
    pub const fn of(tenant_id: TenantId, limit: u32) -> Self {
        Self {
            tenant_id,
            webhook_id: None,
            event_id: None,
            replay: None,
            states: Vec::new(),
            created_from: None,
            created_before: None,
            before: None,
            limit,
        }
    }
}

/// A replay whose deliveries are asked for: it made none before it began, and none after it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeByReplay {
    /// The replay.
    pub id: ReplayId,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; none while it runs.
    pub ended_at: Option<Timestamp>,
}

impl From<&Replay> for MadeByReplay {
    fn from(replay: &Replay) -> Self {
        let ended_at = (replay.state != ReplayState::Running).then_some(replay.updated_at);
        Self { id: replay.id, began_at: replay.created_at, ended_at }
    }
}

/// Which events, newest first. Test events are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// Of this concern.
    pub concern: Option<String>,
    /// Of this name.
    pub event: Option<String>,
    /// Recorded at or after.
    pub recorded_from: Option<Timestamp>,
    /// Recorded before.
    pub recorded_before: Option<Timestamp>,
    /// Older than this one.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

/// Which webhooks, oldest first. Deleted ones are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookQuery {
    /// Whose.
    pub tenant_id: TenantId,
    /// Of this concern.
    pub concern: Option<String>,
    /// Of this event.
    pub event: Option<String>,
    /// Newer than this one.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl WebhookQuery {
    /// All webhooks of one event type.
    pub fn of_type(tenant_id: TenantId, event_type: &EventTypeKey) -> Self {
        Self {
            tenant_id,
            concern: Some(event_type.concern.clone()),
            event: Some(event_type.event.clone()),
            after: None,
            limit: crate::limits::WEBHOOKS_PER_EVENT_TYPE_MAX,
        }
    }
}
