//! What those who run the server ask: is it alive, is it ready, how much is there. Plain answers without secrets.

use super::WebState;
use crate::limits::READY_MS_MAX;
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
    /// A part of it has ended that should not.
    Failed,
    /// It is about to stop.
    Stopping,
    /// The database does not answer.
    Database,
    /// The database is not as this version needs it.
    Migrations,
}

impl NotReady {
    /// In plain words.
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
    /// Whether it is ready.
    async fn check(&self) -> Result<(), NotReady>;
}

/// The readiness of a server on a database.
pub struct ServerReadiness {
    store: SqlStore,
    draining: CancellationToken,
    failed: CancellationToken,
    is_failing: AtomicBool,
}

impl ServerReadiness {
    /// Ready while the database is, until `draining` or `failed` is cancelled.
    pub fn new(store: SqlStore, draining: CancellationToken, failed: CancellationToken) -> Self {
        Self { store, draining, failed, is_failing: AtomicBool::new(false) }
    }

    async fn database(&self) -> Result<(), NotReady> {
        let asked = timeout(Duration::from_millis(READY_MS_MAX), self.store.pending_migrations()).await;
        let (not_ready, error) = match asked {
            Ok(Ok(pending)) if pending.is_empty() => return Ok(()),
            Ok(Ok(pending)) => (NotReady::Migrations, format!("not applied: {pending:?}")),
            Ok(Err(MigrateError::Store(error))) => (NotReady::Database, error.to_string()),
            Ok(Err(error)) => (NotReady::Migrations, error.to_string()),
            Err(_) => (NotReady::Database, format!("no answer in {READY_MS_MAX} ms")),
        };
        // Once an outage, however often it is asked.
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "not ready: {}", not_ready.reason());
        }
        Err(not_ready)
    }
}

#[async_trait]
impl Readiness for ServerReadiness {
    async fn check(&self) -> Result<(), NotReady> {
        if self.failed.is_cancelled() {
            return Err(NotReady::Failed);
        }
        if self.draining.is_cancelled() {
            return Err(NotReady::Stopping);
        }
        self.database().await?;
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("ready again");
        }
        Ok(())
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
