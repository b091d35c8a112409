//! Wake-ups between processes on one PostgreSQL: `NOTIFY` and `LISTEN`, each on a connection of its own, never inside a
//! transaction of the road. They carry no data and may be lost: polling is the backstop.

use crate::connections::own_in_time;
use crate::limits::{LINK_CHECK_MS, LINK_MS_MAX};
use crate::neighbours::LastHeard;
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{DbBackend, DbErr, RuntimeErr};
use std::time::Duration;
use tokio::time::timeout;

const DUE_CHANNEL: &str = "hookgraph_due";
const FED_CHANNEL: &str = "hookgraph_fed";

/// Which wake-ups are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WakeUpKinds {
    /// Something may be due.
    pub due: bool,
    /// The feed may have grown.
    pub fed: bool,
}

/// A wake-up of another process, or of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub kinds: WakeUpKinds,
    /// The [`Notifier::backend_id`] of who sent it.
    pub backend_id: u32,
}

/// The way to the processes that share the database.
#[derive(Clone, Debug)]
pub struct WakeUpLink {
    options: PgConnectOptions,
}

impl SqlStore {
    /// When another process on this database was last heard of, to be told by whoever hears them.
    pub fn neighbours(&self) -> LastHeard {
        self.neighbours.clone()
    }

    /// The way to the processes that share this database; none on SQLite, which is one process's.
    pub fn wake_up_link(&self) -> Option<WakeUpLink> {
        (self.backend() == DbBackend::Postgres).then(|| WakeUpLink { options: self.own_options() })
    }
}

impl WakeUpLink {
    /// Connects to send.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer in [`LINK_MS_MAX`].
    pub async fn notifier(&self) -> Result<Notifier, StoreError> {
        // A wake-up that a crash of the database loses is one that nobody waits for any more.
        let options =
            self.options.clone().application_name("hookgraph notify").options([("synchronous_commit", "off")]);
        in_time(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            let backend_id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
            Ok(Notifier { connection, backend_id: backend_id.unsigned_abs() })
        })
        .await
    }

    /// Connects to listen.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not answer in [`LINK_MS_MAX`].
    pub async fn listener(&self) -> Result<Listener, StoreError> {
        let options = self.options.clone().application_name("hookgraph listen");
        in_time(async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .max_lifetime(None)
                .idle_timeout(None)
                .acquire_timeout(Duration::from_millis(LINK_MS_MAX))
                .connect_with(options)
                .await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            // A lost connection is told, not mended behind the back: what was missed has to be looked for.
            listener.eager_reconnect(false);
            listener.listen_all([DUE_CHANNEL, FED_CHANNEL]).await?;
            Ok(Listener { listener })
        })
        .await
    }
}

/// Sends wake-ups.
#[derive(Debug)]
pub struct Notifier {
    connection: PgConnection,
    backend_id: u32,
}

impl Notifier {
    /// What tells this sender's wake-ups from others'.
    pub fn backend_id(&self) -> u32 {
        self.backend_id
    }

    /// Sends them. After a failure this connection is of no more use.
    ///
    /// # Errors
    /// [`StoreError`] where the database does not take it in [`LINK_MS_MAX`].
    pub async fn notify(&mut self, kinds: WakeUpKinds) -> Result<(), StoreError> {
        let statement = match (kinds.due, kinds.fed) {
            (true, true) => "NOTIFY hookgraph_due; NOTIFY hookgraph_fed",
            (true, false) => "NOTIFY hookgraph_due",
            (false, true) => "NOTIFY hookgraph_fed",
            (false, false) => return Ok(()),
        };
        in_time(sqlx::raw_sql(statement).execute(&mut self.connection)).await.map(|_| ())
    }
}

/// Hears wake-ups.
pub struct Listener {
    listener: PgListener,
}

impl Listener {
    /// The next wake-up. A connection on which nothing comes is checked every [`LINK_CHECK_MS`]: one whose other end
    /// vanished says nothing by itself.
    ///
    /// # Errors
    /// [`StoreError`] where the connection is lost; then it is of no more use.
    pub async fn next(&mut self) -> Result<Heard, StoreError> {
        loop {
            match timeout(Duration::from_millis(LINK_CHECK_MS), self.listener.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    let is_due = notification.channel() == DUE_CHANNEL;
                    let kinds = WakeUpKinds { due: is_due, fed: !is_due };
                    return Ok(Heard { kinds, backend_id: notification.process_id() });
                }
                Ok(Ok(None)) => return Err(StoreError::Busy("the listening connection was lost".to_owned())),
                Ok(Err(error)) => return Err(link_error(error)),
                Err(_) => in_time(sqlx::query("SELECT 1").execute(&mut self.listener)).await.map(|_| ())?,
            }
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    own_in_time(LINK_MS_MAX, call).await
}

fn link_error(error: sqlx::Error) -> StoreError {
    crate::error::store_error(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
