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
//! The stages are functions over values, in the module `stages`. [`Dispatcher::run_once`] takes one batch through them, and
//! [`Dispatcher::run`] keeps doing so: it claims whenever slots are free, so a slow receiver keeps its own slots busy and
//! nobody else's, and [`crate::limits`] and the module `flow` say how many those are. The module `leases` keeps what is in
//! flight leased. A settlement that the store does not take is offered again until it does: the request did happen.

mod along;
mod claims;
mod flow;
mod leases;
mod outage;
mod portion;
mod settler;
mod signal;
mod slots;
mod stages;
mod suspects;
#[cfg(test)]
mod tests;
mod trouble;
mod verdicts;
mod waiting;

pub use signal::DueSignal;

use crate::limits;
use flow::FlowControl;
use futures::future::join_all;
use hookgraph_domain::gathering::Gathering;
use hookgraph_domain::ports::Fenced;
use hookgraph_domain::ports::{
    Clock, DeliveryQueue, Entropy, Failpoints, Neighbours, PayloadRenderer, StoreError, Transport, WakeUps,
};
use stages::Stages;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trouble::Trouble;

/// What the worker works with. A `dyn Store` is a `dyn DeliveryQueue`: the worker sees no more of it.
#[derive(Clone)]
pub struct Services {
    /// The due work.
    pub queue: Arc<dyn DeliveryQueue>,
    /// Runs payload queries.
    pub renderer: Arc<dyn PayloadRenderer>,
    /// Sends requests.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Attempt ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Told of every change of a delivery, for those who watch.
    pub wake_ups: Arc<dyn WakeUps>,
    /// Who else works on the same queue.
    pub neighbours: Arc<dyn Neighbours>,
    /// Hit after the claim, the render, the freeze and the send.
    pub failpoints: Arc<dyn Failpoints>,
}

/// The bounds of one worker; the defaults and their reasons are in [`crate::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchLimits {
    /// Deliveries between claim and settlement in this process.
    pub in_flight_max: u32,
    /// Deliveries in flight to one webhook, over all processes.
    pub in_flight_per_webhook_max: u32,
    /// Deliveries of one claim.
    pub claim_batch_max: u32,
    /// Settlements of one transaction.
    pub settle_batch_max: usize,
    /// When claims and settlements wait for more.
    pub gathering: Gathering,
    /// How long to wait for a wake-up before looking, in milliseconds.
    pub poll_ms: u64,
    /// The time for the renders of one tenant's share of a claim, in milliseconds.
    pub render_batch_ms_max: u64,
    /// How long a lease holds, in milliseconds: several beats, and longer than [`limits::SEND_MARGIN_MS`], or nothing is
    /// ever sent.
    pub lease_ms: u64,
    /// How often the leases of what is still in flight are extended, in milliseconds.
    pub beat_ms: u64,
    /// How long requests in flight may go on after a shutdown began, in milliseconds.
    pub drain_ms: u64,
    /// How long the last settlements and releases may take after that, in milliseconds.
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

/// What one batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Deliveries claimed.
    pub claimed: usize,
    /// Requests sent.
    pub sent: usize,
    /// Settlements that took effect.
    pub settled: usize,
    /// Deliveries whose lease another worker had taken over.
    pub leases_lost: usize,
}

/// One worker of a process.
pub struct Dispatcher {
    stages: Arc<Stages>,
}

impl Dispatcher {
    /// A worker with those services and bounds.
    pub fn new(services: Services, limits: DispatchLimits) -> Self {
        let (flow, trouble) = (FlowControl::default(), Trouble::of(limits.lease_ms / 2));
        Self { stages: Arc::new(Stages { services, limits, flow, trouble }) }
    }

    /// Claims one batch and brings each of its deliveries to settlement; nothing is retried here.
    ///
    /// # Errors
    /// The store's: what was claimed then stays leased until its lease ends.
    pub async fn run_once(&self) -> Result<Ran, StoreError> {
        let limits = self.stages.limits;
        let allowance = self.stages.flow.allowance(limits.in_flight_max, 0, limits.in_flight_max, self.stages.now());
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
        let ready: Vec<_> = stages::kept(rendered.fresh, &frozen).chain(rendered.frozen).collect();
        let sent = join_all(ready.iter().map(|ready| self.stages.send(ready))).await;
        ran.sent = sent.len();
        settlements.extend(sent);
        let answers = self.stages.settle(&settlements).await?;
        ran.settled = answers.iter().filter(|fenced| **fenced == Fenced::Done).count();
        ran.leases_lost += answers.len() - ran.settled;
        Ok(ran)
    }

    /// Works until the shutdown; then claims no more, lets requests in flight end within
    /// [`DispatchLimits::drain_ms`], and releases the rest. Returns once all is settled or released.
    pub async fn run(self, wake: DueSignal, shutdown: CancellationToken) {
        claims::run(self.stages, wake, shutdown).await;
    }
}
