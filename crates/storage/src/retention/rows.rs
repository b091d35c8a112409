//! Rows of the history, a window of ids at a time: all rows of SQLite, and those in PostgreSQL's default partitions.

use super::ROWS_FIRST;
use crate::batch::{self, IDS, Id, execute, query};
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits::PRUNE_OWNERS_MAX;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::retention::HistoryCut;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

/// A table of the history.
struct RowTable {
    name: &'static str,
    /// The first column of the primary key, if that is not the id.
    owner: Option<&'static str>,
    /// The id that gives the day of a row.
    id: &'static str,
    stays: Stays,
    /// Whether rows are locked before they are removed, because a row may come to be needed meanwhile.
    is_locked: bool,
}

/// The tables of the history, in the order in which rows are removed.
const TABLES: [RowTable; 6] = [
    RowTable { name: "delivery", owner: None, id: "id", stays: Stays::EndedOfLate, is_locked: false },
    RowTable { name: "event", owner: Some("tenant_id"), id: "id", stays: Stays::OfEvent, is_locked: true },
    RowTable { name: "event_skip", owner: None, id: "event_id", stays: Stays::OfEvent, is_locked: false },
    RowTable { name: "tombstone", owner: None, id: "event_id", stays: Stays::OfEvent, is_locked: false },
    RowTable { name: "payload", owner: None, id: "delivery_id", stays: Stays::OfDelivery, is_locked: false },
    RowTable { name: "attempt", owner: Some("webhook_id"), id: "id", stays: Stays::OfDelivery, is_locked: false },
];

/// Which of the old rows stay.
enum Stays {
    /// Deliveries that ended at `$3` or later.
    EndedOfLate,
    /// Rows of an event that has a delivery; the id is the event's.
    OfEvent,
    /// Rows of a delivery that is not removed.
    OfDelivery,
}

impl Stays {
    /// The condition; `old` is the row.
    fn sql(&self, backend: DbBackend, id: &str) -> String {
        let of = |table: &str, condition: &str| format!("EXISTS (SELECT 1 FROM {table} WHERE {condition})");
        match self {
            Self::EndedOfLate => "old.updated_at_us >= $3".to_owned(),
            Self::OfDelivery => ["due", "delivery"].map(|table| of(table, "id = old.delivery_id")).join(" OR "),
            Self::OfEvent => {
                let (lowest, highest) = range_of_fan_out(backend, id);
                // A delivery of the fan out has an id in the event's range; a later one is found by its event.
                let fanned_out = format!("is_fan_out AND event_id = old.{id} AND id >= {lowest} AND id <= {highest}");
                let later = format!("NOT is_fan_out AND event_id = old.{id}");
                let either = |table: &str| format!("{} OR {}", of(table, &fanned_out), of(table, &later));
                ["due", "delivery"].map(either).join(" OR ")
            }
        }
    }
}

/// `DeliveryId::range_of_fan_out` in SQL, for the event whose id is in the column `id` of `old`: the id's first ten
/// bytes, followed by any six.
fn range_of_fan_out(backend: DbBackend, id: &str) -> (String, String) {
    if backend == DbBackend::Postgres {
        let filled = |rest: &str| format!("(left(CAST(old.{id} AS TEXT), 24) || '{rest}')::uuid");
        (filled("000000000000"), filled("ffffffffffff"))
    } else {
        // A blob sorts behind every prefix of it.
        let prefix = format!("substr(old.{id}, 1, 10)");
        (prefix.clone(), format!("CAST({prefix} || x'ffffffffffff' AS BLOB)"))
    }
}

impl RowTable {
    fn table(&self, backend: DbBackend) -> String {
        let rest = if backend == DbBackend::Postgres { "_rest" } else { "" };
        format!("{}{rest}", self.name)
    }

    /// The condition on the owner `$4`, if the table has owners.
    fn of_owner(&self) -> String {
        self.owner.map(|owner| format!(" AND {owner} = $4")).unwrap_or_default()
    }

    /// Selects the last id of a window of `rows_max` rows: after `$1`, before `$2`. (`$3` stands there for its type.)
    fn last_sql(&self, backend: DbBackend, rows_max: u32) -> String {
        let (id, table, of_owner) = (self.id, self.table(backend), self.of_owner());
        let last = rows_max.saturating_sub(1);
        format!(
            "SELECT {id} AS id FROM {table} WHERE {id} > $1 AND {id} < $2 AND CAST($3 AS BIGINT) IS NOT NULL{of_owner} \
             ORDER BY {id} LIMIT 1 OFFSET {last}"
        )
    }

    fn lock_sql(&self, backend: DbBackend) -> String {
        let (id, table, of_owner) = (self.id, self.table(backend), self.of_owner());
        format!(
            "SELECT {id} AS id FROM {table} WHERE {id} > $1 AND {id} <= $2 \
             AND CAST($3 AS BIGINT) IS NOT NULL{of_owner} FOR UPDATE SKIP LOCKED"
        )
    }

    /// Removes the rows with ids after `$1` up to `$2`, except those that stay.
    fn delete_sql(&self, backend: DbBackend) -> String {
        let (id, table, of_owner) = (self.id, self.table(backend), self.of_owner());
        let stays = self.stays.sql(backend, id);
        format!(
            "DELETE FROM {table} AS old WHERE old.{id} > $1 AND old.{id} <= $2 \
             AND CAST($3 AS BIGINT) IS NOT NULL{of_owner} AND NOT ({stays})"
        )
    }

