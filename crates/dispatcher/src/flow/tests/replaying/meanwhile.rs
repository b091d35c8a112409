//! A store where something happens between the reads for a change and its commit.

use super::*;
use hookgraph_domain::change::Committed;
use hookgraph_domain::delivery::DeliveryEvent;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::ports::{Backlog, PrunePosition, Retention};
use hookgraph_domain::time::Timestamp;

/// Something that happens before the next change is committed.
pub(super) enum Then {
    Prune(HistoryCut),
    Write(Change),
}

/// A store on which something happens once, and whose deliveries of some events are there though the events are gone.
#[derive(Default)]
pub(super) struct Meanwhile {
    pub(super) store: MemoryStore,
    pub(super) then: Mutex<Option<Then>>,
    pub(super) gone: Vec<EventId>,
}

impl Meanwhile {
    pub(super) fn with(then: Then) -> Self {
        Self { then: Mutex::new(Some(then)), ..Self::default() }
    }

    /// The flow loop of a world, on the world's store.
    pub(super) fn flow(self, world: &World) -> FlowLoop {
        FlowLoop::new(FlowServices {
            store: Arc::new(Self { store: world.store.clone(), ..self }),
            clock: Arc::new(world.clock.clone()),
            entropy: Arc::new(world.entropy.clone()),
            wake_ups: Arc::new(NoWakeUps),
        })
    }

    fn event_that_is_gone(&self, write: &Write) -> Option<EventId> {
        let Write::InsertDelivery(asked) = write else { return None };
        let DeliveryEvent::Recorded(id) = asked.event else { return None };
        self.gone.contains(&id).then_some(id)
    }
}

#[async_trait]
impl UnitOfWork for Meanwhile {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let then = self.then.lock().take();
        match then {
            None => {}
            Some(Then::Write(change)) => {
                self.store.commit(change).await?;
            }
            Some(Then::Prune(cut)) => {
                self.store.prune_history(&cut, PrunePosition::default(), u32::MAX).await?;
            }
        }
        if let Some(id) = change.writes.iter().find_map(|write| self.event_that_is_gone(write)) {
            return Err(CommitError::Refused(format!("there is no event {id}")));
        }
        self.store.commit(change).await
    }
}

#[async_trait]
impl WebhookReader for Meanwhile {
    async fn webhooks(&self, tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhooks(tenant_id, ids).await
    }

    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhook_page(query).await
    }

    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhooks_checked_otherwise(schema_sha256, after, limit).await
    }
}

#[async_trait]
impl FlowReader for Meanwhile {
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhooks_to_probe(now, limit).await
    }

    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.store.webhooks_to_drain(now, limit).await
    }

    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError> {
        self.store.webhooks_stopping(but_not, limit).await
    }

    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        self.store.held(webhook_id, limit).await
    }

    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        self.store.held_to_probe(webhook_id, limit).await
    }

    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        self.store.backlog(webhook_id, count_max).await
    }

    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError> {
        self.store.replays_due(now, limit).await
    }

    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.store.deliveries_to_replay(replay, limit).await
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.history_from().await
    }

    async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.store.replay(tenant_id, id).await
    }

    async fn replay_page(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        self.store.replay_page(tenant_id, webhook_id, before, limit).await
    }

    async fn running_replays(&self, tenant_id: TenantId) -> Result<Vec<Replay>, StoreError> {
        self.store.running_replays(tenant_id).await
    }
}
