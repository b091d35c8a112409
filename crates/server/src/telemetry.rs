//! Logging: lines to standard error, so that standard output stays what a command prints; and traces, where they are
//! configured.

use crate::config::{Config, LogFormat};
use crate::surroundings::OsEntropy;
use crate::traces::Traces;
use anyhow::Context;
use std::io::IsTerminal;
use std::sync::Arc;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Libraries that write at the level `trace` what goes over the wire, tokens included: whatever the filter asks for,
/// they are heard from `debug` up alone. `leaks.test.mjs` listens to them all.
const OVER_THE_WIRE: [&str; 8] =
    ["h2", "hyper", "hyper_util", "reqwest", "rustls", "sqlx", "tokio_tungstenite", "tungstenite"];

fn is_of_the_wire(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() == Level::TRACE && OVER_THE_WIRE.contains(&library)
}

/// Starts logging, once a process.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(config: &Config) -> anyhow::Result<()> {
    start_lines(config, None)
}

/// Starts logging, and tracing where it is configured, once a process.
///
/// # Errors
/// A filter that cannot be read, or an address of the collector that cannot be one.
pub fn start_traced(config: &Config) -> anyhow::Result<Option<Arc<Traces>>> {
    let traces = match &config.otlp_endpoint {
        Some(endpoint) => {
            let entropy = Arc::new(OsEntropy::default());
            Some(Arc::new(Traces::start(endpoint, config.otlp_sample_percent, entropy)?))
        }
        None => None,
    };
    start_lines(config, traces.as_deref())?;
    Ok(traces)
}

/// What PostgreSQL says to each connection as it closes them all is what the loops tell once.
const QUIET: &str = "sqlx::postgres::notice=error";

fn filter(log: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(log).context("log: not a level or a list of directives")?;
    Ok(EnvFilter::try_new(format!("{QUIET},{log}"))?)
}

fn start_lines(config: &Config, traces: Option<&Traces>) -> anyhow::Result<()> {
    let filter = filter(&config.log)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let kept = filter_fn(|metadata| !is_of_the_wire(metadata));
    let requests = traces.map(|traces| {
        // Requests alone: the spans of the road are made under ids of their own.
        let of_requests =
            filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("hookgraph_server::http"));
        let layer =
            tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_location(false).with_threads(false);
        layer.with_tracked_inactivity(false).with_filter(of_requests)
    });
    let started = tracing_subscriber::registry().with(requests).with(lines.with_filter(filter.and(kept))).try_init();
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn notices_are_heard_where_they_are_asked_for_alone() {
        let directives = |log: &str| filter(log).map(|filter| filter.to_string()).unwrap_or_default();
        assert!(directives("info").contains("sqlx::postgres::notice=error"));
        assert!(directives("info,sqlx::postgres::notice=warn").contains("sqlx::postgres::notice=warn"));
        assert!(!directives("info,sqlx::postgres::notice=warn").contains("notice=error"));
        assert!(filter("hookgraph=loud").is_err());
    }
}
