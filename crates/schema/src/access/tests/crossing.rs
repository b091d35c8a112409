//! One tenant's attempts at another's data, over every field of every root.

use super::coverage::schemas;
use super::documents;
use crate::tests::world::{World, world};
use async_graphql::Request;
use futures::{FutureExt, StreamExt};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::page::EventQuery;
use hookgraph_domain::ports::{History, TokenReader};
use hookgraph_pim::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

/// What every text of the victim's bears.
const PLANTED: &str = "zz-planted";
/// By what the victim's customer, which has no id, is named.
const IDENTIFIER: &str = "theirs";

/// What the victim reads of its own: as it was before, so it must be after.
const OWN: &str = r#"{
    customer { getMany(tenantId: "<tenant>") { edges { node { identifier firstName } } } }
    market { getMany(tenantId: "<tenant>") { edges { node { name } } } }
    webhook { getMany(tenantId: "<tenant>") { id name url status headers { value } } }
    accessToken { getMany { id name revokedAt } }
    audit { getMany { nodes { id action subject } } }
    event { getMany { nodes { id variables } } }
    delivery { getMany { nodes { id state } } }
    tenant { get(id: "<tenant>") { name identifier } } }"#;

async fn own(world: &World) -> Value {
    let text = OWN.replace("<tenant>", &world.caller.tenant_id.to_string());
    let answer = world.ask(&text, json!({})).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

/// The ids by which the victim's data could be named.
async fn planted(world: &World) -> Vec<String> {
    world
        .mutate(&format!(
            r#"customer {{ create(input: {{ identifier: "{IDENTIFIER}", firstName: "{PLANTED}",
        lastName: "{PLANTED}", tenantId: "<tenant>" }}) {{ identifier }} }}"#
        ))
        .await;
    let input = json!({ "name": PLANTED, "concern": "customers", "event": "create", "method": "POST",
        "url": format!("https://receiver.example/{PLANTED}"), "headers": [{ "name": "x-auth", "value": PLANTED }] });
    let created = world.created(input).await;
    let webhook_id = created["data"]["webhook"]["create"]["id"].as_str().unwrap().to_owned();
    world
        .mutate(&format!(
            r#"customer {{ create(input: {{ identifier: "{IDENTIFIER}2", firstName: "{PLANTED}",
        lastName: "{PLANTED}", tenantId: "<tenant>" }}) {{ identifier }} }}"#
        ))
        .await;
    world
        .mutate(&format!(
            r#"accessToken {{ create(input: {{ name: "{PLANTED}", permissions: [ORDERS_READ] }}) {{ token }} }}"#
        ))
        .await;
    let seen = own(world).await;
    let token_id = world.store.tokens(Some(world.caller.tenant_id)).await.unwrap()[0].id.to_string();
    let query = EventQuery {
        tenant_id: world.caller.tenant_id,
        concern: None,
        event: None,
        recorded_from: None,
        recorded_before: None,
        before: None,
        limit: 1,
    };
    let event_id = world.store.event_page(&query).await.unwrap()[0].id.to_string();
    let delivery_id = seen["delivery"]["getMany"]["nodes"][0]["id"].as_str().unwrap().to_owned();
    let tenant_id = world.caller.tenant_id.to_string();
    vec![tenant_id, webhook_id, token_id, event_id, delivery_id, "no-such-id".to_owned()]
}

#[tokio::test]
async fn no_field_of_any_root_shows_or_changes_what_is_another_tenants() {
    let world = world().await;
    let ids = planted(&world).await;
    let before = own(&world).await;
    assert!(before.to_string().contains(PLANTED));
    let stranger = TenantId(Uuid::from_u128(2));
    world.add_tenant(stranger, "stranger").await;
    let stranger = Caller { tenant_id: stranger, ..world.caller.clone() };
    let mut count = 0;
    for (schema_name, schema) in schemas() {
        for id in &ids {
            // A customer's identifier is a text.
            for made in documents::all(&schema, id, true) {
                let document = made.document.replace("identifier: \"x\"", &format!("identifier: {IDENTIFIER:?}"));
                let request = Request::new(&document);
                let answer = match (schema_name, made.operation) {
                    ("payload", _) => world.api.execute_payload(stranger.clone(), request).await,
                    (_, "subscription") => {
                        let first = world.api.subscribe(stranger.clone(), request).next().now_or_never().flatten();
                        first.unwrap_or_else(|| async_graphql::Response::new(async_graphql::Value::Null))
                    }
                    _ => world.api.execute(stranger.clone(), request).await,
                };
                let errors = serde_json::to_string(&answer.errors).unwrap();
                assert!(!errors.contains(PLANTED), "{schema_name} {document}: {errors}");
                let data = serde_json::to_value(&answer.data).unwrap().to_string();
                assert!(!data.contains(PLANTED), "{schema_name} {document}: {data}");
                count += 1;
            }
        }
    }
    assert!(count > 1_000, "{count}");
    assert_eq!(own(&world).await, before);
}
