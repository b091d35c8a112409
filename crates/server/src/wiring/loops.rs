//! The loops that run beside the routes.

use crate::metrics::Metrics;
use crate::wake_ups::{self, ProcessWakeUps};
use crate::workers::Workers;
use crate::{feed_watch, limits, partitions, sweeping};
use hookgraph_dispatcher::flow::FlowLoop;
use hookgraph_dispatcher::retention::RetentionLoop;
use hookgraph_dispatcher::worker::Dispatcher;
use hookgraph_domain::ports::Clock;
use hookgraph_pim::PimServices;
use hookgraph_pim::copy::CopyRunner;
use hookgraph_schema::{Api, FeedSignals};
use hookgraph_storage::{SqlStore, WakeUpLink};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The loops that run beside the routes, with what each one works on.
pub struct Loops {
    pub(super) api: Api,
    pub(super) dispatcher: Dispatcher,
    pub(super) flow: FlowLoop,
    pub(super) retention: RetentionLoop,
    pub(super) feed: Arc<FeedSignals>,
    pub(super) wake_ups: Arc<ProcessWakeUps>,
    pub(super) link: Option<WakeUpLink>,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) pim: PimServices,
    pub(super) sql: SqlStore,
}

impl Loops {
    /// Starts the loops. Where this process alone may work on the database, it first takes over the deliveries of the
    /// server before it. `failed` is cancelled when a loop ends before it is told to stop.
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
            // The taking over comes before the first claim, and keeps nobody waiting for the server to listen.
            if let Some((sql, clock)) = before {
                take_over(&sql, &*clock).await;
            }
            // A payload query that no longer fits the schema must be held before it is rendered.
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

/// Sorts the samples of the metrics from time to time, so that they do not pile up where nobody scrapes.
async fn keep_up(metrics: &Metrics) {
    loop {
        tokio::time::sleep(Duration::from_millis(limits::METRICS_UPKEEP_MS)).await;
        metrics.upkeep();
    }
}

/// Makes the deliveries due that a server which died had in flight. Where this fails, they are due when their leases
/// end.
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
                tracing::error!(
                    %error,
                    "deliveries wait: stored payload queries could not be checked against this schema"
                );
                tokio::time::sleep(Duration::from_millis(limits::RECHECK_RETRY_MS)).await;
            }
        }
    }
}
