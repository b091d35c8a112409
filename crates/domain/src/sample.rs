//! Values that the unit tests of this crate start from.

use crate::delivery::{Delivery, DeliveryState, Signer};
use crate::event::{Event, EventTypeKey};
use crate::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::retry::RETRY_DELAYS_S_DEFAULT;
use crate::signing::{SigningKey, SigningKeys, SigningScheme, SigningSecret};
use crate::time::Timestamp;
use crate::webhook::{HttpMethod, Webhook, WebhookStatus};
use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

pub fn now() -> Timestamp {
    DateTime::from_timestamp(1_700_000_000, 250_000_000).unwrap()
}

pub fn webhook() -> Webhook {
    Webhook {
        id: WebhookId(Uuid::from_u128(2)),
        tenant_id: TenantId(Uuid::from_u128(1)),
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
        status: WebhookStatus::Active,
        status_reason: None,
        status_since: now(),
        timeout_ms: 15_000,
        retry_delays_s: RETRY_DELAYS_S_DEFAULT.to_vec(),
        flow: crate::flow::FlowSettings::default(),
        breaker: crate::breaker::Breaker::default(),
        draining: None,
        subscribed_at: now(),
        failing_since: None,
        version: 1,
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

pub fn event() -> Event {
    let variables = [("id", "o1"), ("userId", "u1"), ("tenantId", "t1")];
    Event {
        id: EventId(Uuid::from_u128(3)),
        tenant_id: TenantId(Uuid::from_u128(1)),
        event_type: EventTypeKey::new("orders", "create"),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect(),
        changed_fields: Vec::new(),
        record_label: "order:o1".to_owned(),
        is_test: false,
        recorded_at: now(),
    }
}

pub fn delivery() -> Delivery {
    Delivery {
        id: DeliveryId(Uuid::from_u128(4)),
        tenant_id: TenantId(Uuid::from_u128(1)),
        webhook_id: WebhookId(Uuid::from_u128(2)),
        event_id: EventId(Uuid::from_u128(3)),
        is_test: false,
        replay_id: None,
        state: DeliveryState::InFlight,
        state_reason: None,
        due_at: Some(now()),
        due_since: now(),
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 1,
        cancel_requested: false,
        created_at: now(),
        updated_at: now(),
    }
}

pub fn signer() -> Signer {
    Signer { tenant_id: TenantId(Uuid::from_u128(1)), tenant_identifier: "acme".to_owned(), keys: keys(7) }
}

/// A secret and a key pair of that byte.
pub fn keys(byte: u8) -> SigningKeys {
    SigningKeys::new(SigningSecret::from_bytes(&[byte; 32]), SigningKey::from_bytes(&[byte; 32]))
}
