//! The sweep of PostgreSQL's queue, between the rounds of its autovacuum, which by default come once a minute. A queue
//! turns over many times in that: every claim would step over what was delivered since, by plans that were made for an
//! empty table.

use crate::batch::query;
use crate::connections::own_in_time;
use crate::limits::{
    CONNECT_MS_MAX, PLANNED_ROWS_MIN, PLANNED_ROWS_TIMES_MAX, QUEUE_DEAD_ROWS_MIN, QUEUE_LIVE_ROWS_PER_DEAD_MAX,
    SWEEP_MS_MAX, SWEEP_STATISTICS_TARGET, SWEEP_WAIT_MS, SWEEP_WAIT_MS_MAX,
};
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use sea_orm::sqlx::{self, Connection, Executor, PgConnection};
use sea_orm::{DbBackend, FromQueryResult};

/// What a look at the queue came to.
#[derive(Clone, Debug)]
pub enum Sweep {
    /// Nothing was to be done.
    NotNeeded,
    /// It was vacuumed, and analysed with that.
    Swept {
        /// The dead rows that were counted before.
        dead_before: i64,
        /// Those that are left: someone still sees them, or someone else is at it.
        dead_after: i64,
    },
    /// It was analysed: the planner knew of far fewer rows.
    Analysed,
    /// It wanted to be analysed, and someone else holds the lock for that.
    PassedOver,
    /// It was begun and failed.
    Failed(StoreError),
}

impl Sweep {
    /// How long to wait before the next look, in milliseconds, after the last wait: longer and longer where sweeping
    /// frees little, as while a transaction somewhere stays open, or is cut off. A look that fails costs nothing.
    pub fn wait_ms(outcome: &Result<Self, StoreError>, last_wait_ms: u64) -> u64 {
        match outcome {
            Ok(Self::Swept { dead_before, dead_after }) if *dead_after > dead_before / 2 => longer(last_wait_ms),
            Ok(Self::PassedOver | Self::Failed(_)) => longer(last_wait_ms),
            Ok(Self::NotNeeded | Self::Swept { .. } | Self::Analysed) | Err(_) => SWEEP_WAIT_MS,
        }
    }
}

fn longer(wait_ms: u64) -> u64 {
    wait_ms.saturating_mul(2).clamp(SWEEP_WAIT_MS, SWEEP_WAIT_MS_MAX)
}

/// How the queue stands, by what PostgreSQL counts as it goes.
#[derive(FromQueryResult)]
struct Queue {
    /// As statements name it.
    name: String,
    /// As it was counted last, by a vacuum or an analysis.
    counted_rows: i64,
    live_rows: i64,
    dead_rows: i64,
}

/// No row where the queue is not ours to vacuum.
const QUEUE_SQL: &str = "SELECT CAST(CAST(oid AS regclass) AS TEXT) AS name, \
     CAST(greatest(reltuples, 0) AS BIGINT) AS counted_rows, pg_stat_get_live_tuples(oid) AS live_rows, \
     pg_stat_get_dead_tuples(oid) AS dead_rows FROM pg_class WHERE oid = to_regclass('due') \
     AND pg_has_role(relowner, 'USAGE')";

impl Queue {
    /// Whether so much is dead that it is cheaper to sweep it than to step over it.
    const fn is_to_be_swept(&self) -> bool {
        self.dead_rows >= QUEUE_DEAD_ROWS_MIN && self.dead_rows >= self.live_rows / QUEUE_LIVE_ROWS_PER_DEAD_MAX
    }

    /// Whether plans are made for far fewer rows than there are.
    const fn is_to_be_analysed(&self) -> bool {
        self.live_rows >= PLANNED_ROWS_MIN && self.live_rows / PLANNED_ROWS_TIMES_MAX > self.counted_rows
    }
}

impl SqlStore {
    /// Sweeps the queue where much of it is dead, or has it analysed where it outgrew what the planner knows of, which
    /// makes every connection plan again. It has a connection of its own for that. SQLite needs none of it.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be looked at; nothing of the queue depends on it.
    pub async fn sweep_queue(&self) -> Result<Sweep, StoreError> {
        if self.backend() != DbBackend::Postgres {
            return Ok(Sweep::NotNeeded);
        }
        let Some(before) = self.queue().await? else { return Ok(Sweep::NotNeeded) };
        // Analysed with the sweep, since a vacuum by itself guesses what the queue holds from the pages where something
        // died. Its end is not given back, which would take a lock on all of it.
        let how = if before.is_to_be_swept() {
            "VACUUM (ANALYZE, SKIP_LOCKED, TRUNCATE FALSE, INDEX_CLEANUP ON)"
        } else if before.is_to_be_analysed() {
            "ANALYZE (SKIP_LOCKED)"
        } else {
            return Ok(Sweep::NotNeeded);
        };
        let connection = self.connect_aside().await?;
        if let Err(error) = run(connection, &format!("{how} {}", before.name)).await {
            return Ok(Sweep::Failed(error));
        }
        let after = self.queue().await?;
        Ok(if before.is_to_be_swept() {
            Sweep::Swept { dead_before: before.dead_rows, dead_after: after.map_or(0, |after| after.dead_rows) }
        } else if after.is_some_and(|after| after.is_to_be_analysed()) {
            Sweep::PassedOver
        } else {
            Sweep::Analysed
        })
    }

