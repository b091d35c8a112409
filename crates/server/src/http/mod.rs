//! The routes, and the layers through which every answer goes.

pub mod answer;
mod events;
mod graphiql;
mod graphql;
mod headers;
mod held_frames;
pub mod jwks;
mod large;
pub mod listening;
mod negotiate;
pub mod operations;
pub mod parse;
mod readings;
mod request_id;
mod unread;

use crate::auth::Authenticator;
use crate::config::WebLimits;
use crate::documents::Documents;
use crate::endpoint::Endpoint;
use crate::metrics::{Metrics, Scrape};
use crate::shares::Shares;
use crate::websocket;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use hookgraph_domain::refusal::RefusalCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The state that the routes share.
pub struct WebState {
    /// Lets callers in.
    pub auth: Authenticator,
    /// Tells `/readyz` whether the server is ready.
    pub readiness: Arc<dyn operations::Readiness>,
    /// The metrics, where they are open on this address.
    pub scrape: Option<Arc<Scrape>>,
    /// The counters, where metrics are served.
    pub metrics: Option<Arc<Metrics>>,
    /// The management schema and its payload sibling.
    pub endpoints: Endpoints,
    /// The keys that verify asymmetric signatures.
    pub published_keys: Arc<dyn jwks::PublishedKeys>,
    /// The bounds that the operator sets.
    pub limits: WebLimits,
    /// Whether browsers get GraphiQL.
    pub graphiql: bool,
    /// Whether the schema may be asked for.
    pub introspection: bool,
    /// The shares that each token has taken of the server.
    pub shares: Arc<Shares>,
    /// The documents that clients may name.
    pub documents: Documents,
    /// Permits for requests that are executed at a time.
    pub requests: Arc<Semaphore>,
    /// Places for large requests among them.
    pub large_requests: LargeRequests,
    /// Permits for WebSocket connections that are acknowledged, and for event streams.
    pub connections: Arc<Semaphore>,
    /// Permits for WebSocket connections that are not acknowledged yet, of which anybody may open one.
    pub unacknowledged: Arc<Semaphore>,
    /// Cancelled when the server stops, which ends WebSocket connections.
    pub stopping: CancellationToken,
    /// New request ids.
    pub request_ids: request_id::RequestIds,
}

impl WebState {
    /// Counts an answer whose code says that the server could not do what it was asked. Other codes are not counted.
    pub fn refused(&self, code: RefusalCode) {
        if let Some(metrics) = &self.metrics {
            metrics.refused(code);
        }
    }
}

/// The two schemas and their SDL.
#[derive(Clone)]
pub struct Endpoints {
    /// `/graphql`.
    pub management: Arc<dyn Endpoint>,
    /// `/payload/graphql`.
    pub payload: Arc<dyn Endpoint>,
    /// `/schema.graphql`.
    pub management_sdl: Arc<str>,
    /// `/payload/schema.graphql`.
    pub payload_sdl: Arc<str>,
}

pub use large::{LargePlace, LargeRequests};
pub use request_id::{RequestId, RequestIds};

/// All routes.
pub fn router(state: Arc<WebState>) -> Router {
    let body_limit = DefaultBodyLimit::max(state.limits.http_body_bytes_max);
    let mut routes = Router::new()
        .route("/", get(|| async { axum::response::Redirect::temporary("/graphql") }))
        .route("/graphql", any(management))
        .route("/payload/graphql", any(payload))
        .route("/schema.graphql", get(management_sdl))
        .route("/payload/schema.graphql", get(payload_sdl))
        .route(jwks::OF_TENANT, get(jwks::of_tenant))
        .route(jwks::OF_WEBHOOK, get(jwks::of_webhook))
        .route("/healthz", get(operations::alive))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics));
    if state.graphiql {
        routes = routes.route("/graphiql/{file}", get(graphiql::asset));
    }
    let mut router = routes
        .fallback(nowhere)
        .layer(body_limit)
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(answer::panicked))
        .layer(axum::middleware::from_fn_with_state(state.clone(), request_id::identify));
    if !state.limits.allowed_origins.is_empty() {
        router = router.layer(headers::cors(&state.limits.allowed_origins));
    }
    router
        .layer(axum::middleware::from_fn_with_state(state.clone(), headers::secure))
        .layer(axum::middleware::from_fn(unread::read_on))
        .with_state(state)
}

/// The answer for a path that leads nowhere.
async fn nowhere() -> Response {
    let message = "nothing is at this path: the API is at /graphql";
    answer::bad_request(StatusCode::NOT_FOUND, message, answer::MediaType::Json)
}

/// The answer for a browser that asks an API for its page, where there is none.
fn no_page(path: &str) -> Response {
    let text = format!("This is hookgraph. Its API takes POST requests at {path}; it has no page here.\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn management(State(state): State<Arc<WebState>>, request: axum::extract::Request) -> Response {
    if websocket::is_upgrade(&request) {
        return websocket::upgrade(state, request).await;
    }
    if negotiate::is_browser(&request) {
        return if state.graphiql { graphiql::page("/graphql") } else { no_page("/graphql") };
    }
    if negotiate::wants_events(request.headers()) {
        return events::serve(state, request).await;
    }
    let endpoint = state.endpoints.management.clone();
    graphql::serve(&state, endpoint, request).await
}

async fn payload(State(state): State<Arc<WebState>>, request: axum::extract::Request) -> Response {
    if negotiate::is_browser(&request) {
        return if state.graphiql { graphiql::page("/payload/graphql") } else { no_page("/payload/graphql") };
    }
    let endpoint = state.endpoints.payload.clone();
    graphql::serve(&state, endpoint, request).await
}

async fn management_sdl(State(state): State<Arc<WebState>>, headers: HeaderMap) -> Response {
    sdl(&state, &headers, state.endpoints.management_sdl.clone()).await
}

async fn payload_sdl(State(state): State<Arc<WebState>>, headers: HeaderMap) -> Response {
    sdl(&state, &headers, state.endpoints.payload_sdl.clone()).await
}

async fn sdl(state: &WebState, headers: &HeaderMap, text: Arc<str>) -> Response {
    if !state.introspection {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Err(refused) = graphql::admit(state, headers, answer::MediaType::Json).await {
        return *refused;
    }
    ([(header::CONTENT_TYPE, "application/graphql; charset=utf-8")], text.to_string()).into_response()
}
