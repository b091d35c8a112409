//! Days of PostgreSQL: a partition that is older than history is kept is dropped. A few rows of it may still be needed;
//! they move to the default partition first, in the same transaction. A day of which many rows are needed stays.
//!
//! Detaching takes an exclusive lock on the table. It waits for the lock only a moment, because later transactions
//! queue behind it, and then leaves the day to a later round. (`CONCURRENTLY` is not possible beside a default
//! partition.) The rows to move are weighed before. If moving them takes too long all the same, a comment on the
//! partition tells every process to leave it alone for a while.

use super::ROWS_FIRST;
use crate::batch::{self, IDS, Id, execute, query};
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits::{DAY_BYTES_MOVED_MAX, DAY_CUT_OFF_MS, DAY_ROWS_MOVED_MAX, DROP_LOCK_MS_MAX, DROP_STATEMENT_MS_MAX};
use crate::micros::from_time;
use crate::partitions::{id_range, partition_name};
use crate::store::SqlStore;
use chrono::NaiveDate;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::retention::HistoryCut;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// A partitioned table.
struct DayTable {
    name: &'static str,
    /// The columns by which [`Needed`] names rows.
    columns: &'static str,
    needed: Needed,
    /// The columns whose values may have any length.
    wide: &'static [&'static str],
    /// The table whose partition of the same day must be gone first, because [`Needed`] is read from it.
    after: Option<&'static str>,
}

