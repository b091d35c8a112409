//! The reads that each permission allows.

use super::{AuditRead, DeliveriesRead, EventsRead, May, Needed, TokensRead, WebhooksRead};
use crate::limits::TEXT_BATCH_ATTEMPTS_MAX;
use crate::loaders::{Bodies, LoadedAttempt, TextError, body_bytes};
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::delivery::{Delivery, Signer};
use hookgraph_domain::event::{Event, EventSkip, EventTypeKey};
use hookgraph_domain::feed::{FeedFilter, FeedKind, FeedPage};
use hookgraph_domain::ids::{DeliveryId, EventId, ReplayId, TokenId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery, WebhookQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{Backlog, StoreError};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::replay::Replay;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use hookgraph_domain::webhook::Webhook;
use std::sync::Arc;

impl<P: Needed> May<'_, P> {
    /// The last `seq` of the feed, a number that tells nothing about any tenant.
    pub async fn latest_seq(&self) -> Result<i64, StoreError> {
        self.store().latest_seq().await
    }
}

impl May<'_, WebhooksRead> {
    /// The tenant's webhook of that id; a deleted one too.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        self.loaders.webhook(id).await
    }

    /// The tenant's webhooks of an event type as they now stand.
    pub async fn webhooks_of_type(&self, key: EventTypeKey) -> Result<Vec<Arc<Webhook>>, StoreError> {
        self.loaders.webhooks_of_type(key).await
    }

    /// One page of the tenant's webhooks.
    pub async fn webhook_page(&self, query: WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        self.store().webhook_page(&WebhookQuery { tenant_id: self.api.tenant_id(), ..query }).await
    }

    /// The keys that sign the request of a preview. Only the signatures are shown.
    pub async fn signer(&self) -> Result<Signer, Refusal> {
        let tenant_id = self.api.tenant_id();
        let tenant = self.store().tenant(tenant_id).await?;
        let tenant = tenant.ok_or_else(|| Refusal::not_found("tenant", &tenant_id.to_string()))?;
        Ok(tenant.signer())
    }
}

impl May<'_, DeliveriesRead> {
    /// The tenant's delivery of that id.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Arc<Delivery>>, StoreError> {
        self.loaders.delivery(id).await
    }

    /// The tenant's deliveries of those ids.
    pub async fn deliveries(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        if ids.is_empty() { Ok(Vec::new()) } else { self.store().deliveries(self.api.tenant_id(), ids).await }
    }

    /// One page of the tenant's deliveries.
    pub async fn delivery_page(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        self.store().delivery_page(&DeliveryQuery { tenant_id: self.api.tenant_id(), ..query.clone() }).await
    }

    /// The time since when history is whole, which tells nothing about any tenant.
    pub async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store().history_from().await
    }

    /// The attempts of a delivery of the tenant, by number, with the `bodies` that the answer shows.
    pub async fn attempts(&self, of: DeliveryId, bodies: Bodies) -> Result<Vec<LoadedAttempt>, TextError> {
        self.loaders.attempts(of, bodies).await
    }

    /// The frozen payload of a delivery of the tenant, to be shown.
    pub async fn payload(&self, of: DeliveryId) -> Result<Option<FrozenPayload>, TextError> {
        self.loaders.payload(of).await
    }

    /// When the payload of a delivery of the tenant was rendered.
    pub async fn rendered_at(&self, of: DeliveryId) -> Result<Option<Timestamp>, StoreError> {
        self.loaders.rendered_at(of).await
    }

    /// The newest attempts to a webhook of the tenant, with the `bodies` that the answer shows. The answer must have
    /// room for those bodies as they are read; they count as shown once a field shows them.
    pub async fn webhook_attempts(&self, id: WebhookId, limit: u32, bodies: Bodies) -> Result<Vec<Attempt>, TextError> {
        let (mut attempts, mut left): (Vec<Attempt>, _) = (Vec::new(), limit);
        while left > 0 {
            let size = left.min(TEXT_BATCH_ATTEMPTS_MAX);
            left -= size;
            let before = attempts.last().map(|attempt| attempt.id);
            let read = self.store().webhook_attempts(id, before, size).await?;
            // A page with fewer rows than its size is not the last one: rows that cannot be read are left out.
            if read.is_empty() {
                break;
            }
            for attempt in read {
                let attempt = bodies.of(attempt);
                if bodies != Bodies::NONE {
                    self.api.text().hold(body_bytes(&attempt))?;
                }
                attempts.push(attempt);
            }
        }
        Ok(attempts)
    }

    /// The backlog of a webhook of the tenant, counted up to `count_max`.
    pub async fn backlog(&self, id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        self.store().backlog(id, count_max).await
    }

    /// The tenant's replay of that id.
    pub async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.store().replay(self.api.tenant_id(), id).await
    }

    /// One page of the tenant's replays, newest first.
    pub async fn replay_page(
        &self,
        of: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        self.store().replay_page(self.api.tenant_id(), of, before, limit).await
    }

    /// The tenant's replays that are running.
    pub async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        self.store().running_replays(self.api.tenant_id()).await
    }

    /// The changes of the tenant's deliveries after a `seq`.
    pub async fn feed_page(&self, after_seq: i64, filter: &FeedFilter, limit: u32) -> Result<FeedPage, StoreError> {
        let filter = FeedFilter { only: Some(FeedKind::Deliveries), ..filter.clone() };
        self.store().feed_page(self.api.tenant_id(), after_seq, &filter, limit).await
    }
}

impl May<'_, EventsRead> {
    /// The tenant's event of that id.
    pub async fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.loaders.event(id).await
    }

    /// The tenant's events of those ids.
    pub async fn events(&self, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        if ids.is_empty() { Ok(Vec::new()) } else { self.store().events(self.api.tenant_id(), ids).await }
    }

    /// One page of the tenant's events.
    pub async fn event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        self.store().event_page(&EventQuery { tenant_id: self.api.tenant_id(), ..query.clone() }).await
    }

    /// The webhooks that an event of the tenant passed over.
    pub async fn skips(&self, of: EventId) -> Result<Vec<EventSkip>, StoreError> {
        self.loaders.skips(of).await
    }

    /// The tenant's events after a `seq`.
    pub async fn feed_page(&self, after_seq: i64, filter: &FeedFilter, limit: u32) -> Result<FeedPage, StoreError> {
        let filter = FeedFilter { only: Some(FeedKind::Events), ..filter.clone() };
        self.store().feed_page(self.api.tenant_id(), after_seq, &filter, limit).await
    }
}

impl May<'_, TokensRead> {
    /// The tenant's tokens, oldest first; revoked ones too.
    pub async fn tokens(&self) -> Result<Vec<AccessToken>, StoreError> {
        self.store().tokens(Some(self.api.tenant_id())).await
    }

    /// The tenant's token of that id.
    pub async fn token(&self, id: TokenId) -> Result<Option<AccessToken>, StoreError> {
        Ok(self.store().token(id).await?.filter(|token| token.tenant_id == self.api.tenant_id()))
    }
}

impl May<'_, AuditRead> {
    /// One page of the tenant's audit log.
    pub async fn audit_page(&self, query: AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.store().audit_page(&AuditQuery { tenant_id: self.api.tenant_id(), ..query }).await
    }
}
