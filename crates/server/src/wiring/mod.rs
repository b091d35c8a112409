//! Wiring: the adapters behind the ports, and the loops that work on them.

mod loops;

pub use loops::Loops;

use crate::config::{Config, Exposure};
use crate::endpoint::{Management, Payload};
use crate::http::Endpoints;
use crate::metrics::{Metrics, ObservedQueue, ObservedRenderer, ObservedRetention, Scrape};
use crate::observer::CommitObserver;
use crate::surroundings::{self, OsEntropy};
use crate::traces::{ObservedTransport, Traces};
use crate::wake_ups::ProcessWakeUps;
use crate::{opening, partitions};
use anyhow::Context;
use hookgraph_dispatcher::flow::{FlowLoop, FlowServices};
use hookgraph_dispatcher::retention::{RetentionLoop, RetentionServices};
use hookgraph_dispatcher::transport::{CertificateDer, HttpTransport, TransportOptions, X509Judge};
use hookgraph_dispatcher::worker::{self, DispatchLimits, Dispatcher};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::{
    Clock, DeliveryQueue, Entropy, Failpoints, Observer, PayloadRenderer, Retention, Store, Transport,
};
use hookgraph_domain::retention::RetentionRules;
use hookgraph_pim::PimServices;
use hookgraph_schema::{Api, FeedSignals, Services};
use hookgraph_storage::SqlStore;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The parts of a server.
pub struct Wired {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The same database, for its health, its gauges and its end, which other stores do not have.
    pub sql: SqlStore,
    /// The metrics, where they are served.
    pub scrape: Option<Arc<Scrape>>,
    /// The counters that the metrics show.
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

/// Opens the database, brings it up to date, and makes the parts that work on it.
///
/// # Errors
/// Files or a database that cannot be opened, read or written.
pub async fn wire(config: &Config, traces: Option<Arc<Traces>>) -> anyhow::Result<Wired> {
    // Another server of this process may have installed the provider, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ports = Ports::new(config, traces)?;
    let sql = ports.open_store(config).await?;
    let scrape = ports.scrape(&sql);
    let store: Arc<dyn Store> = Arc::new(sql.clone());
    let pim = ports.pim(store.clone());
    let feed = Arc::new(FeedSignals::default());
    let api = Api::new(Services {
        ports: pim.clone(),
        feed: feed.clone(),
        address_rules: address_rules(config),
        tls: Arc::new(X509Judge),
        suggests: config.introspection,
    })?;
    let loops = Loops {
        dispatcher: ports.dispatcher(config, &sql, store.clone(), api.renderer())?,
        flow: ports.flow(store.clone()),
        retention: ports.retention(store.clone(), config.retention),
        link: sql.wake_up_link(),
        wake_ups: ports.wake_ups.clone(),
        metrics: ports.metrics.clone(),
        api: api.clone(),
        sql: sql.clone(),
        feed,
        pim,
    };
    let Ports { clock, entropy, metrics, .. } = ports;
    Ok(Wired { store, sql, scrape, metrics, clock, entropy, endpoints: endpoints(&api), loops })
}

fn endpoints(api: &Api) -> Endpoints {
    Endpoints {
        management: Arc::new(Management(api.clone())),
        payload: Arc::new(Payload(api.clone())),
        management_sdl: Api::sdl().into(),
        payload_sdl: Api::payload_sdl().into(),
    }
}

/// The ports that need no database, and the metrics and traces that observe the others.
struct Ports {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    failpoints: Arc<dyn Failpoints>,
    observer: Arc<dyn Observer>,
    wake_ups: Arc<ProcessWakeUps>,
    metrics: Option<Arc<Metrics>>,
    traces: Option<Arc<Traces>>,
}

impl Ports {
    fn new(config: &Config, traces: Option<Arc<Traces>>) -> anyhow::Result<Self> {
        let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
        let metrics = match config.metrics {
            Exposure::Off => None,
            Exposure::Open | Exposure::Own(_) => Some(Arc::new(Metrics::new().context("metrics")?)),
        };
        Ok(Self {
            clock: Arc::new(surroundings::clock()),
            entropy: Arc::new(OsEntropy::default()),
            failpoints,
            observer: Arc::new(CommitObserver { metrics: metrics.clone(), traces: traces.clone() }),
            wake_ups: Arc::default(),
            metrics,
            traces,
        })
    }

