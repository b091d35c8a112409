//! Wiring: the adapters behind the ports, and the loops that run beside the routes.

use crate::config::{Config, Exposure};
use crate::endpoint::{Management, Payload};
use crate::http::Endpoints;
use crate::limits;
use crate::metrics::{Metrics, ObservedQueue, ObservedRenderer, ObservedRetention, Scrape};
use crate::observer::CommitObserver;
use crate::opening;
use crate::surroundings::{self, OsEntropy};
use crate::traces::{ObservedTransport, Traces};
use crate::wake_ups::{self, ProcessWakeUps};
use crate::workers::Workers;
use crate::{feed_watch, partitions, sweeping};
use anyhow::Context;
use hookgraph_dispatcher::flow::{FlowLoop, FlowServices};
use hookgraph_dispatcher::retention::{RetentionLoop, RetentionServices};
use hookgraph_dispatcher::transport::{CertificateDer, HttpTransport, TransportOptions, X509Judge};
use hookgraph_dispatcher::worker::{self, DispatchLimits, Dispatcher};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::{Clock, DeliveryQueue, Entropy, PayloadRenderer, Retention, Store, Transport};
use hookgraph_pim::PimServices;
use hookgraph_pim::copy::CopyRunner;
use hookgraph_schema::{Api, FeedSignals, Services};
use hookgraph_storage::{SqlStore, WakeUpLink};
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Everything that a server is made of.
pub struct Wired {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The same, for what is asked of no other store: its health and its gauges.
    pub sql: SqlStore,
    /// The metrics, where they are served.
    pub scrape: Option<Arc<Scrape>>,
    /// The counters that it shows.
    pub metrics: Option<Arc<Metrics>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The schemas.
    pub endpoints: Endpoints,
    /// The loops, not started yet.
    pub loops: Loops,
}

/// What runs beside the routes.
pub struct Loops {
    api: Api,
    dispatcher: Dispatcher,
    flow: FlowLoop,
    retention: RetentionLoop,
    feed: Arc<FeedSignals>,
    wake_ups: Arc<ProcessWakeUps>,
    link: Option<WakeUpLink>,
    metrics: Option<Arc<Metrics>>,
    pim: PimServices,
    sql: SqlStore,
}

impl Loops {
    /// Starts them; where this process alone may work on the database, with what the one before was delivering. When one ends
    /// before it is told to stop, `failed` is cancelled.
    pub fn start(self, is_only_one: bool, failed: CancellationToken) -> Workers {
        let Self { api, dispatcher, flow, retention, feed, wake_ups, link, metrics, pim, sql } = self;
        let workers = Workers::new(failed);
        workers.run("feed", |stopping| feed_watch::run(pim.store.clone(), feed, wake_ups.fed_receiver(), stopping));
        if let Some(link) = link {
            workers.run("wake-ups", |stopping| wake_ups::run(link, wake_ups.clone(), sql.neighbours(), stopping));
        }
        if let Some(metrics) = metrics {
            workers.run("metrics", |stopping| async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = keep_up(&metrics) => {}
                }
            });
        }
        let before = is_only_one.then(|| (sql.clone(), pim.clock.clone()));
        workers.run("deliveries", |stopping| async move {
            // Before anything is claimed here, and behind nobody who waits for the server to listen.
            if let Some((sql, clock)) = before {
                take_over(&sql, &*clock).await;
            }
            // A payload query that no longer fits must be held before it is rendered.
            tokio::select! {
                () = recheck(api) => {}
                () = stopping.cancelled() => return,
            }
            dispatcher.run(wake_ups.due_signal(), stopping).await;
        });
        let clock = pim.clock.clone();
        workers.run("upkeep", |stopping| async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = sweeping::keep_up(sql.clone()) => {}
                () = partitions::keep_up(sql, clock) => {}
            }
        });
        workers.run("flow", |stopping| flow.run(stopping));
        workers.run("retention", |stopping| retention.run(stopping));
        let copies = CopyRunner::new(pim);
        workers.run("tenant copies", |stopping| copies.run(stopping));
        workers
    }
}

/// What is counted is sorted even where nobody scrapes.
async fn keep_up(metrics: &Metrics) {
    loop {
        tokio::time::sleep(Duration::from_millis(limits::METRICS_UPKEEP_MS)).await;
        metrics.upkeep();
    }
}

/// Takes over what the server before was delivering, if it died. Where that fails, it is due again when its leases end.
async fn take_over(sql: &SqlStore, clock: &dyn Clock) {
    match sql.end_leases(clock.now()).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deliveries that were in flight when the server ended are due again"),
        Err(error) => tracing::warn!(%error, "what the server before was delivering waits for its leases' end"),
    }
}

/// Checks stored payload queries against this version's schema, and tries again while the database fails.
async fn recheck(api: Api) {
    loop {
        match api.recheck_documents().await {
            Ok(rechecked) if rechecked.checked > 0 => {
                return tracing::info!(?rechecked, "stored payload queries were checked again");
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%error, "deliveries wait: stored payload queries could not be checked against this schema");
                tokio::time::sleep(Duration::from_millis(limits::RECHECK_RETRY_MS)).await;
            }
        }
    }
}

