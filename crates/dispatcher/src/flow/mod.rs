//! The flow loop: begins probes of suspended webhooks, lets backlogs drain, advances replays, and ends what is left of webhooks that
//! stopped.
//!
//! Each of these is a batch per round: a row that says what is next, moved on by its version in the same transaction that
//! makes deliveries due. Any number of processes may run the loop on one store: what another one has done meanwhile is
//! refused, and a crash costs the batch at hand.

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

/// What the loop works with.
#[derive(Clone)]
pub struct FlowServices {
    /// Where webhooks, deliveries and replays are.
    pub store: Arc<dyn FlowStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of replayed deliveries.
    pub entropy: Arc<dyn Entropy>,
    /// Told of what became due.
    pub wake_ups: Arc<dyn WakeUps>,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowRound {
    /// Probes begun.
    pub probes: usize,
    /// Held deliveries that became due.
    pub drained: usize,
    /// Deliveries made by replays.
    pub replayed: usize,
    /// Batches of what is held or cancelled with webhooks that stopped.
    pub stopped: usize,
}

/// The loop of one process.
pub struct FlowLoop {
    services: FlowServices,
    turns: Turns,
}

impl FlowLoop {
    /// A loop on those services.
    pub fn new(services: FlowServices) -> Self {
        Self { services, turns: Turns::default() }
    }

    /// Does what is due of each kind, a bounded number of each. What fails for one webhook keeps no other waiting.
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

    /// Runs a round every [`FLOW_POLL_MS`] until the shutdown, and every [`STOP_PAUSE_MS`] while a webhook is stopping.
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
    /// Commits, unless what was read has changed meanwhile: then someone else did it, or the next round decides anew.
    async fn commit(&self, change: Change) -> Result<Done, StoreError> {
        match self.store.commit(change).await {
            Ok(_) => {
                self.wake_ups.due();
                self.wake_ups.fed();
                Ok(Done::Committed)
            }
            Err(CommitError::Store(error)) => Err(error),
            Err(CommitError::Refused(reason)) => Ok(Done::Refused(reason)),
            Err(_) => Ok(Done::Raced),
        }
    }
}

/// What became of a batch.
enum Done {
    Committed,
    Raced,
    Refused(String),
}

/// The write of a webhook that was read, one version on.
fn moved_on(webhook: Webhook) -> Write {
    let expected = Expected::Version(webhook.version);
    Write::PutWebhook { webhook: Webhook { version: webhook.version + 1, ..webhook }, expected }
}

/// Sums up what each of some items came to; of those that failed, one is told, after all were tried.
fn sum(results: Vec<Result<usize, StoreError>>) -> Result<usize, StoreError> {
    results.into_iter().sum()
}
