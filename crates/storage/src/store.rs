//! The store: one database behind the domain's ports.

use crate::commit::along::KnownClaimer;
use crate::commit::group::Recorder;
use crate::connections::{DatabaseTransaction, Pool, opens_only};
use crate::error::store_error;
use crate::limits;
use crate::locks::CLAIM_LOCK;
use crate::migrate::{self, MigrateError};
use crate::neighbours::LastHeard;
use crate::standing::Opened;
use crate::unreadable::Unreadable;
use hookgraph_domain::ports::{Failpoint, Failpoints, NoFailpoints, NoObserver, Observer, SecretVault, StoreError};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, RuntimeErr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::timeout;

/// The options of a store.
pub struct StoreOptions {
    /// `sqlite://path?mode=rwc`, `sqlite::memory:` or `postgres://…`.
    pub url: String,
    /// Seals and opens signing secrets and header values.
    pub vault: Arc<dyn SecretVault>,
    /// Planned failures.
    pub failpoints: Arc<dyn Failpoints>,
    /// The observer that is told of commits.
    pub observer: Arc<dyn Observer>,
    /// Connections to PostgreSQL; SQLite has its own numbers.
    pub postgres_connections_max: u32,
    /// The size that an SQLite file may reach, in bytes; none means as the disk allows. A full one refuses changes.
    pub sqlite_bytes_max: Option<u64>,
}

impl StoreOptions {
    /// Options without planned failures, with the default number of connections.
    pub fn new(url: impl Into<String>, vault: Arc<dyn SecretVault>) -> Self {
        Self {
            url: url.into(),
            vault,
            failpoints: Arc::new(NoFailpoints),
            observer: Arc::new(NoObserver),
            postgres_connections_max: limits::POSTGRES_CONNECTIONS_DEFAULT,
            sqlite_bytes_max: None,
        }
    }
}

/// A database behind every port of [`hookgraph_domain::ports::Store`]. Cheap to clone.
///
/// SQLite has one connection that writes, so that writers queue up in this process instead of failing on each other's
/// locks, and a pool that reads. PostgreSQL has a pool for the steps of the road and one for everything else, and
/// transactions at `READ COMMITTED`: a row that must not change between a read and its write is locked, always in the
/// order tenant, replays, webhooks, deliveries, feed.
#[derive(Clone)]
pub struct SqlStore {
    pub(crate) writer: Pool,
    pub(crate) reader: Pool,
    /// The connections of the road alone, if there are enough for a pool of its own.
    pub(crate) road: Option<Pool>,
    pub(crate) vault: Arc<dyn SecretVault>,
    pub(crate) opened: Opened,
    pub(crate) recorder: Recorder,
    pub(crate) unreadable: Unreadable,
    /// Whether a delivery is due, as far as this process knows. Where that is wrong, a claim looks once too often.
    pub(crate) expects_due: Arc<AtomicBool>,
    /// Whether the last claim passed over a webhook because too many of its deliveries stand behind others: the next
    /// claim takes those out of the way.
    pub(crate) is_crowded: Arc<AtomicBool>,
    pub(crate) claimer: KnownClaimer,
    pub(crate) neighbours: LastHeard,
    failpoints: Arc<dyn Failpoints>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqlStore({:?})", self.backend())
    }
}

