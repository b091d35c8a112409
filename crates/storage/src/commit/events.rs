//! Recording: events, their tombstones, and their fan out.

use super::Work;
use crate::batch::{Cell, Collision, Kind, Table, query};
use crate::bounded::DatabaseTransaction;
use crate::deliveries::{insert_due, new_row};
use crate::entities::{delivery, tombstone};
use crate::micros::from_time;
use crate::rows;
use crate::standing::{Opened, WebhookLock};
use crate::statements::{insert_all, whole};
use hookgraph_domain::change::Committed;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::event::{EventTypeKey, NewEvent, SkipReason};
use hookgraph_domain::fan_out::{self, Match};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{DeliveryId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::FromQueryResult;
use std::collections::HashMap;
use uuid::Uuid;

const EVENTS: Table = Table {
    name: "event",
    columns: &[
        ("tenant_id", Kind::Uuid),
        ("id", Kind::Uuid),
        ("concern", Kind::Text),
        ("event", Kind::Text),
        ("variables", Kind::Text),
        ("changed_fields", Kind::Text),
        ("record_label", Kind::Text),
        ("is_test", Kind::Bool),
        ("recorded_at_us", Kind::Int),
    ],
};

const SKIPS: Table = Table {
    name: "event_skip",
    columns: &[("event_id", Kind::Uuid), ("webhook_id", Kind::Uuid), ("reason", Kind::Text)],
};

#[derive(FromQueryResult)]
struct Subscriber {
    id: Uuid,
    status: String,
    ordering: String,
}

/// A webhook of an event's type: what its fan out asks of it.
struct Called {
    id: Uuid,
    status: WebhookStatus,
    ordering: Ordering,
}

impl Work<'_> {
    /// Records the events of changes, each at its change's time; what each made is in the order of the changes.
    pub(super) async fn record(&mut self, changes: &[Recording]) -> Result<Vec<Committed>, StoreError> {
        let mut rows = EventRows::default();
        for change in changes {
            for event in &change.events {
                rows.add(change.at, event, IsTest::No)?;
            }
        }
        rows.insert(self.transaction).await?;
        let mut subscribers: HashMap<(TenantId, EventTypeKey), Vec<Called>> = HashMap::new();
        let mut deliveries: Vec<delivery::Model> = Vec::new();
        let mut skips: Vec<Vec<Cell>> = Vec::new();
        let mut committed = Vec::with_capacity(changes.len());
        for Recording { at, events } in changes {
            let delivery_count_before = deliveries.len();
            for event in events {
                self.feed.event(event);
                let key = (event.tenant_id, event.event_type.clone());
                if !subscribers.contains_key(&key) {
                    let found = self.subscribers(&key).await?;
                    subscribers.insert(key.clone(), found);
                }
                for webhook in &subscribers[&key] {
                    match fan_out::decide(webhook.status) {
                        Match::Delivery { state, reason } => {
                            deliveries.push(self.fanned_out(*at, event, webhook, state, reason));
                        }
                        Match::Skip(reason) => skips.push(skip(event, webhook.id, reason)),
                    }
                }
            }
            let event_ids = events.iter().map(|event| event.id).collect();
            committed.push(Committed { event_ids, delivery_count: deliveries.len() - delivery_count_before });
        }
        for row in &deliveries {
            self.feed.delivery(row)?;
        }
        insert_due(self.transaction, &deliveries, Collision::Fails).await?;
        SKIPS.insert(self.transaction, skips, Collision::Fails).await?;
        Ok(committed)
    }

    fn fanned_out(
        &self,
        at: Timestamp,
        event: &NewEvent,
        webhook: &Called,
        state: DeliveryState,
        reason: Option<String>,
    ) -> delivery::Model {
        let webhook_id = WebhookId(webhook.id);
        let id = DeliveryId::of_fan_out(event.id, webhook_id);
        let mut row = new_row(id, event.tenant_id, webhook_id, event.id, at);
        row.is_fan_out = true;
        row.order_key = (webhook.ordering == Ordering::ByRecord).then(|| event.record_label.clone());
        row.state = state.as_str().to_owned();
        row.state_reason = reason;
        if state == DeliveryState::Held {
            row.due_at_us = None;
        }
        row
    }

    /// The webhooks of that type. Those that hold are locked until this change is committed, so that a
    /// resume misses no delivery that is held here; the others are not: what becomes due for a webhook that just stopped is
    /// held or cancelled as it is claimed.
    async fn subscribers(&self, key: &(TenantId, EventTypeKey)) -> Result<Vec<Called>, StoreError> {
        let (tenant_id, event_type) = key;
        let sql = "SELECT id, status, ordering FROM webhook WHERE tenant_id = $1 AND concern = $2 AND event = $3 \
                   AND deleted_at_us IS NULL ORDER BY id";
        let values = vec![tenant_id.0.into(), event_type.concern.as_str().into(), event_type.event.as_str().into()];
        let found: Vec<Subscriber> = query(self.transaction, sql, values).await?;
        let mut subscribers = Vec::with_capacity(found.len());
        for row in found {
            // One that cannot be read keeps no event from being recorded: what is owed to it is held.
            let status = WebhookStatus::from_name(&row.status).unwrap_or(WebhookStatus::Invalid);
            let ordering = Ordering::from_name(&row.ordering).unwrap_or_default();
            subscribers.push(Called { id: row.id, status, ordering });
        }
        let holding: Vec<Uuid> = subscribers.iter().filter(|one| one.status.holds()).map(|one| one.id).collect();
        let locked = Opened::standings(self.transaction, holding, WebhookLock::Share).await?;
        for webhook in &mut subscribers {
            if let Some(standing) = locked.get(&webhook.id) {
                webhook.status = standing.status;
            }
        }
        subscribers.retain(|webhook| locked.get(&webhook.id).is_none_or(|standing| !standing.is_deleted));
        Ok(subscribers)
    }
}

/// The events of one change.
pub(super) struct Recording {
    pub at: Timestamp,
    pub events: Vec<NewEvent>,
}

/// Events on their way into the tables.
#[derive(Default)]
pub(super) struct EventRows {
    events: Vec<Vec<Cell>>,
    tombstones: Vec<tombstone::ActiveModel>,
}

impl EventRows {
    pub(super) fn add(&mut self, at: Timestamp, event: &NewEvent, is_test: IsTest) -> Result<(), StoreError> {
        self.events.push(vec![
            Cell::Uuid(event.tenant_id.0),
            Cell::Uuid(event.id.0),
            Cell::Text(event.event_type.concern.clone()),
            Cell::Text(event.event_type.event.clone()),
            Cell::Text(rows::to_json("variables", &event.variables)?),
            Cell::Text(rows::to_json("changed fields", &event.changed_fields)?),
            Cell::Text(event.record_label.clone()),
            Cell::Bool(is_test == IsTest::Yes),
            Cell::Int(from_time(at)),
        ]);
        if let Some(record) = &event.tombstone {
            self.tombstones.push(whole(rows::event::tombstone_to_row(event.id, record)));
        }
        Ok(())
    }

    pub(super) async fn insert(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        EVENTS.insert(transaction, self.events, Collision::Fails).await?;
        insert_all(transaction, self.tombstones).await
    }
}

fn skip(event: &NewEvent, webhook_id: Uuid, reason: SkipReason) -> Vec<Cell> {
    vec![Cell::Uuid(event.id.0), Cell::Uuid(webhook_id), Cell::Text(reason.as_str().to_owned())]
}

/// Whether an event was made up for a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IsTest {
    Yes,
    No,
}
