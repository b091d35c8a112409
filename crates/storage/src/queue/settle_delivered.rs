//! Settlements of deliveries that arrived, without a look at their rows: each row moves from the queue into the
//! history, and its attempt is inserted. PostgreSQL does that in one statement, SQLite in a few, between which nobody
//! else writes.

use crate::batch::{Cell, Collision, Kind, Table, execute_ahead, query};
use crate::commit::feed::FeedLog;
use crate::connections::DatabaseTransaction;
use crate::deliveries::remove_due;
use crate::error::corrupt;
use crate::micros::from_time;
use crate::queue::lines::{MovedUp, move_up};
use crate::rows;
use crate::rows::attempt::ATTEMPTS;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::settle::Settlement;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The claims of deliveries that arrived.
const ARRIVED: Table = Table {
    name: "arrived",
    columns: &[
        ("delivery_id", Kind::Uuid),
        ("fencing_token", Kind::Int),
        ("spent", Kind::Int),
        ("number", Kind::Int),
        ("now_us", Kind::Int),
    ],
};

#[derive(FromQueryResult)]
struct Ended {
    id: Uuid,
    tenant_id: Uuid,
    webhook_id: Uuid,
    event_id: Uuid,
    attempt_count: i64,
    order_key: Option<String>,
}

/// Whether a settlement says nothing but that its delivery arrived. (Whether that changes the webhook's health is not
/// asked here.)
pub(super) fn has_arrived(settlement: &Settlement) -> bool {
    settlement.next.state == DeliveryState::Delivered && settlement.next.reason.is_none()
}

/// The statement of PostgreSQL; each delivery is named once. `taken` removes the rows whose claim still stands from the
/// queue, `kept` inserts them into the history, and `logged` inserts their attempts.
pub fn settle_sql() -> String {
    let backend = DbBackend::Postgres;
    let attempt_columns: Vec<&str> = ATTEMPTS.columns.iter().map(|(name, _)| *name).collect();
    let attempt_values: Vec<String> = attempt_columns.iter().map(|name| format!("tried.{name}")).collect();
    format!(
        "WITH taken AS (
    DELETE FROM due USING {arrived} AS arrived
    WHERE due.id = arrived.delivery_id AND due.fencing_token = arrived.fencing_token AND due.state = 'IN_FLIGHT'
    RETURNING due.id, due.tenant_id, due.webhook_id, due.event_id, due.is_test, due.is_fan_out, due.replay_id,
        due.due_since_us, arrived.spent, greatest(due.attempt_count, arrived.number) AS attempt_count,
        due.fencing_token, due.payload_kind, due.default_frozen_at_us, due.created_at_us, due.order_key, arrived.now_us
), kept AS (
    INSERT INTO delivery (id, tenant_id, webhook_id, event_id, is_test, is_fan_out, replay_id, state, state_reason,
        due_since_us, attempts_spent, attempt_count, fencing_token, payload_kind, default_frozen_at_us,
        created_at_us, updated_at_us)
    SELECT id, tenant_id, webhook_id, event_id, is_test, is_fan_out, replay_id, '{delivered}', NULL, due_since_us,
        spent, attempt_count, fencing_token, payload_kind, default_frozen_at_us, created_at_us, now_us FROM taken
), logged AS (
    INSERT INTO attempt ({attempt_columns}) SELECT {attempt_values}
    FROM {tried} AS tried JOIN taken ON taken.id = tried.delivery_id
)
SELECT id, tenant_id, webhook_id, event_id, attempt_count, order_key FROM taken",
        arrived = ARRIVED.source(backend, 1),
        delivered = DeliveryState::Delivered.as_str(),
        attempt_columns = attempt_columns.join(", "),
        attempt_values = attempt_values.join(", "),
        tried = ATTEMPTS.source(backend, 1 + ARRIVED.columns.len()),
    )
}

/// The parameters of [`settle_sql`] for no settlement, for the test of plans.
pub fn settle_values() -> Vec<Value> {
    let backend = DbBackend::Postgres;
    let mut values = ARRIVED.parameters(backend, Vec::new());
    values.extend(ATTEMPTS.parameters(backend, Vec::new()));
    values
}

/// The statement of SQLite that finds the claims that still stand.
pub fn standing_claims_sql() -> String {
    format!(
        "SELECT due.id, due.tenant_id, due.webhook_id, due.event_id, due.order_key,
    max(due.attempt_count, arrived.number) AS attempt_count
FROM {arrived} AS arrived CROSS JOIN due ON due.id = arrived.delivery_id
WHERE due.fencing_token = arrived.fencing_token AND due.state = 'IN_FLIGHT'",
        arrived = ARRIVED.source(DbBackend::Sqlite, 1),
    )
}

