//! Retention, which takes a single step for everything.

use super::MemoryStore;
use super::state::State;
use async_trait::async_trait;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{DeliveryId, EventId};
use hookgraph_domain::ports::{HistoryKept, PrunePosition, PruneStep, Retention, StoreError};
use hookgraph_domain::replay::ReplayState;
use hookgraph_domain::retention::{HistoryCut, WorkCut, created_at};
use hookgraph_domain::tenant::CopyState;
use hookgraph_domain::time::Timestamp;
use std::collections::BTreeSet;

/// How many bytes a row costs beside its texts: a guess that makes sizes grow with rows.
const ROW_BYTES: usize = 100;

impl State {
    fn row_count(&self) -> usize {
        let ended = self.deliveries.values().filter(|kept| kept.delivery.state.is_final()).count();
        let belongings = self.attempts.len() + self.payloads.len() + self.skips.len() + self.tombstones.len();
        self.events.len() + ended + belongings
    }

    fn prune(&mut self, cut: &HistoryCut) {
        let floor = cut.floor();
        self.deliveries.retain(|id, kept| {
            let delivery = &kept.delivery;
            id.0 >= floor || !delivery.state.is_final() || delivery.updated_at >= cut.ended_before
        });
        let deliveries: BTreeSet<DeliveryId> = self.deliveries.keys().copied().collect();
        let of: BTreeSet<EventId> = self.deliveries.values().map(|kept| kept.delivery.event_id).collect();
        let stays = |id: &EventId| id.0 >= floor || of.contains(id);
        self.events.retain(|id, _| stays(id));
        self.skips.retain(|skip| stays(&skip.event_id));
        self.tombstones.retain(|id, _| stays(id));
        self.attempts.retain(|attempt| attempt.id.0 >= floor || deliveries.contains(&attempt.delivery_id));
        self.payloads.retain(|id, _| id.0 >= floor || deliveries.contains(id));
        let owed: BTreeSet<_> = self.deliveries.values().map(|kept| kept.delivery.webhook_id).collect();
        self.webhooks.retain(|id, webhook| webhook.deleted_at.is_none_or(|at| at >= cut.before) || owed.contains(id));
        let Self { webhooks, replays, .. } = self;
        replays.retain(|_, replay| webhooks.contains_key(&replay.webhook_id));
        self.history_from = self.history_from.max(Some(cut.before));
    }
}

#[async_trait]
impl Retention for MemoryStore {
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        _from: PrunePosition,
        _rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        let mut state = self.state.lock();
        let is_old = |state: DeliveryState, since: Timestamp| {
            !state.is_final() && state != DeliveryState::InFlight && since < owed_before
        };
        let owed = state.deliveries.values().map(|kept| kept.delivery.clone());
        let old: Vec<_> = owed.filter(|delivery| is_old(delivery.state, delivery.due_since)).collect();
        let rows = old.len() as u64;
        for mut delivery in old {
            (delivery.state, delivery.due_at, delivery.updated_at) = (DeliveryState::Expired, None, now);
            (delivery.state_reason, delivery.cancel_requested) = (Some(reason.to_owned()), false);
            state.put_delivery(delivery, None, now);
        }
        Ok(PruneStep { rows, ..PruneStep::default() })
    }

    async fn prune_history(
        &self,
        cut: &HistoryCut,
        _from: PrunePosition,
        _rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        let mut state = self.state.lock();
        let before = state.row_count() + state.webhooks.len();
        state.prune(cut);
        let rows = before - state.row_count() - state.webhooks.len();
        Ok(PruneStep { rows: rows as u64, ..PruneStep::default() })
    }

    async fn prune_feed(
        &self,
        before: Timestamp,
        _from: PrunePosition,
        _rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        let mut state = self.state.lock();
        let (old, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.feed).into_iter().partition(|entry| entry.at < before);
        state.feed = kept;
        for entry in &old {
            let pruned = state.feed_pruned.entry(entry.tenant_id).or_default();
            *pruned = (*pruned).max(entry.seq);
        }
        Ok(PruneStep { rows: old.len() as u64, ..PruneStep::default() })
    }

    async fn prune_work(&self, cut: &WorkCut, _from: PrunePosition, _rows_max: u32) -> Result<PruneStep, StoreError> {
        let mut state = self.state.lock();
        let count = |state: &State| state.replays.len() + state.copy_tasks.len() + state.audit.len();
        let before = count(&state);
        state.replays.retain(|_, one| one.state == ReplayState::Running || one.updated_at >= cut.ended_before);
        state.copy_tasks.retain(|_, one| one.state == CopyState::Running || one.updated_at >= cut.ended_before);
        state.audit.retain(|entry| entry.at >= cut.audited_before);
        Ok(PruneStep { rows: (before - count(&state)) as u64, ..PruneStep::default() })
    }

    /// Removes nothing: deleting a tenant has removed all that it owned.
    async fn prune_tenants(&self, _from: PrunePosition, _rows_max: u32) -> Result<PruneStep, StoreError> {
        Ok(PruneStep::default())
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        let state = self.state.lock();
        let ended = state.deliveries.values().filter(|kept| kept.delivery.state.is_final());
        let ids = state.events.keys().map(|id| id.0).chain(ended.map(|kept| kept.delivery.id.0));
        Ok(HistoryKept { oldest_at: ids.min().and_then(created_at), bytes: (state.row_count() * ROW_BYTES) as u64 })
    }
}
