//! The state of the fake.

use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::feed::{FeedChange, FeedEntry};
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::{CopyTaskId, DeliveryId, EventId, ReplayId, TenantId, TokenId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::record::{Link, Name, Record, RecordRef};
use hookgraph_domain::replay::Replay;
use hookgraph_domain::tenant::{CopyTask, Tenant};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use hookgraph_domain::webhook::Webhook;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub tenants: BTreeMap<TenantId, Tenant>,
    pub tokens: BTreeMap<TokenId, AccessToken>,
    pub audit: Vec<AuditEntry>,
    pub copy_tasks: BTreeMap<CopyTaskId, CopyTask>,
    pub replays: BTreeMap<ReplayId, Replay>,
    pub records: BTreeMap<(TenantId, RecordRef), KeptRecord>,
    pub answers: BTreeMap<AnswerKey, (Timestamp, KeptAnswer)>,
    pub webhooks: BTreeMap<WebhookId, Webhook>,
    /// Since when webhooks have had more deliveries to hold or cancel.
    pub stopping: BTreeMap<WebhookId, Timestamp>,
    pub events: BTreeMap<EventId, Event>,
    pub skips: Vec<EventSkip>,
    pub tombstones: BTreeMap<EventId, Record>,
    pub deliveries: BTreeMap<DeliveryId, KeptDelivery>,
    pub attempts: Vec<Attempt>,
    pub payloads: BTreeMap<DeliveryId, FrozenPayload>,
    pub feed: Vec<FeedEntry>,
    pub last_seq: i64,
    /// The `seq` up to which each tenant's feed was removed.
    pub feed_pruned: BTreeMap<TenantId, i64>,
    pub history_from: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct KeptRecord {
    pub record: Record,
    pub links: Vec<Link>,
    pub names: Vec<Name>,
}

#[derive(Clone, Debug)]
pub(super) struct KeptDelivery {
    pub delivery: Delivery,
    pub leased_until: Option<Timestamp>,
}

impl State {
    pub fn feed(&mut self, tenant_id: TenantId, at: Timestamp, what: FeedChange) {
        self.last_seq += 1;
        self.feed.push(FeedEntry { seq: self.last_seq, tenant_id, at, what });
    }

    /// Puts a delivery as it now stands, with its feed entry.
    pub fn put_delivery(&mut self, delivery: Delivery, leased_until: Option<Timestamp>, at: Timestamp) {
        let what = FeedChange::DeliveryUpdated {
            delivery_id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            state: delivery.state,
            attempt_count: delivery.attempt_count,
        };
        self.feed(delivery.tenant_id, at, what);
        self.deliveries.insert(delivery.id, KeptDelivery { delivery, leased_until });
    }
}
