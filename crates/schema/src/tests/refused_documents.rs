//! A document that is refused reaches no resolver: nothing is read for it.

use super::world::{ADD_CUSTOMER, CUSTOMER, World, world};
use hookgraph_domain::catalogue;
use hookgraph_domain::ports::RenderError;
use hookgraph_domain::webhook::Webhook;
use serde_json::{Value, json};
use std::sync::Arc;

/// Each asks for a record before or beside what is wrong with it.
fn refused_documents() -> Vec<String> {
    let get = "customer { get(identifier: $identifier, tenantId: $tenantId) { identifier } }";
    let head = "query ($identifier: String!, $tenantId: ID!)";
    let aliases: String = (0..150).map(|n| format!(" a{n}: {get}")).collect();
    vec![
        format!("{head} {{ {get} "),
        format!("{head} {{ {get} nope }}"),
        format!("{head} {{ customer {{ get(identifier: $identifier, tenantId: $tenantId) {{ nope }} }} }}"),
        format!("{head} {{ customer {{ get(identifier: $identifier, tenantId: $tenantId) }} }}"),
        format!("{head} {{ {get} __schema {{ types {{ name }} }} }}"),
        format!("query A{} {{ {get} }} {head} {{ {get} }}", &head[5..]),
        format!("mutation{} {{ {get} }}", &head[5..]),
        format!("subscription{} {{ {get} }}", &head[5..]),
        format!("{head} {{ ...F {get} }} fragment F on Query {{ ...F }}"),
        format!("{head} {{{aliases} }}"),
        format!(
            "query ($identifier: String!, $tenantId: ID!, $mine: ID!) {{ {get} order {{ get(id: $mine) {{ id }} }} }}"
        ),
        format!("query ($identifier: Int!, $tenantId: ID!) {{ {get} }}"),
        format!("query ($identifier: [String!]!, $tenantId: ID!) {{ {get} }}"),
        format!("{head} {{ {get} customer {{ get(identifier: $tenantId, tenantId: $tenantId) {{ identifier }} }} }}"),
        format!("{head} {{ {get} orders {{ get(id: $identifier) {{ id }} }} }}"),
        format!("{head} {{ {get} }} #{}", "x".repeat(40_000)),
    ]
}

fn draft(document: &str) -> Value {
    json!({ "name": "C", "concern": "customers", "event": "update", "method": "POST",
        "url": "https://receiver.example", "graphqlQuery": document })
}

async fn preview(world: &World, document: &str) -> Value {
    let text = "query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) { payload error { message } } } }";
    world.ask(text, json!({ "input": { "webhook": draft(document), "variables": { "identifier": "ada" } } })).await
}

#[tokio::test]
async fn checking_previewing_and_saving_a_refused_document_reads_nothing() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let event_type = catalogue::find("customers", "update").unwrap();
    world.store.reads().take_count();
    for document in refused_documents() {
        assert!(world.api.documents().check(&document, event_type).is_err(), "{document}");
        for answer in [preview(&world, &document).await, world.created(draft(&document)).await] {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{document}: {answer}");
        }
        assert_eq!(world.store.reads().take_count(), 0, "{document}");
    }
    let accepted = preview(&world, CUSTOMER).await;
    assert_eq!(accepted["data"]["webhook"]["previewPayload"]["payload"]["customer"]["get"]["firstName"], "Ada");
    assert!(world.store.reads().take_count() > 0, "the counter counts");
}

#[tokio::test]
async fn a_stored_document_that_no_longer_fits_reads_nothing_when_it_is_rendered() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let fitting = world.request(&world.latest("customers/create").await, CUSTOMER);
    for document in refused_documents().into_iter() {
        // What the event type alone rules out is no matter of the schema's.
        if world.api.documents().problems_without_event(&document).is_empty() {
            continue;
        }
        let webhook = Webhook { graphql_query: Some(document.clone()), ..fitting.webhook.as_ref().clone() };
        let mut request = fitting.clone();
        request.webhook = Arc::new(webhook);
        world.store.reads().take_count();
        let rendered = world.rendered(&[request]).await.remove(0);
        assert!(matches!(rendered, Err(RenderError::Refused(_))), "{document}: {rendered:?}");
        assert_eq!(world.store.reads().take_count(), 0, "{document}");
    }
}

/// Calls that are too much, each of which asks for a record as well.
fn refused_calls() -> Vec<String> {
    let get = "tenant { get(identifier: \"acme\") { id } }";
    let many = |count: usize, part: &dyn Fn(usize) -> String| (0..count).map(part).collect::<Vec<_>>().join(" ");
    let bomb = many(30, &|n| format!("fragment f{n} on Query {{ ...f{} ...f{} }}", n + 1, n + 1));
    vec![
        format!("{{ {} }}", many(101, &|n| format!("a{n}: {get}"))),
        format!("{{ {} }}", many(101, &|_| get.to_owned())),
        format!("{{ {get} __typename {} }}", "@include(if: true) ".repeat(5)),
        format!("{{ ...f0 {get} }} {bomb} fragment f30 on Query {{ a: __typename b: {get} }}"),
        format!("{{ {get} ...A }} fragment A on Query {{ ...B }} fragment B on Query {{ ...A }}"),
        format!("{{ {get} {}__typename{} }}", "... { ".repeat(100), " }".repeat(100)),
        format!("{{ {get} tenant {{ get(identifier: {}1{}) {{ id }} }} }}", "[".repeat(100), "]".repeat(100)),
        format!(
            "{{ {get} __schema {{ types {{ fields {{ type {{ fields {{ type {{ fields {{ name }} }} }} }} }} }} }} }}"
        ),
        format!("{{ {get} }} #{}", "x".repeat(200_000)),
        format!("{{ {get} }} {}", "a ".repeat(20_000)),
        format!("{{ {get} order {{ getMany(tenantId: \"x\", first: 1000000) {{ edges {{ node {{ id }} }} }} }} }}"),
        format!(
            "{{ {get} webhook {{ getMany(tenantId: \"x\") {{ deliveries(first: 100) {{ nodes {{ id event {{ id }} webhook {{ id }} }} }} }} }} }}"
        ),
    ]
}

#[tokio::test]
async fn a_call_that_is_too_much_reads_nothing() {
    let world = world().await;
    world.store.reads().take_count();
    for call in refused_calls() {
        let answer = world.ask(&call, json!({})).await;
        let shown = &call[..call.len().min(200)];
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{shown}: {answer}");
        assert!(answer["data"].is_null(), "{shown}");
        assert_eq!(world.store.reads().take_count(), 0, "{shown}");
    }
}
