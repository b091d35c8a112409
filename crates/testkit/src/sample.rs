//! Values that tests start from.

use chrono::DateTime;
use hookgraph_domain::event::{EventTypeKey, NewEvent};
use hookgraph_domain::ids::{CopyTaskId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::ClaimRequest;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::retry::RETRY_DELAYS_S_DEFAULT;
use hookgraph_domain::signing::{SigningKey, SigningKeys, SigningScheme, SigningSecret};
use hookgraph_domain::tenant::{CopyState, CopyTask, Tenant};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::{HttpMethod, Webhook, WebhookStatus};
use serde_json::{Map, Value};

/// The moment at which tests begin. It has microseconds, so that a time that is cut to milliseconds shows.
pub fn now() -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 250_123_000).unwrap_or_default()
}

/// A secret and a key pair, made of that byte.
pub fn keys(byte: u8) -> SigningKeys {
    SigningKeys::new(SigningSecret::from_bytes(&[byte; 32]), SigningKey::from_bytes(&[byte; 32]))
}

/// A tenant of that id and identifier.
pub fn tenant(id: TenantId, identifier: &str) -> Tenant {
    Tenant {
        id,
        identifier: identifier.to_owned(),
        default_language: "en".to_owned(),
        body: r#"{"name":"Sample"}"#.to_owned(),
        keys: keys(7),
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}

/// An active webhook on `orders`/`create`, without headers or payload query.
pub fn webhook(id: WebhookId, tenant_id: TenantId) -> Webhook {
    Webhook {
        id,
        tenant_id,
        name: "Orders".to_owned(),
        event_type: EventTypeKey::new("orders", "create"),
        method: HttpMethod::Post,
        url: "https://receiver.example/hook".to_owned(),
        headers: Vec::new(),
        graphql_query: None,
        preserve_default_payload: false,
        document: None,
        signing: SigningScheme::Symmetric,
        own_keys: None,
        tls: None,
        status: WebhookStatus::Active,
        status_reason: None,
        status_since: now(),
        timeout_ms: 15_000,
        retry_delays_s: RETRY_DELAYS_S_DEFAULT.to_vec(),
        flow: Default::default(),
        breaker: Default::default(),
        draining: None,
        subscribed_at: now(),
        failing_since: None,
        version: 1,
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

/// An `orders`/`create` event of an order.
pub fn event(id: EventId, tenant_id: TenantId, order_id: &str) -> NewEvent {
    let variables =
        [("id", Value::from(order_id)), ("userId", Value::Null), ("tenantId", Value::from(tenant_id.to_string()))];
    NewEvent {
        id,
        tenant_id,
        event_type: EventTypeKey::new("orders", "create"),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
        changed_fields: Vec::new(),
        tombstone: None,
        record_label: format!("order:{order_id}"),
    }
}

/// An order of that key.
pub fn record(tenant_id: TenantId, key: &str, version: i64) -> Record {
    Record {
        tenant_id,
        reference: RecordRef::new(RecordKind::Order, key),
        version,
        body: format!(r#"{{"version":{version}}}"#),
        created_at: now(),
        updated_at: now(),
    }
}

/// A claim now, with a lease of a minute, of at most `limit` deliveries and bounded by nothing else.
pub fn claim_request(limit: u32) -> ClaimRequest {
    ClaimRequest {
        now: now(),
        leased_until: plus_ms(now(), 60_000),
        limit,
        in_flight_per_webhook_max: 100,
        limits: Vec::new(),
        limit_per_webhook: 100,
        retries_max: 100,
    }
}

/// A running copy of that tenant.
pub fn copy_task(id: CopyTaskId, source_tenant_id: TenantId) -> CopyTask {
    CopyTask {
        id,
        source_tenant_id,
        target_identifier: "copy".to_owned(),
        target_tenant_id: None,
        state: CopyState::Running,
        body: "{}".to_owned(),
        error: None,
        user_id: Some("u1".to_owned()),
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}
