//! Days of PostgreSQL: a partition that is older than history is kept is dropped. The few rows of it that are still needed
//! move to the rest first, in the same transaction; a day of which many are needed waits.
//!
//! Detaching needs its table for itself. It waits for that no longer than a moment, for whoever comes after it waits too, and
//! then leaves it to a later round. (`CONCURRENTLY` is not possible beside a default partition.)

use super::ROWS_FIRST;
use crate::batch::{self, IDS, execute, query};
use crate::error::store_error;
use crate::limits::{DAY_ROWS_MOVED_MAX, DROP_LOCK_MS_MAX, DROP_STATEMENT_MS_MAX};
use crate::micros::from_time;
use crate::partitions::{id_range, partition_name};
use crate::store::SqlStore;
use chrono::NaiveDate;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::retention::HistoryCut;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// A partitioned table, in the order in which days of it go.
struct DayTable {
    name: &'static str,
    /// What of a day is still needed: its columns, and the statement that finds them, from the day's lowest id `$1` and that
    /// of the day after it `$2`.
    columns: &'static str,
    needed: &'static str,
    /// The table whose partition of that day must be gone before: what is needed follows from it.
    after: Option<&'static str>,
}

/// Deliveries of the fan out are of their event's day; what was made later is found by its event.
const OF_DELIVERIES: &str = "SELECT tenant_id, event_id FROM due WHERE id >= $1 AND id < $2 AND is_fan_out \
     UNION SELECT tenant_id, event_id FROM due WHERE event_id >= $1 AND event_id < $2 AND NOT is_fan_out \
     UNION SELECT tenant_id, event_id FROM delivery WHERE id >= $1 AND id < $2 AND is_fan_out \
     UNION SELECT tenant_id, event_id FROM delivery WHERE event_id >= $1 AND event_id < $2 AND NOT is_fan_out";
const EVENT_IDS: &str = "SELECT event_id FROM due WHERE id >= $1 AND id < $2 AND is_fan_out \
     UNION SELECT event_id FROM due WHERE event_id >= $1 AND event_id < $2 AND NOT is_fan_out \
     UNION SELECT event_id FROM delivery WHERE id >= $1 AND id < $2 AND is_fan_out \
     UNION SELECT event_id FROM delivery WHERE event_id >= $1 AND event_id < $2 AND NOT is_fan_out";

const TABLES: [DayTable; 6] = [
    // Filled in by `recent`: what ended of late, and what ends while the day is dropped.
    DayTable { name: "delivery", columns: "id", needed: "", after: None },
    DayTable { name: "event", columns: "tenant_id, id", needed: OF_DELIVERIES, after: Some("delivery") },
    DayTable { name: "event_skip", columns: "event_id", needed: EVENT_IDS, after: Some("event") },
    DayTable { name: "tombstone", columns: "event_id", needed: EVENT_IDS, after: Some("event") },
    DayTable {
        name: "payload",
        columns: "delivery_id",
        needed: "SELECT id FROM due WHERE id >= $1 AND id < $2 UNION SELECT id FROM delivery WHERE id >= $1 AND id < $2",
        after: Some("delivery"),
    },
    DayTable {
        name: "attempt",
        columns: "delivery_id",
        // An attempt may be of an older day's delivery, so all up to this day are asked for. ($1 is named for its type.)
        needed: "SELECT id FROM due WHERE id < $2 AND $1::uuid IS NOT NULL UNION SELECT id FROM delivery WHERE id < $2",
        after: Some("delivery"),
    },
];

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Counted {
    count: i64,
}

/// What became of a day of a table.
enum Dropped {
    Yes { moved: u64 },
    Stays(String),
    AnotherProcess,
}

/// Drops the next partition that is old enough, the stage being the table's.
pub(super) async fn drop_next(
    store: &SqlStore,
    cut: &HistoryCut,
    from: PrunePosition,
) -> Result<PruneStep, StoreError> {
    let mut position = from;
    while let Some(table) = TABLES.get(position.stage as usize) {
        let days = days_of(store, table.name).await?;
        let old = days.into_iter().filter_map(|day| Some((day, id_range(day)?)));
        let next = old.into_iter().find(|(_, (low, high))| *low >= position.after && *high <= cut.floor());
        let Some((day, (_, high))) = next else {
            position = PrunePosition { stage: position.stage + 1, ..PrunePosition::default() };
            continue;
        };
        let mut step = PruneStep { next: Some(PrunePosition { after: high, ..position }), ..PruneStep::default() };
        match drop_day(store, table, day, cut).await? {
            Dropped::Yes { moved } => {
                step.partitions = 1;
                let name = partition_name(table.name, day);
                tracing::info!(name, moved, "a day of the history was dropped");
            }
            Dropped::Stays(why) => step.put_off = Some(why),
            Dropped::AnotherProcess => step.next = None,
        }
        return Ok(step);
    }
    let next = Some(PrunePosition { stage: ROWS_FIRST, ..PrunePosition::default() });
    Ok(PruneStep { next, ..PruneStep::default() })
}

