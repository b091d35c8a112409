//! The worker: due deliveries are claimed, rendered, frozen, signed, sent and settled.
//!
//! ```text
//! claim ──▶ screen ──▶ render ──▶ freeze ──▶ sign, send ──▶ settle
//!   │         │           │          │            │
//!   │         │           └── refused: settled without a request
//!   │         └── expired, held or cancelled meanwhile: settled without a request
//!   └── per tenant a task of its own      └── per delivery a task of its own
//! ```
//!
//! The stages are functions over values, in the module `stages`. [`Dispatcher::run_once`] takes one batch through
//! them. [`Dispatcher::run`] does so again and again: the loop in `claims` claims whenever slots are free, and
//! `prepare` takes each tenant's share of a claim from the render to the request. A slow receiver keeps its own slots
//! busy and nobody else's: `slots` tells how, and `shares` how many slots a webhook may take. The module `leases`
//! keeps deliveries in flight leased, and `settler` writes how they ended. A settlement that the store does not take
//! is offered again until it does, because the request did happen.

mod backoff;
mod claims;
mod leases;
mod portion;
mod prepare;
mod recordings;
mod settler;
mod shares;
mod signal;
mod slots;
mod stages;
mod suspects;
#[cfg(test)]
mod tests;
mod trouble;
mod under_way;
mod verdicts;
mod waiting;

pub use signal::DueSignal;

use crate::limits;
use futures::future::join_all;
use hookgraph_domain::gathering::Gathering;
use hookgraph_domain::ports::{
    Clock, DeliveryQueue, Entropy, Failpoints, Fenced, Neighbours, PayloadRenderer, StoreError, Transport, WakeUps,
};
use shares::Shares;
use stages::Stages;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trouble::Trouble;

/// The services that the worker uses. A `dyn Store` is a `dyn DeliveryQueue`: the worker sees no more of it.
#[derive(Clone)]
pub struct Services {
    /// The queue of due deliveries.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Runs payload queries.
    pub renderer: Arc<dyn PayloadRenderer>,
    /// Sends requests.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Attempt ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Told of every change of a delivery, so that watchers look.
    pub wake_ups: Arc<dyn WakeUps>,
    /// The other processes that work on the same queue.
    pub neighbours: Arc<dyn Neighbours>,
    /// The planned failures after the claim, the render, the freeze and the send.
    pub failpoints: Arc<dyn Failpoints>,
}

/// The bounds of one worker; the defaults and their reasons are in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchLimits {
    /// The most deliveries between claim and settlement in this process.
    pub in_flight_max: u32,
    /// The most deliveries of one webhook in flight, over all processes.
    pub in_flight_per_webhook_max: u32,
    /// The most deliveries of one claim.
    pub claim_batch_max: u32,
    /// The most settlements of one transaction.
    pub settle_batch_max: usize,
    /// When claims and settlements wait to grow.
    pub gathering: Gathering,
    /// How long the loop waits for a wake-up before it looks, in milliseconds.
    pub poll_ms: u64,
    /// The time for the renders of one tenant's share of a claim, in milliseconds.
    pub render_batch_ms_max: u64,
    /// How long a lease holds, in milliseconds: several beats. Nothing is ever sent unless it is longer than
    /// [`limits::SEND_MARGIN_MS`].
    pub lease_ms: u64,
    /// How often the leases of deliveries in flight are extended, in milliseconds.
    pub beat_ms: u64,
    /// How long requests in flight may go on after a shutdown began, in milliseconds.
    pub drain_ms: u64,
    /// How long the last settlements and releases may take after the drain, in milliseconds.
    pub flush_ms: u64,
}

impl Default for DispatchLimits {
    fn default() -> Self {
        Self {
            in_flight_max: limits::IN_FLIGHT_MAX,
            in_flight_per_webhook_max: limits::IN_FLIGHT_PER_WEBHOOK_MAX,
            claim_batch_max: limits::CLAIM_BATCH_MAX,
            settle_batch_max: limits::SETTLE_BATCH_MAX,
            gathering: Gathering { count_min: limits::GATHER_MIN, wait_ms: limits::GATHER_MS },
            poll_ms: limits::POLL_MS,
            render_batch_ms_max: limits::RENDER_BATCH_MS_MAX,
            lease_ms: limits::LEASE_MS,
            beat_ms: limits::BEAT_MS,
            drain_ms: limits::DRAIN_MS,
            flush_ms: limits::FLUSH_MS,
        }
    }
}

impl DispatchLimits {
    /// The length from which on an outage of the store counts as long, in milliseconds: half a lease. A lease may not
    /// outlive a long outage; a shorter one ends before the leases do.
    fn long_outage_ms(&self) -> u64 {
        self.lease_ms / 2
    }
}

/// The counts of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Deliveries claimed.
    pub claimed: usize,
    /// Requests sent.
    pub sent: usize,
    /// Settlements that took effect.
    pub settled: usize,
    /// Deliveries whose lease another worker has taken over.
    pub leases_lost: usize,
}

/// One worker of a process.
pub struct Dispatcher {
    stages: Arc<Stages>,
}

impl Dispatcher {
    /// A worker with these services and bounds.
    pub fn new(services: Services, limits: DispatchLimits) -> Self {
        let (shares, trouble) = (Shares::default(), Trouble::of(limits.long_outage_ms()));
        Self { stages: Arc::new(Stages { services, limits, shares, trouble }) }
    }

    /// Claims one batch and brings each of its deliveries to settlement; nothing is retried here.
    ///
    /// # Errors
    /// The store's: the claimed deliveries then stay leased until their leases end.
    pub async fn run_once(&self) -> Result<Ran, StoreError> {
        let limits = self.stages.limits;
        let allowance = self.stages.shares.allowance(limits.in_flight_max, 0, limits.in_flight_max, self.stages.now());
        let claims = self.stages.claim(limits.claim_batch_max, &allowance).await?.deliveries;
        let mut ran = Ran { claimed: claims.len(), ..Ran::default() };
        if claims.is_empty() {
            return Ok(ran);
        }
        let (claims, mut settlements) = self.stages.screen(claims);
        let rendered = self.stages.render(claims).await;
        settlements.extend(rendered.settlements);
        let frozen = self.stages.freeze(&rendered.fresh).await?;
        ran.leases_lost += frozen.iter().filter(|fenced| **fenced == Fenced::LeaseLost).count();
        let ready: Vec<_> = stages::frozen_now(rendered.fresh, &frozen).chain(rendered.frozen).collect();
        let sent = join_all(ready.iter().map(|ready| self.stages.send(ready))).await;
        ran.sent = sent.len();
        settlements.extend(sent);
        let answers = self.stages.settle(&settlements).await?;
        ran.settled = answers.iter().filter(|fenced| **fenced == Fenced::Done).count();
        ran.leases_lost += answers.len() - ran.settled;
        Ok(ran)
    }

    /// Works until the shutdown. Then it claims no more, lets requests in flight end within
    /// [`DispatchLimits::drain_ms`], and releases the others. It returns once every claim is settled or released.
    pub async fn run(self, wake: DueSignal, shutdown: CancellationToken) {
        claims::run(self.stages, wake, shutdown).await;
    }
}
