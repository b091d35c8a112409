//! A server from its start to its end.

use crate::auth::Authenticator;
use crate::bootstrap::{Bootstrapped, bootstrap};
use crate::config::{Config, Exposure};
use crate::documents::Documents;
use crate::http::jwks::StoredKeys;
use crate::http::listening;
use crate::http::operations::{self, ServerReadiness};
use crate::http::{self, LargeRequests, RequestIds, WebState};
use crate::limits::STORE_CLOSE_MS_MAX;
use crate::metrics::Scrape;
use crate::oidc::{HttpFetch, Issuer};
use crate::shares::Shares;
use crate::token_cache::TokenCache;
use crate::traces::Traces;
use crate::wiring::{self, Wired};
use crate::workers::{Watch, Workers};
use crate::{only_one, opening};
use anyhow::Context;
use hookgraph_storage::SqlStore;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A server that accepts connections. Dropping it ends its listening without grace: see [`RunningServer::shutdown`].
pub struct RunningServer {
    /// The address that it listens on, with the port that it got.
    pub address: SocketAddr,
    /// The address of the metrics, where they have one of their own.
    pub metrics_address: Option<SocketAddr>,
    /// The tenant, token and secret that were made on an empty database, to be shown once.
    pub bootstrapped: Option<Bootstrapped>,
    draining: CancellationToken,
    stopping: CancellationToken,
    failed: CancellationToken,
    web: JoinHandle<()>,
    operations: Option<JoinHandle<()>>,
    workers: Workers,
    shutdown_delay: Duration,
    shutdown_max: Duration,
    store: SqlStore,
    /// The lock on the database's file, held until the end.
    _only_one: Option<std::fs::File>,
}

/// Opens the database, brings it up to date, makes the first tenant where there is none, starts the loops and listens.
///
/// # Errors
/// An address that is taken, and files or a database that cannot be opened, read or written.
pub async fn start(config: Config) -> anyhow::Result<RunningServer> {
    start_traced(config, None).await
}

/// Starts a server as [`start`] does, whose traces are sent.
///
/// # Errors
/// As [`start`].
pub(crate) async fn start_traced(config: Config, traces: Option<Arc<Traces>>) -> anyhow::Result<RunningServer> {
    // The addresses and files are tried first: where one is taken or missing, no database is made.
    let (listener, address) = bind("listen", config.listen).await?;
    let own = match config.metrics {
        Exposure::Own(wanted) => Some(bind("metrics", wanted).await?),
        Exposure::Off | Exposure::Open => None,
    };
    let documents = Documents::new(&config.documents)?;
    let only_one = only_one::of_database(&config.database)?;
    let wired = wiring::wire(&config, traces).await?;
    let auth = authenticator(&config, &wired)?;
    // The first tenant is made last of all that can fail: a start that failed after it would not show its secrets.
    let bootstrapped = bootstrap(&config.bootstrap, &*wired.store, &*wired.clock, &*wired.entropy).await?;
    // The key is checked again: another server may have made the first tenant meanwhile, with a key file of its own.
    opening::check_key(&wired.sql, &config.key_file).await?;
    let (watch, draining) = (Watch::default(), CancellationToken::new());
    let (stopping, failed) = (watch.stopping.clone(), watch.failed.clone());
    let readiness = Arc::new(ServerReadiness::new(wired.sql.clone(), draining.clone(), failed.clone()));
    let metrics_address = own.as_ref().map(|(_, address)| *address);
    let idle_max = config.web.connections.idle_max;
    let operations = own
        .zip(wired.scrape.clone())
        .map(|(bound, scrape)| serve_operations(bound, readiness.clone(), scrape, idle_max, failed.clone()));
    let state = web_state(&config, &wired, auth, documents, readiness, stopping.clone());
    let serving = listening::serve(listener, http::router(state), config.web.connections, stopping.clone());
    let web = tokio::spawn(watch.over("web", serving));
    let workers = wired.loops.start(only_one.is_some(), failed.clone());
    tracing::info!(%address, "listening");
    Ok(RunningServer {
        address,
        metrics_address,
        bootstrapped,
        draining,
        stopping,
        failed,
        web,
        operations,
        workers,
        shutdown_delay: config.shutdown_delay,
        shutdown_max: config.shutdown_max,
        store: wired.sql,
        _only_one: only_one,
    })
}

