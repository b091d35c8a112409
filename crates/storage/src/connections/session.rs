//! One connection, of either database.

use futures::TryStreamExt;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};
use sea_orm::sqlx::sqlite::SqliteQueryResult;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, Postgres, Sqlite};
use sea_orm::{DbBackend, ExecResult, QueryResult, Statement, Values};
use sea_query_sqlx::SqlxValues;

/// A connection that sqlx's pool counts as taken.
pub enum Session {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// A statement in the types of sqlx.
fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    (AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or(Values(Vec::new()))))
}

impl Session {
    pub const fn backend(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// Runs a statement, and returns what it changed; of several statements in one text, what the last one changed.
    pub async fn execute(&mut self, statement: Statement) -> Result<ExecResult, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Postgres(session) => sqlx::query_with(sql, values).execute(&mut **session).await?.into(),
            Self::Sqlite(session) => {
                let query = sqlx::query_with::<Sqlite, _>(sql, values);
                let mut results: Vec<SqliteQueryResult> = (**session).execute_many(query).try_collect().await?;
                results.pop().unwrap_or_default().into()
            }
        })
    }

    pub async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Postgres(session) => {
                let rows = sqlx::query_with(sql, values).fetch_all(&mut **session).await?;
                rows.into_iter().map(Into::into).collect()
            }
            Self::Sqlite(session) => {
                let rows = sqlx::query_with(sql, values).fetch_all(&mut **session).await?;
                rows.into_iter().map(Into::into).collect()
            }
        })
    }

    pub async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Postgres(session) => {
                sqlx::query_with(sql, values).fetch_optional(&mut **session).await?.map(Into::into)
            }
            Self::Sqlite(session) => {
                sqlx::query_with(sql, values).fetch_optional(&mut **session).await?.map(Into::into)
            }
        })
    }

    /// Runs statements without parameters, and without preparing them: several in one text are one round trip.
    pub async fn run(&mut self, sql: &str) -> Result<ExecResult, sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        Ok(match self {
            Self::Postgres(session) => sql.execute(&mut **session).await?.into(),
            Self::Sqlite(session) => sql.execute(&mut **session).await?.into(),
        })
    }

    pub async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(session) => session.ping().await,
            Self::Sqlite(session) => session.ping().await,
        }
    }

    /// Closes the connection with a closing message, in a task of its own.
    pub fn close(self) {
        if tokio::runtime::Handle::try_current().is_err() {
            return self.abandon();
        }
        match self {
            Self::Postgres(mut session) => session.close_on_drop(),
            Self::Sqlite(mut session) => session.close_on_drop(),
        }
    }

    /// Drops the connection without a closing message: nobody would read it, or there is no time for it.
    pub fn abandon(self) {
        match self {
            Self::Postgres(session) => drop(session.detach()),
            Self::Sqlite(session) => drop(session.detach()),
        }
    }
}

/// Whether the connection can still be used after an error.
pub fn is_survived(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_none_or(|error| !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolClosed => false,
        _ => true,
    }
}

/// Whether SQLite answered a `ROLLBACK` that no transaction was open.
pub fn had_no_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("no transaction is active"))
}
