//! What renders of one batch share, and what they never do.

use crate::tests::world::{ADD_CUSTOMER, world};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::RenderRequest;
use hookgraph_domain::webhook::Webhook;
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

fn to_webhook(request: &RenderRequest, number: u128) -> RenderRequest {
    let webhook = Webhook { id: WebhookId(Uuid::from_u128(number)), ..request.webhook.as_ref().clone() };
    RenderRequest { event: request.event.clone(), webhook: Arc::new(webhook) }
}

#[tokio::test]
async fn ten_webhooks_with_one_document_cost_what_one_costs() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let many = "query ($identifier: String!, $tenantId: ID!) {
        customer { get(identifier: $identifier, tenantId: $tenantId) { firstName }
            getMany(tenantId: $tenantId) { edges { node { identifier } } } } }";
    let one = world.request(&world.latest("customers/create").await, many);
    world.store.reads().take_count();
    let alone = world.rendered(std::slice::from_ref(&one)).await;
    let reads_of_one = world.store.reads().take_count();
    let ten: Vec<_> = (10..20).map(|number| to_webhook(&one, number)).collect();
    let shared = world.rendered(&ten).await;
    assert_eq!(world.store.reads().take_count(), reads_of_one);
    assert!(shared.iter().all(|payload| *payload == alone[0] && payload.is_ok()), "{shared:?}");
    assert!(reads_of_one > 0);
}

#[tokio::test]
async fn documents_that_ask_who_is_called_are_rendered_for_each_with_the_same_reads() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let document = "query ($identifier: String!, $tenantId: ID!, $webhookId: ID!) {
        customer { get(identifier: $identifier, tenantId: $tenantId) { firstName } }
        none: order { get(id: $webhookId) { id } } }";
    let one = world.request(&world.latest("customers/create").await, document);
    world.store.reads().take_count();
    let requests: Vec<_> = (10..20).map(|number| to_webhook(&one, number)).collect();
    let rendered = world.rendered(&requests).await;
    assert!(rendered.iter().all(Result::is_ok), "{rendered:?}");
    let reads = world.store.reads().take_count();
    assert!(reads <= 2, "{reads} reads");
}

#[tokio::test]
async fn tenants_share_nothing_in_a_batch() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let document = "query ($identifier: String!) { customer { get(identifier: $identifier, tenantId: \"00000000-0000-0000-0000-000000000001\") { firstName } } }";
    let mine = world.request(&world.latest("customers/create").await, document);
    let event = Event { tenant_id: TenantId(Uuid::from_u128(2)), ..mine.event.as_ref().clone() };
    let theirs = RenderRequest { event: Arc::new(event), webhook: mine.webhook.clone() };
    let rendered = world.rendered(&[mine, theirs]).await;
    assert_eq!(rendered[0], Ok(json!({ "customer": { "get": { "firstName": "Ada" } } })));
    assert_eq!(rendered[1], Ok(json!({ "customer": { "get": null } })));
}

#[tokio::test]
async fn a_hundred_orders_with_their_customers_and_pipelines_cost_a_bounded_number_of_reads() {
    let world = world().await;
    world.mutate(r#"pipeline { create(input: { tenantId: "<tenant>", name: "P", stages: [{ name: "New", placeNewOrders: true }] }) { id } }"#).await;
    for n in 0..100 {
        world.mutate(&format!(r#"customer {{ create(input: {{ tenantId: "<tenant>", identifier: "c{n}", firstName: "A", lastName: "B" }}) {{ identifier }} }}
            order {{ create(input: {{ tenantId: "<tenant>", customer: {{ identifier: "c{n}" }}, cart: [{{ name: "Chair", quantity: 1 }}] }}) {{ id }} }}"#)).await;
    }
    let document = "query ($id: ID!, $tenantId: ID!) { order { get(id: $id) { id }
        getMany(tenantId: $tenantId, first: 100) { edges { node { id customer { lastName } tenant { identifier }
            pipelines { pipeline { name stages { name } } } } } } } }";
    let request = world.request(&world.latest("orders/create").await, document);
    world.store.reads().take_count();
    let rendered = world.rendered(&[request]).await.remove(0).unwrap();
    let edges = rendered["order"]["getMany"]["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 100);
    assert!(
        edges.iter().all(|edge| edge["node"]["customer"]["lastName"] == "B"
            && edge["node"]["pipelines"][0]["pipeline"]["name"] == "P")
    );
    let reads = world.store.reads().take_count();
    assert!(reads <= 6, "{reads} reads");
}
