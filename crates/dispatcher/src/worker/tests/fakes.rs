//! Fakes of the services that the worker uses, as simple as its tests allow.

use super::{noon, payload};
use async_trait::async_trait;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::*;
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, Semaphore, watch};
use uuid::Uuid;

/// A queue that hands each of its deliveries out once.
pub(super) struct FakeQueue {
    pub(super) state: Mutex<QueueState>,
    /// Each settle that does not fail takes a permit; there are plenty, unless a test takes them away.
    pub(super) settle_gate: Semaphore,
    /// A claim is answered, after its commit, while the gate has its one permit.
    pub(super) claim_gate: Semaphore,
    /// The same for calls that extend leases.
    pub(super) extend_gate: Semaphore,
    /// Told of each claim, each settle and each call that extends leases, before it is answered.
    called: watch::Sender<()>,
    ended: watch::Sender<usize>,
    beaten: watch::Sender<usize>,
    looked: watch::Sender<usize>,
}

#[derive(Default)]
pub(super) struct QueueState {
    pub(super) due: Vec<ClaimedDelivery>,
    pub(super) leased: Vec<ClaimedDelivery>,
    /// The token of the last claim of each delivery.
    pub(super) tokens: HashMap<DeliveryId, i64>,
    pub(super) frozen: Vec<Freeze>,
    pub(super) settled: Vec<Settlement>,
    /// The number of settlements in each commit.
    pub(super) commits: Vec<usize>,
    pub(super) released: Vec<DeliveryId>,
    /// The deliveries of each call that extended leases.
    pub(super) extended: Vec<Vec<DeliveryId>>,
    pub(super) claims: Vec<ClaimRequest>,
    /// The claimer of recordings.
    pub(super) claimer: Option<Weak<dyn Claimer>>,
    /// How many calls of each name shall still fail.
    pub(super) failures: HashMap<&'static str, u32>,
    pub(super) next_due_at: Option<Timestamp>,
    /// Deliveries whose lease another worker has when they are frozen.
    pub(super) lost: Vec<DeliveryId>,
    /// The number of payloads in each freeze.
    pub(super) freezes: Vec<usize>,
    /// A delivery whose settlement is refused for good while its attempt has texts.
    pub(super) refuses: Option<DeliveryId>,
    /// Deliveries whose settlement always fails.
    pub(super) fails: Vec<DeliveryId>,
    /// A delivery whose settlement fails while its attempt has texts.
    pub(super) fails_whole: Option<DeliveryId>,
    /// How often the settlement of `fails_whole` was tried alone, and failed.
    pub(super) failed_alone: u32,
    /// A delivery whose payload is refused for good.
    pub(super) refuses_payload: Option<DeliveryId>,
}