/// The rows of a day that are still needed.
enum Needed {
    /// Deliveries that ended of late, or that may end while the day is dropped: see [`recent`].
    Recent,
    /// The rows of events that have a delivery, by these columns of the delivery.
    OfEvents(&'static str),
    /// The rows that this statement finds, from the day's lowest id `$1` and the lowest id of the day after it, `$2`.
    Found(&'static str),
}

impl Needed {
    /// The statement that finds the rows, with the parameters of [`Needed::Found`]; none for [`Needed::Recent`].
    fn sql(&self) -> Option<String> {
        match self {
            Self::Recent => None,
            Self::OfEvents(columns) => Some(events_with_deliveries_sql(columns)),
            Self::Found(sql) => Some((*sql).to_owned()),
        }
    }
}

/// A delivery of the fan out has an id of its event's day; a later delivery is found by its event.
fn events_with_deliveries_sql(columns: &str) -> String {
    let of_table = |table: &str| {
        format!(
            "SELECT {columns} FROM {table} WHERE id >= $1 AND id < $2 AND is_fan_out \
             UNION SELECT {columns} FROM {table} WHERE event_id >= $1 AND event_id < $2 AND NOT is_fan_out"
        )
    };
    ["due", "delivery"].map(of_table).join(" UNION ")
}

/// The partitioned tables, in the order in which days are dropped.
const TABLES: [DayTable; 6] = [
    DayTable { name: "delivery", columns: "id", needed: Needed::Recent, wide: &["state_reason"], after: None },
    DayTable {
        name: "event",
        columns: "tenant_id, id",
        needed: Needed::OfEvents("tenant_id, event_id"),
        wide: &["variables", "changed_fields"],
        after: Some("delivery"),
    },
    DayTable {
        name: "event_skip",
        columns: "event_id",
        needed: Needed::OfEvents("event_id"),
        wide: &[],
        after: Some("event"),
    },
    DayTable {
        name: "tombstone",
        columns: "event_id",
        needed: Needed::OfEvents("event_id"),
        wide: &["body"],
        after: Some("event"),
    },
    DayTable {
        name: "payload",
        columns: "delivery_id",
        needed: Needed::Found(
            "SELECT id FROM due WHERE id >= $1 AND id < $2 \
             UNION SELECT id FROM delivery WHERE id >= $1 AND id < $2",
        ),
        wide: &["json"],
        after: Some("delivery"),
    },
    DayTable {
        name: "attempt",
        columns: "delivery_id",
        // An attempt may belong to a delivery of an older day, so deliveries of every day up to this one count. ($1
        // stands there for its type.)
        needed: Needed::Found(
            "SELECT id FROM due WHERE id < $2 AND $1::uuid IS NOT NULL UNION SELECT id FROM delivery WHERE id < $2",
        ),
        wide: &["detail", "request_url", "request_headers", "request_body", "response_headers", "response_body"],
        after: Some("delivery"),
    },
];

impl DayTable {
    /// Counts the rows of a partition that are still needed, up to one more than may move, and their bytes as they are
    /// stored, for which nothing is decompressed.
    fn weigh_sql(&self, name: &str, needed: &str) -> String {
        let sizes = self.wide.iter().map(|column| format!("coalesce(pg_column_size({column}), 0)"));
        let bytes = std::iter::once("0".to_owned()).chain(sizes).collect::<Vec<_>>().join(" + ");
        let (columns, rows) = (self.columns, DAY_ROWS_MOVED_MAX + 1);
        format!(
            "SELECT count(*) AS rows, coalesce(sum(bytes), 0)::bigint AS bytes \
             FROM (SELECT {bytes} AS bytes FROM {name} \
             WHERE ({columns}) IN ({needed}) LIMIT {rows}) AS moved"
        )
    }
}

/// A day that has a partition of its own.
struct Day {
    date: NaiveDate,
    /// The partition's comment: see [`CUT_OFF`].
    note: Option<String>,
}

#[derive(FromQueryResult)]
struct Partition {
    name: String,
    note: Option<String>,
}

#[derive(FromQueryResult)]
struct RowCount {
    count: i64,
}

#[derive(FromQueryResult)]
struct Weighed {
    rows: i64,
    bytes: i64,
}

/// The outcome of dropping a day of a table.
enum Dropped {
    Yes { moved: u64 },
    Stays(String),
    AnotherProcess,
}

/// The outcome of the transaction that drops a day.
enum Tried {
    /// The day is dropped, and this number of rows moved.
    Done(u64),
    Stays(String),
    /// The transaction took too long while it had the table locked.
    CutOff,
}

/// Drops the next partition that is old enough. The stage is the index of the table.
pub(super) async fn drop_next(
    store: &SqlStore,
    cut: &HistoryCut,
    from: PrunePosition,
) -> Result<PruneStep, StoreError> {
    let mut position = from;
    while let Some(table) = TABLES.get(position.stage as usize) {
        let days = days_of(store, table.name).await?;
        let old = days.into_iter().filter_map(|day| id_range(day.date).map(|range| (day, range)));
        let next = old.into_iter().find(|(_, (low, high))| *low >= position.after && *high <= cut.floor());
        let Some((day, (_, high))) = next else {
            position = PrunePosition { stage: position.stage + 1, ..PrunePosition::default() };
            continue;
        };
        let mut step = PruneStep { next: Some(PrunePosition { after: high, ..position }), ..PruneStep::default() };
        let name = partition_name(table.name, day.date);
        let dropped = match drop_day(store, table, &day, cut).await {
            // The other days are dropped without this one. If the whole database is busy, the next step fails too.
            Err(StoreError::Busy(why) | StoreError::Locked(why)) => {
                Dropped::Stays(format!("{name} was not looked at: {why}"))
            }
            dropped => dropped?,
        };
        match dropped {
            Dropped::Yes { moved } => {
                step.partitions = 1;
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
async fn days_of(store: &SqlStore, table: &str) -> Result<Vec<Day>, StoreError> {
    let sql = "SELECT child.relname::text AS name, obj_description(child.oid, 'pg_class') AS note FROM pg_inherits \
               JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass($1) ORDER BY 1";
    let found: Vec<Partition> = query(&store.reader, sql, vec![table.into()]).await?;
    let day = |Partition { name, note }: Partition| {
        let date = name.strip_prefix(table)?.strip_prefix('_')?;
        Some(Day { date: NaiveDate::parse_from_str(date, "%Y%m%d").ok()?, note })
    };
    Ok(found.into_iter().filter_map(day).collect())
}

async fn drop_day(store: &SqlStore, table: &DayTable, day: &Day, cut: &HistoryCut) -> Result<Dropped, StoreError> {
    let name = partition_name(table.name, day.date);
    let Some((low, high)) = id_range(day.date) else { return Ok(Dropped::Stays(format!("{name} is of no day"))) };
    if let Some(before) = table.after
        && store.has_table(&store.reader, &partition_name(before, day.date)).await?
    {
        return Ok(Dropped::Stays(format!("{name} stays while the day's {before} partition does")));
    }
    // The words are the same as after a cut-off, so they are logged once.
    let cut_off = format!("dropping {name} took too long: it is left alone for a while");
    if is_left_alone(day.note.as_deref(), cut) {
        return Ok(Dropped::Stays(cut_off));
    }
    let range = vec![low.into(), high.into()];
    let (needed, values) = match table.needed.sql() {
        Some(needed) => (needed, range),
        None => {
            let recent = recent(store, &name, low, high, cut).await?;
            let source = IDS.source(DbBackend::Postgres, 1);
            (format!("SELECT id FROM {source} AS given"), batch::ids(DbBackend::Postgres, recent))
        }
    };
    // The number of ids to look up is bounded too, whether or not the partition has them.
    let bounded = format!("SELECT count(*) AS count FROM ({needed} LIMIT {}) AS needed", DAY_ROWS_MOVED_MAX + 1);
    let counted: Vec<RowCount> = query(&store.reader, &bounded, values.clone()).await?;
    if counted.first().is_some_and(|needed| needed.count > DAY_ROWS_MOVED_MAX as i64) {
        return Ok(Dropped::Stays(format!("more than {DAY_ROWS_MOVED_MAX} rows of {name} are still needed")));
    }
    let Some(transaction) = store.begin_step().await? else { return Ok(Dropped::AnotherProcess) };
    let tried = try_drop(&transaction, table, &name, &needed, values).await;
    // The end is waited for, or the next step would find the lock taken.
    let ended = match &tried {
        Ok(Tried::Done(_)) => transaction.commit().await,
        _ => transaction.rollback().await,
    };
    let tried = tried?;
    ended.map_err(store_error)?;
    Ok(match tried {
        Tried::Done(moved) => Dropped::Yes { moved },
        Tried::Stays(why) => Dropped::Stays(why),
        Tried::CutOff => {
            note_cut_off(store, &name, day, cut).await;
            Dropped::Stays(cut_off)
        }
    })
}

/// Weighs the rows that are needed, and drops the partition if they are few enough to move.
async fn try_drop(
    transaction: &DatabaseTransaction,
    table: &DayTable,
    name: &str,
    needed: &str,
    values: Vec<Value>,
) -> Result<Tried, StoreError> {
    // These settings make the planner look the rows up one by one, whatever it believes of tables that were filled a
    // moment ago.
    let bounds = format!(
        "SET LOCAL lock_timeout = {DROP_LOCK_MS_MAX}; SET LOCAL statement_timeout = {DROP_STATEMENT_MS_MAX}; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
    );
    transaction.execute_unprepared(&bounds).await.map_err(store_error)?;
    let weighed: Vec<Weighed> = query(transaction, &table.weigh_sql(name, needed), values.clone()).await?;
    let Weighed { rows, bytes } = weighed.into_iter().next().unwrap_or(Weighed { rows: 0, bytes: 0 });
    if rows > DAY_ROWS_MOVED_MAX as i64 {
        return Ok(Tried::Stays(format!("more than {DAY_ROWS_MOVED_MAX} rows of {name} are still needed")));
    }
    if bytes > DAY_BYTES_MOVED_MAX {
        return Ok(Tried::Stays(format!("more than {DAY_BYTES_MOVED_MAX} bytes of {name} are still needed")));
    }
    let detach = format!("ALTER TABLE {} DETACH PARTITION {name}", table.name);
    match transaction.execute_unprepared(&detach).await.map_err(store_error) {
        Ok(_) => {}
        Err(StoreError::Busy(_) | StoreError::Locked(_)) => {
            return Ok(Tried::Stays(format!("{name} is in use: it goes in a later round")));
        }
        Err(error) => return Err(error),
    }
    match move_and_drop(transaction, table, name, needed, values).await {
        Ok(moved) => Ok(Tried::Done(moved)),
        Err(StoreError::Busy(_) | StoreError::Locked(_)) => Ok(Tried::CutOff),
        Err(error) => Err(error),
    }
}

/// Moves the needed rows of a detached partition to the default partition, drops it, and returns how many rows moved.
async fn move_and_drop(
    transaction: &DatabaseTransaction,
    table: &DayTable,
    name: &str,
    needed: &str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let keep = format!("INSERT INTO {} SELECT * FROM {name} WHERE ({}) IN ({needed})", table.name, table.columns);
    let moved = execute(transaction, &keep, values).await?;
    transaction.execute_unprepared(&format!("DROP TABLE {name}")).await.map_err(store_error)?;
    Ok(moved)
}

/// The beginning of the comment on a partition whose dropping was cut off. The times of the last two cut-offs follow,
/// in microseconds, each by the clock of its cut: a cut by age and one for lack of room have different clocks, and each
/// leaves alone the partitions at which it was cut off.
const CUT_OFF: &str = "hookgraph: dropping it took too long at";

fn cut_offs(note: Option<&str>) -> Vec<i64> {
    let times = note.and_then(|note| note.strip_prefix(CUT_OFF)).unwrap_or_default();
    times.split_whitespace().filter_map(|at_us| at_us.parse().ok()).collect()
}

fn is_left_alone(note: Option<&str>, cut: &HistoryCut) -> bool {
    let now_us = from_time(cut.ended_before);
    cut_offs(note).into_iter().any(|at_us| (at_us..at_us.saturating_add(DAY_CUT_OFF_MS * 1_000)).contains(&now_us))
}

/// The new comment of a partition with the comment `note` that is cut off now.
fn cut_off_note(note: Option<&str>, cut: &HistoryCut) -> String {
    let now = from_time(cut.ended_before);
    match cut_offs(note).pop() {
        Some(last) => format!("{CUT_OFF} {last} {now}"),
        None => format!("{CUT_OFF} {now}"),
    }
}

/// Comments on a partition that its dropping was cut off. Without the comment the next round tries again.
async fn note_cut_off(store: &SqlStore, name: &str, day: &Day, cut: &HistoryCut) {
    let note = cut_off_note(day.note.as_deref(), cut);
    let sql = format!("COMMENT ON TABLE {name} IS '{note}'");
    if let Err(error) = store.writer.execute_unprepared(&sql).await {
        tracing::warn!(name, %error, "a day took too long to drop, and that could not be noted");
    }
}

/// The deliveries of a day that ended of late, and those that are still in the queue, which may end before the day is
/// dropped.
async fn recent(
    store: &SqlStore,
    name: &str,
    low: Uuid,
    high: Uuid,
    cut: &HistoryCut,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = format!(
        "SELECT id FROM {name} WHERE updated_at_us >= $3 \
         UNION ALL SELECT id FROM due WHERE id >= $1 AND id < $2 LIMIT {}",
        DAY_ROWS_MOVED_MAX + 1
    );
    let found: Vec<Id> =
        query(&store.reader, &sql, vec![low.into(), high.into(), from_time(cut.ended_before).into()]).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// The statements that find and weigh the needed rows of a day, for the test of plans.
pub fn day_statements() -> Vec<(String, Vec<Value>)> {
    let range = || vec![Value::from(Uuid::nil()), Uuid::max().into()];
    let tables = TABLES.iter().filter_map(|table| Some((table, table.needed.sql()?)));
    let looked_up = tables.flat_map(|(table, needed)| {
        let weigh = table.weigh_sql(&format!("{}_rest", table.name), &needed);
        [needed, weigh]
    });
    looked_up.map(|sql| (sql, range())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::time::{Timestamp, plus_ms};

    fn cut(later_ms: u64) -> HistoryCut {
        let at = plus_ms(Timestamp::UNIX_EPOCH, later_ms);
        HistoryCut { before: at, ended_before: at }
    }

    #[test]
    fn what_was_cut_off_is_left_alone_for_a_while_by_either_clock() {
        let wait_ms = DAY_CUT_OFF_MS as u64;
        let week_ms = 7 * 24 * 3_600_000;
        let by_age = cut_off_note(None, &cut(5));
        let both = cut_off_note(Some(&by_age), &cut(week_ms));
        for (note, at_ms, is_alone) in [
            (None, 5, false),
            (Some("a note of someone else: 5000"), 5, false),
            (Some(&*by_age), 5, true),
            (Some(&*by_age), 4 + wait_ms, true),
            (Some(&*by_age), 5 + wait_ms, false),
            (Some(&*by_age), week_ms, false),
            (Some(&*both), 6, true),
            (Some(&*both), week_ms + 1, true),
        ] {
            assert_eq!(is_left_alone(note, &cut(at_ms)), is_alone, "{note:?} at {at_ms}");
        }
        let later = cut_off_note(Some(&both), &cut(2 * week_ms));
        assert_eq!(cut_offs(Some(&later)).len(), 2, "it does not grow: {later}");
    }
}
