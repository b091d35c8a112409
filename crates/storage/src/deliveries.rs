//! Rows of deliveries between the queue and the history: every writer moves them with these functions.

use crate::batch::{self, Collision, IDS, execute_ahead, query};
use crate::connections::DatabaseTransaction;
use crate::entities::delivery::{DUE, DUE_COLUMNS, ENDED, ENDED_COLUMNS, Model, PAYLOAD_NONE};
use crate::limits::INSERT_ROWS_MAX;
use crate::locks::{CLAIM_LOCK, TryLock, try_lock_sql};
use crate::micros::from_time;
use crate::queue::{MovedUp, move_up};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

/// A delivery that is due at once, as a row.
pub fn new_row(id: DeliveryId, tenant_id: TenantId, webhook_id: WebhookId, event_id: EventId, at: Timestamp) -> Model {
    Model {
        id: id.0,
        tenant_id: tenant_id.0,
        webhook_id: webhook_id.0,
        event_id: event_id.0,
        is_test: false,
        is_fan_out: false,
        replay_id: None,
        state: DeliveryState::Pending.as_str().to_owned(),
        state_reason: None,
        due_at_us: Some(from_time(at)),
        due_since_us: from_time(at),
        leased_until_us: None,
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 0,
        cancel_requested: false,
        payload_kind: PAYLOAD_NONE.to_owned(),
        default_frozen_at_us: None,
        order_key: None,
        created_at_us: from_time(at),
        updated_at_us: from_time(at),
    }
}

/// Puts rows into the queue, and returns how many are new.
pub async fn insert_due(
    transaction: &DatabaseTransaction,
    rows: &[Model],
    collision: Collision,
) -> Result<u64, StoreError> {
    DUE.insert(transaction, rows.iter().map(Model::due_cells).collect(), collision).await
}

/// Puts rows into the queue and takes the lock of claims if it is free. Returns whether it was: only then may the next
/// statement of this transaction claim.
pub async fn insert_due_and_lock_claims(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<bool, StoreError> {
    let backend = transaction.get_database_backend();
    if backend != DbBackend::Postgres {
        return insert_due(transaction, rows, Collision::Fails).await.map(|_| true);
    }
    let (first, last) = rows.split_at(rows.len().saturating_sub(INSERT_ROWS_MAX));
    insert_due(transaction, first, Collision::Fails).await?;
    let sql = DUE.insert_and(&try_lock_sql(CLAIM_LOCK));
    let values = DUE.parameters(backend, last.iter().map(Model::due_cells).collect());
    let locks: Vec<TryLock> = query(transaction, &sql, values).await?;
    Ok(locks.first().is_some_and(|lock| lock.is_ours))
}

/// Moves rows of the queue, as they now are, into the history.
pub async fn end(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    keep_ended(transaction, rows).await?;
    remove_due(transaction, rows.iter().map(|row| row.id)).await?;
    move_up(transaction, rows.iter().filter_map(Model::line), MovedUp::AsBefore).await
}

/// Puts rows into the history that the same transaction takes out of the queue.
pub async fn keep_ended(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<(), StoreError> {
    ENDED.insert_short(transaction, rows.iter().map(Model::ended_cells).collect()).await
}

/// Takes rows out of the queue. The caller then calls [`move_up`] with their lines.
pub async fn remove_due(
    transaction: &DatabaseTransaction,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let sql = format!("DELETE FROM due WHERE id IN (SELECT id FROM {} AS given)", IDS.source(backend, 1));
    execute_ahead(transaction, &sql, batch::ids(backend, ids)).await
}

/// Removes the payloads of deliveries that leave no history.
pub async fn remove_payloads(
    transaction: &DatabaseTransaction,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<(), StoreError> {
    let backend = transaction.get_database_backend();
    let sql = format!("DELETE FROM payload WHERE delivery_id IN (SELECT id FROM {} AS given)", IDS.source(backend, 1));
    execute_ahead(transaction, &sql, batch::ids(backend, ids)).await
}

/// Writes rows of the queue that stay in it.
pub async fn update_due(transaction: &DatabaseTransaction, rows: &[Model]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let backend = transaction.get_database_backend();
    let sql = format!(
        "UPDATE due SET state = given.state, state_reason = given.state_reason, due_at_us = given.due_at_us, \
         leased_until_us = given.leased_until_us, attempts_spent = given.attempts_spent, \
         attempt_count = given.attempt_count, cancel_requested = given.cancel_requested, \
         updated_at_us = given.updated_at_us FROM {} AS given WHERE due.id = given.id",
        DUE.source(backend, 1)
    );
    execute_ahead(transaction, &sql, DUE.parameters(backend, rows.iter().map(Model::due_cells).collect())).await
}

/// Locks the rows of the queue with those ids, in the order of their ids.
pub async fn locked_due<C: ConnectionTrait>(
    connection: &C,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<Model>, StoreError> {
    let backend = connection.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " FOR NO KEY UPDATE" } else { "" };
    let source = IDS.source(backend, 1);
    let sql = format!("SELECT {DUE_COLUMNS} FROM due WHERE id IN (SELECT id FROM {source} AS given) ORDER BY id{lock}");
    query(connection, &sql, batch::ids(backend, ids)).await
}

/// The row with that id, in the queue or in the history.
pub async fn find<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Option<Model>, StoreError> {
    let sql = format!(
        "SELECT {DUE_COLUMNS} FROM due WHERE id = $1 UNION ALL SELECT {ENDED_COLUMNS} FROM delivery WHERE id = $1"
    );
    Ok(query(connection, &sql, vec![id.into()]).await?.pop())
}
