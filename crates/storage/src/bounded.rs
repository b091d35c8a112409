//! Connections whose every call ends: a network that swallows what it is given keeps nobody waiting for longer than a limit.
//!
//! The database has limits of its own, which are shorter and tell more. These are for the case that it cannot be heard: a
//! call that is given up leaves its connection behind, which is looked at once and closed (see `healthy`).

use crate::error::store_error;
use crate::limits::{ACQUIRE_MS_MAX, POSTGRES_IDLE_TRUSTED_MS, POSTGRES_PING_MS_MAX};
use async_trait::async_trait;
use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;
use sea_orm::sqlx::pool::{PoolConnectionMetadata, PoolOptions};
use sea_orm::sqlx::{self, Connection, PgConnection, Postgres, Sqlite};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A pool or a transaction whose every call ends.
#[derive(Clone)]
pub struct Bounded<C> {
    inner: C,
    call_ms_max: u64,
}

/// Connections.
pub type Pool = Bounded<DatabaseConnection>;
/// A transaction that writes; dropping it undoes it.
pub type DatabaseTransaction = Bounded<sea_orm::DatabaseTransaction>;

impl<C> Bounded<C> {
    pub const fn new(inner: C, call_ms_max: u64) -> Self {
        Self { inner, call_ms_max }
    }

    /// What is bounded.
    pub const fn inner(&self) -> &C {
        &self.inner
    }
}

impl Pool {
    /// Begins a transaction that writes.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_with(self.call_ms_max).await
    }

    /// The same with another limit of its calls.
    pub async fn begin_with(&self, call_ms_max: u64) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        // A task of its own, so that a beginning is never broken off: one that comes too late is a transaction, which undoes
        // itself, where half of one would leave its connection inside it.
        let pool = self.inner.clone();
        let begun = tokio::spawn(async move { pool.begin_with_options(options).await });
        let begun = async { begun.await.unwrap_or_else(|error| Err(DbErr::Custom(error.to_string()))) };
        Ok(Bounded::new(in_time(self.call_ms_max, begun).await?, call_ms_max))
    }
}

impl DatabaseTransaction {
    /// Makes it durable. Where no answer comes it may be or not.
    pub async fn commit(self) -> Result<(), DbErr> {
        in_time(self.call_ms_max, self.inner.commit()).await
    }

    /// Undoes it, and waits until that is done.
    pub async fn rollback(self) -> Result<(), DbErr> {
        in_time(self.call_ms_max, self.inner.rollback()).await
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> ConnectionTrait for Bounded<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        in_time(self.call_ms_max, self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        in_time(self.call_ms_max, self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        in_time(self.call_ms_max, self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        in_time(self.call_ms_max, self.inner.query_all_raw(statement)).await
    }
}

async fn in_time<T>(ms_max: u64, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    match timeout(Duration::from_millis(ms_max), call).await {
        Ok(answer) => answer,
        Err(_) => Err(DbErr::Conn(RuntimeErr::Internal(format!("no answer in {ms_max} ms")))),
    }
}

/// A call on a connection that is in no pool, which ends too.
pub async fn own_in_time<T>(ms_max: u64, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let call = async { call.await.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into()))) };
    in_time(ms_max, call).await.map_err(store_error)
}

/// A pool that gives out no connection that says nothing, and takes none back: each is asked when it comes back, and again
/// when it was not used for [`POSTGRES_IDLE_TRUSTED_MS`]. sqlx asks too as one comes back, but waits for ever. Where one says
/// nothing, those that were idle meanwhile are not asked: a network that forgot one forgot them all, and each would be waited for.
pub fn healthy(pool: PoolOptions<Postgres>) -> PoolOptions<Postgres> {
    let given_out = Arc::new(Silence::default());
    let taken_back = Arc::clone(&given_out);
    without_chatter(pool)
        .test_before_acquire(false)
        .before_acquire(move |connection, seen| {
            let silence = Arc::clone(&given_out);
            Box::pin(async move {
                if silence.covers(seen.idle_for, Instant::now()) {
                    return Err(unanswered());
                }
                if is_trusted(&seen) { Ok(true) } else { answers(connection, &silence).await }
            })
        })
        .after_release(move |connection, _| {
            let silence = Arc::clone(&taken_back);
            Box::pin(async move { answers(connection, &silence).await })
        })
}

/// A pool of a file of SQLite that gives out no connection that counts itself in a transaction. SQLite undoes one by itself
/// where the disk is full or fails; sqlx, whose own attempt to undo it then fails, goes on counting it as open, and makes a
/// savepoint of the next: once one is given up, what follows is written into a transaction that nobody commits. Such a
/// connection is closed, and another opened; whoever was refused has told of it.
pub fn whole(pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
    // sqlx asks every connection that comes back, behind whatever it was told before: its count is final then.
    without_chatter(pool).test_before_acquire(false).before_acquire(|connection, _| {
        let is_whole = !connection.is_in_transaction();
        if !is_whole {
            tracing::debug!(
                "a connection to SQLite is opened anew: it counts itself in a transaction that was given up"
            );
        }
        Box::pin(async move { Ok(is_whole) })
    })
}

/// When a connection of a pool last said nothing, if ever.
#[derive(Default)]
struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// Whether a connection was idle then, and is so since.
    fn covers(&self, idle_for: Duration, now: Instant) -> bool {
        self.0.lock().is_some_and(|at| now.duration_since(at) <= idle_for)
    }
}

/// A pool that writes no line for each caller that waits: a database that stalls is told once, by whoever calls.
pub fn without_chatter<D: sqlx::Database>(pool: PoolOptions<D>) -> PoolOptions<D> {
    pool.acquire_slow_threshold(Duration::from_millis(ACQUIRE_MS_MAX))
}

fn is_trusted(seen: &PoolConnectionMetadata) -> bool {
    seen.idle_for < Duration::from_millis(POSTGRES_IDLE_TRUSTED_MS)
}

/// Whether the other end answers; one that says nothing is an error, so that nobody waits for its goodbye.
async fn answers(connection: &mut PgConnection, silence: &Silence) -> Result<bool, sqlx::Error> {
    match timeout(Duration::from_millis(POSTGRES_PING_MS_MAX), connection.ping()).await {
        Ok(pong) => Ok(pong.is_ok()),
        Err(_) => {
            *silence.0.lock() = Some(Instant::now());
            Err(unanswered())
        }
    }
}

fn unanswered() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_as_busy() {
        let call = std::future::pending::<Result<(), DbErr>>();
        let begun_at = Instant::now();
        let error = in_time(10_000, call).await.expect_err("no answer");
        assert_eq!(begun_at.elapsed(), Duration::from_secs(10));
        let error = store_error(error);
        assert!(matches!(&error, StoreError::Busy(text) if text.contains("no answer in 10000 ms")), "{error}");
        assert!(error.is_retryable());
    }

    #[test]
    fn a_silence_covers_what_was_idle_then_and_nothing_newer() {
        let (silence, at) = (Silence::default(), Instant::now());
        let (second, now) = (Duration::from_secs(1), at + Duration::from_secs(5));
        assert!(!silence.covers(5 * second, now), "none was silent yet");
        *silence.0.lock() = Some(at);
        assert!(silence.covers(5 * second, now) && silence.covers(9 * second, now));
        assert!(!silence.covers(4 * second, now), "it was used since");
    }
}
