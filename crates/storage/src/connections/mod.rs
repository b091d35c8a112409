//! Connections whose every call ends: a network that drops packets keeps no caller waiting for longer than a limit.
//!
//! The database has limits of its own, which are shorter and whose errors say more. The limits here are for the case
//! that its answers do not arrive. After a call that is given up, its connection is rolled back or closed.

mod ahead;
mod pooled;
mod session;

use crate::error::store_error;
use crate::limits::ACQUIRE_MS_MAX;
use crate::locks::lock_sql;
use ahead::Ahead;
use async_trait::async_trait;
use hookgraph_domain::ports::StoreError;
use pooled::{KeptConnections, PooledConnection};
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
    kept: Arc<KeptConnections>,
    backend: DbBackend,
    call_ms_max: u64,
}

impl Pool {
    pub fn new(pool: DatabaseConnection, call_ms_max: u64) -> Self {
        Self { backend: pool.get_database_backend(), kept: KeptConnections::new(pool), call_ms_max }
    }

    /// sqlx's pool, which opens the connections and counts them.
    pub fn inner(&self) -> &DatabaseConnection {
        self.kept.pool()
    }

    /// The number of open connections that are not in use.
    pub fn idle_count(&self) -> usize {
        self.kept.idle_count()
    }

    /// How many SQL texts the database was sent.
    #[cfg(test)]
    pub fn sent_count(&self) -> usize {
        self.kept.sent_count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Closes every connection; calls that are under way end first.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.kept.close();
        self.inner().close_by_ref().await
    }

