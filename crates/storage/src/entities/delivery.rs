//! Deliveries: a row of the queue (`due`) or of the history (`delivery`), in one shape.

use crate::batch::{Cell, Kind, Table};
use sea_orm::FromQueryResult;
use sea_orm::prelude::Uuid;

/// A delivery. Of one that has ended `due_at_us` and `leased_until_us` are none and `cancel_requested` is false.
#[derive(Clone, Debug, PartialEq, FromQueryResult)]
pub struct Model {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub webhook_id: Uuid,
    pub event_id: Uuid,
    pub is_test: bool,
    pub is_fan_out: bool,
    pub replay_id: Option<Uuid>,
    pub state: String,
    pub state_reason: Option<String>,
    pub due_at_us: Option<i64>,
    pub due_since_us: i64,
    pub leased_until_us: Option<i64>,
    pub attempts_spent: i64,
    pub attempt_count: i64,
    pub fencing_token: i64,
    pub cancel_requested: bool,
    pub payload_kind: String,
    pub default_frozen_at_us: Option<i64>,
    /// The record in whose line it stands, where its webhook keeps order; none once it has ended.
    pub order_key: Option<String>,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

/// `payload_kind` of a delivery whose payload is not frozen.
pub const PAYLOAD_NONE: &str = "NONE";
/// Of one whose payload was rendered and is kept.
pub const PAYLOAD_RENDERED: &str = "RENDERED";

/// Of one whose payload is the default payload, which follows from its event.
pub const PAYLOAD_DEFAULT: &str = "DEFAULT";

/// The columns of a row of the queue.
pub const DUE_COLUMNS: &str = "id, tenant_id, webhook_id, event_id, is_test, is_fan_out, replay_id, state, \
     state_reason, due_at_us, due_since_us, leased_until_us, attempts_spent, attempt_count, fencing_token, \
     cancel_requested, payload_kind, default_frozen_at_us, order_key, created_at_us, updated_at_us";

/// The same columns of a row of the history.
pub const ENDED_COLUMNS: &str = "id, tenant_id, webhook_id, event_id, is_test, is_fan_out, replay_id, state, \
     state_reason, CAST(NULL AS BIGINT) AS due_at_us, due_since_us, CAST(NULL AS BIGINT) AS leased_until_us, \
     attempts_spent, attempt_count, fencing_token, FALSE AS cancel_requested, payload_kind, default_frozen_at_us, \
     CAST(NULL AS TEXT) AS order_key, created_at_us, updated_at_us";

/// The queue.
pub const DUE: Table = Table {
    name: "due",
    columns: &[
        ("id", Kind::Uuid),
        ("tenant_id", Kind::Uuid),
        ("webhook_id", Kind::Uuid),
        ("event_id", Kind::Uuid),
        ("is_test", Kind::Bool),
        ("is_fan_out", Kind::Bool),
        ("replay_id", Kind::UuidOrNull),
        ("state", Kind::Text),
        ("state_reason", Kind::TextOrNull),
        ("due_at_us", Kind::IntOrNull),
        ("due_since_us", Kind::Int),
        ("leased_until_us", Kind::IntOrNull),
        ("attempts_spent", Kind::Int),
        ("attempt_count", Kind::Int),
        ("fencing_token", Kind::Int),
        ("cancel_requested", Kind::Bool),
        ("payload_kind", Kind::Text),
        ("default_frozen_at_us", Kind::IntOrNull),
        ("order_key", Kind::TextOrNull),
        ("created_at_us", Kind::Int),
        ("updated_at_us", Kind::Int),
    ],
};

/// The history.
pub const ENDED: Table = Table {
    name: "delivery",
    columns: &[
        ("id", Kind::Uuid),
        ("tenant_id", Kind::Uuid),
        ("webhook_id", Kind::Uuid),
        ("event_id", Kind::Uuid),
        ("is_test", Kind::Bool),
        ("is_fan_out", Kind::Bool),
        ("replay_id", Kind::UuidOrNull),
        ("state", Kind::Text),
        ("state_reason", Kind::TextOrNull),
        ("due_since_us", Kind::Int),
        ("attempts_spent", Kind::Int),
        ("attempt_count", Kind::Int),
        ("fencing_token", Kind::Int),
        ("payload_kind", Kind::Text),
        ("default_frozen_at_us", Kind::IntOrNull),
        ("created_at_us", Kind::Int),
        ("updated_at_us", Kind::Int),
    ],
};

impl Model {
    /// The line in which the delivery stands, if any: its webhook and the record.
    pub fn line(&self) -> Option<(Uuid, String)> {
        self.order_key.clone().map(|key| (self.webhook_id, key))
    }

    /// The delivery as a row of [`DUE`].
    pub fn due_cells(&self) -> Vec<Cell> {
        vec![
            Cell::Uuid(self.id),
            Cell::Uuid(self.tenant_id),
            Cell::Uuid(self.webhook_id),
            Cell::Uuid(self.event_id),
            Cell::Bool(self.is_test),
            Cell::Bool(self.is_fan_out),
            Cell::UuidOrNull(self.replay_id),
            Cell::Text(self.state.clone()),
            Cell::TextOrNull(self.state_reason.clone()),
            Cell::IntOrNull(self.due_at_us),
            Cell::Int(self.due_since_us),
            Cell::IntOrNull(self.leased_until_us),
            Cell::Int(self.attempts_spent),
            Cell::Int(self.attempt_count),
            Cell::Int(self.fencing_token),
            Cell::Bool(self.cancel_requested),
            Cell::Text(self.payload_kind.clone()),
            Cell::IntOrNull(self.default_frozen_at_us),
            Cell::TextOrNull(self.order_key.clone()),
            Cell::Int(self.created_at_us),
            Cell::Int(self.updated_at_us),
        ]
    }

    /// The delivery as a row of [`ENDED`].
    pub fn ended_cells(&self) -> Vec<Cell> {
        vec![
            Cell::Uuid(self.id),
            Cell::Uuid(self.tenant_id),
            Cell::Uuid(self.webhook_id),
            Cell::Uuid(self.event_id),
            Cell::Bool(self.is_test),
            Cell::Bool(self.is_fan_out),
            Cell::UuidOrNull(self.replay_id),
            Cell::Text(self.state.clone()),
            Cell::TextOrNull(self.state_reason.clone()),
            Cell::Int(self.due_since_us),
            Cell::Int(self.attempts_spent),
            Cell::Int(self.attempt_count),
            Cell::Int(self.fencing_token),
            Cell::Text(self.payload_kind.clone()),
            Cell::IntOrNull(self.default_frozen_at_us),
            Cell::Int(self.created_at_us),
            Cell::Int(self.updated_at_us),
        ]
    }
}