/// The days that have partitions of their own, oldest first.
async fn days_of(store: &SqlStore, table: &str) -> Result<Vec<NaiveDate>, StoreError> {
    let sql = "SELECT child.relname::text AS name FROM pg_inherits \
               JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass($1) ORDER BY 1";
    let names: Vec<Name> = query(&store.reader, sql, vec![table.into()]).await?;
    let day = |name: Name| NaiveDate::parse_from_str(name.name.strip_prefix(table)?.strip_prefix('_')?, "%Y%m%d").ok();
    Ok(names.into_iter().filter_map(day).collect())
}

async fn drop_day(store: &SqlStore, table: &DayTable, day: NaiveDate, cut: &HistoryCut) -> Result<Dropped, StoreError> {
    let name = partition_name(table.name, day);
    let Some((low, high)) = id_range(day) else { return Ok(Dropped::Stays(format!("{name} is of no day"))) };
    if let Some(before) = table.after
        && store.has_table(&store.reader, &partition_name(before, day)).await?
    {
        return Ok(Dropped::Stays(format!("{name} stays while the day's {before} partition does")));
    }
    let range = vec![low.into(), high.into()];
    let (needed, values) = if table.needed.is_empty() {
        let recent = recent(store, &name, low, high, cut).await?;
        let source = IDS.source(DbBackend::Postgres, 1);
        (format!("SELECT id FROM {source} AS given"), batch::ids(DbBackend::Postgres, recent))
    } else {
        (table.needed.to_owned(), range)
    };
    let bounded = format!("SELECT count(*) AS count FROM ({needed} LIMIT {}) AS needed", DAY_ROWS_MOVED_MAX + 1);
    let counted: Vec<Counted> = query(&store.reader, &bounded, values.clone()).await?;
    if counted.first().is_some_and(|needed| needed.count > DAY_ROWS_MOVED_MAX as i64) {
        return Ok(Dropped::Stays(format!("more than {DAY_ROWS_MOVED_MAX} rows of {name} are still needed")));
    }
    let Some(transaction) = store.begin_step().await? else { return Ok(Dropped::AnotherProcess) };
    // The rows that move are looked up one by one, whatever the planner believes of tables that were filled a moment ago.
    let bounds = format!(
        "SET LOCAL lock_timeout = {DROP_LOCK_MS_MAX}; SET LOCAL statement_timeout = {DROP_STATEMENT_MS_MAX}; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
    );
    transaction.execute_unprepared(&bounds).await.map_err(store_error)?;
    let detach = format!("ALTER TABLE {} DETACH PARTITION {name}", table.name);
    match transaction.execute_unprepared(&detach).await.map_err(store_error) {
        Ok(_) => {}
        Err(StoreError::Busy(_)) => {
            // Waited for, or the next step would find its lock taken.
            transaction.rollback().await.map_err(store_error)?;
            return Ok(Dropped::Stays(format!("{name} is in use: it goes in a later round")));
        }
        Err(error) => return Err(error),
    }
    let keep = format!("INSERT INTO {} SELECT * FROM {name} WHERE ({}) IN ({needed})", table.name, table.columns);
    let moved = execute(&transaction, &keep, values).await?;
    transaction.execute_unprepared(&format!("DROP TABLE {name}")).await.map_err(store_error)?;
    transaction.commit().await.map_err(store_error)?;
    Ok(Dropped::Yes { moved })
}

/// The deliveries of a day that ended of late, and those that are owed still: they may end before the day is dropped.
async fn recent(
    store: &SqlStore,
    name: &str,
    low: Uuid,
    high: Uuid,
    cut: &HistoryCut,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = format!(
        "SELECT id FROM {name} WHERE updated_at_us >= $3 UNION ALL SELECT id FROM due WHERE id >= $1 AND id < $2 LIMIT {}",
        DAY_ROWS_MOVED_MAX + 1
    );
    let found: Vec<Id> =
        query(&store.reader, &sql, vec![low.into(), high.into(), from_time(cut.ended_before).into()]).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// What is looked up of a day, for the test of plans.
pub fn day_statements() -> Vec<(String, Vec<Value>)> {
    let needed = TABLES.iter().map(|table| table.needed).filter(|needed| !needed.is_empty());
    needed.map(|sql| (sql.to_owned(), vec![Uuid::nil().into(), Uuid::max().into()])).collect()
}