/// Opens the database, brings it up to date, and makes everything that works on it.
///
/// # Errors
/// What cannot be opened, read or written.
pub async fn wire(config: &Config, traces: Option<Arc<Traces>>) -> anyhow::Result<Wired> {
    // Another server of this process may have installed it: that is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock: Arc<dyn Clock> = Arc::new(surroundings::clock());
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy::default());
    let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
    let metrics = match config.metrics {
        Exposure::Off => None,
        Exposure::Open | Exposure::Own(_) => Some(Arc::new(Metrics::new().context("metrics")?)),
    };
    let observer = Arc::new(CommitObserver { metrics: metrics.clone(), traces: traces.clone() });
    let store = opening::open(config, entropy.clone(), failpoints.clone(), observer.clone()).await?;
    let applied = store.migrate().await.context("the database cannot be brought up to date")?;
    opening::check_key(&store, &config.key_file).await?;
    if !applied.is_empty() {
        tracing::info!(migrations = ?applied, "the database is brought up to date");
    }
    partitions::ensure(&store, &*clock).await;
    let link = store.wake_up_link();
    let sql = store.clone();
    let scrape = metrics.clone().map(|metrics| Arc::new(Scrape::new(metrics, sql.clone(), clock.clone())));
    let store: Arc<dyn Store> = Arc::new(store);
    let wake_ups = Arc::new(ProcessWakeUps::default());
    let pim = PimServices {
        store: store.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        wake_ups: wake_ups.clone(),
        observer,
    };
    let address_rules = address_rules(config);
    let feed = Arc::new(FeedSignals::default());
    let api = Api::new(Services {
        ports: pim.clone(),
        feed: feed.clone(),
        address_rules: address_rules.clone(),
        tls: Arc::new(X509Judge),
        suggests: config.introspection,
    })?;
    let services = worker::Services {
        queue: observed_queue(store.clone(), metrics.as_ref()),
        renderer: observed_renderer(api.renderer(), metrics.as_ref()),
        transport: observed_transport(
            HttpTransport::with(address_rules, clock.clone(), transport_options(config)?)?,
            traces,
        ),
        clock: clock.clone(),
        entropy: entropy.clone(),
        wake_ups: wake_ups.clone(),
        neighbours: Arc::new(sql.neighbours()),
        failpoints,
    };
    let dispatcher = Dispatcher::new(services, dispatch_limits(config));
    let flow = FlowLoop::new(FlowServices {
        store: store.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        wake_ups: wake_ups.clone(),
    });
    let retention = RetentionServices {
        retention: observed_retention(store.clone(), metrics.as_ref(), clock.clone()),
        clock: clock.clone(),
        wake_ups: wake_ups.clone(),
    };
    let retention = RetentionLoop::new(retention, config.retention);
    let endpoints = Endpoints {
        management: Arc::new(Management(api.clone())),
        payload: Arc::new(Payload(api.clone())),
        management_sdl: Api::sdl().into(),
        payload_sdl: Api::payload_sdl().into(),
    };
    let loops = Loops {
        api,
        dispatcher,
        flow,
        retention,
        feed,
        wake_ups,
        link,
        metrics: metrics.clone(),
        pim,
        sql: sql.clone(),
    };
    Ok(Wired { store, sql, scrape, metrics, clock, entropy, endpoints, loops })
}

fn observed_queue(queue: Arc<dyn DeliveryQueue>, metrics: Option<&Arc<Metrics>>) -> Arc<dyn DeliveryQueue> {
    match metrics {
        Some(metrics) => Arc::new(ObservedQueue { queue, metrics: metrics.clone() }),
        None => queue,
    }
}

fn observed_retention(
    retention: Arc<dyn Retention>,
    metrics: Option<&Arc<Metrics>>,
    clock: Arc<dyn Clock>,
) -> Arc<dyn Retention> {
    match metrics {
        Some(metrics) => Arc::new(ObservedRetention { retention, metrics: metrics.clone(), clock }),
        None => retention,
    }
}

fn observed_transport(transport: HttpTransport, traces: Option<Arc<Traces>>) -> Arc<dyn Transport> {
    match traces {
        Some(traces) => Arc::new(ObservedTransport { transport: Arc::new(transport), traces }),
        None => Arc::new(transport),
    }
}

fn observed_renderer(renderer: Arc<dyn PayloadRenderer>, metrics: Option<&Arc<Metrics>>) -> Arc<dyn PayloadRenderer> {
    match metrics {
        Some(metrics) => Arc::new(ObservedRenderer { renderer, metrics: metrics.clone() }),
        None => renderer,
    }
}

/// Which addresses may be called.
pub fn address_rules(config: &Config) -> AddressRules {
    AddressRules { allowed: config.allowed_addresses.clone(), allowed_hosts: config.allowed_hosts.clone() }
}

/// How they are called.
///
/// # Errors
/// `trusted_certificates` that cannot be read.
pub fn transport_options(config: &Config) -> anyhow::Result<TransportOptions> {
    let extra_roots = config.trusted_certificates.as_deref().map_or_else(|| Ok(Vec::new()), certificates)?;
    Ok(TransportOptions { egress_proxy: config.egress_proxy.clone(), extra_roots, ..TransportOptions::default() })
}

/// The certificates of a PEM file, of which there must be one.
fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.with_context(|| format!("trusted_certificates: {} cannot be read", path.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "trusted_certificates: {} holds no certificate", path.display());
    Ok(certificates)
}

fn dispatch_limits(config: &Config) -> DispatchLimits {
    DispatchLimits {
        in_flight_max: config.delivery.in_flight_max,
        in_flight_per_webhook_max: config.delivery.in_flight_per_webhook_max,
        claim_batch_max: config.delivery.claim_batch_max,
        poll_ms: millis(config.delivery.poll),
        drain_ms: millis(config.shutdown_max),
        ..DispatchLimits::default()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The SDL of `/graphql`.
pub fn management_sdl() -> String {
    Api::sdl()
}

/// The SDL of `/payload/graphql`.
pub fn payload_sdl() -> String {
    Api::payload_sdl()
}