    async fn queue(&self) -> Result<Option<Queue>, StoreError> {
        let found: Vec<Queue> = query(&self.reader, QUEUE_SQL, Vec::new()).await?;
        Ok(found.into_iter().next())
    }

    async fn connect_aside(&self) -> Result<PgConnection, StoreError> {
        let options = self.own_options().application_name("hookgraph sweep").options([
            ("statement_timeout", SWEEP_MS_MAX.to_string()),
            ("default_statistics_target", SWEEP_STATISTICS_TARGET.to_string()),
            ("max_parallel_maintenance_workers", "0".to_owned()),
            // That someone else is at it is no news.
            ("client_min_messages", "error".to_owned()),
        ]);
        own_in_time(CONNECT_MS_MAX, PgConnection::connect_with(&options)).await
    }
}

/// The database's own limit is the lower one: it says more than silence does.
async fn run(mut connection: PgConnection, sql: &str) -> Result<(), StoreError> {
    own_in_time(SWEEP_MS_MAX + CONNECT_MS_MAX, async {
        connection.execute(sqlx::AssertSqlSafe(sql)).await?;
        connection.close().await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;
    use hookgraph_testkit::PlainVault;
    use hookgraph_testkit::postgres::with_postgres;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_sweep_has_limits_of_its_own() {
        with_postgres(|url| async move {
            let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await.unwrap();
            let mut connection = store.connect_aside().await.unwrap();
            for (setting, expected) in [
                ("statement_timeout", SWEEP_MS_MAX.to_string()),
                ("default_statistics_target", SWEEP_STATISTICS_TARGET.to_string()),
                ("max_parallel_maintenance_workers", "0".to_owned()),
                ("client_min_messages", "error".to_owned()),
            ] {
                let asked = sqlx::query_scalar("SELECT setting FROM pg_settings WHERE name = $1").bind(setting);
                assert_eq!(asked.fetch_one(&mut connection).await.map_err(|error| error.to_string()), Ok(expected));
            }
            assert!(run(connection, "SELECT 1 / 0").await.is_err());
            store.close().await.unwrap();
        })
        .await;
    }

    fn queue(counted_rows: i64, live_rows: i64, dead_rows: i64) -> Queue {
        Queue { name: "due".to_owned(), counted_rows, live_rows, dead_rows }
    }

    #[test]
    fn the_queue_is_swept_where_enough_of_it_is_dead() {
        let few = QUEUE_DEAD_ROWS_MIN;
        assert!(!queue(0, 0, few - 1).is_to_be_swept());
        assert!(queue(0, 0, few).is_to_be_swept());
        let backlog = few * QUEUE_LIVE_ROWS_PER_DEAD_MAX;
        assert!(queue(backlog, backlog, few).is_to_be_swept());
        let more = backlog + QUEUE_LIVE_ROWS_PER_DEAD_MAX;
        assert!(!queue(more, more, few).is_to_be_swept(), "a sweep goes over the indexes of all that is owed");
    }

    #[test]
    fn the_queue_is_analysed_where_it_outgrew_its_plans() {
        let few = PLANNED_ROWS_MIN;
        assert!(!queue(0, few - 1, 0).is_to_be_analysed());
        assert!(queue(0, few, 0).is_to_be_analysed());
        assert!(!queue(few, few * PLANNED_ROWS_TIMES_MAX, 0).is_to_be_analysed());
        assert!(queue(few, (few + 1) * PLANNED_ROWS_TIMES_MAX, 0).is_to_be_analysed());
    }

    #[test]
    fn what_frees_little_is_tried_less_and_less_often() {
        let in_vain = Ok(Sweep::Swept { dead_before: 100, dead_after: 51 });
        let next = |last: &u64| Some(Sweep::wait_ms(&in_vain, *last));
        let waits: Vec<u64> = std::iter::successors(Some(SWEEP_WAIT_MS), next).take(4).collect();
        assert_eq!(waits, [1, 2, 4, 8].map(|times| times * SWEEP_WAIT_MS));
        assert_eq!(Sweep::wait_ms(&in_vain, SWEEP_WAIT_MS_MAX), SWEEP_WAIT_MS_MAX);
        let failure = || StoreError::Failed("cut off".to_owned());
        for in_vain in [Sweep::Failed(failure()), Sweep::PassedOver] {
            assert_eq!(Sweep::wait_ms(&Ok(in_vain), SWEEP_WAIT_MS), 2 * SWEEP_WAIT_MS);
        }
        for done in [Sweep::NotNeeded, Sweep::Analysed, Sweep::Swept { dead_before: 100, dead_after: 50 }] {
            assert_eq!(Sweep::wait_ms(&Ok(done), SWEEP_WAIT_MS_MAX), SWEEP_WAIT_MS);
        }
        assert_eq!(Sweep::wait_ms(&Err(failure()), SWEEP_WAIT_MS_MAX), SWEEP_WAIT_MS, "a look holds nothing up");
    }
}
