//! The queue and the renderer as the dispatcher knows them, with what they answer counted.

use super::Metrics;
use async_trait::async_trait;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    ClaimRequest, DeliveryQueue, Fenced, Freeze, PayloadRenderer, RenderError, RenderRequest, StoreError,
};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;

/// A queue whose settlements are counted.
pub struct ObservedQueue {
    /// The queue.
    pub queue: Arc<dyn DeliveryQueue>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

#[async_trait]
impl DeliveryQueue for ObservedQueue {
    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let claims = self.queue.claim(request).await?;
        self.metrics.orphans_found(claims.iter().filter(|claim| claim.was_orphaned).count());
        Ok(claims)
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

    async fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.queue.next_due_at().await
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
