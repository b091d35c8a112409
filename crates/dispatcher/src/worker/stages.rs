//! The stages of the road: each is one function over values, so tests drive them one at a time.

use super::shares::{Allowance, Shares};
use super::trouble::{CallEnded, Trouble};
use super::verdicts::log_settled;
use super::{DispatchLimits, Services};
use crate::guard::guarded;
use futures::FutureExt;
use hookgraph_domain::attempt::{Attempt, Exchange, OutcomeCode, OutgoingRequest};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    ClaimRequest, Claims, Failpoint, Fenced, Freeze, RenderError, RenderRequest, StoreError,
};
use hookgraph_domain::request::{self, BuildError};
use hookgraph_domain::settle::{self, HealthSignal, NextState, Outcome, Settlement};
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// The stages on their services, within their bounds.
pub(super) struct Stages {
    pub(super) services: Services,
    pub(super) limits: DispatchLimits,
    pub(super) shares: Shares,
    pub(super) trouble: Trouble,
}

/// A delivery with its payload: a request needs no more.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) claim: ClaimedDelivery,
    pub(super) payload: FrozenPayload,
}

/// The claim that a write under its lease names.
pub(super) fn key(claim: &ClaimedDelivery) -> (DeliveryId, i64) {
    (claim.delivery.id, claim.delivery.fencing_token)
}

/// A batch after its render.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    /// Deliveries that were rendered now: they are frozen before they are sent.
    pub(super) fresh: Vec<Ready>,
    /// Deliveries whose payload an earlier claim froze.
    pub(super) frozen: Vec<Ready>,
    /// The settlements of deliveries without a payload.
    pub(super) settlements: Vec<Settlement>,
}

/// The deliveries whose freeze took effect. The others are not sent: their lease went to another claim, or they are
/// frozen already.
pub(super) fn frozen_now(ready: Vec<Ready>, fenced: &[Fenced]) -> impl Iterator<Item = Ready> {
    ready.into_iter().zip(fenced).filter_map(|(ready, fenced)| match fenced {
        Fenced::Done => Some(ready),
        Fenced::LeaseLost => {
            let delivery_id = ready.claim.delivery.id;
            tracing::info!(%delivery_id, "not frozen under this lease: not sent by this worker");
            None
        }
    })
}

impl Stages {
    pub(super) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    /// Makes a call that writes under leases, or tries to, and notes how it ended.
    pub(super) async fn write(
        &self,
        writing: impl Future<Output = Result<Vec<Fenced>, StoreError>>,
    ) -> Result<Vec<Fenced>, StoreError> {
        let call = self.trouble.begin_call(self.now());
        let answer = guarded(writing).await;
        let ended = match &answer {
            Ok(answers) if answers.contains(&Fenced::Done) => CallEnded::Wrote,
            Ok(_) => CallEnded::Read,
            Err(error) => CallEnded::of_error(error),
        };
        call.ended(self.now(), ended);
        answer
    }

    /// How long the next batch may grow after one of `count` deliveries, where a batch takes `count_max` at most.
    pub(super) fn gathering(&self, count: usize, count_max: usize) -> Duration {
        self.limits.gathering.wait(count, count_max, self.services.neighbours.are_active())
    }

    /// Claims at most `limit` due deliveries, within the allowance.
    pub(super) async fn claim(&self, limit: u32, allowance: &Allowance) -> Result<Claims, StoreError> {
        let claims = self.services.queue.claim(&self.claim_request(limit, allowance)).await?;
        self.claimed(&claims);
        Ok(claims)
    }

    /// The request for at most `limit` due deliveries, within the allowance.
    pub(super) fn claim_request(&self, limit: u32, allowance: &Allowance) -> ClaimRequest {
        let now = self.now();
        ClaimRequest {
            now,
            leased_until: plus_ms(now, self.limits.lease_ms),
            limit,
            in_flight_per_webhook_max: self.limits.in_flight_per_webhook_max,
            limits: allowance.limits.clone(),
            limit_per_webhook: allowance.per_webhook,
            retries_max: allowance.retries_max,
        }
    }

    /// Logs and announces a claim that is committed.
    pub(super) fn claimed(&self, claims: &Claims) {
        if claims.deliveries.is_empty() {
            return;
        }
        tracing::debug!(count = claims.deliveries.len(), "claimed");
        self.services.failpoints.hit(Failpoint::AfterClaim);
        self.services.wake_ups.fed();
    }

