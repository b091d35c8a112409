//! The effective configuration: defaults, then `hookgraph.toml`, then `HOOKGRAPH_*`, then flags.

pub mod keys;
mod layers;
mod print;

pub use layers::{ConfigError, Exposure, Layers, Source, Value};
pub use print::{printed, printed_json};

use crate::http::listening::ConnectionLimits;
use crate::limits::{WEBSOCKETS_UNACKNOWLEDGED_MIN, WEBSOCKETS_UNACKNOWLEDGED_SHARE};
use crate::oidc::OidcConfig;
use hookgraph_domain::address::HostRule;
use hookgraph_domain::retention::RetentionRules;
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The effective configuration. [`keys::KEYS`] says what the fields mean, each under the key of its name.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the table of keys documents the fields")]
pub struct Config {
    pub listen: SocketAddr,
    /// The URL has no slash at its end.
    pub public_url: Option<String>,
    /// The URL may hold a password, so it is never logged.
    pub database: String,
    pub database_connections_max: u32,
    /// None stands for 0.
    pub database_bytes_max: Option<u64>,
    pub key_file: PathBuf,
    pub refused_addresses: Vec<IpNet>,
    pub allowed_addresses: Vec<IpNet>,
    pub allowed_hosts: Vec<HostRule>,
    /// The URL may hold a password, so it is never logged.
    pub egress_proxy: Option<Url>,
    pub trusted_certificates: Option<PathBuf>,
    pub log: String,
    pub log_format: LogFormat,
    pub metrics: Exposure,
    /// The URL has no slash at its end.
    pub otlp_endpoint: Option<String>,
    pub otlp_sample_percent: u32,
    /// GraphiQL is off in production.
    pub graphiql: bool,
    /// Introspection is off in production.
    pub introspection: bool,
    pub documents: DocumentsConfig,
    pub web: WebLimits,
    pub delivery: DeliveryLimits,
    pub retention: RetentionRules,
    pub shutdown_delay: Duration,
    pub shutdown_max: Duration,
    pub bootstrap: BootstrapConfig,
    pub oidc: Option<OidcConfig>,
}

/// The keys of persisted and trusted documents.
#[derive(Clone, Debug, Default)]
pub struct DocumentsConfig {
    /// `trusted_documents`, where a file or folder is named.
    pub trusted: Option<PathBuf>,
    /// `trusted_documents_only`.
    pub trusted_only: bool,
    /// `automatic_persisted_queries`.
    pub automatic: bool,
}

/// The bounds of HTTP and WebSocket, each under the key of its name.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the table of keys documents the fields")]
pub struct WebLimits {
    pub allowed_origins: Vec<String>,
    pub http_body_bytes_max: usize,
    pub http_request_max: Duration,
    pub http_requests_max: usize,
    pub connections: ConnectionLimits,
    pub websocket_connections_max: usize,
    /// How many of `websocket_connections_max` may be connections that are not acknowledged yet.
    pub websocket_unacknowledged_max: usize,
    pub websocket_subscriptions_max: usize,
    /// 0 stands for no limit.
    pub token_requests_per_s_max: u64,
    pub token_requests_burst_max: u64,
    pub token_connections_max: usize,
    pub token_subscriptions_max: usize,
    pub websocket_message_bytes_max: usize,
    pub websocket_init_max: Duration,
    pub websocket_ping: Duration,
    pub token_recheck: Duration,
    /// Whether queries may be sent by GET, which they may not in production.
    pub queries_by_get: bool,
    /// Whether `public_url` is `https`: browsers are then told to keep to it.
    pub is_served_over_tls: bool,
}

/// The bounds of the dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    /// `deliveries_in_flight_max`.
    pub in_flight_max: u32,
    /// `deliveries_in_flight_per_webhook_max`.
    pub in_flight_per_webhook_max: u32,
    /// `claim_batch_max`.
    pub claim_batch_max: u32,
    /// `poll_ms`.
    pub poll: Duration,
}

/// The tenant and the token that are made at the start: `bootstrap_*`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the table of keys documents the fields")]
pub struct BootstrapConfig {
    pub tenant: Option<String>,
    pub token: Option<SecretString>,
    pub signature_secret: Option<SecretString>,
}

