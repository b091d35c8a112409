//! Published keys, which verify asymmetric signatures: JWK sets (RFC 7517) that anyone may read.
//!
//! A tenant's set is at `/tenants/<tenant id>/.well-known/jwks.json`. A webhook's set is at `/tenants/<tenant
//! id>/webhooks/<webhook id>/.well-known/jwks.json`: its own keys, or its tenant's while it has none. A stranger who
//! guesses an id gains nothing: an unknown id is answered like somebody else's.

use super::WebState;
use super::readings::{Reading, Readings};
use crate::limits::{JWKS_KEPT_MAX, JWKS_KEPT_MS, JWKS_MAX_AGE_S, JWKS_READ_WAIT_MS_MAX, JWKS_READS_MAX};
use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{Clock, Store, StoreError};
use hookgraph_domain::signing::{ActiveKeys, PublicKey};
use moka::sync::Cache;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

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

/// A key set as it was read.
type ReadKeySet = Result<Option<Vec<PublicKey>>, StoreError>;

/// The keys of a database. Anybody may ask for them, so [`JWKS_READS_MAX`] sets are read at a time, and each set once
/// at a time.
pub struct StoredKeys {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
    readings: Cache<(TenantId, Option<WebhookId>), Readings<ReadKeySet>>,
}

impl StoredKeys {
    /// The keys of that store. The clock tells which overlaps of a rotation last.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, places: Arc::new(Semaphore::new(JWKS_READS_MAX)), readings: Cache::new(JWKS_KEPT_MAX) }
    }
}

/// Whether the last answer also serves a caller who asks a moment later. A set that was found does not: a key that was
/// made meanwhile signs at once. A refusal does not either: there may be a place to read again.
fn is_kept(last: &Reading<ReadKeySet>) -> bool {
    let is_of_no_set = !last.is_refusal && !matches!(last.answer, Ok(Some(_)));
    is_of_no_set && last.ended_at.elapsed() < Duration::from_millis(JWKS_KEPT_MS)
}

#[async_trait]
impl PublishedKeys for StoredKeys {
    async fn keys(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
    ) -> Result<Option<Vec<PublicKey>>, StoreError> {
        let asked_at = Instant::now();
        let readings = self.readings.get_with((tenant_id, webhook_id), Readings::default);
        let holds = move |last: &Reading<ReadKeySet>| last.began_at >= asked_at || is_kept(last);
        let turn = match readings.last_or_turn(holds).await {
            Ok(answer) => return answer,
            Err(turn) => turn,
        };
        let wait_max = Duration::from_millis(JWKS_READ_WAIT_MS_MAX);
        let Ok(Ok(place)) = timeout(wait_max, self.places.clone().acquire_owned()).await else {
            return turn.refuse(Err(StoreError::Busy("as many key sets are read as may be".to_owned())));
        };
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let reading = async move {
            let _place = place;
            stored(store.as_ref(), clock.as_ref(), tenant_id, webhook_id).await
        };
        turn.read(reading, Err(StoreError::Failed("the reading of a key set was broken off".to_owned()))).await
    }
}

async fn stored(
    store: &dyn Store,
    clock: &dyn Clock,
    tenant_id: TenantId,
    webhook_id: Option<WebhookId>,
) -> ReadKeySet {
    let Some(tenant) = store.tenant(tenant_id).await? else { return Ok(None) };
    let own_keys = match webhook_id {
        None => None,
        Some(id) => match store.webhooks(tenant_id, &[id]).await?.pop() {
            Some(webhook) if webhook.deleted_at.is_none() => webhook.own_keys,
            _ => return Ok(None),
        },
    };
    let active = ActiveKeys::at(clock.now(), &tenant.keys, own_keys.as_ref());
    Ok(Some(active.public().map(|(key, _)| key).collect()))
}

