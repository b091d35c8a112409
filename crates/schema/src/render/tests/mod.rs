//! Renders on the fake store.

mod faults;
mod sharing;

use crate::tests::world::{ADD_CUSTOMER, CUSTOMER, world};
use hookgraph_domain::ports::RenderRequest;
use hookgraph_domain::webhook::Webhook;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_deletion_renders_the_record_as_it_was_and_every_other_event_renders_null() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    world.mutate(r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { firstName: "Augusta" }) { identifier } }"#).await;
    world.mutate(r#"customer { delete(identifier: "ada", tenantId: "<tenant>") }"#).await;
    let mut requests = Vec::new();
    for event_type in ["customers/delete", "customers/create", "customers/update"] {
        requests.push(world.request(&world.latest(event_type).await, CUSTOMER));
    }
    // A deletion of something else that asks for this one.
    requests.push(world.request(&world.event("customers/delete", json!({ "identifier": "ada" })), CUSTOMER));
    let rendered = world.rendered(&requests).await;
    assert_eq!(rendered[0], Ok(json!({ "customer": { "get": { "firstName": "Augusta" } } })));
    for other in &rendered[1..] {
        assert_eq!(*other, Ok(json!({ "customer": { "get": null } })));
    }
}

#[tokio::test]
async fn a_preserved_default_payload_comes_first_and_data_wins_over_it() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let event = world.latest("customers/create").await;
    let document = CUSTOMER.replace("customer {", "userId: customer {").replace("} } }", "} } more: __typename }");
    let plain = world.request(&event, &document);
    let webhook = Webhook { preserve_default_payload: true, ..plain.webhook.as_ref().clone() };
    let both = RenderRequest { event: event.clone(), webhook: Arc::new(webhook) };
    let bare = Webhook { graphql_query: None, document: None, ..plain.webhook.as_ref().clone() };
    let default = RenderRequest { event, webhook: Arc::new(bare) };
    let data = json!({ "userId": { "get": { "firstName": "Ada" } }, "more": "Query" });
    let (tenant_id, webhook_id) = (world.caller.tenant_id, both.webhook.id);
    let default_payload =
        json!({ "identifier": "ada", "userId": "user", "tenantId": tenant_id, "webhookId": webhook_id });
    let mut merged = default_payload.clone();
    merged["userId"] = data["userId"].clone();
    merged["more"] = data["more"].clone();
    let answers = world.api.renderer().render(&[plain.clone(), both.clone(), default.clone()]).await;
    let texts: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().json.to_string()).collect();
    for (text, expected) in texts.iter().zip([&data, &merged, &default_payload]) {
        assert_eq!(serde_json::from_str::<serde_json::Value>(text).unwrap(), *expected);
    }
    let keys = ["\"identifier\"", "\"userId\"", "\"tenantId\"", "\"webhookId\"", "\"more\""];
    let places: Vec<_> = keys.iter().map(|key| texts[1].find(key).unwrap()).collect();
    assert!(places.is_sorted(), "{}", texts[1]);
}
