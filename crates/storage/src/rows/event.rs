//! Events, their skips and tombstones.

use super::from_json;
use crate::entities::{event, event_skip, tombstone};
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use hookgraph_domain::event::{Event, EventSkip, EventTypeKey, SkipReason};
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};

const REASONS: [SkipReason; 3] = [SkipReason::Disabled, SkipReason::CreatedLater, SkipReason::SubscribedLater];

pub fn from_row(row: event::Model) -> Result<Event, StoreError> {
    Ok(Event {
        id: EventId(row.id),
        tenant_id: TenantId(row.tenant_id),
        event_type: EventTypeKey::new(row.concern, row.event),
        variables: from_json("variables", &row.variables)?,
        changed_fields: from_json("changed fields", &row.changed_fields)?,
        record_label: row.record_label,
        is_test: row.is_test,
        recorded_at: to_time(row.recorded_at_us)?,
    })
}

pub fn skip_from_row(row: event_skip::Model) -> Result<EventSkip, StoreError> {
    let reason = REASONS.into_iter().find(|reason| reason.as_str() == row.reason);
    Ok(EventSkip {
        event_id: EventId(row.event_id),
        webhook_id: WebhookId(row.webhook_id),
        reason: reason.ok_or_else(|| corrupt("skip reason", &row.reason))?,
    })
}

pub fn tombstone_to_row(event_id: EventId, record: &Record) -> tombstone::Model {
    tombstone::Model {
        event_id: event_id.0,
        tenant_id: record.tenant_id.0,
        kind: record.reference.kind.as_str().to_owned(),
        key: record.reference.key.clone(),
        version: record.version,
        body: record.body.clone(),
        created_at_us: from_time(record.created_at),
        updated_at_us: from_time(record.updated_at),
    }
}

pub fn tombstone_from_row(row: tombstone::Model) -> Result<Record, StoreError> {
    let kind = RecordKind::from_name(&row.kind).ok_or_else(|| corrupt("record kind", &row.kind))?;
    Ok(Record {
        tenant_id: TenantId(row.tenant_id),
        reference: RecordRef::new(kind, row.key),
        version: row.version,
        body: row.body,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}