    /// Opens the database and brings it up to date.
    async fn open_store(&self, config: &Config) -> anyhow::Result<SqlStore> {
        let (entropy, failpoints, observer) = (self.entropy.clone(), self.failpoints.clone(), self.observer.clone());
        let store = opening::open(config, entropy, failpoints, observer).await?;
        let applied = store.migrate().await.context("the database cannot be brought up to date")?;
        opening::check_key(&store, &config.key_file).await?;
        if !applied.is_empty() {
            tracing::info!(migrations = ?applied, "the database is brought up to date");
        }
        partitions::ensure(&store, &*self.clock).await;
        Ok(store)
    }

    fn scrape(&self, sql: &SqlStore) -> Option<Arc<Scrape>> {
        let metrics = self.metrics.clone()?;
        Some(Arc::new(Scrape::new(metrics, sql.clone(), self.clock.clone())))
    }

    fn pim(&self, store: Arc<dyn Store>) -> PimServices {
        PimServices {
            store,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            wake_ups: self.wake_ups.clone(),
            observer: self.observer.clone(),
        }
    }

    fn dispatcher(
        &self,
        config: &Config,
        sql: &SqlStore,
        queue: Arc<dyn DeliveryQueue>,
        renderer: Arc<dyn PayloadRenderer>,
    ) -> anyhow::Result<Dispatcher> {
        let transport = HttpTransport::with(address_rules(config), self.clock.clone(), transport_options(config)?)?;
        let transport: Arc<dyn Transport> = Arc::new(transport);
        let services = worker::Services {
            queue: match self.metrics.clone() {
                Some(metrics) => Arc::new(ObservedQueue { queue, metrics }),
                None => queue,
            },
            renderer: match self.metrics.clone() {
                Some(metrics) => Arc::new(ObservedRenderer { renderer, metrics }),
                None => renderer,
            },
            transport: match self.traces.clone() {
                Some(traces) => Arc::new(ObservedTransport { transport, traces }),
                None => transport,
            },
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            wake_ups: self.wake_ups.clone(),
            neighbours: Arc::new(sql.neighbours()),
            failpoints: self.failpoints.clone(),
        };
        Ok(Dispatcher::new(services, dispatch_limits(config)))
    }

    fn flow(&self, store: Arc<dyn Store>) -> FlowLoop {
        FlowLoop::new(FlowServices {
            store,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            wake_ups: self.wake_ups.clone(),
        })
    }

    fn retention(&self, retention: Arc<dyn Retention>, rules: RetentionRules) -> RetentionLoop {
        let services = RetentionServices {
            retention: match self.metrics.clone() {
                Some(metrics) => Arc::new(ObservedRetention { retention, metrics, clock: self.clock.clone() }),
                None => retention,
            },
            clock: self.clock.clone(),
            wake_ups: self.wake_ups.clone(),
        };
        RetentionLoop::new(services, rules)
    }
}

/// The addresses that webhooks may call.
pub fn address_rules(config: &Config) -> AddressRules {
    AddressRules {
        refused: config.refused_addresses.clone(),
        allowed: config.allowed_addresses.clone(),
        allowed_hosts: config.allowed_hosts.clone(),
    }
}

/// The proxy through which webhooks are called, and the certificates that are trusted beside the system's.
///
/// # Errors
/// `trusted_certificates` that cannot be read.
pub fn transport_options(config: &Config) -> anyhow::Result<TransportOptions> {
    let extra_roots = config.trusted_certificates.as_deref().map_or_else(|| Ok(Vec::new()), certificates)?;
    Ok(TransportOptions { egress_proxy: config.egress_proxy.clone(), extra_roots, ..TransportOptions::default() })
}

/// The certificates of a PEM file, which must hold at least one.
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
