//! The worker on fakes: a queue, a renderer and a transport that do as the test planned.

mod fakes;
mod freezing;
mod leasing;
mod looping;
mod once;
mod outages;
mod recordings;
mod running;
mod settling;
mod sharing;
mod shutdowns;
mod waits;

use super::*;
use chrono::{TimeZone, Utc};
use fakes::{FakeQueue, FakeRenderer, FakeTransport, Noted};
use hookgraph_domain::delivery::{ClaimedDelivery, Delivery, DeliveryState, Signer};
use hookgraph_domain::event::{Event, EventTypeKey};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{HttpMethod, Webhook, WebhookStatus};
use hookgraph_testkit::sample;
use uuid::Uuid;

pub(super) fn noon() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).single().expect("a time that exists")
}

/// The services of a worker, and its bounds.
struct Bench {
    queue: Arc<FakeQueue>,
    renderer: Arc<FakeRenderer>,
    transport: Arc<FakeTransport>,
    noted: Arc<Noted>,
    limits: DispatchLimits,
}

impl Bench {
    /// A bench on which these deliveries are due.
    fn with(due: impl IntoIterator<Item = ClaimedDelivery>) -> Self {
        Self {
            queue: Arc::new(FakeQueue::with(due)),
            renderer: Arc::default(),
            transport: Arc::default(),
            noted: Arc::default(),
            limits: DispatchLimits { poll_ms: 5, drain_ms: 50, flush_ms: 1_000, ..DispatchLimits::default() },
        }
    }

    fn dispatcher(&self) -> Dispatcher {
        let services = Services {
            queue: self.queue.clone(),
            renderer: self.renderer.clone(),
            transport: self.transport.clone(),
            clock: self.noted.clone(),
            entropy: self.noted.clone(),
            wake_ups: self.noted.clone(),
            neighbours: self.noted.clone(),
            failpoints: self.noted.clone(),
        };
        Dispatcher::new(services, self.limits)
    }

    async fn run_once(&self) -> Ran {
        self.dispatcher().run_once().await.expect("a store that answers")
    }
}

/// A due delivery of the webhook with the number `webhook`. The path of its URL is the script of the fake transport.
pub(super) fn due(number: u128, webhook: u128, path: &str) -> ClaimedDelivery {
    let tenant_id = TenantId(Uuid::from_u128(1));
    let webhook = webhook_at(WebhookId(Uuid::from_u128(webhook)), path);
    let event = Event {
        id: Uuid::from_u128(number).into(),
        tenant_id,
        event_type: webhook.event_type.clone(),
        variables: serde_json::Map::new(),
        changed_fields: vec![],
        record_label: "order:1".to_owned(),
        is_test: false,
        recorded_at: noon(),
    };
    let signer = Signer { tenant_id, tenant_identifier: "acme".to_owned(), keys: sample::keys(7) };
    let delivery = Delivery {
        id: Uuid::from_u128(number).into(),
        tenant_id,
        webhook_id: webhook.id,
        event_id: event.id,
        is_test: false,
        replay_id: None,
        state: DeliveryState::InFlight,
        state_reason: None,
        due_at: Some(noon()),
        due_since: noon(),
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 1,
        cancel_requested: false,
        created_at: noon(),
        updated_at: noon(),
    };
    ClaimedDelivery {
        delivery,
        event: Arc::new(event),
        webhook: Arc::new(webhook),
        signer: Arc::new(signer),
        payload: None,
        leased_until: noon(),
        was_orphaned: false,
    }
}

fn webhook_at(id: WebhookId, path: &str) -> Webhook {
    Webhook {
        id,
        tenant_id: TenantId(Uuid::from_u128(1)),
        name: "a webhook".to_owned(),
        event_type: EventTypeKey::new("orders", "create"),
        method: HttpMethod::Post,
        url: format!("https://receiver.example/{path}"),
        headers: vec![],
        graphql_query: None,
        preserve_default_payload: false,
        document: None,
        signing: Default::default(),
        own_keys: None,
        tls: None,
        status: WebhookStatus::Active,
        status_reason: None,
        status_since: noon(),
        timeout_ms: 15_000,
        retry_delays_s: vec![5, 30],
        flow: Default::default(),
        breaker: Default::default(),
        draining: None,
        subscribed_at: noon(),
        failing_since: None,
        version: 1,
        created_at: noon(),
        updated_at: noon(),
        deleted_at: None,
    }
}

pub(super) fn payload(json: &str) -> FrozenPayload {
    FrozenPayload { json: json.into(), rendered_at: noon() }
}

/// The claim with its webhook changed.
pub(super) fn with_webhook(mut claim: ClaimedDelivery, change: impl FnOnce(&mut Webhook)) -> ClaimedDelivery {
    change(Arc::make_mut(&mut claim.webhook));
    claim
}