impl QueueState {
    fn fail(&mut self, call: &'static str) -> Result<(), StoreError> {
        match self.failures.get_mut(call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(StoreError::Busy("planned".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl FakeQueue {
    pub(super) fn with(due: impl IntoIterator<Item = ClaimedDelivery>) -> Self {
        let state = QueueState { due: due.into_iter().collect(), ..QueueState::default() };
        Self {
            state: Mutex::new(state),
            settle_gate: Semaphore::new(1_000),
            claim_gate: Semaphore::new(1),
            extend_gate: Semaphore::new(1),
            called: watch::channel(()).0,
            ended: watch::channel(0).0,
            beaten: watch::channel(0).0,
            looked: watch::channel(0).0,
        }
    }

    pub(super) fn failing(self: &std::sync::Arc<Self>, call: &'static str, times: u32) {
        self.state.lock().failures.insert(call, times);
    }

    /// Waits until `count` deliveries are settled or released.
    pub(super) async fn ended(&self, count: usize) {
        self.ended.subscribe().wait_for(|ended| *ended >= count).await.expect("a queue");
    }

    /// Waits until the loop has asked `count` times for the next due delivery: it does so where it finds nothing to
    /// claim.
    pub(super) async fn looked(&self, count: usize) {
        self.looked.subscribe().wait_for(|looked| *looked >= count).await.expect("a queue");
    }

    /// Waits until the loop has claimed every delivery that is due now, and has found nothing more.
    pub(super) async fn looked_anew(&self) {
        let looked = *self.looked.borrow();
        // The next look may have begun before the call.
        self.looked(looked + 2).await;
    }

    /// The claimer of recordings.
    pub(super) fn claimer(&self) -> std::sync::Arc<dyn Claimer> {
        let claimer = self.state.lock().claimer.clone();
        claimer.and_then(|claimer| claimer.upgrade()).expect("a loop that runs")
    }

    /// Waits until leases were extended `count` times.
    pub(super) async fn beaten(&self, count: usize) {
        self.beaten.subscribe().wait_for(|beaten| *beaten >= count).await.expect("a queue");
    }

    /// Waits until claims, settles and calls that extend leases have left the state so.
    pub(super) async fn until(&self, is_so: impl Fn(&QueueState) -> bool) {
        let mut called = self.called.subscribe();
        while !is_so(&self.state.lock()) {
            called.changed().await.expect("a queue");
        }
    }

    pub(super) fn add(&self, claim: ClaimedDelivery) {
        self.state.lock().due.push(claim);
    }

    fn commit_claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let mut state = self.state.lock();
        state.claims.push(request.clone());
        state.fail("claim")?;
        let mut claimed = Vec::new();
        for mut claim in std::mem::take(&mut state.due) {
            let webhook_id = claim.delivery.webhook_id;
            let in_flight = state.leased.iter().filter(|leased| leased.delivery.webhook_id == webhook_id).count();
            let slots = request.in_flight_per_webhook_max.min(claim.webhook.flow.concurrency);
            let limit = request.limits.iter().find(|(id, _)| *id == webhook_id);
            let limit = limit.map_or(request.limit_per_webhook, |(_, limit)| *limit);
            let of_it = claimed.iter().filter(|one: &&ClaimedDelivery| one.delivery.webhook_id == webhook_id).count();
            let retries = claimed.iter().filter(|one| one.delivery.attempts_spent > 0).count();
            if claimed.len() == request.limit as usize
                || in_flight >= slots as usize
                || of_it >= limit as usize
                || (claim.delivery.attempts_spent > 0 && retries >= request.retries_max as usize)
            {
                state.due.push(claim);
                continue;
            }
            claim.leased_until = request.leased_until;
            state.leased.push(claim.clone());
            state.tokens.insert(claim.delivery.id, claim.delivery.fencing_token);
            claimed.push(claim);
        }
        let mut without_room: Vec<_> = state.due.iter().map(|claim| claim.delivery.webhook_id).collect();
        without_room.sort_unstable();
        without_room.dedup();
        Ok(Claims { left: Left { without_room, ..Left::default() }, deliveries: claimed })
    }
}

#[async_trait]
impl DeliveryQueue for FakeQueue {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let claims = self.commit_claim(request)?;
        self.called.send_replace(());
        drop(self.claim_gate.acquire().await.expect("a gate"));
        Ok(claims)
    }

    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>) {
        self.state.lock().claimer = Some(claimer);
    }

    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        let mut state = self.state.lock();
        state.fail("freeze")?;
        if freezes.iter().any(|freeze| Some(freeze.delivery_id) == state.refuses_payload) {
            return Err(StoreError::Rejected("planned".to_owned()));
        }
        state.freezes.push(freezes.len());
        state.frozen.extend_from_slice(freezes);
        let lost = |freeze: &Freeze| state.lost.contains(&freeze.delivery_id);
        Ok(freezes.iter().map(|freeze| if lost(freeze) { Fenced::LeaseLost } else { Fenced::Done }).collect())
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        self.state.lock().fail("settle")?;
        self.settle_gate.acquire().await.expect("a gate").forget();
        let mut state = self.state.lock();
        let has_texts = |it: &Settlement| it.attempt.as_ref().is_some_and(|attempt| attempt.request.is_some());
        if settlements.iter().any(|it| Some(it.delivery_id) == state.refuses && has_texts(it)) {
            return Err(StoreError::Rejected("planned".to_owned()));
        }
        let fails_whole = |it: &Settlement| state.fails_whole == Some(it.delivery_id) && has_texts(it);
        let fails_alone = matches!(settlements, [only] if fails_whole(only));
        if settlements.iter().any(|it| state.fails.contains(&it.delivery_id) || fails_whole(it)) {
            state.failed_alone += u32::from(fails_alone);
            return Err(StoreError::Busy("planned".to_owned()));
        }
        state.commits.push(settlements.len());
        let is_lost = |it: &Settlement| state.tokens.get(&it.delivery_id).is_some_and(|last| *last != it.fencing_token);
        let (lost, taken): (Vec<_>, Vec<_>) = settlements.iter().cloned().partition(is_lost);
        let is_taken = |it: &Settlement| lost.iter().all(|other| other.delivery_id != it.delivery_id);
        let answer = |it: &Settlement| if is_taken(it) { Fenced::Done } else { Fenced::LeaseLost };
        let answers = settlements.iter().map(answer).collect();
        state.leased.retain(|claim| taken.iter().all(|settled| settled.delivery_id != claim.delivery.id));
        self.ended.send_modify(|ended| *ended += taken.len());
        state.settled.extend(taken);
        drop(state);
        self.called.send_replace(());
        Ok(answers)
    }

    async fn extend(&self, claims: &[(DeliveryId, i64)], _leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        {
            let mut state = self.state.lock();
            state.fail("extend")?;
            state.extended.push(claims.iter().map(|claim| claim.0).collect());
        }
        self.called.send_replace(());
        drop(self.extend_gate.acquire().await.expect("a gate"));
        self.beaten.send_modify(|beaten| *beaten += 1);
        Ok(vec![Fenced::Done; claims.len()])
    }

    async fn release(&self, claims: &[(DeliveryId, i64)], _now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.fail("release")?;
        state.released.extend(claims.iter().map(|claim| claim.0));
        self.ended.send_modify(|ended| *ended += claims.len());
        Ok(())
    }

    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.looked.send_modify(|looked| *looked += 1);
        let mut state = self.state.lock();
        state.fail("next_due_at")?;
        Ok(state.next_due_at.filter(|at| *at > after))
    }
}

