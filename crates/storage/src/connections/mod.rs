//! Connections whose every call ends: a network that swallows what it is given keeps nobody waiting for longer than a limit.
//!
//! The database has limits of its own, which are shorter and tell more. These are for the case that it cannot be heard: a
//! call that is given up leaves its connection behind, which is undone or closed.

mod lease;
mod session;

use crate::error::store_error;
use crate::limits::ACQUIRE_MS_MAX;
use async_trait::async_trait;
use hookgraph_domain::ports::StoreError;
use lease::{Kept, Lease};
use sea_orm::sqlx;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Connections, each used by one caller at a time. Clones share them.
#[derive(Clone)]
pub struct Pool {
    kept: Arc<Kept>,
    backend: DbBackend,
    call_ms_max: u64,
}

impl Pool {
    pub fn new(pool: DatabaseConnection, call_ms_max: u64) -> Self {
        Self { backend: pool.get_database_backend(), kept: Kept::new(pool), call_ms_max }
    }

    /// What opens the connections and counts them.
    pub fn inner(&self) -> &DatabaseConnection {
        self.kept.pool()
    }

    /// Connections that are open and used by nobody.
    pub fn idle_count(&self) -> usize {
        self.kept.idle_count()
    }

    /// Closes every connection; calls that are under way end first.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.kept.close();
        self.inner().close_by_ref().await
    }

    /// Begins a transaction that writes. On SQLite it has the database to itself from the first moment.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_and(self.call_ms_max, "").await
    }

    /// The same with another limit of its calls.
    pub async fn begin_with(&self, call_ms_max: u64) -> Result<DatabaseTransaction, DbErr> {
        self.begin_and(call_ms_max, "").await
    }

    /// Begins one that has a lock of PostgreSQL from the first moment, which is one round trip.
    pub async fn begin_locked(&self, lock: i64) -> Result<DatabaseTransaction, DbErr> {
        let lock = match self.backend {
            DbBackend::Postgres => lock_sql(lock),
            _ => String::new(),
        };
        self.begin_and(self.call_ms_max, &lock).await
    }

    async fn begin_and(&self, call_ms_max: u64, then: &str) -> Result<DatabaseTransaction, DbErr> {
        let begin = if self.backend == DbBackend::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let beginning = async {
            let mut lease = self.kept.take().await?;
            loop {
                match lease.begin(call_ms_max, begin, then).await {
                    Ok(()) => return Ok(lease),
                    // It ended while nobody used it: another one is there, or is opened.
                    Err(_) if lease.wants_asking() => lease.renew().await?,
                    Err(error) => return Err(error),
                }
            }
        };
        let lease = self.in_time(call_ms_max, beginning).await?;
        Ok(DatabaseTransaction { lease: Mutex::new(lease), backend: self.backend, call_ms_max })
    }

    /// A call as a whole, the wait for a connection included.
    async fn in_time<T>(&self, ms_max: u64, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        in_time(ms_max, call).await.unwrap_or_else(|| Err(no_answer(ms_max)))
    }
}

/// The statement that waits for an advisory lock, which is held until the transaction ends.
pub fn lock_sql(lock: i64) -> String {
    format!("SELECT pg_advisory_xact_lock({lock})")
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let ms_max = self.call_ms_max;
        self.in_time(ms_max, async { self.kept.take_alive().await?.execute(ms_max, statement).await }).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let ms_max = self.call_ms_max;
        self.in_time(ms_max, async { self.kept.take_alive().await?.run(ms_max, sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let ms_max = self.call_ms_max;
        self.in_time(ms_max, async { self.kept.take_alive().await?.query_one(ms_max, statement).await }).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let ms_max = self.call_ms_max;
        self.in_time(ms_max, async { self.kept.take_alive().await?.query_all(ms_max, statement).await }).await
    }
}

/// A transaction that writes; dropping it undoes it.
pub struct DatabaseTransaction {
    lease: Mutex<Lease>,
    backend: DbBackend,
    call_ms_max: u64,
}

impl DatabaseTransaction {
    /// Makes it durable. Where no answer comes it may be or not.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.lease.into_inner().commit(self.call_ms_max, "COMMIT").await
    }

    /// The same with a text before it whose last statement commits: one round trip.
    pub async fn commit_with(self, text: &str) -> Result<(), DbErr> {
        self.lease.into_inner().commit(self.call_ms_max, text).await
    }

    /// The same with values, on SQLite: PostgreSQL takes them with one statement alone.
    pub async fn commit_with_values(self, statement: Statement) -> Result<(), DbErr> {
        self.lease.into_inner().commit_with_values(self.call_ms_max, statement).await
    }

    /// Undoes it, and waits until that is done.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.lease.into_inner().end(self.call_ms_max, "ROLLBACK").await
    }
}

#[async_trait]
impl ConnectionTrait for DatabaseTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease.lock().await.execute(self.call_ms_max, statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease.lock().await.run(self.call_ms_max, sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease.lock().await.query_one(self.call_ms_max, statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease.lock().await.query_all(self.call_ms_max, statement).await
    }
}

/// What a call answers, unless it takes too long.
async fn in_time<T>(ms_max: u64, call: impl Future<Output = T>) -> Option<T> {
    timeout(Duration::from_millis(ms_max), call).await.ok()
}

fn no_answer(ms_max: u64) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("no answer in {ms_max} ms")))
}

/// A call on a connection that is in no pool, which ends too.
pub async fn own_in_time<T>(ms_max: u64, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let answer = in_time(ms_max, call).await.ok_or_else(|| store_error(no_answer(ms_max)))?;
    answer.map_err(|error| store_error(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))))
}

/// A pool that opens connections and closes none: see [`Kept`]. It writes no line for each caller that waits: a database that
/// stalls is told once, by whoever calls.
pub fn opens_only<D: sqlx::Database>(pool: PoolOptions<D>) -> PoolOptions<D> {
    // Beyond what is waited for: whoever fails says so, and a slow one is no news.
    pool.acquire_slow_threshold(Duration::from_millis(2 * ACQUIRE_MS_MAX)).test_before_acquire(false)
}

#[cfg(test)]
mod tests;