    /// Parts the deliveries that shall be sent from those that are settled without a request: they are too old,
    /// cancelled, of a webhook that stopped sending meanwhile, or beyond its rate.
    pub(super) fn screen(&self, claims: Vec<ClaimedDelivery>) -> (Vec<ClaimedDelivery>, Vec<Settlement>) {
        let now = self.now();
        let mut live = Vec::with_capacity(claims.len());
        let mut settlements = Vec::new();
        for claim in claims {
            let postponed = |token_at| settle::postponed(&claim.delivery, token_at);
            let next = settle::before_sending(&claim.delivery, &claim.webhook, now)
                .or_else(|| self.shares.take_token(&claim, now).err().map(postponed));
            match next {
                Some(next) => settlements.push(settlement(&claim, None, next, None, now)),
                None => live.push(claim),
            }
        }
        (live, settlements)
    }

    /// Renders the deliveries without a frozen payload, in one call.
    pub(super) async fn render(&self, claims: Vec<ClaimedDelivery>) -> Rendered {
        let mut rendered = Rendered::default();
        let mut unrendered = Vec::new();
        for claim in claims {
            match claim.payload.clone() {
                Some(payload) => rendered.frozen.push(Ready { claim, payload }),
                None => unrendered.push(claim),
            }
        }
        if unrendered.is_empty() {
            return rendered;
        }
        let mut answers = self.render_answers(&unrendered).await.into_iter();
        for claim in unrendered {
            let answer = answers.next();
            match answer.unwrap_or_else(|| Err(RenderError::Unavailable("the renderer gave no answer".to_owned()))) {
                Ok(payload) => rendered.fresh.push(Ready { claim, payload }),
                Err(error) => rendered.settlements.push(self.unrendered(&claim, error)),
            }
        }
        if !rendered.fresh.is_empty() {
            self.services.failpoints.hit(Failpoint::AfterRender);
        }
        rendered
    }

    /// The renderer's answers. Where it panics or does not end, each delivery gets a fault of ours as its answer.
    async fn render_answers(&self, claims: &[ClaimedDelivery]) -> Vec<Result<FrozenPayload, RenderError>> {
        let requests: Vec<_> = claims
            .iter()
            .map(|claim| RenderRequest { event: Arc::clone(&claim.event), webhook: Arc::clone(&claim.webhook) })
            .collect();
        let budget = Duration::from_millis(self.limits.render_batch_ms_max);
        let render = AssertUnwindSafe(self.services.renderer.render(&requests)).catch_unwind();
        let fault = match tokio::time::timeout(budget, render).await {
            Ok(Ok(answers)) => return answers,
            Ok(Err(_)) => "the renderer panicked".to_owned(),
            Err(_) => format!("the renders did not end within {} ms", budget.as_millis()),
        };
        tracing::error!(count = requests.len(), fault, "no payloads were rendered");
        requests.iter().map(|_| Err(RenderError::Unavailable(fault.clone()))).collect()
    }

    /// Settles a delivery that has no payload.
    fn unrendered(&self, claim: &ClaimedDelivery, error: RenderError) -> Settlement {
        match error {
            RenderError::Refused(detail) => self.without_request(claim, OutcomeCode::RenderFailed, detail),
            RenderError::BudgetExceeded(detail) => {
                self.without_request(claim, OutcomeCode::RenderBudgetExceeded, detail)
            }
            RenderError::Unavailable(detail) => {
                tracing::warn!(delivery_id = %claim.delivery.id, detail, "a fault of ours: to be rendered again");
                self.faulted(claim, detail)
            }
        }
    }

    /// Settles a delivery that a fault of ours kept from being sent: no attempt is spent.
    pub(super) fn faulted(&self, claim: &ClaimedDelivery, detail: String) -> Settlement {
        let now = self.now();
        let outcome = Outcome::without_answer(OutcomeCode::ServerFault);
        let next = NextState { reason: Some(detail), ..self.decide(claim, outcome, now) };
        settlement(claim, None, next, None, now)
    }

    /// Freezes payloads, in one call; the answers are in the order of the asks.
    pub(super) async fn freeze(&self, fresh: &[Ready]) -> Result<Vec<Fenced>, StoreError> {
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let freezes: Vec<_> = fresh
            .iter()
            .map(|ready| Freeze {
                delivery_id: ready.claim.delivery.id,
                fencing_token: ready.claim.delivery.fencing_token,
                payload: ready.payload.clone(),
            })
            .collect();
        let fenced = self.services.queue.freeze(&freezes).await?;
        self.services.failpoints.hit(Failpoint::AfterFreeze);
        Ok(fenced)
    }

