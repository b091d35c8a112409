//! Connections that stay with us between two uses. A pool of sqlx asks each connection that comes back whether it lives, and
//! waits for the answer; a transaction of five statements would make seven round trips. Here one whose last call was answered
//! goes from hand to hand without a question, and sqlx's pool only opens connections and counts them.

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

/// The connections of one pool that nobody uses, and turns for all that it may have.
pub struct Kept {
    pool: DatabaseConnection,
    turns: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Texts that the database was sent.
    #[cfg(test)]
    pub sent_count: std::sync::atomic::AtomicUsize,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is taken first: those at the front wait the longest, and are closed after a while.
    sessions: Vec<IdleSession>,
    /// When a connection last said nothing, if ever. Those that were idle then are not asked: a network that forgot one
    /// forgot them all, and each would be waited for.
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

/// A connection that one caller has for itself. It goes back as it is dropped.
pub struct Lease {
    connection: Option<Connection>,
    kept: Arc<Kept>,
    turn: OwnedSemaphorePermit,
    /// Whether it was idle for so long that it is asked, or begins with something short, before anyone relies on it.
    wants_asking: bool,
    /// Whether a transaction was begun and not ended.
    is_in_transaction: bool,
    /// Whether a statement of it failed.
    has_failed: bool,
    /// Whether a call is under way or was broken off.
    is_broken_off: bool,
    /// Whether it ended, or does not answer.
    is_dead: bool,
}

impl Kept {
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
        // The one with which the pool found that it can connect.
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

    /// Connections that nobody uses.
    pub fn idle_count(&self) -> usize {
        self.idle.lock().sessions.len()
    }

    /// A connection, in no transaction, after those who came before.
    pub async fn take(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let taking = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| closed())?;
            let (connection, wants_asking) = self.connection().await?;
            Ok(Lease {
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

    /// The same; one that was idle for long is asked whether it lives.
    pub async fn take_alive(self: &Arc<Self>) -> Result<Lease, DbErr> {
        let mut lease = self.take().await?;
        while lease.wants_asking && !lease.answers().await {
            lease.renew().await?;
        }
        Ok(lease)
    }

    /// The one that was used last, or a new one, for whoever has a turn; and whether it wants to be asked.
    async fn connection(&self) -> Result<(Connection, bool), DbErr> {
        let is_postgres = self.pool.get_database_backend() == DbBackend::Postgres;
        while let Some((idle, silent_at)) = self.pop() {
            if is_silent(idle.since, silent_at) {
                idle.connection.session.abandon();
                continue;
            }
            return Ok((idle.connection, is_postgres && wants_asking(idle.since.elapsed())));
        }
        // On the heap: the future that opens one has 10 KiB, which every future that may wait for a connection would hold, and copy.
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

    /// Takes back what is at rest.
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

    /// Gives out no more, and closes what nobody uses; what is used is closed as it comes back.
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

impl Drop for Kept {
    fn drop(&mut self) {
        // There may be no runtime any more that a goodbye could run on.
        self.idle.get_mut().sessions.drain(..).for_each(|idle| idle.connection.session.abandon());
    }
}

impl Connection {
    const fn idle_since(self, since: Instant) -> IdleSession {
        IdleSession { connection: self, since }
    }
}

impl Lease {
    /// Whether it was idle for so long that a beginning which fails says nothing of the database.
    pub const fn wants_asking(&self) -> bool {
        self.wants_asking
    }

    /// Another connection in the same turn; this one is given up.
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

    /// Asks whether it lives.
    async fn answers(&mut self) -> bool {
        let asked_at = self.enters();
        let answer = in_time(POSTGRES_PING_MS_MAX, async { self.session()?.ping().await }).await;
        self.notes_silence(asked_at, answer.is_none());
        let is_alive = self.left(POSTGRES_PING_MS_MAX, answer, DbErr::Conn).is_ok();
        self.wants_asking = !is_alive;
        is_alive
    }

    /// Those that were idle when it was asked in vain are not asked.
    fn notes_silence(&mut self, asked_at: Instant, is_silent: bool) {
        if is_silent {
            self.is_dead = true;
            self.kept.is_silent_since(asked_at);
        }
    }

    /// Notes that a call begins, which may be broken off.
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
                // What comes after it may succeed, and says nothing of it.
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

    /// Begins a transaction of PostgreSQL, with that in the same round trip where the connection is trusted.
    pub async fn begin(&mut self, ms_max: u64, then: &str) -> Result<(), DbErr> {
        self.goes_into_transaction();
        if !self.wants_asking {
            let text = if then.is_empty() { "BEGIN".to_owned() } else { format!("BEGIN; {then}") };
            return self.run(ms_max, &text).await.map(|_| ());
        }
        // By itself, which takes no time: silence is known for what it is.
        let asked_at = self.enters();
        let begun = in_time(POSTGRES_PING_MS_MAX, async { self.session()?.run("BEGIN").await }).await;
        self.notes_silence(asked_at, begun.is_none());
        self.left(POSTGRES_PING_MS_MAX, begun, DbErr::Conn)?;
        self.wants_asking = false;
        if then.is_empty() { Ok(()) } else { self.run(ms_max, then).await.map(|_| ()) }
    }

    /// Notes that what comes next is of a transaction, which is to be undone unless it ends.
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
            // SQLite did so by itself, or never began it.
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

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.is_dead {
            return connection.session.abandon();
        }
        if !self.is_in_transaction && !self.is_broken_off {
            // Before the turn, which goes with the rest of this: whoever comes next finds it.
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

/// Undoes what a connection may be in, behind all that it was told before, and takes it back. One of PostgreSQL that does not say
/// so in time is given up: it may be busy with what nobody waits for. SQLite has no other writer, and a database in memory no other
/// connection, so that one is waited for. The answer is whether it said anything.
async fn undo(kept: &Kept, mut connection: Connection, is_in_transaction: bool) -> bool {
    let session = &mut connection.session;
    let is_postgres = session.backend() == DbBackend::Postgres;
    let undoing = async {
        if !is_in_transaction {
            return session.ping().await;
        }
        match session.run("ROLLBACK").await {
            // How what was broken off had ended.
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

/// Whether a connection was idle as another said nothing, and is so since.
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