impl SqlStore {
    /// Connects. The schema is left as it is: see [`SqlStore::migrate`].
    ///
    /// # Errors
    /// [`StoreError`] when the URL is not understood or the database cannot be reached.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let url = &options.url;
        let (writer, reader, road) = if url.starts_with("sqlite::memory:") {
            let only = connect(sqlite(url, 1), limits::SQLITE_CALL_MS_MAX).await?;
            (only.clone(), only, None)
        } else if url.starts_with("sqlite:") {
            let (writer, reader) = connect_sqlite(url, options.sqlite_bytes_max).await?;
            (writer, reader, None)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            reach_postgres(url).await?;
            let (others, road) = connect_postgres(url, options.postgres_connections_max).await?;
            (others.clone(), others, road)
        } else {
            return Err(StoreError::Failed("the database URL must begin with sqlite: or postgres:".to_owned()));
        };
        let StoreOptions { vault, failpoints, observer, .. } = options;
        let unreadable = Unreadable::new(observer.clone());
        let (opened, recorder) = (Opened::new(unreadable.clone()), Recorder::default());
        Ok(Self {
            writer,
            reader,
            road,
            vault,
            opened,
            recorder,
            unreadable,
            expects_due: Arc::default(),
            is_crowded: Arc::default(),
            claimer: KnownClaimer::default(),
            neighbours: LastHeard::default(),
            failpoints,
            observer,
        })
    }

    /// An empty database in memory with the schema in place, for tests: it is gone with the last clone.
    ///
    /// # Errors
    /// [`MigrateError`], as [`SqlStore::migrate`].
    pub async fn in_memory(vault: Arc<dyn SecretVault>) -> Result<Self, MigrateError> {
        let store = Self::open(StoreOptions::new("sqlite::memory:", vault)).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Brings the schema up to date in one transaction, and names what it applied.
    ///
    /// # Errors
    /// [`MigrateError`]; then nothing was changed.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        let transaction = self.writer.begin_with(limits::MIGRATE_CALL_MS_MAX).await.map_err(store_error)?;
        let applied = migrate::apply(&transaction).await?;
        transaction.commit().await.map_err(store_error)?;
        Ok(applied)
    }

    /// The names of the migrations that are not applied yet, oldest first.
    ///
    /// # Errors
    /// [`MigrateError`] also when the history is not ours.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, MigrateError> {
        migrate::pending(&self.reader).await
    }

    /// Closes every connection, after the calls that are under way have ended.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails while closing.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.reader.close().await.map_err(store_error)?;
        if let Some(road) = &self.road {
            road.close().await.map_err(store_error)?;
        }
        self.writer.close().await.map_err(store_error)
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// Begins a transaction that writes; dropping it undoes it. On SQLite no other transaction of this process begins
    /// before it has ended.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        self.writer.begin().await.map_err(store_error)
    }

    /// Begins a transaction for a step of the road, which never waits for a connection that a reader or a writer of
    /// records uses.
    pub(crate) async fn begin_on_road(&self) -> Result<DatabaseTransaction, StoreError> {
        self.road.as_ref().unwrap_or(&self.writer).begin().await.map_err(store_error)
    }

    /// Begins a transaction for a step of the road that holds the lock of claims until it ends. SQLite needs no lock
    /// for that, since it has one writer.
    pub(crate) async fn begin_claiming(&self) -> Result<DatabaseTransaction, StoreError> {
        self.road.as_ref().unwrap_or(&self.writer).begin_locked(CLAIM_LOCK).await.map_err(store_error)
    }

    /// The connections for a step of the road that is one statement.
    pub(crate) fn road_writer(&self) -> &Pool {
        self.road.as_ref().unwrap_or(&self.writer)
    }

    /// The connections that a step of the road reads with before its transaction begins.
    pub(crate) fn road_reader(&self) -> &Pool {
        self.road.as_ref().unwrap_or(&self.reader)
    }

    /// The options for a connection to PostgreSQL outside the pools.
    pub(crate) fn own_options(&self) -> PgConnectOptions {
        let options = self.writer.inner().get_postgres_connection_pool().connect_options();
        options.as_ref().clone().disable_statement_logging()
    }

    pub(crate) fn hit(&self, place: Failpoint) {
        self.failpoints.hit(place);
    }
}

/// The file that a URL of SQLite names, as SQLite opens it; none for another database and for one in memory.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite://") {
        return None;
    }
    let options: SqliteConnectOptions = url.parse().ok()?;
    Some(options.get_filename().to_owned())
}

