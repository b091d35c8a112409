//! The answers to those who run the server: whether it is alive, whether it is ready, and its metrics. The answers are
//! plain and hold no secrets.

use super::WebState;
use super::readings::{Reading, Readings};
use crate::limits::{READY_KEPT_MS, READY_MS_MAX};
use crate::metrics::Scrape;
use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hookgraph_storage::{MigrateError, SqlStore};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Why a server should get no requests now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// A part of the server has ended before its time.
    Failed,
    /// The server is about to stop.
    Stopping,
    /// The database does not answer.
    Database,
    /// The database is not up to date, or newer than this version.
    Migrations,
}

impl NotReady {
    /// The cause in plain words.
    pub const fn reason(self) -> &'static str {
        match self {
            NotReady::Failed => "a part of the server has ended before its time: it stops",
            NotReady::Stopping => "the server is stopping",
            NotReady::Database => "the database does not answer",
            NotReady::Migrations => "the database is not up to date, or newer than this server",
        }
    }
}

/// Says whether a server should get requests.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Whether the server is ready.
    async fn check(&self) -> Result<(), NotReady>;
}

/// The readiness of a server on a database.
pub struct ServerReadiness {
    database: Arc<Database>,
    read: KeptVerdict,
    draining: CancellationToken,
    failed: CancellationToken,
}

impl ServerReadiness {
    /// A server that is ready while its database is, until `draining` or `failed` is cancelled.
    pub fn new(store: SqlStore, draining: CancellationToken, failed: CancellationToken) -> Self {
        let database = Arc::new(Database { store, is_failing: AtomicBool::new(false) });
        Self { database, read: KeptVerdict::default(), draining, failed }
    }
}

#[async_trait]
impl Readiness for ServerReadiness {
    async fn check(&self) -> Result<(), NotReady> {
        let database = self.database.clone();
        let verdict = self.read.or_read(async move { database.verdict().await });
        unless_ending(&self.failed, &self.draining, verdict).await
    }
}

/// The verdict on the database, or the server's own end, which is told at once.
async fn unless_ending(
    failed: &CancellationToken,
    draining: &CancellationToken,
    database: impl Future<Output = Result<(), NotReady>>,
) -> Result<(), NotReady> {
    tokio::select! {
        biased;
        () = failed.cancelled() => Err(NotReady::Failed),
        () = draining.cancelled() => Err(NotReady::Stopping),
        verdict = database => verdict,
    }
}

/// The result of one reading.
type Verdict = Result<(), NotReady>;

/// The last verdict, which is told again for [`READY_KEPT_MS`].
#[derive(Default)]
struct KeptVerdict(Readings<Verdict>);

impl KeptVerdict {
    async fn or_read(&self, reading: impl Future<Output = Verdict> + Send + 'static) -> Verdict {
        let is_kept = |last: &Reading<Verdict>| last.ended_at.elapsed() < Duration::from_millis(READY_KEPT_MS);
        match self.0.last_or_turn(is_kept).await {
            Ok(verdict) => verdict,
            // A reading that panics says as little as a database that does not answer.
            Err(turn) => turn.read(reading, Err(NotReady::Database)).await,
        }
    }
}

/// The database of whose readiness is asked.
struct Database {
    store: SqlStore,
    is_failing: AtomicBool,
}

impl Database {
    async fn verdict(&self) -> Result<(), NotReady> {
        let Err((not_ready, error)) = judged(self.store.pending_migrations()).await else {
            if self.is_failing.swap(false, Ordering::Relaxed) {
                tracing::info!("ready again");
            }
            return Ok(());
        };
        // An outage is logged once, however often readiness is asked for.
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "not ready: {}", not_ready.reason());
        }
        Err(not_ready)
    }
}

/// The verdict that the pending migrations yield in time. A database that is not ready is told of in two ways: for
/// those who ask, and for the log.
async fn judged(asked: impl Future<Output = Result<Vec<String>, MigrateError>>) -> Result<(), (NotReady, String)> {
    match timeout(Duration::from_millis(READY_MS_MAX), asked).await {
        Ok(Ok(pending)) if pending.is_empty() => Ok(()),
        Ok(Ok(pending)) => Err((NotReady::Migrations, format!("not applied: {pending:?}"))),
        Ok(Err(MigrateError::Store(error))) => Err((NotReady::Database, error.to_string())),
        Ok(Err(error)) => Err((NotReady::Migrations, error.to_string())),
        Err(_) => Err((NotReady::Database, format!("no answer in {READY_MS_MAX} ms"))),
    }
}

