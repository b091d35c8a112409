//! The queue, the renderer and retention as the dispatcher knows them, with what they answer counted.

use super::Metrics;
use async_trait::async_trait;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    ClaimRequest, Claimer, Claims, Clock, DeliveryQueue, Fenced, Freeze, HistoryKept, PayloadRenderer, PrunePosition,
    PruneStep, RenderError, RenderRequest, Retention, StoreError,
};
use hookgraph_domain::retention::{HistoryCut, WorkCut};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::Timestamp;
use std::sync::{Arc, Weak};

/// A queue whose settlements are counted.
pub struct ObservedQueue {
    /// The queue.
    pub queue: Arc<dyn DeliveryQueue>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl DeliveryQueue for ObservedQueue {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        self.queue.claim(request).await
    }

    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>) {
        self.queue.claim_with_recordings(claimer);
    }

    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        let answers = self.queue.freeze(freezes).await?;
        answers.iter().filter(|answer| **answer == Fenced::LeaseLost).for_each(|_| self.metrics.lease_lost());
        Ok(answers)
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        let answers = self.queue.settle(settlements).await?;
        for (settlement, answer) in settlements.iter().zip(&answers) {
            self.metrics.settled(settlement, *answer);
        }
        Ok(answers)
    }

    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        self.queue.extend(claims, leased_until).await
    }

    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
        self.queue.release(claims, now).await
    }

    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.queue.next_due_at(after).await
    }
}

/// A renderer whose failures are counted.
pub struct ObservedRenderer {
    /// The renderer.
    pub renderer: Arc<dyn PayloadRenderer>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl PayloadRenderer for ObservedRenderer {
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>> {
        let answers = self.renderer.render(requests).await;
        answers.iter().filter_map(|answer| answer.as_ref().err()).for_each(|error| self.metrics.not_rendered(error));
        answers
    }
}

/// Retention whose steps are counted. After the last step on the history, what is left is measured.
pub struct ObservedRetention {
    /// What removes.
    pub retention: Arc<dyn Retention>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Retention for ObservedRetention {
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        let step = self.retention.expire_due(owed_before, reason, now, from, rows_max).await?;
        self.metrics.expired(step.rows);
        Ok(step)
    }

    async fn prune_history(
        &self,
        cut: &HistoryCut,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        let step = self.retention.prune_history(cut, from, rows_max).await?;
        self.metrics.removed(&step);
        if step.next.is_none() {
            self.history_kept().await?;
        }
        Ok(step)
    }

    async fn prune_feed(&self, before: Timestamp, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        let step = self.retention.prune_feed(before, from, rows_max).await?;
        self.metrics.removed(&step);
        Ok(step)
    }

    async fn prune_work(&self, cut: &WorkCut, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        let step = self.retention.prune_work(cut, from, rows_max).await?;
        self.metrics.removed(&step);
        Ok(step)
    }

    async fn prune_tenants(&self, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        let step = self.retention.prune_tenants(from, rows_max).await?;
        self.metrics.removed(&step);
        Ok(step)
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        let kept = self.retention.history_kept().await?;
        self.metrics.kept(&kept, self.clock.now());
        Ok(kept)
    }
}
