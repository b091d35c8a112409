//! Events from outside on the fake store.

use super::world::{World, world};
use hookgraph_domain::limits::{CHANGED_FIELDS_MAX, EVENT_VARIABLE_BYTES_MAX, EVENTS_PER_PUBLISH_MAX, PROBLEMS_MAX};
use serde_json::{Value, json};

const PUBLISH: &str = "mutation ($input: PublishEventInput!) {
    event { publish(input: $input) { id concern event variables changedFields record isTest recordedAt } } }";
const PUBLISH_MANY: &str =
    "mutation ($inputs: [PublishEventInput!]!) { event { publishMany(inputs: $inputs) { id } } }";

fn order(id: &str) -> Value {
    json!({ "concern": "orders", "event": "create", "variables": { "id": id } })
}

async fn recorded(world: &World) -> Value {
    let text = "{ event { getMany(first: 100) { nodes { id concern event variables changedFields record isTest \
        recordedAt deliveries { nodes { state } } } } } }";
    world.ask(text, json!({})).await["data"]["event"]["getMany"]["nodes"].clone()
}

fn problems(answer: &Value) -> Vec<(String, String)> {
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
    let problems = answer["errors"][0]["extensions"]["problems"].as_array().unwrap();
    let text = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
    problems.iter().map(|problem| (text(problem, "path"), text(problem, "code"))).collect()
}

#[tokio::test]
async fn a_published_event_is_recorded_with_what_the_server_fills_in_and_owed_to_its_webhooks() {
    let world = world().await;
    let webhook = json!({ "name": "O", "concern": "orders", "event": "update", "method": "POST",
        "url": "https://receiver.example" });
    world.created(webhook).await;
    let input = json!({ "concern": "orders", "event": "update", "variables": { "id": "o1" },
        "changedFields": ["total"] });
    let answer = world.ask(PUBLISH, json!({ "input": input })).await;
    let published = &answer["data"]["event"]["publish"];
    let variables = json!({ "id": "o1", "userId": "user", "tenantId": world.caller.tenant_id });
    assert_eq!(published["variables"], variables, "{answer}");
    assert_eq!(published["record"], "order:o1");
    let mut expected = published.clone();
    expected["deliveries"] = json!({ "nodes": [{ "state": "PENDING" }] });
    assert_eq!(recorded(&world).await, json!([expected]));
}

#[tokio::test]
async fn a_user_of_the_platform_may_be_named_and_no_tenant_but_the_own() {
    let world = world().await;
    let input =
        |variables: Value| json!({ "input": { "concern": "orders", "event": "create", "variables": variables } });
    let own = json!({ "id": "o1", "userId": "bob", "tenantId": world.caller.tenant_id });
    let answer = world.ask(PUBLISH, input(own)).await;
    assert_eq!(answer["data"]["event"]["publish"]["variables"]["userId"], "bob", "{answer}");
    let foreign = json!({ "id": "o1", "tenantId": "00000000-0000-0000-0000-000000000002" });
    let answer = world.ask(PUBLISH, input(foreign)).await;
    assert_eq!(problems(&answer), [("input.variables.tenantId".to_owned(), "VARIABLE_TENANT".to_owned())]);
}