/// Answers with a tenant's keys.
pub async fn of_tenant(State(state): State<Arc<WebState>>, Path(tenant_id): Path<String>) -> Response {
    match tenant_id.parse() {
        Ok(tenant_id) => set(&state, tenant_id, None).await,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers with a webhook's keys.
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
                // The keys are public: pages of any origin may read them.
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
    use futures::future::join_all;
    use hookgraph_domain::change::{Change, Expected, Write};
    use hookgraph_domain::ports::UnitOfWork;
    use hookgraph_testkit::{ManualClock, MemoryStore, ReadPlan, sample};
    use tokio::time::advance;
    use uuid::Uuid;

    const ACME: TenantId = TenantId(Uuid::from_u128(1));
    const NOBODY: TenantId = TenantId(Uuid::from_u128(2));

    async fn keys_of_acme() -> (MemoryStore, StoredKeys) {
        let store = MemoryStore::default();
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(ACME, "acme")));
        store.commit(change).await.unwrap();
        let keys = StoredKeys::new(Arc::new(store.clone()), Arc::new(ManualClock::at(sample::now())));
        (store, keys)
    }

    fn its_keys() -> Option<Vec<PublicKey>> {
        Some(vec![sample::keys(7).key.current.public()])
    }

    #[tokio::test]
    async fn a_set_is_there_for_a_tenant_and_for_a_webhook_of_it_and_for_nothing_else() {
        let (store, keys) = keys_of_acme().await;
        let [webhook_id, unknown] = [3, 4].map(|number| WebhookId(Uuid::from_u128(number)));
        let mut change = Change::at(sample::now());
        let webhook = sample::webhook(webhook_id, ACME);
        change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
        store.commit(change).await.unwrap();
        for (tenant_id, webhook_id, expected) in [
            (ACME, None, its_keys()),
            (ACME, Some(webhook_id), its_keys()),
            (ACME, Some(unknown), None),
            (NOBODY, None, None),
            (NOBODY, Some(webhook_id), None),
        ] {
            assert_eq!(keys.keys(tenant_id, webhook_id).await.unwrap(), expected, "{tenant_id} {webhook_id:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn key_sets_are_read_a_bounded_number_at_a_time_and_waited_for_for_a_moment() {
        let (store, keys) = keys_of_acme().await;
        let wait_max = Duration::from_millis(JWKS_READ_WAIT_MS_MAX);
        let places = u32::try_from(JWKS_READS_MAX).unwrap();
        let taken = keys.places.clone().acquire_many_owned(places).await.unwrap();
        let begun = Instant::now();
        let told = join_all((0..100).map(|_| keys.keys(ACME, None))).await;
        assert!(told.iter().all(|answer| matches!(answer, Err(StoreError::Busy(_)))), "{told:?}");
        assert!(begun.elapsed() >= wait_max && begun.elapsed() < 2 * wait_max, "they wait together");
        drop(taken);
        assert_eq!(keys.keys(NOBODY, None).await.unwrap(), None);
        advance(Duration::from_millis(1)).await;
        assert_eq!(keys.keys(ACME, None).await.unwrap(), its_keys(), "only those who waited were refused");
        assert_eq!(store.reads().take_count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_read_once_for_all_who_ask_at_once_and_again_for_whoever_asks_later() {
        let (store, keys) = keys_of_acme().await;
        for _ in 0..2 {
            let told = join_all((0..100).map(|_| keys.keys(ACME, None))).await;
            assert!(told.into_iter().all(|answer| answer.unwrap() == its_keys()));
            assert_eq!(store.reads().take_count(), 1);
            advance(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_not_looked_for_again_for_a_while() {
        let (store, keys) = keys_of_acme().await;
        for (waited_ms, reads) in [(0, 1), (JWKS_KEPT_MS - 1, 0), (1, 1)] {
            advance(Duration::from_millis(waited_ms)).await;
            assert_eq!(keys.keys(NOBODY, None).await.unwrap(), None);
            assert_eq!(store.reads().take_count(), reads);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_database_could_not_read_is_not_read_again_for_a_while() {
        let (store, keys) = keys_of_acme().await;
        store.reads().plan(ReadPlan::Fail);
        for (waited_ms, reads) in [(0, 1), (JWKS_KEPT_MS - 1, 0), (1, 1)] {
            advance(Duration::from_millis(waited_ms)).await;
            assert!(matches!(keys.keys(ACME, None).await, Err(StoreError::Busy(_))));
            assert_eq!(store.reads().take_count(), reads);
        }
    }

    #[tokio::test]
    async fn no_more_readings_are_kept_than_the_limit_says() {
        let (_, keys) = keys_of_acme().await;
        for number in 0..2 * u128::from(JWKS_KEPT_MAX) {
            assert!(keys.keys(ACME, Some(WebhookId(Uuid::from_u128(number)))).await.unwrap().is_none());
        }
        keys.readings.run_pending_tasks();
        assert!(keys.readings.entry_count() <= JWKS_KEPT_MAX, "{}", keys.readings.entry_count());
    }
}
