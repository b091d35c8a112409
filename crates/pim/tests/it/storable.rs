//! What no store could hold is refused, and what no store can hold is not asked for.

use crate::support::World;
use hookgraph_domain::record::{RecordKind, RecordRef};
use serde_json::{Value, json};

/// `RECORD_BYTES_MAX` of the crate's limits.
const RECORD_BYTES_MAX: usize = 2 * 1024 * 1024;

const CUSTOMER: &str = r#"mutation ($tenantId: ID!, $firstName: String!, $meta: [KeyValuePairInput!]) { customer { create(input: {
    tenantId: $tenantId, identifier: "ada", firstName: $firstName, lastName: "L", meta: $meta }) { firstName } } }"#;
const ORDER: &str = r#"mutation ($tenantId: ID!, $identifier: String) { order { create(input: {
    tenantId: $tenantId, customer: { identifier: $identifier }, cart: [{ name: "Chair", quantity: 1 }] }) { id } } }"#;

async fn asked(world: &World, document: &str, mut variables: Value) -> Result<Value, String> {
    variables["tenantId"] = json!(world.tenant_id.to_string());
    world.ask_as(world.tenant_id, document, variables).await
}

#[tokio::test]
async fn a_nul_is_refused_in_what_records_are_found_by_and_kept_in_their_bodies() {
    let world = World::new();
    let refused = asked(&world, ORDER, json!({ "identifier": "a\0b" })).await;
    assert_eq!(refused, Err("BAD_USER_INPUT".to_owned()));
    assert!(world.raised().is_empty() && world.store.tables().records.is_empty());
    let kept = asked(&world, CUSTOMER, json!({ "firstName": "A\0da" })).await.unwrap();
    assert_eq!(kept["customer"]["create"]["firstName"], "A\0da");
    let tables = world.store.tables();
    let stored = &tables.records[&(world.tenant_id, RecordRef::new(RecordKind::Customer, "ada"))];
    assert!(!stored.record.body.contains('\0'), "escaped");
}

#[tokio::test]
async fn what_no_record_can_bear_finds_none_and_asks_no_store() {
    let world = World::new();
    asked(&world, ORDER, json!({ "identifier": "ada" })).await.unwrap();
    world.store.tables().read_count = 0;
    let document = r#"query ($tenantId: ID!) {
        order { get(id: "a\u0000") { id } getMany(tenantId: $tenantId, customerIdentifier: "a\u0000") { edges { cursor } pageInfo { totalNodes } } }
        customer { get(identifier: "a\u0000", tenantId: $tenantId) { identifier } } }"#;
    let found = asked(&world, document, json!({})).await.unwrap();
    assert_eq!(found["order"], json!({ "get": null, "getMany": { "edges": [], "pageInfo": { "totalNodes": 0 } } }));
    assert_eq!(found["customer"]["get"], Value::Null);
    assert_eq!(world.store.tables().read_count, 0);
}

#[tokio::test]
async fn a_record_over_its_bytes_is_refused_and_one_below_is_kept() {
    let world = World::new();
    let of = |bytes: usize| json!({ "firstName": "Ada", "meta": [{ "key": "long", "value": "x".repeat(bytes) }] });
    assert_eq!(asked(&world, CUSTOMER, of(RECORD_BYTES_MAX)).await, Err("LIMIT_EXCEEDED".to_owned()));
    assert!(world.raised().is_empty());
    assert!(asked(&world, CUSTOMER, of(RECORD_BYTES_MAX - 1_000)).await.is_ok());
}

/// The others are there, the list says what it leaves out, and its cursors go past it.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_out_of_its_list_with_an_error() {
    let world = World::new();
    let create = r#"mutation ($tenantId: ID!, $identifier: String!) { customer { create(input: {
        tenantId: $tenantId, identifier: $identifier, firstName: "A", lastName: "L" }) { identifier } } }"#;
    for identifier in ["ada", "bob", "cyd"] {
        asked(&world, create, json!({ "identifier": identifier })).await.unwrap();
    }
    let spoiled = (world.tenant_id, RecordRef::new(RecordKind::Customer, "bob"));
    world.store.tables().records.get_mut(&spoiled).unwrap().record.body = "{".to_owned();
    let list = r#"query ($tenantId: ID!, $after: String) { customer { getMany(tenantId: $tenantId, first: 2, after: $after) {
        edges { node { identifier } } pageInfo { endCursor hasNextPage totalNodes } } } }"#;
    let (mut found, mut errors, mut after) = (Vec::new(), Vec::new(), Value::Null);
    loop {
        let variables = json!({ "tenantId": world.tenant_id.to_string(), "after": after });
        let answer = world.respond(world.tenant_id, list, variables).await;
        errors.extend(answer.errors);
        let page = answer.data.into_json().unwrap()["customer"]["getMany"].take();
        let edges = page["edges"].as_array().unwrap().clone();
        found.extend(edges.iter().map(|edge| edge["node"]["identifier"].as_str().unwrap().to_owned()));
        assert_eq!(page["pageInfo"]["totalNodes"], 3);
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    found.sort_unstable();
    assert_eq!(found, ["ada", "cyd"]);
    let errors = serde_json::to_value(errors).unwrap();
    assert_eq!(errors.as_array().map(Vec::len), Some(1), "{errors}");
    assert_eq!(errors[0]["path"], json!(["customer", "getMany", "edges"]));
    assert_eq!(errors[0]["extensions"]["code"], "INTERNAL");
    assert!(errors[0]["message"].as_str().unwrap().contains("\"bob\""), "{errors}");
}
