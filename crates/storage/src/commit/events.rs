//! Recording: events, their tombstones, and their fan out.

use super::Work;
use crate::batch::{Cell, Collision, Kind, Table, query};
use crate::connections::DatabaseTransaction;
use crate::deliveries::{insert_due, insert_due_and_lock_claims, new_row};
use crate::entities::{delivery, tombstone};
use crate::limits::INSERT_ROWS_MAX;
use crate::micros::from_time;
use crate::rows;
use crate::standing::{Opened, WebhookLock};
use crate::statements::{insert_all, whole};
use hookgraph_domain::change::{Claimed, Committed};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::event::{EventTypeKey, NewEvent, SkipReason};
use hookgraph_domain::fan_out::{self, Match};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{DeliveryId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use std::collections::{HashMap, HashSet};
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

/// Types of events, each once.
const TYPES: Table =
    Table { name: "types", columns: &[("tenant_id", Kind::Uuid), ("concern", Kind::Text), ("event", Kind::Text)] };

#[derive(FromQueryResult)]
struct Subscriber {
    tenant_id: Uuid,
    concern: String,
    event: String,
    id: Uuid,
    status: String,
    ordering: String,
}

/// The statement for the webhooks of types, whose parameters begin at `$first`.
pub fn subscribers_sql(backend: DbBackend, first: usize) -> String {
    format!(
        "SELECT webhook.tenant_id, webhook.concern, webhook.event, webhook.id, webhook.status, webhook.ordering \
         FROM {} AS called CROSS JOIN webhook WHERE webhook.tenant_id = called.tenant_id \
         AND webhook.concern = called.concern AND webhook.event = called.event AND webhook.deleted_at_us IS NULL \
         ORDER BY webhook.id",
        TYPES.source(backend, first)
    )
}

/// The statement with which PostgreSQL inserts events and asks for the webhooks of types.
pub fn record_sql() -> String {
    EVENTS.insert_and(&subscribers_sql(DbBackend::Postgres, EVENTS.columns.len() + 1))
}

/// The parameters of [`subscribers_sql`] on SQLite, or of [`record_sql`] on PostgreSQL, for no event, for the test of
/// plans.
pub fn no_events(backend: DbBackend) -> Vec<Value> {
    let mut values = if backend == DbBackend::Postgres { EVENTS.parameters(backend, Vec::new()) } else { Vec::new() };
    values.extend(TYPES.parameters(backend, Vec::new()));
    values
}

/// A webhook of an event's type, as far as the fan out needs it.
struct Called {
    id: Uuid,
    status: WebhookStatus,
    ordering: Ordering,
}

impl Work<'_> {
    /// Records the events of changes, each at its change's time. The answers are in the order of the changes.
    pub(super) async fn record(&mut self, prepared: Prepared<'_>) -> Result<Vec<Recorded>, StoreError> {
        let Prepared { changes, rows, types } = prepared;
        let subscribers = self.insert_and_match(rows, types).await?;
        let mut deliveries: Vec<delivery::Model> = Vec::new();
        let mut skips: Vec<Vec<Cell>> = Vec::new();
        let mut recorded = Vec::with_capacity(changes.len());
        for Recording { at, events } in changes {
            let first = deliveries.len();
            for event in events {
                self.feed.event(event);
                let key = (event.tenant_id, event.event_type.clone());
                for webhook in subscribers.get(&key).into_iter().flatten() {
                    match fan_out::decide(webhook.status) {
                        Match::Delivery { state, reason } => {
                            deliveries.push(self.fanned_out(*at, event, webhook, state, reason));
                        }
                        Match::Skip(reason) => skips.push(skip(event, webhook.id, reason)),
                    }
                }
            }
            let event_ids = events.iter().map(|event| event.id).collect();
            let made = &deliveries[first..];
            recorded.push(Recorded {
                committed: Committed { event_ids, delivery_count: made.len(), claimed: Claimed::NotAll },
                due: made.iter().filter(|row| row.due_at_us.is_some()).map(Due::of).collect(),
            });
        }
        for row in &deliveries {
            self.feed.delivery(row)?;
        }
        self.want_claim(recorded.iter().map(|one: &Recorded| one.due.len()).sum());
        if self.wanted.is_some() {
            if !insert_due_and_lock_claims(self.transaction, &deliveries).await? {
                self.wanted = None;
            }
        } else {
            insert_due(self.transaction, &deliveries, Collision::Fails).await?;
        }
        SKIPS.insert_short(self.transaction, skips).await?;
        Ok(recorded)
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

    /// Inserts events, and matches their types with webhooks. A webhook that holds is locked until this change is
    /// committed, so that a resume misses no delivery that is held here. The others are not locked: a delivery that
    /// becomes due for a webhook that just stopped is held or cancelled when it is claimed.
    async fn insert_and_match(&self, rows: EventRows, types: Vec<Vec<Cell>>) -> Result<Subscribers, StoreError> {
        let found = rows.insert_and_ask(self.transaction, types).await?;
        // A status that cannot be read keeps no event from being recorded: the webhook's deliveries are held.
        let status = |row: &Subscriber| WebhookStatus::from_name(&row.status).unwrap_or(WebhookStatus::Invalid);
        let holding: Vec<Uuid> = found.iter().filter(|row| status(row).holds()).map(|row| row.id).collect();
        let locked = Opened::standings(self.transaction, holding, WebhookLock::Share).await?;
        let mut subscribers = Subscribers::new();
        for row in found {
            let status = match locked.get(&row.id) {
                Some(standing) if standing.is_deleted => continue,
                Some(standing) => standing.status,
                // The webhook was removed with its tenant since it was found: nobody would release a delivery held for
                // it.
                None if status(&row).holds() => continue,
                None => status(&row),
            };
            let ordering = Ordering::from_name(&row.ordering).unwrap_or_default();
            let key = (TenantId(row.tenant_id), EventTypeKey::new(row.concern, row.event));
            subscribers.entry(key).or_default().push(Called { id: row.id, status, ordering });
        }
        Ok(subscribers)
    }
}

/// The webhooks of each type.
type Subscribers = HashMap<(TenantId, EventTypeKey), Vec<Called>>;

/// The events of one change.
pub(super) struct Recording {
    pub at: Timestamp,
    pub events: Vec<NewEvent>,
}

/// Changes as rows. They are made before the transaction begins, because on SQLite nobody else writes until that has
/// ended.
pub(super) struct Prepared<'a> {
    changes: &'a [Recording],
    rows: EventRows,
    /// The types of their events, as rows of [`TYPES`].
    types: Vec<Vec<Cell>>,
}

