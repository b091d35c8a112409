//! Roughly how fast a store records, claims and settles: `cargo run --example throughput -- URL [EVENTS [RECORDERS
//! [WEBHOOKS]]]`.
#![expect(clippy::print_stdout, reason = "its output is the point")]

use futures::future::try_join_all;
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ids::{AttemptId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{ClaimRequest, DeliveryQueue, Entropy, UnitOfWork};
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_domain::time::plus_ms;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::{PlainVault, SeededEntropy, sample};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const RECORDERS_DEFAULT: usize = 8;
const WEBHOOKS_DEFAULT: usize = 4;
const BATCH: u32 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the first argument is the database URL")?;
    let event_count: usize = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    let recorders: usize = arguments.next().map_or(Ok(RECORDERS_DEFAULT), |text| text.parse())?;
    let webhooks: usize = arguments.next().map_or(Ok(WEBHOOKS_DEFAULT), |text| text.parse())?;
    let entropy = SeededEntropy::new(u64::from(std::process::id()));
    let store = SqlStore::open(StoreOptions::new(url, Arc::new(PlainVault))).await?;
    store.migrate().await?;
    store.ensure_partitions(sample::now(), 1).await?;
    let (now, tenant_id) = (sample::now(), TenantId(entropy.uuid(sample::now())));
    let mut change = Change::at(now);
    change.writes.push(Write::InsertTenant(sample::tenant(tenant_id, &tenant_id.to_string())));
    for _ in 0..webhooks {
        let webhook = sample::webhook(WebhookId(entropy.uuid(now)), tenant_id);
        change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    }
    store.commit(change).await?;

    let started = Instant::now();
    try_join_all((0..recorders).map(|_| async {
        for _ in 0..event_count / recorders {
            let mut change = Change::at(now);
            change.events.push(sample::event(EventId(entropy.uuid(now)), tenant_id, "o1"));
            store.commit(change).await?;
        }
        Ok::<(), Box<dyn Error>>(())
    }))
    .await?;
    report("record one event, one commit each", event_count, started);

    let started = Instant::now();
    let mut delivery_count = 0;
    loop {
        let request = ClaimRequest {
            now,
            leased_until: plus_ms(now, 60_000),
            limit: BATCH,
            in_flight_per_webhook_max: BATCH,
            limits: Vec::new(),
            limit_per_webhook: BATCH,
            retries_max: BATCH,
        };
        let claimed = store.claim(&request).await?.deliveries;
        if claimed.is_empty() {
            break;
        }
        delivery_count += claimed.len();
        store.settle(&claimed.iter().map(|claimed| delivered(claimed, &entropy)).collect::<Vec<_>>()).await?;
    }
    report("claim and settle deliveries, in batches", delivery_count, started);
    store.close().await?;
    Ok(())
}

fn delivered(claimed: &ClaimedDelivery, entropy: &SeededEntropy) -> Settlement {
    let (now, body) = (sample::now(), claimed.payload.as_ref().map(|payload| payload.json.clone()));
    let attempt = Attempt {
        id: AttemptId(entropy.uuid(now)),
        delivery_id: claimed.delivery.id,
        number: claimed.delivery.attempt_count + 1,
        code: OutcomeCode::Delivered,
        detail: None,
        request: Some(OutgoingRequest {
            method: "POST".to_owned(),
            url: claimed.webhook.url.clone(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body,
        }),
        response: Some(ResponseHead { status: 200, headers: Vec::new() }),
        response_body: Some("ok".to_owned()),
        response_truncated: false,
        remote_address: Some("203.0.113.7:443".to_owned()),
        started_at: now,
        ended_at: plus_ms(now, 12),
    };
    Settlement {
        delivery_id: claimed.delivery.id,
        webhook_id: claimed.delivery.webhook_id,
        fencing_token: claimed.delivery.fencing_token,
        attempt: Some(attempt),
        next: NextState { state: DeliveryState::Delivered, reason: None, due_at: None, attempts_spent: 1 },
        health: Some(HealthSignal::Succeeded),
        now,
    }
}

fn report(what: &str, count: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what}: {count} in {seconds:.2} s, {:.0}/s", count as f64 / seconds);
}
