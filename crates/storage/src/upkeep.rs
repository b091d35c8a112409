//! Upkeep of PostgreSQL's tables between the rounds of its autovacuum, which come once a minute. A queue turns over many times in
//! that: every claim would step over what was delivered since, by plans that were made for an empty table.

use crate::batch::query;
use crate::error::store_error;
use crate::limits::{PLANNED_ROWS_MIN, PLANNED_ROWS_TIMES_MAX, QUEUE_DEAD_ROWS_MIN, QUEUE_LIVE_ROWS_PER_DEAD_MAX};
use crate::partitions::TABLES;
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

/// The tables that grow and have no partitions.
const WHOLE_TABLES: [&str; 5] = ["due", "feed", "record", "record_link", "record_name"];

/// What was done for the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Whether the queue was rid of its dead rows.
    pub swept: bool,
    /// The tables that were counted anew, for the planner.
    pub counted: Vec<String>,
}

/// How a table stands, by what PostgreSQL counts as it goes.
#[derive(FromQueryResult)]
struct Table {
    /// Quoted where it has to be.
    name: String,
    /// What the planner believes.
    planned_rows: i64,
    live_rows: i64,
    dead_rows: i64,
}

impl Table {
    /// Whether enough of the queue is dead that it is cheaper to sweep it than to step over that.
    const fn is_to_be_swept(&self) -> bool {
        self.dead_rows >= QUEUE_DEAD_ROWS_MIN && self.dead_rows >= self.live_rows / QUEUE_LIVE_ROWS_PER_DEAD_MAX
    }

    /// Whether plans are made for far fewer rows than there are.
    const fn is_to_be_counted(&self) -> bool {
        self.live_rows >= PLANNED_ROWS_MIN && self.live_rows / PLANNED_ROWS_TIMES_MAX > self.planned_rows
    }
}

fn tables_sql() -> String {
    let quoted =
        |names: &[&str]| names.iter().map(|name| format!("to_regclass('{name}')")).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT quote_ident(relname) AS name, CAST(greatest(reltuples, 0) AS BIGINT) AS planned_rows, \
         pg_stat_get_live_tuples(oid) AS live_rows, pg_stat_get_dead_tuples(oid) AS dead_rows FROM pg_class \
         WHERE pg_has_role(relowner, 'USAGE') \
         AND (oid IN ({}) OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN ({})))",
        quoted(&WHOLE_TABLES),
        quoted(&TABLES)
    )
}

impl SqlStore {
    /// Sweeps the queue where much of it is dead, and has counted anew what grew far beyond what the planner knows of, which
    /// makes it plan again. A table that another process takes care of is passed over, and one that is not ours to take care of.
    /// SQLite needs none of it.
    ///
    /// # Errors
    /// [`StoreError`]; what was done until then stays.
    pub async fn upkeep(&self) -> Result<Upkeep, StoreError> {
        let mut upkeep = Upkeep::default();
        if self.backend() != DbBackend::Postgres {
            return Ok(upkeep);
        }
        let tables: Vec<Table> = query(&self.reader, &tables_sql(), Vec::new()).await?;
        for table in tables {
            let is_queue = table.name == "due";
            if is_queue && table.is_to_be_swept() {
                // Without the lock on all of it that giving back its end would take.
                let sql = "VACUUM (SKIP_LOCKED, TRUNCATE FALSE, PARALLEL 0) due";
                self.reader.execute_unprepared(sql).await.map_err(store_error)?;
                upkeep.swept = true;
            } else if table.is_to_be_counted() {
                let sql = format!("ANALYZE (SKIP_LOCKED) {}", table.name);
                self.reader.execute_unprepared(&sql).await.map_err(store_error)?;
                upkeep.counted.push(table.name);
            }
        }
        Ok(upkeep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(planned_rows: i64, live_rows: i64, dead_rows: i64) -> Table {
        Table { name: "due".to_owned(), planned_rows, live_rows, dead_rows }
    }

    #[test]
    fn the_queue_is_swept_where_enough_of_it_is_dead() {
        let few = QUEUE_DEAD_ROWS_MIN;
        assert!(!table(0, 0, few - 1).is_to_be_swept());
        assert!(table(0, 0, few).is_to_be_swept());
        let backlog = few * QUEUE_LIVE_ROWS_PER_DEAD_MAX;
        assert!(table(backlog, backlog, few).is_to_be_swept());
        assert!(
            !table(backlog, backlog + QUEUE_LIVE_ROWS_PER_DEAD_MAX, few).is_to_be_swept(),
            "it costs a walk over all that is owed"
        );
    }

    #[test]
    fn a_table_is_counted_anew_where_it_outgrew_its_plans() {
        let few = PLANNED_ROWS_MIN;
        assert!(!table(0, few - 1, 0).is_to_be_counted());
        assert!(table(0, few, 0).is_to_be_counted());
        assert!(!table(few, few * PLANNED_ROWS_TIMES_MAX, 0).is_to_be_counted());
        assert!(table(few, (few + 1) * PLANNED_ROWS_TIMES_MAX, 0).is_to_be_counted());
    }
}
