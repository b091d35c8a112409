//! Connections that this process keeps between two uses. sqlx's own pool pings each connection that comes back and
//! waits for the answer, so a transaction of five statements would make seven round trips. Here a connection whose last
//! call was answered goes to the next caller without a ping, and sqlx's pool only opens connections and counts them.

use super::session::{Session, had_no_transaction, is_survived};
use super::{in_time, no_answer};
use crate::limits::{
    ACQUIRE_MS_MAX, CONNECTION_IDLE_MS_MAX, CONNECTION_LIFETIME_MS_MAX, POSTGRES_IDLE_TRUSTED_MS, POSTGRES_PING_MS_MAX,
};
use parking_lot::Mutex;
use sea_orm::sqlx;
use sea_orm::{ConnAcquireErr, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// The idle connections of one pool, and a permit for each connection that the pool may open.
pub struct KeptConnections {
    pool: DatabaseConnection,
    turns: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// How many SQL texts the database was sent.
    #[cfg(test)]
    pub sent_count: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct Idle {
    /// The connection that was used last is taken first, from the back: the one at the front waits the longest, and is
    /// closed after a while.
    sessions: Vec<IdleSession>,
    /// When a connection last did not answer, if ever. Connections that were idle at that time are closed without a
    /// ping: a network that forgot one connection forgot them all, and a caller would wait for each of them.
    silent_at: Option<Instant>,
    is_closed: bool,
}

struct IdleSession {
    connection: Connection,
    since: Instant,
}

/// An open connection.
struct Connection {
    session: Session,
    opened_at: Instant,
}

/// A connection that one caller has for itself. It goes back to the pool as it is dropped.
pub struct PooledConnection {
    connection: Option<Connection>,
    kept: Arc<KeptConnections>,
    turn: OwnedSemaphorePermit,
    /// Whether the connection was idle for so long that its first call must be a ping or another short one.
    wants_asking: bool,
    /// Whether a transaction was begun and not ended.
    is_in_transaction: bool,
    /// Whether a statement of the transaction failed.
    has_failed: bool,
    /// Whether a call is under way or was broken off.
    is_broken_off: bool,
    /// Whether the connection ended, or does not answer.
    is_dead: bool,
}

impl KeptConnections {
    pub fn new(pool: DatabaseConnection) -> Arc<Self> {
        let (connections_max, session) = match pool.get_database_backend() {
            DbBackend::Postgres => {
                let pool = pool.get_postgres_connection_pool();
                (pool.options().get_max_connections(), pool.try_acquire().map(Session::Postgres))
            }
            _ => {
                let pool = pool.get_sqlite_connection_pool();
                (pool.options().get_max_connections(), pool.try_acquire().map(Session::Sqlite))
            }
        };
        let now = Instant::now();
        // The pool opened one connection to find out that it can connect.
        let sessions = session.map(|session| Connection { session, opened_at: now }.idle_since(now));
        let idle = Idle { sessions: sessions.into_iter().collect(), ..Idle::default() };
        let turns = Arc::new(Semaphore::new(connections_max as usize));
        Arc::new(Self {
            pool,
            turns,
            idle: Mutex::new(idle),
            #[cfg(test)]
            sent_count: Default::default(),
        })
    }

    pub const fn pool(&self) -> &DatabaseConnection {
        &self.pool
    }

    /// The number of idle connections.
    pub fn idle_count(&self) -> usize {
        self.idle.lock().sessions.len()
    }

    /// Waits for a connection, in the order in which callers came. It is in no transaction.
    pub async fn take(self: &Arc<Self>) -> Result<PooledConnection, DbErr> {
        let taking = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| closed())?;
            let (connection, wants_asking) = self.connection().await?;
            Ok(PooledConnection {
                connection: Some(connection),
                kept: Arc::clone(self),
                turn,
                wants_asking,
                is_in_transaction: false,
                has_failed: false,
                is_broken_off: false,
                is_dead: false,
            })
        };
        match timeout(Duration::from_millis(ACQUIRE_MS_MAX), taking).await {
            Ok(taken) => taken,
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    /// Waits for a connection as [`KeptConnections::take`] does, and pings one that was idle for long.
    pub async fn take_alive(self: &Arc<Self>) -> Result<PooledConnection, DbErr> {
        let mut pooled = self.take().await?;
        while pooled.wants_asking && !pooled.answers().await {
            pooled.renew().await?;
        }
        Ok(pooled)
    }

    /// The connection that was used last, or a new one, for a caller that has a permit; and whether it must be pinged.
    async fn connection(&self) -> Result<(Connection, bool), DbErr> {
        let is_postgres = self.pool.get_database_backend() == DbBackend::Postgres;
        while let Some((idle, silent_at)) = self.pop() {
            if is_silent(idle.since, silent_at) {
                idle.connection.session.abandon();
                continue;
            }
            return Ok((idle.connection, is_postgres && wants_asking(idle.since.elapsed())));
        }
        // On the heap: the future that opens a connection has 10 KiB, which every future that may wait for one would
        // hold and copy.
        let session = Box::pin(self.opened()).await.map_err(acquire_error)?;
        Ok((Connection { session, opened_at: Instant::now() }, false))
    }

    async fn opened(&self) -> Result<Session, sqlx::Error> {
        match self.pool.get_database_backend() {
            DbBackend::Postgres => self.pool.get_postgres_connection_pool().acquire().await.map(Session::Postgres),
            _ => self.pool.get_sqlite_connection_pool().acquire().await.map(Session::Sqlite),
        }
    }

    fn pop(&self) -> Option<(IdleSession, Option<Instant>)> {
        let mut idle = self.idle.lock();
        Some((idle.sessions.pop()?, idle.silent_at))
    }

    /// Takes back a connection that is in no call and no transaction.
    fn put(&self, connection: Connection) {
        let now = Instant::now();
        let is_postgres = connection.session.backend() == DbBackend::Postgres;
        let mut closing = Vec::new();
        {
            let mut idle = self.idle.lock();
            if idle.is_closed || is_postgres && is_old(now.duration_since(connection.opened_at)) {
                closing.push(connection.session);
            } else {
                idle.sessions.push(connection.idle_since(now));
            }
            let too_long = |one: &IdleSession| is_postgres && is_idle_too_long(now.duration_since(one.since));
            if idle.sessions.first().is_some_and(too_long) {
                closing.push(idle.sessions.remove(0).connection.session);
            }
        }
        closing.into_iter().for_each(Session::close);
    }

    fn is_silent_since(&self, asked_at: Instant) {
        self.idle.lock().silent_at = Some(asked_at);
    }

    /// Closes the idle connections, and lets no caller take another. A connection in use is closed as it comes back.
    pub fn close(&self) {
        self.turns.close();
        let sessions = {
            let mut idle = self.idle.lock();
            idle.is_closed = true;
            std::mem::take(&mut idle.sessions)
        };
        sessions.into_iter().for_each(|idle| idle.connection.session.close());
    }
}

impl Drop for KeptConnections {
    fn drop(&mut self) {
        // A closing message needs a runtime, and there may be none any more.
        self.idle.get_mut().sessions.drain(..).for_each(|idle| idle.connection.session.abandon());
    }
}

impl Connection {
    const fn idle_since(self, since: Instant) -> IdleSession {
        IdleSession { connection: self, since }
    }
}

impl PooledConnection {
    /// Whether the connection was idle for so long that a failed `BEGIN` says nothing of the database.
    pub const fn wants_asking(&self) -> bool {
        self.wants_asking
    }

    /// Gives the connection up, and takes another one on the same permit.
    pub async fn renew(&mut self) -> Result<(), DbErr> {
        if let Some(connection) = self.connection.take() {
            connection.session.abandon();
        }
        let (connection, wants_asking) = self.kept.connection().await?;
        self.connection = Some(connection);
        self.wants_asking = wants_asking;
        (self.is_in_transaction, self.has_failed, self.is_broken_off, self.is_dead) = (false, false, false, false);
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session, sqlx::Error> {
        self.connection.as_mut().map(|connection| &mut connection.session).ok_or(sqlx::Error::PoolClosed)
    }

    /// Pings the connection, and returns whether it answered.
    async fn answers(&mut self) -> bool {
        let asked_at = self.enters();
        let answer = in_time(POSTGRES_PING_MS_MAX, async { self.session()?.ping().await }).await;
        self.notes_silence(asked_at, answer.is_none());
        let is_alive = self.left(POSTGRES_PING_MS_MAX, answer, DbErr::Conn).is_ok();
        self.wants_asking = !is_alive;
        is_alive
    }

    /// Notes that a ping sent at `asked_at` was not answered, so that connections that were idle at that time are not
    /// pinged.
    fn notes_silence(&mut self, asked_at: Instant, is_silent: bool) {
        if is_silent {
            self.is_dead = true;
            self.kept.is_silent_since(asked_at);
        }
    }

    /// Notes that a call begins: until it ends it counts as broken off. Returns the time.
    fn enters(&mut self) -> Instant {
        self.is_broken_off = true;
        #[cfg(test)]
        self.kept.sent_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Instant::now()
    }

    /// Notes how a call ended.
    fn left<T>(
        &mut self,
        ms_max: u64,
        answer: Option<Result<T, sqlx::Error>>,
        kind: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        match answer {
            Some(Ok(answer)) => {
                self.is_broken_off = false;
                Ok(answer)
            }
            Some(Err(error)) => {
                self.is_broken_off = false;
                self.has_failed = true;
                self.is_dead |= !is_survived(&error);
                Err(kind(RuntimeErr::SqlxError(Arc::new(error))))
            }
            None => {
                // A later statement may succeed, which says nothing of this one.
                self.has_failed = true;
                Err(no_answer(ms_max))
            }
        }
    }

    pub async fn execute(&mut self, ms_max: u64, statement: Statement) -> Result<ExecResult, DbErr> {
        self.enters();
        let answer = in_time(ms_max, async { self.session()?.execute(statement).await }).await;
        self.left(ms_max, answer, DbErr::Exec)
    }

    pub async fn query_all(&mut self, ms_max: u64, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.enters();
        let answer = in_time(ms_max, async { self.session()?.query_all(statement).await }).await;
        self.left(ms_max, answer, DbErr::Query)
    }

    pub async fn query_one(&mut self, ms_max: u64, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.enters();
        let answer = in_time(ms_max, async { self.session()?.query_one(statement).await }).await;
        self.left(ms_max, answer, DbErr::Query)
    }

    pub async fn run(&mut self, ms_max: u64, sql: &str) -> Result<ExecResult, DbErr> {
        self.enters();
        let answer = in_time(ms_max, async { self.session()?.run(sql).await }).await;
        self.left(ms_max, answer, DbErr::Exec)
    }

    /// Begins a transaction of PostgreSQL and runs `then`, in one round trip where the connection is trusted.
    pub async fn begin(&mut self, ms_max: u64, then: &str) -> Result<(), DbErr> {
        self.goes_into_transaction();
        if !self.wants_asking {
            let text = if then.is_empty() { "BEGIN".to_owned() } else { format!("BEGIN; {then}") };
            return self.run(ms_max, &text).await.map(|_| ());
        }
        // A `BEGIN` alone takes the database no time, so a missing answer means that the connection is dead.
        let asked_at = self.enters();
        let begun = in_time(POSTGRES_PING_MS_MAX, async { self.session()?.run("BEGIN").await }).await;
        self.notes_silence(asked_at, begun.is_none());
        self.left(POSTGRES_PING_MS_MAX, begun, DbErr::Conn)?;
        self.wants_asking = false;
        if then.is_empty() { Ok(()) } else { self.run(ms_max, then).await.map(|_| ()) }
    }

    /// Notes that the next statements belong to a transaction, which is undone unless it is ended.
    pub const fn goes_into_transaction(&mut self) {
        self.is_in_transaction = true;
    }

    /// Notes that the transaction has ended.
    pub const fn leaves_transaction(&mut self) {
        self.is_in_transaction = false;
    }

    /// Undoes the transaction, if any was begun.
    pub async fn rollback(&mut self, ms_max: u64) -> Result<(), DbErr> {
        if !self.is_in_transaction {
            return Ok(());
        }
        self.enters();
        let answer = in_time(ms_max, async { self.session()?.run("ROLLBACK").await }).await;
        let undone = answer.map(|answer| match answer {
            // SQLite undid the transaction by itself, or never began it.
            Err(error) if had_no_transaction(&error) => Ok(()),
            answer => answer.map(|_| ()),
        });
        self.left(ms_max, undone, DbErr::Exec)?;
        self.leaves_transaction();
        Ok(())
    }

    /// Refuses to go on with a transaction of which a statement failed.
    pub fn refuse_failed(&self) -> Result<(), DbErr> {
        if self.has_failed || self.is_broken_off {
            return Err(DbErr::Custom("a statement of the transaction failed: it is not committed".to_owned()));
        }
        Ok(())
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.is_dead {
            return connection.session.abandon();
        }
        if !self.is_in_transaction && !self.is_broken_off {
            // The connection goes back before the permit does, so that the next caller finds it.
            return self.kept.put(connection);
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return connection.session.abandon() };
        let (kept, turn) = (Arc::clone(&self.kept), self.turn.split(1));
        let (is_in_transaction, is_unheard) = (self.is_in_transaction, self.wants_asking);
        runtime.spawn(async move {
            let asked_at = Instant::now();
            if !undo(&kept, connection, is_in_transaction).await && is_unheard {
                kept.is_silent_since(asked_at);
            }
            drop(turn);
        });
    }
}

/// Undoes the transaction that a connection may be in, after the calls before it have ended, and takes the connection
/// back. Returns whether the connection answered.
///
/// A connection of PostgreSQL that does not answer in time is given up: it may be busy with a call whose caller left.
/// SQLite's answer is waited for, because it has only one connection that writes, and a database in memory only one
/// connection.
async fn undo(kept: &KeptConnections, mut connection: Connection, is_in_transaction: bool) -> bool {
    let session = &mut connection.session;
    let is_postgres = session.backend() == DbBackend::Postgres;
    let undoing = async {
        if !is_in_transaction {
            return session.ping().await;
        }
        match session.run("ROLLBACK").await {
            // The error belongs to the call that was broken off.
            Err(error) if is_survived(&error) && !had_no_transaction(&error) => {
                session.run("ROLLBACK").await.map(|_| ())
            }
            undone => undone.map(|_| ()),
        }
    };
    let undone = if is_postgres { in_time(POSTGRES_PING_MS_MAX, undoing).await } else { Some(undoing.await) };
    match undone {
        Some(Ok(())) => kept.put(connection),
        // SQLite undoes a transaction by itself where its disk is full or fails.
        Some(Err(error)) if had_no_transaction(&error) => kept.put(connection),
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection is closed: what it was in could not be undone");
            connection.session.abandon();
        }
        None => {
            connection.session.abandon();
            return false;
        }
    }
    true
}

fn acquire_error(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => closed(),
        error => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))),
    }
}

fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}

/// Whether a connection that is idle since `idle_since` was idle already as another one did not answer.
fn is_silent(idle_since: Instant, silent_at: Option<Instant>) -> bool {
    silent_at.is_some_and(|at| idle_since <= at)
}

fn wants_asking(idle_for: Duration) -> bool {
    idle_for >= Duration::from_millis(POSTGRES_IDLE_TRUSTED_MS)
}

fn is_idle_too_long(idle_for: Duration) -> bool {
    idle_for >= Duration::from_millis(CONNECTION_IDLE_MS_MAX)
}

fn is_old(age: Duration) -> bool {
    age >= Duration::from_millis(CONNECTION_LIFETIME_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_covers_what_was_idle_then_and_nothing_newer() {
        let (idle_since, second) = (Instant::now(), Duration::from_secs(1));
        assert!(!is_silent(idle_since, None), "none was silent yet");
        assert!(is_silent(idle_since, Some(idle_since + second)) && is_silent(idle_since, Some(idle_since)));
        assert!(!is_silent(idle_since + second, Some(idle_since)), "it was used since");
    }

    #[test]
    fn a_connection_is_trusted_asked_and_closed_by_its_times() {
        let ms = Duration::from_millis;
        assert!(!wants_asking(ms(POSTGRES_IDLE_TRUSTED_MS - 1)) && wants_asking(ms(POSTGRES_IDLE_TRUSTED_MS)));
        assert!(!is_idle_too_long(ms(CONNECTION_IDLE_MS_MAX - 1)) && is_idle_too_long(ms(CONNECTION_IDLE_MS_MAX)));
        assert!(!is_old(ms(CONNECTION_LIFETIME_MS_MAX - 1)) && is_old(ms(CONNECTION_LIFETIME_MS_MAX)));
    }
}