    /// Builds, signs and sends one request, and decides on the delivery's next state.
    pub(super) async fn send(&self, ready: &Ready) -> Settlement {
        let Ready { claim, payload } = ready;
        let started_at = self.now();
        let built = request::build(&claim.webhook, &claim.event, &claim.delivery, payload, &claim.signer, started_at);
        let request = match built {
            Ok(request) => request,
            Err(error @ BuildError::UrlTooLong { .. }) => {
                return self.without_request(claim, OutcomeCode::RenderFailed, error.to_string());
            }
            Err(error @ BuildError::Invalid(_)) => {
                return self.without_request(claim, OutcomeCode::InvalidRequest, error.to_string());
            }
        };
        let (timeout_ms, tls) = (claim.webhook.timeout_ms, claim.webhook.tls.as_deref());
        let exchange = self.services.transport.send_under(&request, timeout_ms, tls).await;
        self.services.failpoints.hit(Failpoint::AfterSend);
        self.after_exchange(claim, request, exchange, started_at)
    }

    fn after_exchange(
        &self,
        claim: &ClaimedDelivery,
        request: OutgoingRequest,
        exchange: Exchange,
        started_at: Timestamp,
    ) -> Settlement {
        let now = self.now();
        let exchange = request::redacted_exchange(exchange, &claim.webhook);
        let request = request::redacted(request, &claim.webhook);
        self.attempted(claim, Some(request), exchange, started_at, now)
    }

    /// Settles an attempt that came to no request: the log says why.
    fn without_request(&self, claim: &ClaimedDelivery, code: OutcomeCode, detail: String) -> Settlement {
        let now = self.now();
        self.attempted(claim, None, Exchange::unsent(code, detail), now, now)
    }

    /// Settles an attempt.
    fn attempted(
        &self,
        claim: &ClaimedDelivery,
        request: Option<OutgoingRequest>,
        exchange: Exchange,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Settlement {
        let status = exchange.response.as_ref().map(|head| head.status);
        let outcome = Outcome { code: exchange.code, status, retry_after_ms: exchange.retry_after_ms };
        let next = self.decide(claim, outcome, now);
        let id = self.services.entropy.uuid(now).into();
        let attempt = Attempt::of(&claim.delivery, id, request, exchange, started_at);
        settlement(claim, Some(attempt), next, self.signal(claim, outcome, now), now)
    }

    /// Counts an attempt in the breaker of its webhook, and answers what it says of the webhook's health. Probes are
    /// not counted: the open breaker decides on them by itself.
    fn signal(&self, claim: &ClaimedDelivery, outcome: Outcome, now: Timestamp) -> Option<HealthSignal> {
        let ClaimedDelivery { delivery, webhook, .. } = claim;
        settle::health_signal(outcome.code, delivery.is_test)?;
        let is_counted = !webhook.is_probed_by(delivery);
        let trip = if is_counted { self.shares.ended(webhook, outcome.code, now) } else { None };
        settle::signal_of(outcome, delivery, webhook, trip)
    }

    fn decide(&self, claim: &ClaimedDelivery, outcome: Outcome, now: Timestamp) -> NextState {
        settle::decide(&claim.delivery, &claim.webhook, outcome, now, self.services.entropy.fraction())
    }

    /// Commits settlements, in one call; the answers are in the order of the asks.
    pub(super) async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.services.queue.settle(settlements).await?;
        self.services.wake_ups.fed();
        for (settlement, answer) in settlements.iter().zip(&answers) {
            log_settled(settlement, *answer);
        }
        Ok(answers)
    }

    /// Gives claims back unspent.
    pub(super) async fn release(&self, claims: &[(DeliveryId, i64)]) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        self.services.queue.release(claims, self.now()).await?;
        self.services.wake_ups.fed();
        tracing::info!(count = claims.len(), "released unsent");
        Ok(())
    }
}

fn settlement(
    claim: &ClaimedDelivery,
    attempt: Option<Attempt>,
    next: NextState,
    health: Option<HealthSignal>,
    now: Timestamp,
) -> Settlement {
    let (delivery_id, fencing_token) = key(claim);
    Settlement { delivery_id, webhook_id: claim.delivery.webhook_id, fencing_token, attempt, next, health, now }
}