    /// Begins a transaction that writes. On SQLite the transaction owns the one connection that writes from the first
    /// moment, and the write lock of the database from its first statement on.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_and(self.call_ms_max, "").await
    }

    /// Begins a transaction as [`Pool::begin`] does, with another limit for its calls.
    pub async fn begin_with(&self, call_ms_max: u64) -> Result<DatabaseTransaction, DbErr> {
        self.begin_and(call_ms_max, "").await
    }

    /// Begins a transaction that has an advisory lock of PostgreSQL from the first moment, in one round trip.
    pub async fn begin_locked(&self, lock: i64) -> Result<DatabaseTransaction, DbErr> {
        let lock = match self.backend {
            DbBackend::Postgres => lock_sql(lock),
            _ => String::new(),
        };
        self.begin_and(self.call_ms_max, &lock).await
    }

    async fn begin_and(&self, call_ms_max: u64, then: &str) -> Result<DatabaseTransaction, DbErr> {
        let (connection, ahead) = if self.backend == DbBackend::Sqlite {
            // `BEGIN` is sent with the first statement.
            (self.in_time(call_ms_max, self.kept.take()).await?, Ahead::begin())
        } else {
            (self.in_time(call_ms_max, self.begun(call_ms_max, then)).await?, Ahead::default())
        };
        Ok(DatabaseTransaction { open: Mutex::new(Open { connection, ahead }), backend: self.backend, call_ms_max })
    }

    /// Takes a connection of PostgreSQL and begins a transaction on it.
    async fn begun(&self, call_ms_max: u64, then: &str) -> Result<PooledConnection, DbErr> {
        let mut connection = self.kept.take().await?;
        loop {
            match connection.begin(call_ms_max, then).await {
                Ok(()) => return Ok(connection),
                // The connection died while it was idle: another one is taken.
                Err(_) if connection.wants_asking() => connection.renew().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Limits a whole call, the wait for a connection included.
    async fn in_time<T>(&self, ms_max: u64, call: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        in_time(ms_max, call).await.unwrap_or_else(|| Err(no_answer(ms_max)))
    }
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
    connection: PooledConnection,
    /// The statements that are sent with the next one: none, on PostgreSQL.
    ahead: Ahead,
}

impl Open {
    /// Puts `statement` behind the statements that wait for it.
    ///
    /// After a statement that failed or was broken off every other one is refused: SQLite may have undone the
    /// transaction, or never have begun it, and would run each of them as a transaction of its own.
    async fn all_with(&mut self, ms_max: u64, statement: Statement) -> Result<Statement, DbErr> {
        if statement.db_backend != DbBackend::Sqlite {
            return Ok(statement);
        }
        self.connection.refuse_failed()?;
        self.send_unless_it_takes(ms_max, &statement).await?;
        self.connection.goes_into_transaction();
        let mut all = std::mem::take(&mut self.ahead);
        if all.is_empty() {
            return Ok(statement);
        }
        all.add(statement);
        Ok(all.into_statement())
    }

    async fn add_ahead(&mut self, ms_max: u64, statement: Statement) -> Result<(), DbErr> {
        self.connection.refuse_failed()?;
        self.send_unless_it_takes(ms_max, &statement).await?;
        self.ahead.add(statement);
        Ok(())
    }

    /// Sends the waiting statements if `statement` cannot be put behind them.
    async fn send_unless_it_takes(&mut self, ms_max: u64, statement: &Statement) -> Result<(), DbErr> {
        if self.ahead.takes(&statement.sql) {
            return Ok(());
        }
        self.connection.goes_into_transaction();
        let all = std::mem::take(&mut self.ahead).into_statement();
        self.connection.execute(ms_max, all).await.map(|_| ())
    }

    async fn run(&mut self, ms_max: u64, statement: Statement) -> Result<ExecResult, DbErr> {
        let all = self.all_with(ms_max, statement).await?;
        match all.values {
            None => self.connection.run(ms_max, &all.sql).await,
            Some(_) => self.connection.execute(ms_max, all).await,
        }
    }

    async fn commit(mut self, ms_max: u64, statement: Statement) -> Result<(), DbErr> {
        // PostgreSQL would answer the `COMMIT` of a failed transaction with a rollback, and report success.
        self.connection.refuse_failed()?;
        self.run(ms_max, statement).await?;
        self.connection.leaves_transaction();
        Ok(())
    }
}

impl DatabaseTransaction {
    /// Makes the transaction durable. If no answer comes, it may or may not be.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.commit_with("COMMIT").await
    }

    /// Runs `text`, whose last statement commits the transaction, in one round trip.
    pub async fn commit_with(self, text: &str) -> Result<(), DbErr> {
        let statement = Statement::from_string(self.backend, text);
        self.open.into_inner().commit(self.call_ms_max, statement).await
    }

    /// Runs statements with values, of which the last commits the transaction. SQLite only: PostgreSQL takes values
    /// with a single statement.
    pub async fn commit_with_values(self, statement: Statement) -> Result<(), DbErr> {
        self.open.into_inner().commit(self.call_ms_max, statement).await
    }

    /// Undoes the transaction, and waits until the database has done so.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.open.into_inner().connection.rollback(self.call_ms_max).await
    }

    /// Runs a statement whose answer nobody needs. On SQLite it is sent with the next statement, which fails if it
    /// fails.
    pub async fn execute_ahead(&self, statement: Statement) -> Result<(), DbErr> {
        let mut open = self.open.lock().await;
        if self.backend == DbBackend::Sqlite {
            return open.add_ahead(self.call_ms_max, statement).await;
        }
        open.connection.execute(self.call_ms_max, statement).await.map(|_| ())
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
        open.connection.execute(self.call_ms_max, all).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let statement = Statement::from_string(self.backend, sql);
        self.open.lock().await.run(self.call_ms_max, statement).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut open = self.open.lock().await;
        let all = open.all_with(self.call_ms_max, statement).await?;
        open.connection.query_one(self.call_ms_max, all).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut open = self.open.lock().await;
        let all = open.all_with(self.call_ms_max, statement).await?;
        open.connection.query_all(self.call_ms_max, all).await
    }
}

/// The answer of a call; none if the call takes longer than `ms_max`.
async fn in_time<T>(ms_max: u64, call: impl Future<Output = T>) -> Option<T> {
    timeout(Duration::from_millis(ms_max), call).await.ok()
}

fn no_answer(ms_max: u64) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("no answer in {ms_max} ms")))
}

/// Limits a call on a connection that is in no pool.
pub async fn own_in_time<T>(ms_max: u64, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let answer = in_time(ms_max, call).await.ok_or_else(|| store_error(no_answer(ms_max)))?;
    answer.map_err(|error| store_error(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))))
}

/// Options of an sqlx pool that opens connections and closes none: see [`KeptConnections`]. The pool logs no line for
/// each caller that waits: where the database stalls, the caller logs it once.
pub fn opens_only<D: sqlx::Database>(pool: PoolOptions<D>) -> PoolOptions<D> {
    // The threshold is beyond the time that a caller waits, so it is never reached.
    pool.acquire_slow_threshold(Duration::from_millis(2 * ACQUIRE_MS_MAX)).test_before_acquire(false)
}

#[cfg(test)]
mod tests;