#[tokio::test]
async fn every_problem_of_an_event_is_told_with_its_place() {
    let world = world().await;
    let long = "x".repeat(EVENT_VARIABLE_BYTES_MAX + 1);
    let named = vec!["field"; CHANGED_FIELDS_MAX + 1];
    for (input, expected) in [
        (json!({ "concern": "order", "event": "create", "variables": {} }), vec!["concern EVENT_TYPE_UNKNOWN"]),
        (json!({ "concern": "orders", "event": "made", "variables": {} }), vec!["event EVENT_TYPE_UNKNOWN"]),
        (json!({ "concern": "orders", "event": "create", "variables": [] }), vec!["variables VARIABLES_NO_OBJECT"]),
        (
            json!({ "concern": "items", "event": "create", "variables": { "id": 7, "type": "shoe", "lang": "en" } }),
            vec![
                "variables.id VARIABLE_VALUE",
                "variables.type VARIABLE_VALUE",
                "variables.language VARIABLE_VALUE",
                "variables.lang VARIABLE_UNKNOWN",
            ],
        ),
        (
            json!({ "concern": "orders", "event": "create", "variables": { "id": long } }),
            vec!["variables.id VARIABLE_VALUE"],
        ),
        (
            json!({ "concern": "orders", "event": "create", "variables": { "id": "a\u{0}" } }),
            vec!["variables.id VARIABLE_VALUE"],
        ),
        (
            json!({ "concern": "orders", "event": "update", "variables": { "id": "a", "webhookId": "x" } }),
            vec!["variables.webhookId VARIABLE_WEBHOOK"],
        ),
        (
            json!({ "concern": "orders", "event": "update", "variables": { "id": "", "userId": "" } }),
            vec!["variables.id VARIABLE_VALUE"],
        ),
        (
            json!({ "concern": "customers", "event": "update", "variables": { "identifier": "" } }),
            vec!["variables.identifier VARIABLE_VALUE"],
        ),
        (
            json!({ "concern": "orders", "event": "update", "variables": { "id": "a" }, "changedFields": named }),
            vec!["changedFields CHANGED_FIELDS_TOO_MANY"],
        ),
        (
            json!({ "concern": "orders", "event": "update", "variables": { "id": "a" }, "changedFields": ["a", ""] }),
            vec!["changedFields.1 CHANGED_FIELD_INVALID"],
        ),
    ] {
        let answer = world.ask(PUBLISH, json!({ "input": input })).await;
        let found: Vec<_> = problems(&answer).into_iter().map(|(path, code)| format!("{path} {code}")).collect();
        let expected: Vec<_> = expected.into_iter().map(|problem| format!("input.{problem}")).collect();
        assert_eq!(found, expected, "{answer}");
    }
    for (name, expected) in [
        ("usrId", "orders/create has no variable of that name: did you mean userId?"),
        ("webhook", "orders/create has no variable of that name, only id, userId"),
    ] {
        let input = json!({ "concern": "orders", "event": "create", "variables": { "id": "o1", name: "u" } });
        let answer = world.ask(PUBLISH, json!({ "input": input })).await;
        assert_eq!(answer["errors"][0]["message"], format!("input.variables.{name}: {expected}"));
    }
    assert_eq!(recorded(&world).await, json!([]));
}

#[tokio::test]
async fn many_events_are_published_in_order_or_none_of_them() {
    let world = world().await;
    let mut inputs = vec![order("o1"), order("o2"), order("o3")];
    inputs[1]["variables"] = json!({});
    let answer = world.ask(PUBLISH_MANY, json!({ "inputs": inputs })).await;
    assert_eq!(problems(&answer), [("inputs.1.variables.id".to_owned(), "VARIABLE_VALUE".to_owned())]);
    assert_eq!(recorded(&world).await, json!([]));
    inputs[1] = order("o2");
    let answer = world.ask(PUBLISH_MANY, json!({ "inputs": inputs })).await;
    let published = answer["data"]["event"]["publishMany"].as_array().unwrap().clone();
    let newest_first: Vec<_> =
        recorded(&world).await.as_array().unwrap().iter().map(|event| event["record"].clone()).collect();
    assert_eq!(published.len(), 3);
    assert_eq!(newest_first, ["order:o3", "order:o2", "order:o1"]);
}

#[tokio::test]
async fn one_call_publishes_so_many_events_and_names_so_many_problems() {
    let world = world().await;
    let many = |count: usize| json!({ "inputs": vec![order("o"); count] });
    let answer = world.ask(PUBLISH_MANY, many(EVENTS_PER_PUBLISH_MAX)).await;
    assert_eq!(answer["data"]["event"]["publishMany"].as_array().map(Vec::len), Some(EVENTS_PER_PUBLISH_MAX));
    let answer = world.ask(PUBLISH_MANY, many(EVENTS_PER_PUBLISH_MAX + 1)).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{answer}");
    let wrong = vec![json!({ "concern": "orders", "event": "create", "variables": { "a": 1, "b": 2 } }); 100];
    let refused = world.ask(PUBLISH_MANY, json!({ "inputs": wrong })).await;
    assert_eq!(problems(&refused).len(), PROBLEMS_MAX);
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("more than 100 problems"), "{refused}");
    let none = world.ask(PUBLISH_MANY, json!({ "inputs": [] })).await;
    assert_eq!(none["data"]["event"]["publishMany"], json!([]));
}
