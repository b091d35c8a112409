//! Loaders of the management API: reads of one request that are ready together become one statement.
//!
//! They gather and do not remember: a subscription lives long, and a mutation reads again what it wrote.

use async_graphql::dataloader::{DataLoader, Loader, NoCache};
use async_graphql::futures_util::future::BoxFuture;
use async_graphql::runtime::{Timer, TokioSpawner};
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip, EventTypeKey};
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{Store, StoreError};
use hookgraph_domain::webhook::Webhook;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The attempts of a delivery, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttemptsOf(pub DeliveryId);

/// The frozen payload of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PayloadOf(pub DeliveryId);

/// The webhooks that an event passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SkipsOf(pub EventId);

/// The webhooks of an event type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WebhooksOfType(pub EventTypeKey);

pub(crate) struct Loaders {
    inner: DataLoader<StoreLoader, NoCache>,
}

struct StoreLoader {
    tenant_id: TenantId,
    store: Arc<dyn Store>,
}

/// Instead of waiting a while for more keys, lets the resolvers that are ready ask first.
struct Yield;

impl Timer for Yield {
    fn delay(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

impl Loaders {
    pub fn new(tenant_id: TenantId, store: Arc<dyn Store>) -> Self {
        Self { inner: DataLoader::new(StoreLoader { tenant_id, store }, TokioSpawner::current(), Yield) }
    }

    /// The tenant's webhook of that id; a deleted one too.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The tenant's event of that id.
    pub async fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The tenant's delivery of that id.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Arc<Delivery>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The attempts of a delivery of the tenant, by number.
    pub async fn attempts(&self, of: DeliveryId) -> Result<Vec<Arc<Attempt>>, StoreError> {
        Ok(self.inner.load_one(AttemptsOf(of)).await?.unwrap_or_default())
    }

    /// The frozen payload of a delivery of the tenant.
    pub async fn payload(&self, of: DeliveryId) -> Result<Option<FrozenPayload>, StoreError> {
        self.inner.load_one(PayloadOf(of)).await
    }

    /// The webhooks that an event of the tenant passed over.
    pub async fn skips(&self, of: EventId) -> Result<Vec<EventSkip>, StoreError> {
        Ok(self.inner.load_one(SkipsOf(of)).await?.unwrap_or_default())
    }

    /// The tenant's webhooks of an event type as they now stand.
    pub async fn webhooks_of_type(&self, key: EventTypeKey) -> Result<Vec<Arc<Webhook>>, StoreError> {
        Ok(self.inner.load_one(WebhooksOfType(key)).await?.unwrap_or_default())
    }
}

impl Loader<WebhookId> for StoreLoader {
    type Value = Arc<Webhook>;
    type Error = StoreError;

    async fn load(&self, ids: &[WebhookId]) -> Result<HashMap<WebhookId, Arc<Webhook>>, StoreError> {
        let webhooks = self.store.webhooks(self.tenant_id, ids).await?;
        Ok(webhooks.into_iter().map(|webhook| (webhook.id, Arc::new(webhook))).collect())
    }
}

impl Loader<EventId> for StoreLoader {
    type Value = Arc<Event>;
    type Error = StoreError;

    async fn load(&self, ids: &[EventId]) -> Result<HashMap<EventId, Arc<Event>>, StoreError> {
        let events = self.store.events(self.tenant_id, ids).await?;
        Ok(events.into_iter().map(|event| (event.id, Arc::new(event))).collect())
    }
}

impl Loader<DeliveryId> for StoreLoader {
    type Value = Arc<Delivery>;
    type Error = StoreError;

    async fn load(&self, ids: &[DeliveryId]) -> Result<HashMap<DeliveryId, Arc<Delivery>>, StoreError> {
        let deliveries = self.store.deliveries(self.tenant_id, ids).await?;
        Ok(deliveries.into_iter().map(|delivery| (delivery.id, Arc::new(delivery))).collect())
    }
}

impl Loader<AttemptsOf> for StoreLoader {
    type Value = Vec<Arc<Attempt>>;
    type Error = StoreError;

    async fn load(&self, keys: &[AttemptsOf]) -> Result<HashMap<AttemptsOf, Vec<Arc<Attempt>>>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for attempt in self.store.attempts(&ids).await? {
            found.entry(AttemptsOf(attempt.delivery_id)).or_default().push(Arc::new(attempt));
        }
        Ok(found)
    }
}

impl Loader<PayloadOf> for StoreLoader {
    type Value = FrozenPayload;
    type Error = StoreError;

    async fn load(&self, keys: &[PayloadOf]) -> Result<HashMap<PayloadOf, FrozenPayload>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let payloads = self.store.payloads(&ids).await?;
        Ok(payloads.into_iter().map(|(id, payload)| (PayloadOf(id), payload)).collect())
    }
}

impl Loader<SkipsOf> for StoreLoader {
    type Value = Vec<EventSkip>;
    type Error = StoreError;

    async fn load(&self, keys: &[SkipsOf]) -> Result<HashMap<SkipsOf, Vec<EventSkip>>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for skip in self.store.event_skips(&ids).await? {
            found.entry(SkipsOf(skip.event_id)).or_default().push(skip);
        }
        Ok(found)
    }
}

impl Loader<WebhooksOfType> for StoreLoader {
    type Value = Vec<Arc<Webhook>>;
    type Error = StoreError;

    async fn load(&self, keys: &[WebhooksOfType]) -> Result<HashMap<WebhooksOfType, Vec<Arc<Webhook>>>, StoreError> {
        // One statement per type that the page shows: there are few, and each reads a bounded index range.
        let mut found = HashMap::new();
        for key in keys {
            let webhooks = self.store.webhook_page(&WebhookQuery::of_type(self.tenant_id, &key.0)).await?;
            found.insert(key.clone(), webhooks.into_iter().map(Arc::new).collect());
        }
        Ok(found)
    }
}
