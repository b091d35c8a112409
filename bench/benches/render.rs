//! The cost of rendering a payload, on records in memory: the default payload, and a query of ten fields over three
//! related records, for one event and for a claimed batch of a hundred.

use async_graphql::{Request, Variables};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::catalogue;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::event::{Event, EventTypeKey};
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{NoObserver, RenderRequest, TlsFault, TlsJudge, UnitOfWork};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::TlsSettings;
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{Caller, PimServices};
use hookgraph_schema::{Api, Services};
use hookgraph_testkit::{ManualClock, MemoryStore, NoWakeUps, SeededEntropy, sample};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// The payload query of the cases of `hookgraph-bench`.
const TEN_FIELDS: &str = "query ($id: ID!) { order { get(id: $id) {
    id createdAt total { gross currency } cart { name }
    customer { firstName lastName email }
    pipelines { stageId pipeline { name } } } } }";

/// Events of one claimed batch.
const BATCH: usize = 100;

/// Judges nothing: no webhook here has TLS settings.
struct NoTls;

impl TlsJudge for NoTls {
    fn judge(&self, _: &TlsSettings, _: Timestamp) -> Result<(), TlsFault> {
        Ok(())
    }

    fn expires_at(&self, _: &TlsSettings) -> Option<Timestamp> {
        None
    }
}

struct World {
    api: Api,
    caller: Caller,
}

impl World {
    async fn new() -> Self {
        let (entropy, tenant_id) = (SeededEntropy::new(7), TenantId(Uuid::from_u128(1)));
        let store = MemoryStore::default();
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(tenant_id, "acme")));
        store.commit(change).await.expect("the tenant is stored");
        let feed = Arc::default();
        let ports = PimServices {
            store: Arc::new(store),
            clock: Arc::new(ManualClock::at(sample::now())),
            entropy: Arc::new(entropy),
            wake_ups: Arc::new(NoWakeUps),
            observer: Arc::new(NoObserver),
        };
        let services =
            Services { ports, feed, address_rules: AddressRules::default(), tls: Arc::new(NoTls), suggests: false };
        let caller = Caller { tenant_id, user_id: Some("user".to_owned()), permissions: PermissionSet::all() };
        Self { api: Api::new(services).expect("the schemas are right"), caller }
    }

    async fn create(&self, noun: &str, input_type: &str, mut input: Value) -> Value {
        input["tenantId"] = json!(self.caller.tenant_id.to_string());
        let id = if noun == "customer" { "identifier" } else { "id" };
        let text = format!("mutation ($input: {input_type}!) {{ {noun} {{ create(input: $input) {{ {id} }} }} }}");
        let request = Request::new(text).variables(Variables::from_json(json!({ "input": input })));
        let answer = self.api.execute(self.caller.clone(), request).await;
        assert!(answer.errors.is_empty(), "{:?}", answer.errors);
        answer.data.into_json().expect("JSON")[noun]["create"][id].take()
    }

    /// Requests to render, each with an order of its own; all orders are of one customer in one pipeline.
    async fn requests(&self, count: usize) -> Vec<RenderRequest> {
        let stages = json!([{ "name": "New", "placeNewOrders": true }]);
        self.create("pipeline", "CreatePipelineInput", json!({ "name": "Fulfilment", "stages": stages })).await;
        let ada =
            json!({ "identifier": "ada", "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com" });
        self.create("customer", "CreateCustomerInput", ada).await;
        let webhook = Arc::new(self.webhook());
        let mut requests = Vec::with_capacity(count);
        for number in 0..count {
            let order = json!({ "customer": { "identifier": "ada" }, "total": { "gross": 25.0, "currency": "EUR" },
                "cart": [{ "name": "Chair", "sku": "chair", "quantity": 2 }] });
            let id = self.create("order", "CreateOrderInput", order).await;
            requests.push(RenderRequest { event: Arc::new(self.event(number, id)), webhook: webhook.clone() });
        }
        requests
    }

    fn event(&self, number: usize, order_id: Value) -> Event {
        let variables = json!({ "id": order_id, "tenantId": self.caller.tenant_id.to_string(), "userId": "user" });
        Event {
            id: EventId(Uuid::from_u128(1_000 + number as u128)),
            tenant_id: self.caller.tenant_id,
            event_type: EventTypeKey::new("orders", "update"),
            variables: variables.as_object().cloned().unwrap_or_default(),
            changed_fields: vec!["cart".to_owned()],
            record_label: format!("order:{order_id}"),
            is_test: false,
            recorded_at: sample::now(),
        }
    }

    fn webhook(&self) -> Webhook {
        let event_type = catalogue::find("orders", "update").expect("the event type");
        let document = self.api.documents().check(TEN_FIELDS, event_type).expect("the query is right");
        let webhook = sample::webhook(WebhookId(Uuid::from_u128(5)), self.caller.tenant_id);
        let event_type = EventTypeKey::new("orders", "update");
        Webhook { event_type, graphql_query: Some(TEN_FIELDS.to_owned()), document: Some(document), ..webhook }
    }
}

fn prepared() -> (Runtime, World, Vec<RenderRequest>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (world, requests) = runtime.block_on(async {
        let world = World::new().await;
        let requests = world.requests(BATCH).await;
        (world, requests)
    });
    (runtime, world, requests)
}

fn default_payload(criterion: &mut Criterion) {
    let (_runtime, _world, requests) = prepared();
    let RenderRequest { event, webhook } = &requests[0];
    criterion.bench_function("render/default payload", |bencher| {
        bencher.iter(|| FrozenPayload::default_of(black_box(event), webhook.id, sample::now()));
    });
}

fn ten_fields(criterion: &mut Criterion) {
    let (runtime, world, requests) = prepared();
    let renderer = world.api.renderer();
    let rendered = runtime.block_on(renderer.render(&requests));
    assert!(rendered.iter().all(Result::is_ok), "{:?}", rendered.first());
    let mut group = criterion.benchmark_group("render");
    for (name, batch) in [("ten-field query", &requests[..1]), ("ten-field query, a batch of 100", &requests[..])] {
        group.throughput(Throughput::Elements(batch.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(renderer.render(black_box(batch)))));
    }
}

criterion_group!(render, default_payload, ten_fields);
criterion_main!(render);
