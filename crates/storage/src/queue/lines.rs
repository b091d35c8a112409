//! Lines: where a webhook keeps order, a delivery waits until the deliveries of the same record before it have ended.
//!
//! A claim passes over a few waiting deliveries. Many of them are taken out of its way: they become due in an hour,
//! with a reason that says so. When the first delivery of a line ends, the writer that takes it out of the queue calls
//! [`move_up`], and the next one is due as before. If another transaction has locked that next one, `move_up` misses
//! it, and it waits for the rest of the hour.

use crate::batch::{Cell, Kind, Table, execute, execute_ahead};
use crate::connections::DatabaseTransaction;
use crate::limits::{LINED_UP_MS, LINED_UP_ROWS_MAX};
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::{Timestamp, plus_ms};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The reason of a delivery that was taken out of the way of claims.
pub const BEHIND: &str = "waits for an earlier delivery of its record";

/// The statement that takes waiting deliveries out of the way, among the first rows of a webhook: $1 the webhook, $2
/// now, $3 when they become due again.
///
/// On PostgreSQL it locks the first row of each line with `FOR KEY SHARE`. A transaction that deletes that row then
/// waits until this one is committed, and moves up the delivery that it finds next; leasing the row, and extending its
/// lease, needs no wait. A first row that is just being deleted is passed over, as are waiting rows that another
/// transaction has locked: the statement waits for no lock.
fn line_up_sql(backend: DbBackend) -> String {
    let first = "(SELECT earlier.id FROM due AS earlier WHERE earlier.webhook_id = seen.webhook_id \
                 AND earlier.order_key = seen.order_key ORDER BY earlier.id LIMIT 1)";
    let behind = format!(
        "behind (id, first_id) AS (SELECT id, first_id FROM (
    SELECT seen.id, {first} AS first_id FROM (
        SELECT head.id, head.webhook_id, head.order_key, head.leased_until_us FROM due AS head
        WHERE head.webhook_id = $1 AND head.due_at_us <= $2 ORDER BY head.due_at_us, head.id LIMIT {LINED_UP_ROWS_MAX}
    ) AS seen WHERE seen.leased_until_us IS NULL AND seen.order_key IS NOT NULL) AS lined WHERE first_id <> id)"
    );
    let update = format!("UPDATE due SET due_at_us = $3, state_reason = '{BEHIND}'");
    if backend != DbBackend::Postgres {
        return format!("WITH {behind} {update} WHERE id IN (SELECT id FROM behind)");
    }
    format!(
        "WITH {behind}, firsts AS MATERIALIZED (
    SELECT id FROM due WHERE id = ANY (ARRAY(SELECT first_id FROM behind)) AND order_key IS NOT NULL
    FOR KEY SHARE SKIP LOCKED
), waiting AS MATERIALIZED (
    SELECT id FROM due WHERE id = ANY (ARRAY(SELECT behind.id FROM behind JOIN firsts ON firsts.id = behind.first_id))
    AND leased_until_us IS NULL AND order_key IS NOT NULL AND coalesce(due_at_us, $3) <= $2
    FOR NO KEY UPDATE SKIP LOCKED
)
{update} WHERE id = ANY (ARRAY(SELECT id FROM waiting))"
    )
}

/// Takes waiting deliveries of the first crowded webhook that has some out of the way of claims; returns whether there
/// were any.
pub(super) async fn make_way(store: &SqlStore, crowded: &[WebhookId], now: Timestamp) -> Result<bool, StoreError> {
    let again_us = from_time(plus_ms(now, LINED_UP_MS));
    for webhook_id in crowded {
        let values = vec![webhook_id.0.into(), from_time(now).into(), again_us.into()];
        // One webhook per call, because the claim waits for it.
        if execute(store.road_writer(), &line_up_sql(store.backend()), values).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lines, by webhook and record.
const LINES: Table = Table { name: "lines", columns: &[("webhook_id", Kind::Uuid), ("order_key", Kind::Text)] };

/// The time since which the next delivery of a line is due.
#[derive(Clone, Copy)]
pub enum MovedUp {
    /// The time since which it was due before it had to wait, so that it precedes deliveries that became due later.
    AsBefore,
    At(Timestamp),
}

/// The statement that makes the first delivery of each line due, if it was taken out of the way: $1 since when, null
/// for as before. It waits for no lock.
fn move_up_sql(backend: DbBackend) -> String {
    let lines = LINES.source(backend, 2);
    let firsts = format!(
        "SELECT (SELECT due.id FROM due WHERE due.webhook_id = line.webhook_id AND due.order_key = line.order_key \
         ORDER BY due.id LIMIT 1) FROM {lines} AS line"
    );
    let is_behind = format!("state IN ('PENDING', 'RETRYING') AND state_reason = '{BEHIND}'");
    let due = match backend {
        DbBackend::Postgres => format!(
            "id = ANY (ARRAY(SELECT id FROM due WHERE id = ANY (ARRAY({firsts})) AND {is_behind} \
             FOR NO KEY UPDATE SKIP LOCKED))"
        ),
        _ => format!("id IN ({firsts}) AND {is_behind}"),
    };
    format!("UPDATE due SET due_at_us = coalesce(CAST($1 AS BIGINT), due_since_us), state_reason = NULL WHERE {due}")
}

fn move_up_values(backend: DbBackend, lines: impl IntoIterator<Item = (Uuid, String)>, due: MovedUp) -> Vec<Value> {
    let at_us = match due {
        MovedUp::AsBefore => None,
        MovedUp::At(at) => Some(from_time(at)),
    };
    let rows = lines.into_iter().map(|(webhook_id, key)| vec![Cell::Uuid(webhook_id), Cell::Text(key)]);
    let mut values = vec![at_us.into()];
    values.extend(LINES.parameters(backend, rows.collect()));
    values
}

/// Makes the next delivery of each line due, after a delivery of the line was taken out of the queue.
pub async fn move_up(
    transaction: &DatabaseTransaction,
    left: impl IntoIterator<Item = (Uuid, String)>,
    due: MovedUp,
) -> Result<(), StoreError> {
    let lines: BTreeSet<(Uuid, String)> = left.into_iter().collect();
    if lines.is_empty() {
        return Ok(());
    }
    let backend = transaction.get_database_backend();
    execute_ahead(transaction, &move_up_sql(backend), move_up_values(backend, lines, due)).await
}

/// Both statements with empty parameters and the indexes that they must use, for the test of plans.
pub fn line_statements(backend: DbBackend) -> Vec<(String, Vec<Value>, Vec<&'static str>)> {
    let none = vec![Uuid::nil().into(), 0_i64.into(), 0_i64.into()];
    let line = move_up_values(backend, [(Uuid::nil(), String::new())], MovedUp::AsBefore);
    vec![
        (line_up_sql(backend), none, vec!["due_by_time", "due_by_line"]),
        (move_up_sql(backend), line, vec!["due_by_line"]),
    ]
}
