//! A process: the road as it is, on ports that fail, hang and die. The calls of a dead process never return, so that
//! nothing of it has any effect any more.

use super::model::ProcessId;
use super::receiver::Script;
use super::world::{Fate, World};
use async_trait::async_trait;
use hookgraph_dispatcher::flow::{FlowLoop, FlowServices};
use hookgraph_dispatcher::worker::{Dispatcher, DueSignal, Services};
use hookgraph_domain::attempt::{Exchange, OutgoingRequest};
use hookgraph_domain::change::{Change, CommitError, Committed};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::*;
use hookgraph_domain::replay::Replay;
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The ports of one process.
#[derive(Clone)]
pub struct Ports {
    world: Arc<World>,
    who: ProcessId,
    is_dead: Arc<AtomicBool>,
    died: Arc<Notify>,
}

/// A process that runs.
pub struct Process {
    ports: Ports,
    shutdown: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
}

pub async fn pass_ms(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Process {
    pub fn start(world: &Arc<World>, who: ProcessId) -> Self {
        let ports = Ports { world: world.clone(), who, is_dead: Arc::default(), died: Arc::default() };
        world.tell(|| format!("{who:?} starts"));
        let shared = Arc::new(ports.clone());
        let clock: Arc<dyn Clock> = world.clock.clone();
        let entropy: Arc<dyn Entropy> = Arc::new(world.entropy.clone());
        let services = Services {
            queue: shared.clone(),
            renderer: shared.clone(),
            transport: shared.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            wake_ups: shared.clone(),
            neighbours: shared.clone(),
            failpoints: shared.clone(),
        };
        let (wake, shutdown) = (DueSignal::default(), CancellationToken::new());
        world.signals.lock().insert(who.0, wake.clone());
        let worker = tokio::spawn(Dispatcher::new(services, world.plan.limits).run(wake, shutdown.clone()));
        let flow = FlowLoop::new(FlowServices { store: shared.clone(), clock, entropy, wake_ups: shared });
        tokio::spawn(keep_flowing(flow, ports.clone(), shutdown.clone()));
        Self { ports, shutdown, worker }
    }

    /// Waits until it dies by itself.
    pub async fn dies(&self) {
        self.ports.died.notified().await;
    }

    pub fn kill(&self) {
        self.ports.die();
    }

    /// Ends it as an operator does.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::select! {
            biased;
            _ = self.worker => self.ports.world.ended(self.ports.who),
            () = self.ports.died.notified() => {}
        }
    }
}

/// Runs rounds of the flow loop at times that the dice choose.
async fn keep_flowing(flow: FlowLoop, ports: Ports, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        pass_ms(ports.world.dice.between(300, 2_500)).await;
        ports.lives().await;
        // What failed is tried again by the next round.
        let _ = flow.run_once().await;
    }
}

impl Ports {
    /// Returns while the process lives, and never afterwards.
    async fn lives(&self) {
        if self.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn die(&self) {
        if !self.is_dead.swap(true, Ordering::Relaxed) {
            self.world.ended(self.who);
            self.died.notify_one();
        }
    }

    /// A call of the store, with the fate that the dice choose.
    async fn call<T>(&self, name: &str, effect: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.lives().await;
        let (fate, before_ms, after_ms) = self.world.fate();
        pass_ms(before_ms).await;
        self.lives().await;
        if fate != Fate::Answers {
            self.world.tell(|| format!("{:?} calls {name}: {fate:?}", self.who));
        }
        match fate {
            Fate::Fails => return Err(StoreError::Busy("as planned".to_owned())),
            Fate::DiesBefore => self.die(),
            Fate::Answers | Fate::AnswerLost | Fate::DiesAfter => {}
        }
        self.lives().await;
        let answer = effect();
        if fate == Fate::DiesAfter {
            self.die();
        }
        pass_ms(after_ms).await;
        self.lives().await;
        if fate == Fate::AnswerLost { Err(StoreError::Failed("the connection is gone".to_owned())) } else { answer }
    }
}

#[async_trait]
impl DeliveryQueue for Ports {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let claims = self.call("claim", || self.world.claim(self.who, request)).await?;
        self.world.told_of(self.who, &claims);
        Ok(claims)
    }

    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>) {
        self.world.claimers.lock().insert(self.who, claimer);
    }

    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        self.call("freeze", || self.world.freeze(freezes)).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        self.call("settle", || self.world.settle(settlements)).await
    }

    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        self.call("extend", || self.world.extend(claims, leased_until)).await
    }

    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
        self.call("release", || self.world.release(claims, now)).await
    }

    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.lives().await;
        self.world.store.next_due_at(after).await
    }
}