/// Opens one connection outside a pool, whose error says what is wrong: a pool tries again until its time is over, and
/// then reports only that.
async fn reach_postgres(url: &str) -> Result<(), StoreError> {
    let sqlx_error = |error| store_error(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
    let options: PgConnectOptions = url.parse().map_err(sqlx_error)?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let connecting = PgConnection::connect_with(&options);
    match timeout(Duration::from_millis(limits::CONNECT_MS_MAX), connecting).await {
        Ok(Ok(connection)) => connection.close().await.map_err(sqlx_error),
        Ok(Err(sqlx::Error::Io(error))) => {
            let what = error.kind().to_string();
            Err(StoreError::Failed(format!("cannot connect to {place}: {what}")))
        }
        Ok(Err(error)) => Err(sqlx_error(error)),
        Err(_) => {
            let ms_max = limits::CONNECT_MS_MAX;
            Err(StoreError::Failed(format!("cannot connect to {place}: no answer in {ms_max} ms")))
        }
    }
}

async fn connect(options: ConnectOptions, call_ms_max: u64) -> Result<Pool, StoreError> {
    let connection = Database::connect(options).await.map_err(store_error)?;
    Ok(Pool::new(connection, call_ms_max))
}

/// The pool of the one connection that writes, and the pool of those that read.
async fn connect_sqlite(url: &str, bytes_max: Option<u64>) -> Result<(Pool, Pool), StoreError> {
    let mut writing = sqlite(url, 1);
    if let Some(bytes_max) = bytes_max {
        let pages_max = (bytes_max / limits::SQLITE_PAGE_BYTES).max(1).to_string();
        writing.map_sqlx_sqlite_opts(move |options| durable(options).pragma("max_page_count", pages_max.clone()));
    }
    let writer = connect(writing, limits::SQLITE_CALL_MS_MAX).await?;
    let mut reading = sqlite(url, limits::SQLITE_READERS_MAX);
    reading.map_sqlx_sqlite_opts(|options| durable(options).pragma("query_only", "ON"));
    Ok((writer, connect(reading, limits::SQLITE_CALL_MS_MAX).await?))
}

/// The pool of everything but the road, and the road's own pool if there are enough connections for one.
async fn connect_postgres(url: &str, connections_max: u32) -> Result<(Pool, Option<Pool>), StoreError> {
    let (others_max, road_max) = limits::postgres_pools(connections_max);
    let options = postgres(url, others_max, limits::POSTGRES_STATEMENT_MS_MAX);
    let others = connect(options, limits::POSTGRES_CALL_MS_MAX).await?;
    if road_max == 0 {
        return Ok((others, None));
    }
    let options = postgres(url, road_max, limits::POSTGRES_ROAD_STATEMENT_MS_MAX);
    Ok((others, Some(connect(options, limits::POSTGRES_ROAD_CALL_MS_MAX).await?)))
}

fn common(url: &str, connections_max: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections_max)
        .min_connections(0)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .acquire_timeout(Duration::from_millis(limits::ACQUIRE_MS_MAX))
        .sqlx_logging(false);
    options
}

fn sqlite(url: &str, connections_max: u32) -> ConnectOptions {
    let mut options = common(url, connections_max);
    options.map_sqlx_sqlite_opts(durable);
    options.map_sqlx_sqlite_pool_opts(opens_only);
    options
}

fn durable(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .row_buffer_size(limits::SQLITE_ROWS_BUFFERED_MAX)
        .statement_cache_capacity(limits::SQLITE_STATEMENTS_KEPT_MAX)
        .pragma("wal_autocheckpoint", limits::SQLITE_CHECKPOINT_PAGES.to_string())
        // A statement that inserts several rows keeps a journal, to undo the first rows if a later one fails. It stays
        // in memory.
        .pragma("temp_store", "MEMORY")
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(limits::SQLITE_BUSY_MS_MAX))
}

