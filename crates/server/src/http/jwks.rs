//! Published keys: what verifies asymmetric signatures, as JWK sets (RFC 7517) that anyone may read.
//!
//! A tenant's are at `/tenants/<tenant id>/.well-known/jwks.json`. A webhook's are at
//! `/tenants/<tenant id>/webhooks/<webhook id>/.well-known/jwks.json`: its own, or its tenant's while it has none. The ids
//! are of no use to whoever guesses one, and an unknown one answers like one of somebody else's.

use super::WebState;
use crate::limits::{JWKS_MAX_AGE_S, JWKS_READS_MAX};
use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{Clock, Store, StoreError};
use hookgraph_domain::signing::{ActiveKeys, PublicKey};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The path of a tenant's keys.
pub const OF_TENANT: &str = "/tenants/{tenant_id}/.well-known/jwks.json";
/// The path of a webhook's keys.
pub const OF_WEBHOOK: &str = "/tenants/{tenant_id}/webhooks/{webhook_id}/.well-known/jwks.json";

/// Knows which keys sign.
#[async_trait]
pub trait PublishedKeys: Send + Sync {
    /// The keys that sign for a tenant, or for a webhook of it, the newest first; none where there is no such.
    async fn keys(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
    ) -> Result<Option<Vec<PublicKey>>, StoreError>;
}

/// The keys of a database, read a bounded number at a time: strangers ask for them.
pub struct StoredKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    reads: Semaphore,
}

impl StoredKeys {
    /// The clock says which overlaps last.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, reads: Semaphore::new(JWKS_READS_MAX) }
    }
}

#[async_trait]
impl PublishedKeys for StoredKeys {
    async fn keys(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
    ) -> Result<Option<Vec<PublicKey>>, StoreError> {
        let busy = |_| StoreError::Busy("key sets are read by as many as may".to_owned());
        let _permit = self.reads.try_acquire().map_err(busy)?;
        let Some(tenant) = self.store.tenant(tenant_id).await? else { return Ok(None) };
        let own_keys = match webhook_id {
            None => None,
            Some(id) => match self.store.webhooks(tenant_id, &[id]).await?.pop() {
                Some(webhook) if webhook.deleted_at.is_none() => webhook.own_keys,
                _ => return Ok(None),
            },
        };
        let active = ActiveKeys::at(self.clock.now(), &tenant.keys, own_keys.as_ref());
        Ok(Some(active.public().map(|(key, _)| key).collect()))
    }
}

/// A tenant's.
pub async fn of_tenant(State(state): State<Arc<WebState>>, Path(tenant_id): Path<String>) -> Response {
    match tenant_id.parse() {
        Ok(tenant_id) => set(&state, tenant_id, None).await,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A webhook's.
pub async fn of_webhook(
    State(state): State<Arc<WebState>>,
    Path((tenant_id, webhook_id)): Path<(String, String)>,
) -> Response {
    match (tenant_id.parse(), webhook_id.parse()) {
        (Ok(tenant_id), Ok(webhook_id)) => set(&state, tenant_id, Some(webhook_id)).await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn set(state: &WebState, tenant_id: TenantId, webhook_id: Option<WebhookId>) -> Response {
    match state.published_keys.keys(tenant_id, webhook_id).await {
        Ok(Some(keys)) => {
            let keys: Vec<_> = keys.iter().map(PublicKey::jwk).collect();
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
                (header::CACHE_CONTROL, max_age()),
                // Public: pages of any origin may read them.
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
                (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
            ];
            (headers, json!({ "keys": keys }).to_string()).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::warn!(%error, "the keys of a tenant were not read");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response()
        }
    }
}

fn max_age() -> HeaderValue {
    HeaderValue::try_from(format!("public, max-age={JWKS_MAX_AGE_S}"))
        .unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

    use super::*;
    use hookgraph_domain::change::{Change, Write};
    use hookgraph_domain::ports::UnitOfWork;
    use hookgraph_testkit::{ManualClock, MemoryStore, sample};
    use uuid::Uuid;

    #[tokio::test]
    async fn key_sets_are_read_a_bounded_number_at_a_time() {
        let (store, id) = (MemoryStore::default(), TenantId(Uuid::from_u128(1)));
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(id, "acme")));
        store.commit(change).await.unwrap();
        let keys = StoredKeys::new(Arc::new(store), Arc::new(ManualClock::at(sample::now())));
        let read = keys.keys(id, None).await.unwrap();
        assert_eq!(read, Some(vec![sample::keys(7).key.current.public()]));
        assert_eq!(keys.keys(id, Some(WebhookId(Uuid::from_u128(2)))).await.unwrap(), None);
        let _taken = keys.reads.acquire_many(u32::try_from(JWKS_READS_MAX).unwrap()).await.unwrap();
        assert!(matches!(keys.keys(id, None).await, Err(StoreError::Busy(_))));
    }
}
