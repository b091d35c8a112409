//! How many texts each step of the road sends to SQLite: no other step writes meanwhile, so each text delays them all.

use crate::store::SqlStore;
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::change::{Change, Claimed, Expected, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ids::{AttemptId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{ClaimRequest, Claimer, Claims, DeliveryQueue, Feed, Fenced, UnitOfWork, WantedClaim};
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_testkit::{PlainVault, sample};
use parking_lot::Mutex;
use std::sync::Arc;
use uuid::Uuid;

const TENANTS: [TenantId; 2] = [TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2))];

/// A store in which each tenant has a webhook.
async fn store() -> SqlStore {
    let store = SqlStore::in_memory(Arc::new(PlainVault)).await.unwrap();
    let mut change = Change::at(sample::now());
    for tenant_id in TENANTS {
        change.writes.push(Write::InsertTenant(sample::tenant(tenant_id, &tenant_id.to_string())));
        let webhook = sample::webhook(WebhookId(Uuid::from_u128(tenant_id.0.as_u128() + 10)), tenant_id);
        change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    }
    store.commit(change).await.unwrap();
    store
}

/// `count` events, of each tenant in turn.
fn events(first: u128, count: u128) -> Change {
    let of = |number: u128| {
        let tenant_id = TENANTS[(number % 2) as usize];
        sample::event(EventId(Uuid::from_u128(1_000 + number)), tenant_id, &number.to_string())
    };
    Change { events: (first..first + count).map(of).collect(), ..Change::at(sample::now()) }
}

fn delivered(claimed: &ClaimedDelivery) -> Settlement {
    let (now, delivery) = (sample::now(), &claimed.delivery);
    let attempt = Attempt {
        id: AttemptId(Uuid::from_u128(!delivery.id.0.as_u128())),
        delivery_id: delivery.id,
        number: 1,
        code: OutcomeCode::Delivered,
        detail: None,
        request: None,
        response: None,
        response_body: None,
        response_truncated: false,
        remote_address: None,
        started_at: now,
        ended_at: now,
    };
    Settlement {
        delivery_id: delivery.id,
        webhook_id: delivery.webhook_id,
        fencing_token: delivery.fencing_token,
        attempt: Some(attempt),
        next: NextState { state: DeliveryState::Delivered, reason: None, due_at: None, attempts_spent: 1 },
        health: Some(HealthSignal::Succeeded),
        now,
    }
}

/// Wants every delivery that is due, and keeps the claims that it gets.
#[derive(Default)]
struct Worker(Arc<Mutex<Vec<ClaimedDelivery>>>);

struct Wanted(ClaimRequest, Arc<Mutex<Vec<ClaimedDelivery>>>);

impl Claimer for Worker {
    fn wanted(&self) -> Option<Box<dyn WantedClaim>> {
        Some(Box::new(Wanted(sample::claim_request(200), self.0.clone())))
    }
}

impl WantedClaim for Wanted {
    fn request(&self) -> &ClaimRequest {
        &self.0
    }

    fn waits_for_slots(&self, _: WebhookId) -> bool {
        true
    }

    fn take(self: Box<Self>, claims: Claims) {
        self.1.lock().extend(claims.deliveries);
    }
}

#[tokio::test]
async fn steps_of_the_road_are_few_round_trips() {
    let store = store().await;
    let sent = || store.writer.sent_count();
    for round in 0..3 {
        let before = sent();
        store.commit(events(round * 100, 63)).await.unwrap();
        assert_eq!(sent() - before, 2, "events and whom they call; deliveries, feed and commit");

        let before = sent();
        let claimed = store.claim(&sample::claim_request(200)).await.unwrap().deliveries;
        // The first round also reads the webhooks and their tenants' signing keys.
        assert_eq!(sent() - before, if round == 0 { 4 } else { 2 }, "a look; leases, feed and commit");
        assert!(!claimed.is_empty());

        let settlements: Vec<Settlement> = claimed.iter().map(delivered).collect();
        let before = sent();
        let answers = store.settle(&settlements).await.unwrap();
        assert_eq!(sent() - before, 3, "webhooks; claims; attempts, history, queue, feed and commit");
        assert!(answers.iter().all(|answer| *answer == Fenced::Done));
    }
}

#[tokio::test]
async fn a_recording_that_claims_along_is_three_round_trips() {
    let store = store().await;
    let worker = Arc::new(Worker::default());
    let claimer: Arc<dyn Claimer> = worker.clone();
    store.claim_with_recordings(Arc::downgrade(&claimer));
    // The first recording reads the webhooks and their tenants' signing keys.
    store.commit(events(0, 2)).await.unwrap();
    let mut seq = store.latest_seq().await.unwrap();
    for (round, count) in [1, 2, 3, 7].into_iter().enumerate() {
        let before = store.writer.sent_count();
        let committed = store.commit(events(10 * (1 + round as u128), count)).await.unwrap();
        assert_eq!(committed.claimed, Claimed::All);
        let sent = store.writer.sent_count() - before;
        assert_eq!(sent, 3, "events and whom they call; deliveries and a look; leases, feed and commit");
        // Each event has three feed entries: recorded, pending and in flight.
        let latest = store.latest_seq().await.unwrap();
        assert_eq!(latest - seq, 3 * count as i64);
        seq = latest;
    }
    assert_eq!(worker.0.lock().len(), 15);
}

#[tokio::test]
async fn the_feed_numbers_the_batches_of_several_tenants_one_after_the_other() {
    let store = store().await;
    store.commit(events(0, 1)).await.unwrap();
    let first = store.latest_seq().await.unwrap();
    // Each tenant has 50 events and 50 deliveries, which are four batches.
    store.commit(events(100, 100)).await.unwrap();
    let mut expected = first + 1..=first + 200;
    assert_eq!(store.latest_seq().await.unwrap(), *expected.end());
    for tenant_id in TENANTS {
        let page = store.feed_page(tenant_id, first, &Default::default(), 1_000).await.unwrap();
        let seqs: Vec<i64> = page.entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, expected.by_ref().take(100).collect::<Vec<_>>());
    }
}
