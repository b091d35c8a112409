//! The cost of the pure steps of the road: match, canonical JSON, sign, settle.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::{Delivery, DeliveryState, Signer};
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::settle::Outcome;
use hookgraph_domain::signing::{SignAs, SignedParts, SigningScheme, sign};
use hookgraph_domain::{canonical_json, fan_out, settle};
use hookgraph_testkit::sample;
use serde_json::{Value, json};
use std::hint::black_box;
use uuid::Uuid;

/// A payload of about the size of one that a query of ten fields yields.
fn payload() -> Value {
    json!({ "order": { "get": { "id": "0198b6a0-5c1e-7f00-8000-000000000401", "createdAt": "2026-11-23T22:33:43.241Z",
        "total": { "gross": 25.0, "currency": "EUR" }, "cart": [{ "name": "Chair" }],
        "customer": { "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com" },
        "pipelines": [{ "stageId": "0198b6a0-5c1e-7f00-8000-000000000603",
            "pipeline": { "name": "Fulfilment" } }] } } })
}

fn matching(criterion: &mut Criterion) {
    let webhooks: Vec<_> = (0..100)
        .map(|number| sample::webhook(WebhookId(Uuid::from_u128(number)), TenantId(Uuid::from_u128(1))))
        .collect();
    let mut group = criterion.benchmark_group("match");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 webhooks", |bencher| {
        bencher.iter(|| webhooks.iter().map(|webhook| fan_out::decide(black_box(webhook.status))).collect::<Vec<_>>());
    });
}

fn canonical(criterion: &mut Criterion) {
    let value = payload();
    let text = canonical_json::to_text(&value);
    let mut group = criterion.benchmark_group("canonical JSON");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("print", |bencher| bencher.iter(|| canonical_json::to_text(black_box(&value))));
    group.bench_function("parse and print", |bencher| bencher.iter(|| canonical_json::from_text(black_box(&text))));
}

fn signing(criterion: &mut Criterion) {
    let body = canonical_json::to_text(&payload());
    let signer =
        Signer { tenant_id: TenantId(Uuid::from_u128(1)), tenant_identifier: "acme".to_owned(), keys: sample::keys(7) };
    let parts = SignedParts { method: "POST", url: "https://receiver.example/hook", body_json: Some(&body) };
    criterion.bench_function("sign", |bencher| {
        let id = DeliveryId(Uuid::from_u128(4));
        let sign_as =
            SignAs { signer: &signer, own_keys: None, scheme: SigningScheme::Symmetric, user_id: Some("user") };
        bencher.iter(|| sign(black_box(parts), sign_as, id, sample::now()));
    });
}

fn settling(criterion: &mut Criterion) {
    let tenant_id = TenantId(Uuid::from_u128(1));
    let webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), tenant_id);
    let now = sample::now();
    let delivery = Delivery {
        id: DeliveryId(Uuid::from_u128(4)),
        tenant_id,
        webhook_id: webhook.id,
        event_id: EventId(Uuid::from_u128(3)),
        is_test: false,
        replay_id: None,
        state: DeliveryState::InFlight,
        state_reason: None,
        due_at: Some(now),
        due_since: now,
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 1,
        cancel_requested: false,
        created_at: now,
        updated_at: now,
    };
    let mut group = criterion.benchmark_group("settle");
    for (name, code, status) in [("200", OutcomeCode::Delivered, 200), ("503", OutcomeCode::HttpStatus, 503)] {
        let outcome = Outcome { code, status: Some(status), retry_after_ms: None };
        group.bench_function(name, |bencher| {
            bencher.iter(|| settle::decide(black_box(&delivery), &webhook, outcome, now, 0.5));
        });
    }
}

criterion_group!(steps, matching, canonical, signing, settling);
criterion_main!(steps);