impl<'a> Prepared<'a> {
    pub fn of(changes: &'a [Recording]) -> Result<Self, StoreError> {
        let (mut rows, mut keys) = (EventRows::default(), HashSet::new());
        for change in changes {
            for event in &change.events {
                rows.add(change.at, event, IsTest::No)?;
                keys.insert((event.tenant_id, &event.event_type));
            }
        }
        let types = keys.into_iter().map(|(tenant_id, key)| {
            vec![Cell::Uuid(tenant_id.0), Cell::Text(key.concern.clone()), Cell::Text(key.event.clone())]
        });
        Ok(Self { changes, rows, types: types.collect() })
    }
}

/// The result of recording one change.
pub(super) struct Recorded {
    pub committed: Committed,
    /// The deliveries that the change made due.
    pub due: Vec<Due>,
}

/// A delivery that is due.
pub(super) struct Due {
    pub id: Uuid,
    pub webhook_id: Uuid,
}

impl Due {
    fn of(row: &delivery::Model) -> Self {
        Self { id: row.id, webhook_id: row.webhook_id }
    }
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

    /// Inserts the events, and asks for the webhooks of `types` in the round trip of the last insert.
    async fn insert_and_ask(
        mut self,
        transaction: &DatabaseTransaction,
        types: Vec<Vec<Cell>>,
    ) -> Result<Vec<Subscriber>, StoreError> {
        if types.is_empty() {
            self.insert(transaction).await?;
            return Ok(Vec::new());
        }
        let backend = transaction.get_database_backend();
        if backend != DbBackend::Postgres {
            self.insert(transaction).await?;
            return query(transaction, &subscribers_sql(backend, 1), TYPES.parameters(backend, types)).await;
        }
        let last = self.events.split_off(self.events.len().saturating_sub(INSERT_ROWS_MAX));
        self.insert(transaction).await?;
        let mut values = EVENTS.parameters(backend, last);
        values.extend(TYPES.parameters(backend, types));
        query(transaction, &record_sql(), values).await
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
