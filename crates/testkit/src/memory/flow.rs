//! The work that waits for the flow loop.

use super::MemoryStore;
use async_trait::async_trait;
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::ports::{Backlog, FlowReader, StoreError};
use hookgraph_domain::replay::{Replay, ReplayState};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};

#[async_trait]
impl FlowReader for MemoryStore {
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(self.webhooks_waiting(now, limit, |webhook| {
            let is_open = webhook.status == WebhookStatus::Suspended;
            webhook.breaker.probe_at.filter(|_| is_open)
        }))
    }

    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(self.webhooks_waiting(now, limit, |webhook| webhook.draining.map(|drain| drain.next_at)))
    }

    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError> {
        let state = self.state.lock();
        let mut stopping: Vec<_> = state.stopping.iter().map(|(id, since)| (*since, *id)).collect();
        stopping.retain(|(_, id)| state.webhooks.contains_key(id) && !but_not.contains(id));
        stopping.sort_unstable();
        Ok(stopping.into_iter().map(|(_, id)| id).take(limit as usize).collect())
    }

    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let state = self.state.lock();
        let held = state.deliveries.values().map(|kept| &kept.delivery);
        let held = held.filter(|it| it.webhook_id == webhook_id && it.state == DeliveryState::Held);
        Ok(held.map(|delivery| delivery.id).take(limit as usize).collect())
    }

    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let state = self.state.lock();
        let held = state.deliveries.values().map(|kept| &kept.delivery);
        let held = held.filter(|it| it.webhook_id == webhook_id && it.state == DeliveryState::Held);
        Ok(held.filter(|it| !state.waits_in_line(it)).map(|delivery| delivery.id).take(limit as usize).collect())
    }

    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        let state = self.state.lock();
        let owed = state.deliveries.values().map(|kept| &kept.delivery);
        let owed: Vec<_> =
            owed.filter(|it| it.webhook_id == webhook_id && !it.is_test && !it.state.is_final()).collect();
        let count = u32::try_from(owed.len()).unwrap_or(u32::MAX).min(count_max);
        Ok(Backlog { count, oldest_due_at: owed.iter().filter_map(|delivery| delivery.due_at).min() })
    }

    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError> {
        let state = self.state.lock();
        let running = state.replays.values().filter(|replay| replay.state == ReplayState::Running);
        let mut due: Vec<_> = running.filter(|replay| replay.next_at <= now).cloned().collect();
        due.sort_by_key(|replay| (replay.next_at, replay.id));
        due.truncate(limit as usize);
        Ok(due)
    }

    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let wanted = replay.wanted_states();
        let state = self.state.lock();
        let found = state.deliveries.values().map(|kept| &kept.delivery).filter(|delivery| {
            (delivery.tenant_id, delivery.webhook_id) == (replay.tenant_id, replay.webhook_id)
                && (replay.from..replay.before).contains(&delivery.created_at)
                && wanted.contains(&delivery.state)
                && replay.position.is_none_or(|position| delivery.id > position)
                && !delivery.is_test
                && delivery.replay_id.is_none()
        });
        Ok(found.take(limit as usize).cloned().collect())
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state.lock().history_from)
    }

    async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let state = self.state.lock();
        Ok(state.replays.get(&id).filter(|replay| replay.tenant_id == tenant_id).cloned())
    }

    async fn replay_page(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        let state = self.state.lock();
        let found = state.replays.values().rev().filter(|replay| {
            replay.tenant_id == tenant_id
                && webhook_id.is_none_or(|webhook_id| replay.webhook_id == webhook_id)
                && before.is_none_or(|before| replay.id < before)
        });
        Ok(found.take(limit as usize).cloned().collect())
    }

    async fn running_replays(&self, tenant_id: TenantId) -> Result<Vec<Replay>, StoreError> {
        let state = self.state.lock();
        let own = state.replays.values().filter(|replay| replay.tenant_id == tenant_id);
        Ok(own.filter(|replay| replay.state == ReplayState::Running).cloned().collect())
    }
}

impl MemoryStore {
    /// The webhooks whose time has come, longest waiting first.
    fn webhooks_waiting(
        &self,
        now: Timestamp,
        limit: u32,
        waits_until: impl Fn(&Webhook) -> Option<Timestamp>,
    ) -> Vec<Webhook> {
        let state = self.state.lock();
        let live = state.webhooks.values().filter(|webhook| webhook.deleted_at.is_none());
        let mut waiting: Vec<_> = live
            .filter_map(|webhook| Some((waits_until(webhook)?, webhook.id, webhook.clone())))
            .filter(|(until, _, _)| *until <= now)
            .collect();
        waiting.sort_by_key(|(until, id, _)| (*until, *id));
        waiting.into_iter().take(limit as usize).map(|(_, _, webhook)| webhook).collect()
    }
}
