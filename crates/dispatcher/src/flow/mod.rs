//! The flow loop: it begins probes of suspended webhooks, lets backlogs drain, advances replays, and holds or cancels
//! the deliveries of webhooks that stopped.
//!
//! Each kind of work does a batch per round. A row says where the batch begins; the transaction that makes deliveries
//! due moves the row on by its version. So any number of processes may run the loop on one store: a batch that
//! another process has done meanwhile is refused, and a crash costs one batch.

mod drains;
mod probes;
mod replays;
mod stops;
#[cfg(test)]
mod tests;

use crate::guard::guarded;
use crate::limits::{FLOW_POLL_MS, STOP_PAUSE_MS};
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::ports::{Clock, Entropy, FlowStore, StoreError, WakeUps};
use hookgraph_domain::webhook::Webhook;
use std::sync::Arc;
use std::time::Duration;
use stops::Turns;
use tokio_util::sync::CancellationToken;

/// The services that the loop uses.
#[derive(Clone)]
pub struct FlowServices {
    /// The store of webhooks, deliveries and replays.
    pub store: Arc<dyn FlowStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The source of the ids of replayed deliveries.
    pub entropy: Arc<dyn Entropy>,
    /// Told of deliveries that became due.
    pub wake_ups: Arc<dyn WakeUps>,
}

/// The counts of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowRound {
    /// Probes begun.
    pub probes: usize,
    /// Held deliveries that became due.
    pub drained: usize,
    /// Deliveries made by replays.
    pub replayed: usize,
    /// Batches of deliveries that were held or cancelled with webhooks that stopped.
    pub stopped: usize,
}

/// The loop of one process.
pub struct FlowLoop {
    services: FlowServices,
    turns: Turns,
}

impl FlowLoop {
    /// A loop on these services.
    pub fn new(services: FlowServices) -> Self {
        Self { services, turns: Turns::default() }
    }

    /// Runs one round: a bounded number of batches of each kind of work. A failure for one webhook keeps no other
    /// waiting.
    ///
    /// # Errors
    /// The store's: the next round tries again.
    pub async fn run_once(&self) -> Result<FlowRound, StoreError> {
        let services = &self.services;
        let (probes, drained, replayed, stopped) = (
            guarded(probes::round(services)).await,
            guarded(drains::round(services)).await,
            guarded(replays::round(services)).await,
            guarded(stops::round(services, &self.turns)).await,
        );
        Ok(FlowRound { probes: probes?, drained: drained?, replayed: replayed?, stopped: stopped? })
    }

    /// Runs a round every [`FLOW_POLL_MS`], or every [`STOP_PAUSE_MS`] while a webhook is stopping, until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut fails = false;
        while !shutdown.is_cancelled() {
            let mut pause_ms = FLOW_POLL_MS;
            match self.run_once().await {
                Ok(round) => {
                    if std::mem::replace(&mut fails, false) {
                        tracing::info!("probes, drains and replays go on");
                    }
                    if round.stopped > 0 {
                        pause_ms = STOP_PAUSE_MS;
                    }
                }
                Err(error) if fails => tracing::debug!(%error, "probes, drains and replays still wait"),
                Err(error) => {
                    tracing::warn!(%error, "probes, drains and replays wait for the database");
                    fails = true;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            }
        }
    }
}

impl FlowServices {
    /// Commits a batch, unless the rows that it was decided by have changed meanwhile: then another process has done
    /// it, or the next round decides anew.
    async fn commit(&self, change: Change) -> Result<BatchEnd, StoreError> {
        match self.store.commit(change).await {
            Ok(_) => {
                self.wake_ups.due();
                self.wake_ups.fed();
                Ok(BatchEnd::Committed)
            }
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Refused(reason)) => Ok(BatchEnd::Refused(reason)),
            Err(_) => Ok(BatchEnd::Raced),
        }
    }
}

/// How the commit of a batch ended.
enum BatchEnd {
    Committed,
    /// The rows have changed since they were read.
    Raced,
    /// The store refuses the batch, for this reason.
    Refused(String),
}

/// The write that moves a webhook on by one version from the one that was read.
fn moved_on(webhook: Webhook) -> Write {
    let expected = Expected::Version(webhook.version);
    Write::PutWebhook { webhook: Webhook { version: webhook.version + 1, ..webhook }, expected }
}

/// The sum over all items, each of which was tried; the first failure, where some failed.
fn sum(results: Vec<Result<usize, StoreError>>) -> Result<usize, StoreError> {
    results.into_iter().sum()
}