/// The routes of the operations address, where metrics have one of their own.
pub fn router(readiness: Arc<dyn Readiness>, scrape: Arc<Scrape>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(async move || ready(readiness.as_ref()).await))
        .route("/metrics", get(async move || text(&scrape).await))
}

pub(super) async fn alive() -> Response {
    json_answer(StatusCode::OK, &json!({ "status": "alive" }))
}

pub(super) async fn readyz(State(state): State<Arc<WebState>>) -> Response {
    ready(state.readiness.as_ref()).await
}

/// The metrics, where they are open on the public address.
pub(super) async fn metrics(State(state): State<Arc<WebState>>) -> Response {
    match &state.scrape {
        Some(scrape) => text(scrape).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn ready(readiness: &dyn Readiness) -> Response {
    match readiness.check().await {
        Ok(()) => json_answer(StatusCode::OK, &json!({ "status": "ready" })),
        Err(not_ready) => {
            let body = json!({ "status": "unavailable", "reason": not_ready.reason() });
            json_answer(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

async fn text(scrape: &Scrape) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], scrape.text().await.to_string())
        .into_response()
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body.to_string())
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::{join_all, pending, ready};
    use std::sync::atomic::AtomicUsize;
    use tokio::time::{advance, sleep};

    const READING: Duration = Duration::from_millis(100);

    /// Asks, and counts the reading where there is one.
    async fn asked(kept: &KeptVerdict, readings: &Arc<AtomicUsize>, verdict: Verdict) -> Verdict {
        let readings = readings.clone();
        let reading = async move {
            readings.fetch_add(1, Ordering::SeqCst);
            sleep(READING).await;
            verdict
        };
        kept.or_read(reading).await
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_cost_one_reading_whose_verdict_is_told_for_a_while() {
        let (kept, readings) = (KeptVerdict::default(), Arc::<AtomicUsize>::default());
        let told = join_all((0..100).map(|_| asked(&kept, &readings, Err(NotReady::Database)))).await;
        assert_eq!((told, readings.load(Ordering::SeqCst)), (vec![Err(NotReady::Database); 100], 1));
        advance(Duration::from_millis(READY_KEPT_MS - 1)).await;
        assert_eq!(asked(&kept, &readings, Ok(())).await, Err(NotReady::Database));
        advance(Duration::from_millis(1)).await;
        assert_eq!((asked(&kept, &readings, Ok(())).await, readings.load(Ordering::SeqCst)), (Ok(()), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_goes_on_without_whoever_began_it() {
        let (kept, readings) = (KeptVerdict::default(), Arc::<AtomicUsize>::default());
        for _ in 0..10 {
            assert_eq!(asked(&kept, &readings, Ok(())).now_or_never(), None);
            tokio::task::yield_now().await;
        }
        assert_eq!(asked(&kept, &readings, Err(NotReady::Database)).await, Ok(()));
        assert_eq!(readings.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_is_waited_for_so_long_and_no_longer() {
        let after_ms = |ms| async move {
            sleep(Duration::from_millis(ms)).await;
            Ok(Vec::new())
        };
        assert_eq!(judged(after_ms(READY_MS_MAX - 1)).await, Ok(()));
        let late = Err((NotReady::Database, format!("no answer in {READY_MS_MAX} ms")));
        assert_eq!(judged(after_ms(READY_MS_MAX + 1)).await, late);
    }

    #[tokio::test]
    async fn what_is_pending_makes_a_server_unready_without_waiting() {
        let judged_now = |pending: Vec<String>| judged(ready(Ok(pending))).now_or_never();
        assert_eq!(judged_now(Vec::new()), Some(Ok(())));
        let not_applied = (NotReady::Migrations, "not applied: [\"m1\"]".to_owned());
        assert_eq!(judged_now(vec!["m1".to_owned()]), Some(Err(not_applied)));
    }

    #[tokio::test]
    async fn that_the_server_ends_is_told_at_once_whatever_the_database_says() {
        let [failed, draining] = [(); 2].map(|()| CancellationToken::new());
        assert_eq!(unless_ending(&failed, &draining, ready(Ok(()))).await, Ok(()));
        assert_eq!(unless_ending(&failed, &draining, pending()).now_or_never(), None);
        draining.cancel();
        assert_eq!(unless_ending(&failed, &draining, ready(Ok(()))).await, Err(NotReady::Stopping));
        failed.cancel();
        assert_eq!(unless_ending(&failed, &draining, pending()).now_or_never(), Some(Err(NotReady::Failed)));
    }
}
