//! Connections that stay with us between two uses. A pool of sqlx asks each connection that comes back whether it lives, and
//! waits for the answer; a transaction of five statements would make seven round trips. Here one whose last call was answered
//! goes from hand to hand without a question, and sqlx's pool only opens connections and counts them.

use super::session::{Session, had_no_transaction, is_survived};
use super::{in_time, no_answer};
use crate::limits::{
    ACQUIRE_MS_MAX, CONNECTION_IDLE_MS_MAX, CONNECTION_LIFETIME_MS_MAX, POSTGRES_IDLE_TRUSTED_MS, POSTGRES_PING_MS_MAX,
    SQLITE_CALL_MS_MAX,
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
    held: Option<(Connection, OwnedSemaphorePermit)>,
    kept: Arc<Kept>,
    state: State,
    /// Whether it was idle for so long that it is asked, or begins with something short, before anyone relies on it.
    wants_asking: bool,
}

/// What is known of a leased connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All that it was told is answered, and it is in no transaction.
    AtRest,
    /// It is in a transaction, or a call on it was broken off.
    Unsure,
    /// It ended, or does not answer.
    Dead,
}

impl Kept {
    pub fn new(pool: DatabaseConnection) -> Arc<Self> {
        let connections_max = match pool.get_database_backend() {
            DbBackend::Postgres => pool.get_postgres_connection_pool().options().get_max_connections(),
            _ => pool.get_sqlite_connection_pool().options().get_max_connections(),
        };
        let turns = Arc::new(Semaphore::new(connections_max as usize));
        Arc::new(Self { pool, turns, idle: Mutex::default() })
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
            self.take_in_turn(turn).await
        };
        match timeout(Duration::from_millis(ACQUIRE_MS_MAX), taking).await {
            Ok(taken) => taken,
            Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)),
        }
    }

    /// The same; one that was idle for long is asked whether it lives.
    pub async fn take_alive(self: &Arc<Self>) -> Result<Lease, DbErr> {
        loop {
            let mut lease = self.take().await?;
            if !lease.wants_asking || lease.answers().await {
                return Ok(lease);
            }
        }
    }

    async fn take_in_turn(self: &Arc<Self>, turn: OwnedSemaphorePermit) -> Result<Lease, DbErr> {
        let now = Instant::now();
        let is_postgres = self.pool.get_database_backend() == DbBackend::Postgres;
        while let Some((idle, silent_at)) = self.pop() {
            if is_silent(idle.since, silent_at) {
                idle.connection.session.abandon();
                continue;
            }
            let wants_asking = is_postgres && wants_asking(now.duration_since(idle.since));
            return Ok(self.lease(idle.connection, turn, wants_asking));
        }
        let session = match self.pool.get_database_backend() {
            DbBackend::Postgres => self.pool.get_postgres_connection_pool().acquire().await.map(Session::Postgres),
            _ => self.pool.get_sqlite_connection_pool().acquire().await.map(Session::Sqlite),
        };
        let connection = Connection { session: session.map_err(acquire_error)?, opened_at: now };
        Ok(self.lease(connection, turn, false))
    }

    fn pop(&self) -> Option<(IdleSession, Option<Instant>)> {
        let mut idle = self.idle.lock();
        Some((idle.sessions.pop()?, idle.silent_at))
    }

    fn lease(self: &Arc<Self>, connection: Connection, turn: OwnedSemaphorePermit, wants_asking: bool) -> Lease {
        Lease { held: Some((connection, turn)), kept: Arc::clone(self), state: State::AtRest, wants_asking }
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
                idle.sessions.push(IdleSession { connection, since: now });
            }
            let too_long = |one: &IdleSession| is_postgres && is_idle_too_long(now.duration_since(one.since));
            if idle.sessions.first().is_some_and(too_long) {
                closing.push(idle.sessions.remove(0).connection.session);
            }
        }
        closing.into_iter().for_each(Session::close);
    }

    /// Notes that a connection says nothing.
    fn is_silent(&self) {
        self.idle.lock().silent_at = Some(Instant::now());
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

impl Lease {
    /// Whether it was idle for so long that a beginning which fails says nothing of the database.
    pub const fn wants_asking(&self) -> bool {
        self.wants_asking
    }

    fn session(&mut self) -> Result<&mut Session, sqlx::Error> {
        self.held.as_mut().map(|(connection, _)| &mut connection.session).ok_or(sqlx::Error::PoolClosed)
    }

    /// Asks whether it lives.
    async fn answers(&mut self) -> bool {
        let ping = async { self.session()?.ping().await };
        match timeout(Duration::from_millis(POSTGRES_PING_MS_MAX), ping).await {
            Ok(Ok(())) => true,
            Ok(Err(_)) => {
                self.state = State::Dead;
                false
            }
            Err(_) => {
                self.is_silent();
                false
            }
        }
    }

    fn is_silent(&mut self) {
        self.state = State::Dead;
        self.kept.is_silent();
    }

    /// Notes that a call begins, which may be broken off.
    fn enters(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Unsure)
    }

    /// Notes how a call ended. One that failed leaves a transaction that is to be undone.
    fn left<T>(
        &mut self,
        then: State,
        ms_max: u64,
        answer: Option<Result<T, sqlx::Error>>,
        kind: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        match answer {
            Some(Ok(answer)) => {
                self.state = then;
                Ok(answer)
            }
            Some(Err(error)) => {
                if !is_survived(&error) {
                    self.state = State::Dead;
                }
                Err(kind(RuntimeErr::SqlxError(Arc::new(error))))
            }
            None => Err(no_answer(ms_max)),
        }
    }

    pub async fn execute(&mut self, ms_max: u64, statement: Statement) -> Result<ExecResult, DbErr> {
        let before = self.enters();
        let answer = in_time(ms_max, async { self.session()?.execute(statement).await }).await;
        self.left(before, ms_max, answer, DbErr::Exec)
    }

    pub async fn query_all(&mut self, ms_max: u64, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let before = self.enters();
        let answer = in_time(ms_max, async { self.session()?.query_all(statement).await }).await;
        self.left(before, ms_max, answer, DbErr::Query)
    }

    pub async fn query_one(&mut self, ms_max: u64, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let before = self.enters();
        let answer = in_time(ms_max, async { self.session()?.query_one(statement).await }).await;
        self.left(before, ms_max, answer, DbErr::Query)
    }

    pub async fn run(&mut self, ms_max: u64, sql: &str) -> Result<ExecResult, DbErr> {
        let before = self.enters();
        let answer = in_time(ms_max, async { self.session()?.run(sql).await }).await;
        self.left(before, ms_max, answer, DbErr::Exec)
    }

    /// Begins a transaction, with that in the same round trip where the connection is trusted.
    pub async fn begin(&mut self, ms_max: u64, begin: &str, then: &str) -> Result<(), DbErr> {
        self.state = State::Unsure;
        if !self.wants_asking {
            let text = if then.is_empty() { begin.to_owned() } else { format!("{begin}; {then}") };
            return self.run(ms_max, &text).await.map(|_| ());
        }
        // By itself, which takes no time: silence is known for what it is.
        let begun = in_time(POSTGRES_PING_MS_MAX, async { self.session()?.run(begin).await }).await;
        if begun.is_none() {
            self.is_silent();
        }
        self.left(State::Unsure, POSTGRES_PING_MS_MAX, begun, DbErr::Conn)?;
        self.wants_asking = false;
        if then.is_empty() { Ok(()) } else { self.run(ms_max, then).await.map(|_| ()) }
    }

    /// Ends the transaction with a text of which that is the last.
    pub async fn end(&mut self, ms_max: u64, sql: &str) -> Result<(), DbErr> {
        let answer = in_time(ms_max, async { self.session()?.run(sql).await }).await;
        self.left(State::AtRest, ms_max, answer, DbErr::Exec).map(|_| ())
    }

    /// The same with values, which PostgreSQL allows with one statement alone.
    pub async fn end_with_values(&mut self, ms_max: u64, statement: Statement) -> Result<(), DbErr> {
        let answer = in_time(ms_max, async { self.session()?.execute(statement).await }).await;
        self.left(State::AtRest, ms_max, answer, DbErr::Exec).map(|_| ())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, turn)) = self.held.take() else { return };
        match (self.state, tokio::runtime::Handle::try_current()) {
            (State::AtRest, Ok(_)) => self.kept.put(connection),
            (State::Unsure, Ok(runtime)) => {
                let kept = Arc::clone(&self.kept);
                runtime.spawn(async move {
                    undo(&kept, connection).await;
                    drop(turn);
                });
                return;
            }
            _ => connection.session.abandon(),
        }
        // Only now: whoever comes next finds it, or room for another.
        drop(turn);
    }
}

/// Undoes what a connection may be in, and takes it back; one that does not say so in time is given up. What it was told
/// before comes first.
async fn undo(kept: &Kept, mut connection: Connection) {
    let is_postgres = connection.session.backend() == DbBackend::Postgres;
    let ms_max = if is_postgres { POSTGRES_PING_MS_MAX } else { SQLITE_CALL_MS_MAX };
    match in_time(ms_max, connection.session.run("ROLLBACK")).await {
        Some(Ok(_)) => kept.put(connection),
        // SQLite undoes a transaction by itself where its disk is full or fails.
        Some(Err(error)) if had_no_transaction(&error) => kept.put(connection),
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection is closed: what it was in could not be undone");
            connection.session.abandon();
        }
        None => {
            kept.is_silent();
            connection.session.abandon();
        }
    }
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
