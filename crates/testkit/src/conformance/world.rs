//! What the facts share: a store with one tenant, and short words for what they do to it.

use crate::{SeededEntropy, sample};
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::change::{Change, CommitError, Committed, Expected, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, Delivery, DeliveryState};
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{ClaimRequest, Entropy, Fenced, Freeze, PrunePosition, Store};
use hookgraph_domain::retention::HistoryCut;
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::sync::Arc;
use uuid::Uuid;

/// How long a lease of [`World::claim`] holds.
pub const LEASE_MS: u64 = 30_000;

/// A payload query; no store runs it.
pub const QUERY: &str = "query($id: ID!) { order { get(id: $id) { id } } }";

/// A store with one tenant. Its methods panic where the store fails.
pub struct World {
    /// The store under test.
    pub store: Arc<dyn Store>,
    /// Where ids come from.
    pub entropy: SeededEntropy,
    /// The tenant `acme`.
    pub tenant_id: TenantId,
}

impl World {
    /// A world on that store, with the tenant `acme`.
    pub async fn new(store: Arc<dyn Store>) -> Self {
        let entropy = SeededEntropy::new(1);
        let tenant_id = TenantId(entropy.uuid(sample::now()));
        let world = Self { store, entropy, tenant_id };
        world.write(vec![Write::InsertTenant(sample::tenant(tenant_id, "acme"))]).await;
        world
    }

    /// A new id.
    pub fn id<T: From<Uuid>>(&self) -> T {
        T::from(self.entropy.uuid(sample::now()))
    }

    /// Commits writes at [`sample::now`].
    pub async fn try_write(&self, writes: Vec<Write>) -> Result<Committed, CommitError> {
        self.store.commit(Change { at: sample::now(), writes, events: Vec::new() }).await
    }

    /// Commits writes that must go through.
    pub async fn write(&self, writes: Vec<Write>) -> Committed {
        self.try_write(writes).await.expect("the change is committed")
    }

    /// An active webhook on `orders`/`create`.
    pub async fn webhook(&self) -> Webhook {
        self.webhook_with(|_| {}).await
    }

    /// An active webhook on `orders`/`create` with a payload query.
    pub async fn webhook_with_query(&self) -> Webhook {
        self.webhook_with(|webhook| webhook.graphql_query = Some(QUERY.to_owned())).await
    }