/// Renders `{"n":1}`, `{"n":2}`, …, except for webhooks whose URL ends with the name of another answer.
#[derive(Default)]
pub(super) struct FakeRenderer {
    count: AtomicU64,
    /// The number of payloads in each call.
    pub(super) calls: Mutex<Vec<usize>>,
    called: Notify,
}

impl FakeRenderer {
    /// Waits until a render has begun.
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }
}

#[async_trait]
impl PayloadRenderer for FakeRenderer {
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>> {
        self.calls.lock().push(requests.len());
        self.called.notify_one();
        let mut answers = Vec::new();
        for request in requests {
            let path = request.webhook.url.rsplit('/').next().unwrap_or_default();
            let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            answers.push(match path {
                "refused" => Err(RenderError::Refused("order.get: no such field".to_owned())),
                "over-budget" => Err(RenderError::BudgetExceeded("over 5000 ms".to_owned())),
                "unavailable" => Err(RenderError::Unavailable("the database is busy".to_owned())),
                "render-panics" => panic!("planned"),
                "render-hangs" => std::future::pending().await,
                "half" => Ok(payload(&format!("{{\"n\":\"{}\"}}", "x".repeat(crate::limits::WRITE_BYTES_MAX / 2 + 1)))),
                "long" => Ok(payload(&format!("{{\"n\":\"{}\"}}", "x".repeat(9_000)))),
                _ if request.webhook.name == "large" => {
                    Ok(payload(&format!("{{\"n\":\"{}\"}}", "x".repeat(8 * crate::limits::SLOT_BYTES - 100))))
                }
                _ => Ok(payload(&format!("{{\"n\":{number}}}"))),
            });
        }
        answers
    }
}

/// Answers by the last part of the URL's path: a status; `never`; `panic`; or `gate`, which waits for a permit.
pub(super) struct FakeTransport {
    pub(super) sent: Mutex<Vec<OutgoingRequest>>,
    pub(super) gate: Semaphore,
    seen: watch::Sender<usize>,
}

impl Default for FakeTransport {
    fn default() -> Self {
        Self { sent: Mutex::default(), gate: Semaphore::new(0), seen: watch::channel(0).0 }
    }
}

impl FakeTransport {
    /// Waits until `count` requests have begun.
    pub(super) async fn begun(&self, count: usize) {
        self.seen.subscribe().wait_for(|seen| *seen >= count).await.expect("a transport");
    }

    pub(super) fn count(&self) -> usize {
        self.sent.lock().len()
    }
}

#[async_trait]
impl Transport for FakeTransport {
    async fn send(&self, request: &OutgoingRequest, _timeout_ms: u32) -> Exchange {
        self.sent.lock().push(request.clone());
        self.seen.send_modify(|seen| *seen += 1);
        let status = match request.url.rsplit('/').next().unwrap_or_default() {
            "never" => std::future::pending().await,
            "panic" => panic!("planned"),
            "gate" => {
                self.gate.acquire().await.expect("a gate").forget();
                200
            }
            path => path.parse().unwrap_or(200),
        };
        let code = match status {
            200..300 => OutcomeCode::Delivered,
            410 => OutcomeCode::Gone,
            _ => OutcomeCode::HttpStatus,
        };
        Exchange {
            code,
            detail: None,
            response: Some(ResponseHead { status, headers: vec![] }),
            response_body: Some("the answer".to_owned()),
            response_truncated: false,
            retry_after_ms: None,
            remote_address: None,
            duration_ms: 42,
        }
    }
}

/// A clock that a test moves, entropy that counts, and notes of failpoints and wake-ups.
#[derive(Default)]
pub(super) struct Noted {
    ids: AtomicU64,
    later_ms: AtomicU64,
    pub(super) fed: AtomicU64,
    pub(super) has_neighbours: AtomicBool,
    pub(super) hit: Mutex<Vec<Failpoint>>,
}

impl Noted {
    pub(super) fn advance_ms(&self, ms: u64) {
        self.later_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Noted {
    fn now(&self) -> Timestamp {
        plus_ms(noon(), self.later_ms.load(Ordering::Relaxed))
    }
}

impl Entropy for Noted {
    fn uuid(&self, _now: Timestamp) -> Uuid {
        Uuid::from_u128(self.ids.fetch_add(1, Ordering::Relaxed).into())
    }

    fn fraction(&self) -> f64 {
        0.0
    }

    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

impl WakeUps for Noted {
    fn due(&self) {}

    fn due_elsewhere(&self) {}

    fn fed(&self) {
        self.fed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Neighbours for Noted {
    fn are_active(&self) -> bool {
        self.has_neighbours.load(Ordering::Relaxed)
    }
}

impl Failpoints for Noted {
    fn hit(&self, place: Failpoint) {
        self.hit.lock().push(place);
    }
}