fn postgres(url: &str, connections_max: u32, statement_ms_max: u64) -> ConnectOptions {
    let mut options = common(url, connections_max);
    options.set_application_name("hookgraph");
    options.map_sqlx_postgres_pool_opts(opens_only);
    options.map_sqlx_postgres_opts(move |options| {
        options.options([
            // A claim reads few rows however long the queue is. The planner expects it to read all rows, and would
            // spend half a second on compiling a statement that runs for two milliseconds.
            ("jit", "off".to_owned()),
            // For the same reason the planner would start parallel workers to read a page of 50 rows.
            ("max_parallel_workers_per_gather", "0".to_owned()),
            ("tcp_keepalives_idle", limits::POSTGRES_KEEPALIVE_IDLE_S.to_string()),
            ("tcp_keepalives_interval", limits::POSTGRES_KEEPALIVE_INTERVAL_S.to_string()),
            ("tcp_keepalives_count", limits::POSTGRES_KEEPALIVE_COUNT.to_string()),
            ("lock_timeout", limits::POSTGRES_LOCK_MS_MAX.to_string()),
            ("statement_timeout", statement_ms_max.to_string()),
            ("idle_in_transaction_session_timeout", limits::POSTGRES_IDLE_IN_TRANSACTION_MS_MAX.to_string()),
        ])
    });
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_testkit::PlainVault;
    use hookgraph_testkit::postgres::with_postgres;
    use sea_orm::{ConnectionTrait, Statement};

    #[test]
    fn the_file_of_a_url_is_the_one_that_is_opened() {
        for (url, file) in [
            ("sqlite://data/h.db", Some("data/h.db")),
            ("sqlite:///data/h%2Edb?mode=rwc", Some("/data/h.db")),
            ("sqlite::memory:", None),
            ("postgres://h@127.0.0.1/h", None),
        ] {
            assert_eq!(sqlite_file(url), file.map(PathBuf::from), "{url}");
        }
    }

    #[tokio::test]
    async fn sqlite_has_its_settings_on_every_connection() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("h.db").display());
        let store = SqlStore::open(StoreOptions::new(&url, Arc::new(PlainVault))).await.unwrap();
        for pool in [&store.writer, &store.reader] {
            for (setting, expected) in
                [("wal_autocheckpoint", limits::SQLITE_CHECKPOINT_PAGES as i64), ("temp_store", 2), ("synchronous", 2)]
            {
                let asked = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {setting}"));
                let answer: i64 = pool.query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap();
                assert_eq!(answer, expected, "{setting}");
            }
        }
        let journal = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode");
        let answer: String = store.writer.query_one_raw(journal).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        assert_eq!(answer, "wal");
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_to_sqlite_keeps_no_more_statements_than_may_be() {
        let mut connection = durable(SqliteConnectOptions::new().in_memory(true)).connect().await.unwrap();
        for number in 0..=limits::SQLITE_STATEMENTS_KEPT_MAX {
            let text = sqlx::AssertSqlSafe(format!("SELECT {number} + ?"));
            sqlx::query(text).bind(1).execute(&mut connection).await.unwrap();
        }
        assert_eq!(connection.cached_statements_size(), limits::SQLITE_STATEMENTS_KEPT_MAX);
    }

    /// SQLite undoes a transaction by itself when the disk is full. A transaction that commits after that must be
    /// visible to others.
    #[tokio::test]
    async fn what_sqlite_undid_by_itself_takes_nothing_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", directory.path().join("h.db").display());
        let store = SqlStore::open(StoreOptions::new(&url, Arc::new(PlainVault))).await.unwrap();
        let other = SqlStore::open(StoreOptions::new(&url, Arc::new(PlainVault))).await.unwrap();
        store.writer.execute_unprepared("CREATE TABLE kept (id INTEGER)").await.unwrap();
        for id in 1..=3 {
            let undone = store.begin().await.unwrap();
            undone.execute_unprepared("ROLLBACK").await.unwrap();
            drop(undone);
            let given_up = store.begin().await.unwrap();
            given_up.execute_unprepared("INSERT INTO kept VALUES (0)").await.unwrap();
            drop(given_up);
            let kept = store.begin().await.unwrap();
            kept.execute_unprepared(&format!("INSERT INTO kept VALUES ({id})")).await.unwrap();
            kept.commit().await.unwrap();
            let counted = Statement::from_string(DbBackend::Sqlite, "SELECT count(*), min(id) FROM kept");
            let row = other.reader.query_one_raw(counted).await.unwrap().unwrap();
            let answer: (i64, Option<i64>) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
            assert_eq!(answer, (id, Some(1)));
        }
        store.close().await.unwrap();
        other.close().await.unwrap();
    }

    #[tokio::test]
    async fn postgresql_compiles_nothing_for_us_and_asks_whether_we_are_there() {
        with_postgres(|url| async move {
            let options = StoreOptions::new(url, Arc::new(PlainVault));
            let store = SqlStore::open(options).await.unwrap();
            for pool in [&store.writer, &store.reader, store.road.as_ref().unwrap()] {
                for (setting, expected) in [
                    ("jit", "off".to_owned()),
                    ("max_parallel_workers_per_gather", "0".to_owned()),
                    ("tcp_keepalives_idle", limits::POSTGRES_KEEPALIVE_IDLE_S.to_string()),
                    ("tcp_keepalives_interval", limits::POSTGRES_KEEPALIVE_INTERVAL_S.to_string()),
                    ("tcp_keepalives_count", limits::POSTGRES_KEEPALIVE_COUNT.to_string()),
                ] {
                    let asked = Statement::from_string(DbBackend::Postgres, format!("SHOW {setting}"));
                    let answer: String = pool.query_one_raw(asked).await.unwrap().unwrap().try_get_by_index(0).unwrap();
                    assert_eq!(answer, expected, "{setting}");
                }
            }
            store.close().await.unwrap();
        })
        .await;
    }
}