    /// A webhook like the sample but for that change.
    pub async fn webhook_with(&self, change: impl FnOnce(&mut Webhook)) -> Webhook {
        let mut webhook = sample::webhook(self.id(), self.tenant_id);
        change(&mut webhook);
        self.write(vec![Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Absent }]).await;
        webhook
    }

    /// The webhook as it stands.
    pub async fn read_webhook(&self, id: WebhookId) -> Webhook {
        self.store.webhooks(self.tenant_id, &[id]).await.expect("read").pop().expect("the webhook is there")
    }

    /// Writes a webhook's next version with that change, and the other writes after it.
    pub async fn change_webhook(&self, id: WebhookId, change: impl FnOnce(&mut Webhook), then: Vec<Write>) {
        let mut writes = vec![self.next_version(id, change).await];
        writes.extend(then);
        self.write(writes).await;
    }

    /// Writes a webhook's next version with that change, at that time.
    pub async fn save_at(&self, at: Timestamp, id: WebhookId, change: impl FnOnce(&mut Webhook)) {
        let writes = vec![self.next_version(id, change).await];
        self.store.commit(Change { at, writes, events: Vec::new() }).await.expect("the change is committed");
    }

    async fn next_version(&self, id: WebhookId, change: impl FnOnce(&mut Webhook)) -> Write {
        let mut webhook = self.read_webhook(id).await;
        let expected = Expected::Version(webhook.version);
        webhook.version += 1;
        change(&mut webhook);
        Write::PutWebhook { webhook, expected }
    }

    /// Gives a webhook a status, and makes the other writes after it.
    pub async fn set_status(&self, id: WebhookId, status: WebhookStatus, then: Vec<Write>) {
        self.change_webhook(id, |webhook| webhook.status = status, then).await;
    }

    /// The write that makes all deliveries due that are held for a webhook.
    pub async fn release_held(&self, webhook_id: WebhookId) -> Write {
        let delivery_ids = self.store.held(webhook_id, 100).await.expect("read");
        Write::ReleaseDeliveries { webhook_id, delivery_ids }
    }

    /// Removes history to the end, in steps of `rows_max` rows, and answers how many rows went.
    pub async fn prune(&self, cut: &HistoryCut, rows_max: u32) -> u64 {
        let (mut rows, mut from) = (0, PrunePosition::default());
        loop {
            let step = self.store.prune_history(cut, from, rows_max).await.expect("prune");
            rows += step.rows;
            assert_eq!(step.put_off, None);
            match step.next {
                Some(next) => {
                    assert_ne!(next, from, "a step goes on");
                    from = next;
                }
                None => return rows,
            }
        }
    }

    /// Records an event of an order at that time.
    pub async fn event_at(&self, at: Timestamp) -> (EventId, usize) {
        let id: EventId = EventId(self.entropy.uuid(at));
        let event = sample::event(id, self.tenant_id, &format!("order-{}", id.0.simple()));
        let change = Change { at, writes: Vec::new(), events: vec![event] };
        let committed = self.store.commit(change).await.expect("the event is recorded");
        (id, committed.delivery_count)
    }

    /// Records an event of an order.
    pub async fn event(&self) -> EventId {
        self.event_at(sample::now()).await.0
    }

    /// Claims at that time.
    pub async fn claim_at(&self, now: Timestamp, limit: u32, in_flight_per_webhook_max: u32) -> Vec<ClaimedDelivery> {
        let request = ClaimRequest {
            now,
            leased_until: plus_ms(now, LEASE_MS),
            limit,
            in_flight_per_webhook_max,
            limits: Vec::new(),
            limit_per_webhook: u32::MAX,
            retries_max: u32::MAX,
        };
        self.store.claim(&request).await.expect("claim").deliveries
    }

    /// Claims what is due.
    pub async fn claim(&self) -> Vec<ClaimedDelivery> {
        self.claim_at(sample::now(), 100, 100).await
    }

    /// Claims the only delivery that is due.
    pub async fn claim_one(&self) -> ClaimedDelivery {
        let mut claimed = self.claim().await;
        assert_eq!(claimed.len(), 1, "one delivery is due");
        claimed.remove(0)
    }

    /// The delivery as it stands.
    pub async fn delivery(&self, id: DeliveryId) -> Delivery {
        self.store.deliveries(self.tenant_id, &[id]).await.expect("read").pop().expect("the delivery is there")
    }

    /// All deliveries, newest first.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        self.store.delivery_page(&self.delivery_query()).await.expect("read")
    }

    /// The query of all deliveries.
    pub fn delivery_query(&self) -> DeliveryQuery {
        DeliveryQuery::of(self.tenant_id, 100)
    }

    /// Freezes a payload under a claim.
    pub async fn freeze(&self, claimed: &ClaimedDelivery, json: &str) -> Fenced {
        let payload = FrozenPayload { json: json.into(), rendered_at: sample::now() };
        let fencing_token = claimed.delivery.fencing_token;
        let freeze = Freeze { delivery_id: claimed.delivery.id, fencing_token, payload };
        self.store.freeze(&[freeze]).await.expect("freeze")[0]
    }

    /// A settlement of a claim, with an attempt.
    pub fn settlement(&self, claimed: &ClaimedDelivery, state: DeliveryState) -> Settlement {
        let now = sample::now();
        let delivery = &claimed.delivery;
        let attempts_spent = delivery.attempts_spent + 1;
        let delivered = state == DeliveryState::Delivered;
        Settlement {
            delivery_id: delivery.id,
            webhook_id: delivery.webhook_id,
            fencing_token: delivery.fencing_token,
            attempt: Some(self.attempt(claimed)),
            next: NextState {
                state,
                reason: (!delivered).then(|| "HTTP_STATUS 503".to_owned()),
                due_at: (state == DeliveryState::Retrying).then(|| plus_ms(now, 5_000)),
                attempts_spent,
            },
            health: Some(if delivered { HealthSignal::Succeeded } else { HealthSignal::Failed }),
            now,
        }
    }

    /// The next attempt of a claim, without request or answer.
    pub fn attempt(&self, claimed: &ClaimedDelivery) -> Attempt {
        Attempt {
            id: AttemptId(self.entropy.uuid(sample::now())),
            delivery_id: claimed.delivery.id,
            number: claimed.delivery.attempt_count + 1,
            code: OutcomeCode::HttpStatus,
            detail: Some("503 Service Unavailable".to_owned()),
            request: None,
            response: None,
            response_body: None,
            response_truncated: false,
            remote_address: None,
            started_at: sample::now(),
            ended_at: plus_ms(sample::now(), 12),
        }
    }

    /// Settles a claim into that state, with an attempt.
    pub async fn settle(&self, claimed: &ClaimedDelivery, state: DeliveryState) -> Fenced {
        self.settle_as(self.settlement(claimed, state)).await
    }

    /// Settles as that settlement says.
    pub async fn settle_as(&self, settlement: Settlement) -> Fenced {
        self.store.settle(&[settlement]).await.expect("settle")[0]
    }

    /// The states that a delivery came into, in the order of the feed.
    pub async fn fed_states(&self, id: DeliveryId) -> Vec<DeliveryState> {
        use hookgraph_domain::feed::FeedChange;
        let page = self.store.feed_page(self.tenant_id, 0, &Default::default(), 1_000).await.expect("feed");
        let states = page.entries.into_iter().filter_map(|entry| match entry.what {
            FeedChange::DeliveryUpdated { delivery_id, state, .. } if delivery_id == id => Some(state),
            _ => None,
        });
        states.collect()
    }
}