/// Lets callers in by the tokens of the database, and by an issuer's JWTs where one is configured.
fn authenticator(config: &Config, wired: &Wired) -> anyhow::Result<Authenticator> {
    let Wired { store, clock, .. } = wired;
    let tokens = Arc::new(TokenCache::new(store.clone(), clock.clone()));
    let auth = Authenticator::new(tokens, store.clone(), clock.clone(), config.web.token_recheck);
    let Some(oidc) = config.oidc.clone() else { return Ok(auth) };
    oidc.check()?;
    let (rules, options) = (wiring::address_rules(config), wiring::transport_options(config)?);
    let fetch = HttpFetch::new(&oidc.issuer, rules, options, clock.clone())?;
    Ok(auth.believing(Issuer::new(oidc, Arc::new(fetch), clock.clone()), store.clone()))
}

/// Serves the probes and the metrics on an address of their own, until the task is aborted.
fn serve_operations(
    (listener, address): (TcpListener, SocketAddr),
    readiness: Arc<ServerReadiness>,
    scrape: Arc<Scrape>,
    idle_max: Duration,
    failed: CancellationToken,
) -> JoinHandle<()> {
    tracing::info!(%address, "metrics are served");
    let routes = operations::router(readiness, scrape);
    // A watch of its own, which nobody tells to stop: probes are answered until the last delivery is settled.
    let watch = Watch { failed, ..Watch::default() };
    let serving = listening::serve_operations(listener, routes, idle_max, watch.stopping.clone());
    tokio::spawn(watch.over("operations", serving))
}

fn web_state(
    config: &Config,
    wired: &Wired,
    auth: Authenticator,
    documents: Documents,
    readiness: Arc<ServerReadiness>,
    stopping: CancellationToken,
) -> Arc<WebState> {
    let (limits, clock) = (&config.web, &wired.clock);
    Arc::new(WebState {
        auth,
        readiness,
        scrape: wired.scrape.clone().filter(|_| config.metrics == Exposure::Open),
        metrics: wired.metrics.clone(),
        endpoints: wired.endpoints.clone(),
        graphiql: config.graphiql,
        introspection: config.introspection,
        shares: Arc::new(Shares::new(limits, clock.clone())),
        documents,
        requests: Arc::new(Semaphore::new(limits.http_requests_max)),
        large_requests: LargeRequests::default(),
        connections: Arc::new(Semaphore::new(limits.websocket_connections_max)),
        unacknowledged: Arc::new(Semaphore::new(limits.websocket_unacknowledged_max)),
        published_keys: Arc::new(StoredKeys::new(wired.store.clone(), clock.clone())),
        limits: limits.clone(),
        stopping,
        request_ids: RequestIds { clock: clock.clone(), entropy: wired.entropy.clone() },
    })
}

async fn bind(key: &str, wanted: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(wanted).await.with_context(|| format!("{key}: cannot listen on {wanted}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl RunningServer {
    /// Cancelled when a part of the server has ended before it was told to: the server is not ready any more, and is to
    /// be shut down.
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Answers "not ready" from now on, and goes on as before for `shutdown_delay_ms`. Then the server stops accepting,
    /// lets requests and deliveries under way end within `shutdown_ms_max`, and releases the other deliveries, which
    /// stay due. A loop that does not end though it was told to is given up [`crate::limits::WORKERS_STOP_SLACK_MS`]
    /// later.
    pub async fn shutdown(self) {
        self.draining.cancel();
        if !self.shutdown_delay.is_zero() {
            let delay_ms = u64::try_from(self.shutdown_delay.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(delay_ms, "not ready any more: serving on for a while");
            tokio::time::sleep(self.shutdown_delay).await;
        }
        self.stopping.cancel();
        let mut web = self.web;
        let stopped = self.workers.stop(self.shutdown_max);
        let (served, _given_up) = tokio::join!(timeout(self.shutdown_max, &mut web), stopped);
        if served.is_err() {
            tracing::warn!("requests under way did not end in time (shutdown_ms_max)");
            web.abort();
        }
        // Probes and scrapers want answers until the last delivery is settled.
        if let Some(operations) = self.operations {
            operations.abort();
        }
        // As SQLite is closed, it writes the changes that are beside its file into it.
        match timeout(Duration::from_millis(STORE_CLOSE_MS_MAX), self.store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the database was not closed well"),
            Err(_) => tracing::warn!("the database was not closed in time: it is still asked something"),
        }
        tracing::info!("stopped");
    }
}
