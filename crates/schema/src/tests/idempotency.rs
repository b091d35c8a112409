//! Requests that come twice under one idempotency key.

use super::world::{ADD_CUSTOMER, World, world};
use crate::idempotency::IDEMPOTENCY_EXTENSION;
use async_graphql::{Request, Variables};
use serde_json::{Value, json};

const PUBLISH: &str = "mutation ($id: String!) { event { publish(input: { concern: \"orders\", event: \"create\",
    variables: { id: $id } }) { id recordedAt } } }";
const PUBLISH_TWO: &str = "mutation { event { publishMany(inputs: [
    { concern: \"orders\", event: \"create\", variables: { id: \"a\" } },
    { concern: \"orders\", event: \"create\", variables: { id: \"b\" } }]) { id record } } }";

async fn ask(world: &World, key: Value, text: &str, variables: Value) -> Value {
    let mut request = Request::new(text).variables(Variables::from_json(variables));
    let key = async_graphql::Value::from_json(key).unwrap();
    request.extensions.insert(IDEMPOTENCY_EXTENSION.to_owned(), key);
    serde_json::to_value(world.api.execute(world.caller.clone(), request).await).unwrap()
}

async fn event_count(world: &World) -> usize {
    let answer = world.ask("{ event { getMany(first: 100) { nodes { id } } } }", json!({})).await;
    answer["data"]["event"]["getMany"]["nodes"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_request_that_comes_again_gets_the_same_answer_and_raises_nothing() {
    let world = world().await;
    for (key, text, events) in [("k1", PUBLISH, 1), ("k2", PUBLISH_TWO, 3), ("k3", ADD_CUSTOMER, 4)] {
        let variables = || if text == PUBLISH { json!({ "id": "o1" }) } else { json!({}) };
        let first = ask(&world, json!(key), text, variables()).await;
        assert_eq!(first["errors"], Value::Null, "{first}");
        assert_eq!(ask(&world, json!(key), text, variables()).await, first);
        assert_eq!(event_count(&world).await, events, "{text}");
    }
    let without_key = world.ask(ADD_CUSTOMER, json!({})).await;
    assert_eq!(without_key["errors"][0]["extensions"]["code"], "CONFLICT", "{without_key}");
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let world = world().await;
    ask(&world, json!("k"), PUBLISH, json!({ "id": "o1" })).await;
    for (text, variables) in [(PUBLISH, json!({ "id": "o2" })), (ADD_CUSTOMER, json!({}))] {
        let refused = ask(&world, json!("k"), text, variables).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT", "{refused}");
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains("\"k\""), "{refused}");
    }
    assert_eq!(event_count(&world).await, 1);
}

/// Wherever its first change stands that raises anything.
#[tokio::test]
async fn another_request_is_refused_whose_first_field_keeps_nothing() {
    let world = world().await;
    let deletes = "webhook { delete(id: \"00000000-0000-0000-0000-000000000009\") }";
    let publishes =
        "event { publish(input: { concern: \"orders\", event: \"create\", variables: { id: \"a\" } }) { id } }";
    let first = ask(&world, json!("k"), &format!("mutation {{ {publishes} }}"), json!({})).await;
    assert_eq!(first["errors"], Value::Null, "{first}");
    let other = ask(&world, json!("k"), &format!("mutation {{ {deletes} {publishes} }}"), json!({})).await;
    let codes: Vec<_> = other["errors"].as_array().unwrap().iter().map(|error| &error["extensions"]["code"]).collect();
    assert!(codes.contains(&&json!("CONFLICT")), "{other}");
    assert_eq!(event_count(&world).await, 1);
}

#[tokio::test]
async fn each_change_of_a_request_is_kept_by_itself() {
    let world = world().await;
    let text = "mutation { event {
        a: publish(input: { concern: \"orders\", event: \"create\", variables: { id: \"a\" } }) { id record }
        b: publish(input: { concern: \"orders\", event: \"create\", variables: { id: \"b\" } }) { id record } } }";
    let first = ask(&world, json!("k"), text, json!({})).await;
    assert_eq!(first["data"]["event"]["b"]["record"], "order:b", "{first}");
    assert_eq!(ask(&world, json!("k"), text, json!({})).await, first);
    assert_eq!(event_count(&world).await, 2);
}

/// The number of a change does not follow from how many were made before it.
#[tokio::test]
async fn what_failed_at_first_is_done_when_the_request_comes_again_and_what_did_not_is_not() {
    let world = world().await;
    let text = "mutation { customer {
            a: update(identifier: \"ada\", tenantId: \"00000000-0000-0000-0000-000000000001\", input: { firstName: \"A\" }) { firstName }
            b: update(identifier: \"ada\", tenantId: \"00000000-0000-0000-0000-000000000001\", input: { lastName: \"B\" }) { lastName } }
        event { publish(input: { concern: \"orders\", event: \"create\", variables: { id: \"o\" } }) { id } } }";
    let first = ask(&world, json!("k"), text, json!({})).await;
    assert_eq!(
        (&first["data"]["customer"], first["errors"].as_array().map(Vec::len)),
        (&Value::Null, Some(1)),
        "{first}"
    );
    world.ask(ADD_CUSTOMER, json!({})).await;
    let again = ask(&world, json!("k"), text, json!({})).await;
    assert_eq!(again["data"]["customer"], json!({ "a": { "firstName": "A" }, "b": { "lastName": "B" } }), "{again}");
    assert_eq!(again["data"]["event"], first["data"]["event"], "{again}");
    assert_eq!(event_count(&world).await, 4, "one published, one of the creation, one of each update");
}

#[tokio::test]
async fn a_refused_request_keeps_nothing() {
    let world = world().await;
    let update = "mutation { customer { update(identifier: \"ada\", tenantId: \"00000000-0000-0000-0000-000000000001\", \
        input: { firstName: \"Augusta\" }) { firstName } } }";
    let refused = ask(&world, json!("k"), update, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "NOT_FOUND", "{refused}");
    world.ask(ADD_CUSTOMER, json!({})).await;
    let done = ask(&world, json!("k"), update, json!({})).await;
    assert_eq!(done["data"]["customer"]["update"]["firstName"], "Augusta", "{done}");
}

#[tokio::test]
async fn a_key_that_nothing_would_heed_or_that_is_none_is_refused() {
    let world = world().await;
    for text in [
        "mutation { webhook { delete(id: \"00000000-0000-0000-0000-000000000009\") } }",
        "mutation { delivery { retry(id: \"00000000-0000-0000-0000-000000000009\") { id } } }",
        "mutation { accessToken { create(input: { name: \"t\", permissions: [EVENTS_READ] }) { token } } }",
        "mutation { replay { cancel(id: \"00000000-0000-0000-0000-000000000009\") { id } } }",
        "mutation { tenant { create(input: { identifier: \"other\", name: \"Other\" }) { id } } }",
    ] {
        let refused = ask(&world, json!("k"), text, json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{text}: {refused}");
        assert!(refused["errors"][0]["message"].as_str().unwrap().contains("idempotency key"), "{text}: {refused}");
        let problem = &refused["errors"][0]["extensions"]["problems"][0];
        assert_eq!(problem["path"], "extensions.idempotencyKey", "{text}: {refused}");
        assert_eq!(problem["code"], "IDEMPOTENCY_KEY_UNUSED", "{text}: {refused}");
    }
    for key in [json!(7), json!(""), json!("a b"), json!("k".repeat(201))] {
        let refused = ask(&world, key, PUBLISH, json!({ "id": "o1" })).await;
        let problem = &refused["errors"][0]["extensions"]["problems"][0]["code"];
        assert_eq!(problem, "IDEMPOTENCY_KEY_INVALID", "{refused}");
    }
    assert_eq!(event_count(&world).await, 0);
}