impl Config {
    /// The configuration that those layers come to.
    #[expect(clippy::too_many_lines, reason = "a line for each key")]
    pub fn from_layers(layers: &Layers) -> Self {
        let read = Reader(layers);
        let production = read.flag("production");
        Self {
            listen: read.address("listen"),
            public_url: read.set_text("public_url").map(|url| url.trim_end_matches('/').to_owned()),
            database: read.text("database"),
            database_connections_max: read.number_u32("database_connections_max"),
            database_bytes_max: Some(read.number("database_bytes_max")).filter(|bytes| *bytes > 0),
            key_file: read.text("key_file").into(),
            refused_addresses: read.networks("refused_addresses"),
            allowed_addresses: read.networks("allowed_addresses"),
            allowed_hosts: read.hosts("allowed_hosts"),
            egress_proxy: read.proxy("egress_proxy"),
            trusted_certificates: read.set_text("trusted_certificates").map(PathBuf::from),
            log: read.text("log"),
            log_format: if read.text("log_format") == "json" { LogFormat::Json } else { LogFormat::Text },
            metrics: read.exposure("metrics"),
            otlp_endpoint: read.set_text("otlp_endpoint").map(|url| url.trim_end_matches('/').to_owned()),
            otlp_sample_percent: read.number_u32("otlp_sample_percent"),
            graphiql: read.flag("graphiql") && !production,
            introspection: read.flag("introspection") && !production,
            documents: DocumentsConfig {
                trusted: read.set_text("trusted_documents").map(PathBuf::from),
                trusted_only: read.flag("trusted_documents_only"),
                automatic: read.flag("automatic_persisted_queries"),
            },
            web: WebLimits {
                allowed_origins: read.origins("allowed_origins"),
                http_body_bytes_max: read.count("http_body_bytes_max"),
                http_request_max: read.duration("http_request_ms_max"),
                http_requests_max: read.count("http_requests_max"),
                connections: ConnectionLimits {
                    connections_max: read.count("http_connections_max"),
                    websockets_max: read.count("websocket_connections_max"),
                    idle_max: read.duration("http_idle_ms_max"),
                },
                websocket_connections_max: read.count("websocket_connections_max"),
                websocket_unacknowledged_max: unacknowledged_max(read.count("websocket_connections_max")),
                websocket_subscriptions_max: read.count("websocket_subscriptions_max"),
                token_requests_per_s_max: read.number("token_requests_per_s_max"),
                token_requests_burst_max: read.number("token_requests_burst_max"),
                token_connections_max: read.count("token_connections_max"),
                token_subscriptions_max: read.count("token_subscriptions_max"),
                websocket_message_bytes_max: read.count("websocket_message_bytes_max"),
                websocket_init_max: read.duration("websocket_init_ms_max"),
                websocket_ping: read.duration("websocket_ping_ms"),
                token_recheck: read.duration("token_recheck_ms"),
                queries_by_get: !production,
                is_served_over_tls: read.text("public_url").starts_with("https://"),
            },
            delivery: DeliveryLimits {
                in_flight_max: read.number_u32("deliveries_in_flight_max"),
                in_flight_per_webhook_max: read.number_u32("deliveries_in_flight_per_webhook_max"),
                claim_batch_max: read.number_u32("claim_batch_max"),
                poll: read.duration("poll_ms"),
            },
            retention: RetentionRules {
                history_days: read.number_u32("history_days"),
                history_bytes_max: Some(read.number("history_bytes_max")).filter(|bytes| *bytes > 0),
                feed_days: read.number_u32("feed_days").min(read.number_u32("history_days")),
                due_days: read.number_u32("due_days"),
                audit_days: read.number_u32("audit_days"),
            },
            shutdown_delay: read.duration("shutdown_delay_ms"),
            shutdown_max: read.duration("shutdown_ms_max"),
            oidc: read.set_text("oidc_issuer").map(|issuer| OidcConfig {
                issuer,
                audience: read.text("oidc_audience"),
                tenant_claim: read.text("oidc_tenant_claim"),
                permissions_claim: read.text("oidc_permissions_claim"),
            }),
            bootstrap: BootstrapConfig {
                tenant: read.set_text("bootstrap_tenant"),
                token: read.set_text("bootstrap_token").map(SecretString::from),
                signature_secret: read.set_text("bootstrap_signature_secret").map(SecretString::from),
            },
        }
    }
}

/// How many of `connections_max` connections may be WebSocket connections that are not acknowledged yet.
fn unacknowledged_max(connections_max: usize) -> usize {
    (connections_max / WEBSOCKETS_UNACKNOWLEDGED_SHARE).max(WEBSOCKETS_UNACKNOWLEDGED_MIN)
}

/// Reads keys of the table by their names. A name that is not in the table, or whose kind is another, is found at once:
/// [`Config::from_layers`] reads every key of each configuration, also in every test that makes one.
struct Reader<'a>(&'a Layers);

impl Reader<'_> {
    fn value(&self, name: &str) -> &Value {
        self.0.get(name).map_or_else(|| unreachable!("no key {name:?} in the table"), |(_, value, _)| value)
    }

    fn address(&self, name: &str) -> SocketAddr {
        match self.value(name) {
            Value::Address(address) => *address,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn exposure(&self, name: &str) -> Exposure {
        match self.value(name) {
            Value::Exposure(exposure) => *exposure,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(text) => text.clone(),
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn set_text(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    fn flag(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Flag(flag) => *flag,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Number(number) => *number,
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn number_u32(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn duration(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    fn networks(&self, name: &str) -> Vec<IpNet> {
        match self.value(name) {
            Value::Networks(networks) => networks.clone(),
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn hosts(&self, name: &str) -> Vec<HostRule> {
        match self.value(name) {
            Value::Hosts(hosts) => hosts.clone(),
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn proxy(&self, name: &str) -> Option<Url> {
        match self.value(name) {
            Value::Proxy(proxy) => proxy.clone(),
            other => unreachable!("{name}: {other:?}"),
        }
    }

    fn origins(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::Origins(origins) => origins.clone(),
            other => unreachable!("{name}: {other:?}"),
        }
    }
}
