//! Partitions of PostgreSQL's append-only tables, one per day: an id is a UUID v7, so a day is a range of ids, and a
//! day that is kept no longer can be dropped as a whole. What has no partition of its own goes to the default one.

use crate::error::store_error;
use crate::locks::{PARTITION_LOCK, lock_sql};
use crate::store::SqlStore;
use chrono::{Days, NaiveDate, NaiveTime};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::retention::lowest_id;
use hookgraph_domain::time::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

/// The tables that are partitioned, each by the id that its rows belong to.
const TABLES: [&str; 6] = ["event", "event_skip", "tombstone", "delivery", "payload", "attempt"];

impl SqlStore {
    /// Makes the partitions of the day of `now` and of as many days after it, unless they are there; how many were
    /// made. Several processes may do so at once. Where the default partition already holds rows of a day, that day
    /// stays there.
    ///
    /// # Errors
    /// [`StoreError`]; what was made until then stays.
    pub async fn ensure_partitions(&self, now: Timestamp, days_after: u32) -> Result<usize, StoreError> {
        if self.backend() != DbBackend::Postgres {
            return Ok(0);
        }
        let mut made = 0;
        for day in (0..=days_after).filter_map(|days| now.date_naive().checked_add_days(Days::new(days.into()))) {
            for table in TABLES {
                match self.ensure_partition(table, day).await {
                    Ok(is_new) => made += usize::from(is_new),
                    Err(StoreError::Rejected(reason)) => {
                        tracing::warn!(
                            table, %day, reason,
                            "a day has no partition of its own: its rows stay in the rest"
                        );
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(made)
    }

    /// A transaction of its own per partition: it locks its table, and so for a moment only.
    async fn ensure_partition(&self, table: &str, day: NaiveDate) -> Result<bool, StoreError> {
        let name = partition_name(table, day);
        if self.has_table(&self.reader, &name).await? {
            return Ok(false);
        }
        let Some((from, to)) = id_range(day) else { return Ok(false) };
        let transaction = self.begin().await?;
        transaction.execute_unprepared(&lock_sql(PARTITION_LOCK)).await.map_err(store_error)?;
        if self.has_table(&transaction, &name).await? {
            return Ok(false);
        }
        let sql = format!("CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')");
        transaction.execute_unprepared(&sql).await.map_err(store_error)?;
        transaction.commit().await.map_err(store_error)?;
        Ok(true)
    }

    pub(crate) async fn has_table<C: ConnectionTrait>(&self, connection: &C, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 WHERE to_regclass($1) IS NOT NULL";
        let statement = Statement::from_sql_and_values(self.backend(), sql, [name.into()]);
        Ok(connection.query_one_raw(statement).await.map_err(store_error)?.is_some())
    }
}

/// E.g. `event_20261125`.
pub(crate) fn partition_name(table: &str, day: NaiveDate) -> String {
    format!("{table}_{}", day.format("%Y%m%d"))
}

/// The lowest id of that day, and of the day after it.
pub(crate) fn id_range(day: NaiveDate) -> Option<(Uuid, Uuid)> {
    let lowest = |day: NaiveDate| lowest_id(day.and_time(NaiveTime::MIN).and_utc());
    Some((lowest(day), lowest(day.succ_opt()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_range_of_its_ids() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 25).unwrap_or_default();
        let Some((from, to)) = id_range(day) else { unreachable!() };
        assert_eq!(from.as_u128() >> 80, 1_795_564_800_000);
        assert_eq!((to.as_u128() - from.as_u128()) >> 80, 24 * 3_600 * 1_000);
        assert_eq!(partition_name("event", day), "event_20261125");
    }
}
