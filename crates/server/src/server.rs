//! A server from its start to its end.

use crate::bootstrap::{Bootstrapped, bootstrap};
use crate::config::Config;
use crate::http::{self, RequestIds, WebState};
use crate::only_one;
use crate::token_cache::TokenCache;
use crate::wiring::{self, Wired};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Starts servers.
pub struct Server;

/// A server that accepts connections. Dropping it ends its listening without grace: see [`RunningServer::shutdown`].
pub struct RunningServer {
    /// The address that it listens on, with the port that it got.
    pub address: SocketAddr,
    /// What was made on an empty database, to be shown once.
    pub bootstrapped: Option<Bootstrapped>,
    stopping: CancellationToken,
    web: JoinHandle<()>,
    workers: wiring::Workers,
    shutdown_max: Duration,
    /// Held until the end.
    _only_one: Option<std::fs::File>,
}

impl Server {
    /// Opens the database, brings it up to date, makes the first tenant where there is none, starts the dispatcher and
    /// listens.
    ///
    /// # Errors
    /// What cannot be opened, read, written or listened on.
    pub async fn start(config: Config) -> anyhow::Result<RunningServer> {
        let only_one = only_one::of_database(&config.database)?;
        let Wired { store, clock, entropy, endpoints, loops } = wiring::wire(&config).await?;
        let bootstrapped = bootstrap(&config.bootstrap, store.as_ref(), clock.as_ref(), entropy.as_ref()).await?;
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen: cannot listen on {}", config.listen))?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let state = Arc::new(WebState {
            tokens: Arc::new(TokenCache::new(store.clone(), clock.clone())),
            feed: store,
            endpoints,
            graphiql: config.graphiql,
            introspection: config.introspection,
            requests: Arc::new(Semaphore::new(config.web.http_requests_max)),
            connections: Arc::new(Semaphore::new(config.web.websocket_connections_max)),
            limits: config.web,
            stopping: stopping.clone(),
            request_ids: RequestIds { clock, entropy },
        });
        let web = tokio::spawn(listen(listener, state, stopping.clone()));
        let workers = loops.start();
        tracing::info!(%address, "listening");
        Ok(RunningServer {
            address,
            bootstrapped,
            stopping,
            web,
            workers,
            shutdown_max: config.shutdown_max,
            _only_one: only_one,
        })
    }
}

async fn listen(listener: TcpListener, state: Arc<WebState>, stopping: CancellationToken) {
    let served = axum::serve(listener, http::router(state)).with_graceful_shutdown(stopping.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "serving ended");
    }
}

impl RunningServer {
    /// Stops accepting, lets requests and deliveries under way end within `shutdown_ms_max`, and releases the rest: what
    /// was due stays due.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        let mut web = self.web;
        let (served, ()) = tokio::join!(timeout(self.shutdown_max, &mut web), self.workers.stop());
        if served.is_err() {
            tracing::warn!("requests under way did not end in time (shutdown_ms_max)");
            web.abort();
        }
        tracing::info!("stopped");
    }
}