#[async_trait]
impl Transport for Ports {
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange {
        self.lives().await;
        let header = request.headers.iter().find(|(name, _)| name == "webhook-id").map(|(_, value)| value.as_str());
        let id = header.and_then(|id| id.parse().ok()).expect("a request says which delivery it is");
        let token = self.world.began(self.who, id, request.body.as_deref().unwrap_or_default());
        let script = Script::next(&self.world, timeout_ms);
        pass_ms(script.takes_ms).await;
        self.lives().await;
        if let Some(token) = token {
            self.world.answered(id, token, &script);
        }
        script.exchange()
    }
}

#[async_trait]
impl PayloadRenderer for Ports {
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>> {
        self.lives().await;
        let (world, dice) = (&self.world, &self.world.dice);
        let is_slow = !world.is_calm() && dice.happens(world.plan.renders_fail / 4);
        if is_slow {
            // Given up before it ends, maybe: then it failed for all that it was asked for.
            requests.iter().for_each(|request| world.rendered(&request.event, request.webhook.id, false));
        }
        pass_ms(if is_slow { dice.between(5_000, 30_000) } else { dice.below(3) }).await;
        self.lives().await;
        let mut answers = Vec::new();
        for RenderRequest { event, webhook } in requests {
            let fails = !world.is_calm() && dice.happens(world.plan.renders_fail);
            let (refused, over_budget) = (dice.happens(200), dice.coin());
            if fails {
                world.rendered(event, webhook.id, refused);
            }
            answers.push(match (fails, refused, over_budget) {
                (true, true, true) => Err(RenderError::BudgetExceeded("as planned".to_owned())),
                (true, true, false) => Err(RenderError::Refused("as planned".to_owned())),
                (true, false, _) => Err(RenderError::Unavailable("as planned".to_owned())),
                // Never the same twice: a payload that is rendered again shows.
                (false, ..) => {
                    let json = format!("{{\"n\":{}}}", dice.below(1 << 40));
                    Ok(FrozenPayload { json: json.into(), rendered_at: world.now() })
                }
            });
        }
        answers
    }
}

impl WakeUps for Ports {
    fn due(&self) {
        if !self.is_dead.load(Ordering::Relaxed) {
            self.world.wake();
        }
    }

    fn due_elsewhere(&self) {
        self.due();
    }

    fn fed(&self) {}
}

impl Neighbours for Ports {
    fn are_active(&self) -> bool {
        self.world.plan.processes > 1
    }
}

impl Failpoints for Ports {
    fn hit(&self, place: Failpoint) {
        if !self.world.is_calm() && self.world.dice.happens(self.world.plan.dies_at_failpoint) {
            self.world.tell(|| format!("{:?} dies at {}", self.who, place.as_str()));
            self.die();
            // Ends what is under way, without a word: whatever catches it calls the store next, and never comes back.
            std::panic::resume_unwind(Box::new("as planned"));
        }
    }
}

#[async_trait]
impl UnitOfWork for Ports {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let committed = self.call("commit", || match self.world.commit(change) {
            Ok(committed) => Ok(Ok(committed)),
            Err(CommitError::Store(error)) => Err(error),
            Err(refused) => Ok(Err(refused)),
        });
        committed.await.map_err(CommitError::Store)?
    }
}

#[async_trait]
impl WebhookReader for Ports {
    async fn webhooks(&self, tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        self.lives().await;
        self.world.store.webhooks(tenant_id, ids).await
    }

    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        self.world.store.webhook_page(query).await
    }

    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        self.world.store.webhooks_checked_otherwise(schema_sha256, after, limit).await
    }
}

/// Reads go wrong where what follows from them is written: a read that failed changes nothing.
#[async_trait]
impl FlowReader for Ports {
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.lives().await;
        self.world.store.webhooks_to_probe(now, limit).await
    }

    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.world.store.webhooks_to_drain(now, limit).await
    }

    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError> {
        self.world.store.webhooks_stopping(but_not, limit).await
    }

    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        self.world.store.held(webhook_id, limit).await
    }

    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        self.world.store.held_to_probe(webhook_id, limit).await
    }

    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        self.world.store.backlog(webhook_id, count_max).await
    }

    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError> {
        self.lives().await;
        self.world.store.replays_due(now, limit).await
    }

    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.world.store.deliveries_to_replay(replay, limit).await
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        self.world.store.history_from().await
    }

    async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.world.store.replay(tenant_id, id).await
    }

    async fn replay_page(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        self.world.store.replay_page(tenant_id, webhook_id, before, limit).await
    }

    async fn running_replays(&self, tenant_id: TenantId) -> Result<Vec<Replay>, StoreError> {
        self.world.store.running_replays(tenant_id).await
    }
}