/// The statement of SQLite that copies the rows of those claims into the history.
pub fn keep_arrived_sql() -> String {
    format!(
        "INSERT INTO delivery (id, tenant_id, webhook_id, event_id, is_test, is_fan_out, replay_id, state, state_reason,
    due_since_us, attempts_spent, attempt_count, fencing_token, payload_kind, default_frozen_at_us, created_at_us,
    updated_at_us)
SELECT due.id, due.tenant_id, due.webhook_id, due.event_id, due.is_test, due.is_fan_out, due.replay_id, '{delivered}',
    NULL, due.due_since_us, arrived.spent, max(due.attempt_count, arrived.number), due.fencing_token, due.payload_kind,
    due.default_frozen_at_us, due.created_at_us, arrived.now_us
FROM {arrived} AS arrived CROSS JOIN due ON due.id = arrived.delivery_id",
        delivered = DeliveryState::Delivered.as_str(),
        arrived = ARRIVED.source(DbBackend::Sqlite, 1),
    )
}

/// The parameters of both statements of SQLite for no settlement, for the test of plans.
pub fn arrived_values() -> Vec<Value> {
    ARRIVED.parameters(DbBackend::Sqlite, Vec::new())
}

fn arrived(backend: DbBackend, settlements: &[&Settlement]) -> Vec<Value> {
    let row = |settlement: &&Settlement| {
        let number = settlement.attempt.as_ref().map_or(0, |attempt| attempt.number);
        vec![
            Cell::Uuid(settlement.delivery_id.0),
            Cell::Int(settlement.fencing_token),
            Cell::Int(i64::from(settlement.next.attempts_spent)),
            Cell::Int(i64::from(number)),
            Cell::Int(from_time(settlement.now)),
        ]
    };
    ARRIVED.parameters(backend, settlements.iter().map(row).collect())
}

/// The attempts of settlements as rows, by their ids.
pub(super) type Tried = HashMap<AttemptId, Vec<Cell>>;

/// Makes the rows of attempts of deliveries that arrived. It is called before the transaction begins, because on SQLite
/// nobody else writes until that has ended.
pub(super) fn tried(settlements: &[Settlement]) -> Result<Tried, StoreError> {
    let arrived = settlements.iter().filter(|one| has_arrived(one));
    let attempts = arrived.filter_map(|one| one.attempt.as_ref().map(|attempt| (attempt, one.webhook_id)));
    attempts.map(|(attempt, webhook_id)| Ok((attempt.id, rows::attempt::cells(attempt, webhook_id)?))).collect()
}

fn attempts(settlements: &[&Settlement], tried: &mut Tried) -> Vec<Vec<Cell>> {
    settlements.iter().filter_map(|one| tried.remove(&one.attempt.as_ref()?.id)).collect()
}

/// Settles deliveries that arrived, each named once, and returns the ids of those whose claim still stood.
pub(super) async fn settle_delivered(
    transaction: &DatabaseTransaction,
    settlements: &[&Settlement],
    mut tried: Tried,
    feed: &mut FeedLog,
) -> Result<HashSet<Uuid>, StoreError> {
    if settlements.is_empty() {
        return Ok(HashSet::new());
    }
    let backend = transaction.get_database_backend();
    let ended: Vec<Ended> = if backend == DbBackend::Postgres {
        let mut values = arrived(backend, settlements);
        values.extend(ATTEMPTS.parameters(backend, attempts(settlements, &mut tried)));
        query(transaction, &settle_sql(), values).await?
    } else {
        settle_in_steps(transaction, settlements, tried).await?
    };
    let left = ended.iter().filter_map(|row| Some((row.webhook_id, row.order_key.clone()?)));
    move_up(transaction, left, MovedUp::AsBefore).await?;
    for row in &ended {
        feed.change(
            TenantId(row.tenant_id),
            FeedChange::DeliveryUpdated {
                delivery_id: DeliveryId(row.id),
                webhook_id: WebhookId(row.webhook_id),
                event_id: EventId(row.event_id),
                state: DeliveryState::Delivered,
                attempt_count: u32::try_from(row.attempt_count).map_err(|error| corrupt("attempt count", error))?,
            },
        );
    }
    Ok(ended.into_iter().map(|row| row.id).collect())
}

async fn settle_in_steps(
    transaction: &DatabaseTransaction,
    settlements: &[&Settlement],
    mut tried: Tried,
) -> Result<Vec<Ended>, StoreError> {
    let backend = transaction.get_database_backend();
    let all = arrived(backend, settlements);
    let standing: Vec<Ended> = query(transaction, &standing_claims_sql(), all.clone()).await?;
    let ids: HashSet<Uuid> = standing.iter().map(|row| row.id).collect();
    let settled: Vec<&Settlement> =
        settlements.iter().copied().filter(|one| ids.contains(&one.delivery_id.0)).collect();
    if !settled.is_empty() {
        let arrived = if settled.len() == settlements.len() { all } else { arrived(backend, &settled) };
        ATTEMPTS.insert(transaction, attempts(&settled, &mut tried), Collision::Fails).await?;
        execute_ahead(transaction, &keep_arrived_sql(), arrived).await?;
        remove_due(transaction, ids).await?;
    }
    Ok(standing)
}
