//! Connections whose every call ends: a network that swallows what it is given keeps nobody waiting for longer than a limit.
//!
//! The database has limits of its own, which are shorter and tell more. These are for the case that it cannot be heard: a
//! call that is given up leaves its connection behind, which is undone or closed.

mod ahead;
mod lease;
mod session;

use crate::error::store_error;
use crate::limits::ACQUIRE_MS_MAX;
use ahead::Ahead;
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

    /// Texts that the database was sent.
    #[cfg(test)]
    pub fn sent_count(&self) -> usize {
        self.kept.sent_count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Closes every connection; calls that are under way end first.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.kept.close();
        self.inner().close_by_ref().await
    }

    /// Begins a transaction that writes. On SQLite it has the one connection that writes to itself from the first moment, and the
    /// database from its first statement on.
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
        let (lease, ahead) = if self.backend == DbBackend::Sqlite {
            // What begins it goes with the first statement.
            (self.in_time(call_ms_max, self.kept.take()).await?, Ahead::begin())
        } else {
            (self.in_time(call_ms_max, self.begun(call_ms_max, then)).await?, Ahead::default())
        };
        Ok(DatabaseTransaction { open: Mutex::new(Open { lease, ahead }), backend: self.backend, call_ms_max })
    }

    /// A connection of PostgreSQL in a transaction.
    async fn begun(&self, call_ms_max: u64, then: &str) -> Result<Lease, DbErr> {
        let mut lease = self.kept.take().await?;
        loop {
            match lease.begin(call_ms_max, then).await {
                Ok(()) => return Ok(lease),
                // It ended while nobody used it: another one is there, or is opened.
                Err(_) if lease.wants_asking() => lease.renew().await?,
                Err(error) => return Err(error),
            }
        }
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
    open: Mutex<Open>,
    backend: DbBackend,
    call_ms_max: u64,
}

/// A connection in a transaction.
struct Open {
    lease: Lease,
    /// What goes with its next statement: nothing, on PostgreSQL.
    ahead: Ahead,
}

impl Open {
    /// That statement behind what goes with it. Nothing follows one that failed or was broken off: SQLite may have undone the
    /// transaction, or never have begun it, and would take each for a transaction of its own.
    async fn all_with(&mut self, ms_max: u64, statement: Statement) -> Result<Statement, DbErr> {
        if statement.db_backend != DbBackend::Sqlite {
            return Ok(statement);
        }
        self.lease.refuse_failed()?;
        self.send_unless_it_takes(ms_max, &statement).await?;
        self.lease.goes_into_transaction();
        let mut all = std::mem::take(&mut self.ahead);
        if all.is_empty() {
            return Ok(statement);
        }
        all.add(statement);
        Ok(all.into_statement())
    }

    async fn add_ahead(&mut self, ms_max: u64, statement: Statement) -> Result<(), DbErr> {
        self.lease.refuse_failed()?;
        self.send_unless_it_takes(ms_max, &statement).await?;
        self.ahead.add(statement);
        Ok(())
    }

    /// Sends what is ahead where that statement cannot be added to it.
    async fn send_unless_it_takes(&mut self, ms_max: u64, statement: &Statement) -> Result<(), DbErr> {
        if self.ahead.takes(&statement.sql) {
            return Ok(());
        }
        self.lease.goes_into_transaction();
        let all = std::mem::take(&mut self.ahead).into_statement();
        self.lease.execute(ms_max, all).await.map(|_| ())
    }

    async fn run(&mut self, ms_max: u64, statement: Statement) -> Result<ExecResult, DbErr> {
        let all = self.all_with(ms_max, statement).await?;
        match all.values {
            None => self.lease.run(ms_max, &all.sql).await,
            Some(_) => self.lease.execute(ms_max, all).await,
        }
    }

    async fn commit(mut self, ms_max: u64, statement: Statement) -> Result<(), DbErr> {
        // PostgreSQL would undo it and call that a success.
        self.lease.refuse_failed()?;
        self.run(ms_max, statement).await?;
        self.lease.leaves_transaction();
        Ok(())
    }
}

impl DatabaseTransaction {
    /// Makes it durable. Where no answer comes it may be or not.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.commit_with("COMMIT").await
    }

    /// The same with a text before it whose last statement commits: one round trip.
    pub async fn commit_with(self, text: &str) -> Result<(), DbErr> {
        let statement = Statement::from_string(self.backend, text);
        self.open.into_inner().commit(self.call_ms_max, statement).await
    }

    /// The same with values, on SQLite: PostgreSQL takes them with one statement alone.
    pub async fn commit_with_values(self, statement: Statement) -> Result<(), DbErr> {
        self.open.into_inner().commit(self.call_ms_max, statement).await
    }

    /// Undoes it, and waits until that is done.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.open.into_inner().lease.rollback(self.call_ms_max).await
    }

    /// Runs a statement whose answer nobody needs: on SQLite together with the next one, which fails where it does.
    pub async fn execute_ahead(&self, statement: Statement) -> Result<(), DbErr> {
        let mut open = self.open.lock().await;
        if self.backend == DbBackend::Sqlite {
            return open.add_ahead(self.call_ms_max, statement).await;
        }
        open.lease.execute(self.call_ms_max, statement).await.map(|_| ())
    }
}

#[async_trait]
impl ConnectionTrait for DatabaseTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut open = self.open.lock().await;
        let all = open.all_with(self.call_ms_max, statement).await?;
        open.lease.execute(self.call_ms_max, all).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let statement = Statement::from_string(self.backend, sql);
        self.open.lock().await.run(self.call_ms_max, statement).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut open = self.open.lock().await;
        let all = open.all_with(self.call_ms_max, statement).await?;
        open.lease.query_one(self.call_ms_max, all).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut open = self.open.lock().await;
        let all = open.all_with(self.call_ms_max, statement).await?;
        open.lease.query_all(self.call_ms_max, all).await
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