    fn next_owner_sql(&self, backend: DbBackend, owner: &str) -> String {
        let table = self.table(backend);
        format!("SELECT {owner} AS id FROM {table} WHERE {owner} > $1 ORDER BY {owner} LIMIT 1")
    }

    async fn next_owner(&self, transaction: &DatabaseTransaction, after: Uuid) -> Result<Option<Uuid>, StoreError> {
        let Some(owner) = self.owner else { return Ok(None) };
        let sql = self.next_owner_sql(transaction.get_database_backend(), owner);
        let found: Vec<Id> = query(transaction, &sql, vec![after.into()]).await?;
        Ok(found.first().map(|row| row.id))
    }

    fn values(&self, cut: &HistoryCut, after: Uuid, up_to: Uuid, owner: Uuid) -> Vec<Value> {
        let mut values = vec![after.into(), up_to.into(), from_time(cut.ended_before).into()];
        values.extend(self.owner.map(|_| Value::from(owner)));
        values
    }

    /// Removes the next window of one owner's rows: how many went, and where the window ended unless it was the last.
    async fn window(
        &self,
        transaction: &DatabaseTransaction,
        cut: &HistoryCut,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<(u64, Option<Uuid>), StoreError> {
        let backend = transaction.get_database_backend();
        let values = self.values(cut, from.after, cut.floor(), from.owner);
        let last: Vec<Id> = query(transaction, &self.last_sql(backend, rows_max), values).await?;
        let last = last.first().map(|row| row.id);
        let up_to = last.unwrap_or_else(|| Uuid::from_u128(cut.floor().as_u128().saturating_sub(1)));
        let mut values = self.values(cut, from.after, up_to, from.owner);
        let mut delete = self.delete_sql(backend);
        if self.is_locked && backend == DbBackend::Postgres {
            // A transaction that needs such a row locks it first, so the statement after this one sees what it
            // committed.
            let locked: Vec<Id> = query(transaction, &self.lock_sql(backend), values.clone()).await?;
            delete.push_str(&format!(
                " AND old.{} IN (SELECT id FROM {} AS given)",
                self.id,
                IDS.source(backend, values.len() + 1)
            ));
            values.extend(batch::ids(backend, locked.into_iter().map(|row| row.id)));
        }
        Ok((execute(transaction, &delete, values).await?, last))
    }
}

/// Removes the next rows. The stage is the index of the table, behind [`ROWS_FIRST`].
pub(super) async fn prune(
    store: &SqlStore,
    cut: &HistoryCut,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let Some(table) = TABLES.get((from.stage - ROWS_FIRST) as usize) else {
        return webhooks(store, cut, rows_max).await;
    };
    let Some(transaction) = store.begin_step().await? else { return Ok(PruneStep::default()) };
    let next_table = Some(PrunePosition { stage: from.stage + 1, ..PrunePosition::default() });
    let mut step = PruneStep { next: next_table, ..PruneStep::default() };
    let mut position = from;
    if table.owner.is_some() && from.owner.is_nil() {
        match table.next_owner(&transaction, Uuid::nil()).await? {
            Some(owner) => position.owner = owner,
            None => {
                // The end is waited for, or the next step would find the lock taken and leave the rest to another
                // process.
                transaction.rollback().await.map_err(store_error)?;
                return Ok(step);
            }
        }
    }
    for _ in 0..PRUNE_OWNERS_MAX {
        let (rows, last) = table.window(&transaction, cut, position, rows_max).await?;
        step.rows += rows;
        step.next = match last {
            Some(after) => Some(PrunePosition { after, ..position }),
            None => match table.next_owner(&transaction, position.owner).await? {
                Some(owner) => Some(PrunePosition { owner, after: Uuid::nil(), ..position }),
                None => next_table,
            },
        };
        match step.next {
            Some(next) if next.stage == position.stage && last.is_none() && step.rows == 0 => position = next,
            _ => break,
        }
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(step)
}

/// Removes deleted webhooks without deliveries, and their replays: they stayed for their history alone, so they are
/// removed last.
const WEBHOOKS: &str = "DELETE FROM webhook WHERE id IN (SELECT gone.id FROM webhook AS gone \
     WHERE gone.deleted_at_us < $1 \
     AND NOT EXISTS (SELECT 1 FROM due WHERE due.webhook_id = gone.id) \
     AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.webhook_id = gone.id) ORDER BY gone.id LIMIT $2)";

async fn webhooks(store: &SqlStore, cut: &HistoryCut, rows_max: u32) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else { return Ok(PruneStep::default()) };
    let values = vec![from_time(cut.before).into(), i64::from(rows_max).into()];
    let rows = execute(&transaction, WEBHOOKS, values).await?;
    transaction.commit().await.map_err(store_error)?;
    Ok(PruneStep { rows, ..PruneStep::default() })
}

/// Every statement of a step, for the test of plans.
pub fn row_statements(backend: DbBackend, cut: &HistoryCut) -> Vec<(String, Vec<Value>)> {
    let mut statements = Vec::new();
    for table in &TABLES {
        let values = || table.values(cut, Uuid::nil(), cut.floor(), Uuid::nil());
        statements.push((table.last_sql(backend, 500), values()));
        statements.push((table.delete_sql(backend), values()));
        if let Some(owner) = table.owner {
            statements.push((table.next_owner_sql(backend, owner), vec![Uuid::nil().into()]));
        }
    }
    statements
}
