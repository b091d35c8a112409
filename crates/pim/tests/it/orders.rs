//! What orders answer, and at what cost.

use crate::support::World;
use serde_json::json;

const CREATE: &str = r#"mutation ($tenantId: ID!, $identifier: String) { order { create(input: {
    tenantId: $tenantId
    customer: { identifier: $identifier, firstName: "Given" }
    cart: [{ name: "Chair", sku: "chair", quantity: 2, price: { currency: "EUR", gross: 12.5, discounts: [{ percent: 10 }], tax: { name: "VAT", percent: 25 } } }]
    payment: [{ provider: stripe, stripe: { stripe: "pi_1", paymentMethod: "card" } }, { provider: custom, custom: { properties: [{ property: "n", value: "1" }] } }]
}) { id cart { quantity orderId } } } }"#;

async fn order_of(world: &World, identifier: &str) -> String {
    let answer = world.ask(CREATE, json!({ "identifier": identifier })).await;
    answer["order"]["create"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_keeps_its_customer_and_the_record_supplies_the_rest() {
    let world = World::new();
    let create = r#"mutation ($tenantId: ID!) { customer { create(input: { tenantId: $tenantId, identifier: "ada", firstName: "Known", lastName: "Lovelace", email: "ada@example.com" }) { identifier } } }"#;
    world.ask(create, json!({})).await;
    let id = order_of(&world, "ada").await;
    let query = "query ($id: ID!) { order { get(id: $id) { customer { firstName lastName email } tenant { identifier signatureSecret }
        payment { __typename ... on StripePayment { id provider paymentMethod } ... on CustomPayment { properties { property value } } } } } }";
    let answer = world.ask(query, json!({ "id": id })).await;
    let expected = json!({
        "customer": { "firstName": "Given", "lastName": "Lovelace", "email": "ada@example.com" },
        "tenant": { "identifier": "acme", "signatureSecret": "" },
        "payment": [
            { "__typename": "StripePayment", "id": "pi_1", "provider": "stripe", "paymentMethod": "card" },
            { "__typename": "CustomPayment", "properties": [{ "property": "n", "value": "1" }] },
        ],
    });
    assert_eq!(answer["order"]["get"], expected);
}

#[tokio::test]
async fn a_hundred_orders_with_their_relations_cost_a_bounded_number_of_reads() {
    let world = World::new();
    let pipeline = r#"mutation ($tenantId: ID!) { pipeline { create(input: { tenantId: $tenantId, name: "P", stages: [{ name: "New", placeNewOrders: true }] }) { id } } }"#;
    world.ask(pipeline, json!({})).await;
    for n in 0..100 {
        let customer = r#"mutation ($tenantId: ID!, $identifier: String) { customer { create(input: { tenantId: $tenantId, identifier: $identifier, firstName: "A", lastName: "B" }) { identifier } } }"#;
        world.ask(customer, json!({ "identifier": format!("c{n}") })).await;
        order_of(&world, &format!("c{n}")).await;
    }
    world.store.tables().read_count = 0;
    let query = "query ($tenantId: ID!) { order { getMany(tenantId: $tenantId, first: 100) { edges { node { id customer { lastName } tenant { name }
        cart { sku productId productVariantId } pipelines { stageId pipeline { name stages { name } } } } } pageInfo { totalNodes } } } }";
    let answer = world.ask(query, json!({})).await;
    let connection = &answer["order"]["getMany"];
    assert_eq!(connection["pageInfo"]["totalNodes"], 100);
    assert!(connection["edges"].as_array().unwrap().iter().all(|edge| edge["node"]["customer"]["lastName"] == "B"));
    let read_count = world.store.tables().read_count;
    assert!(read_count <= 8, "{read_count} reads");
}

#[tokio::test]
async fn orders_are_listed_by_customer_pipeline_and_stage() {
    let world = World::new();
    let pipeline = r#"mutation ($tenantId: ID!) { pipeline { create(input: { tenantId: $tenantId, name: "P", stages: [{ name: "New", placeNewOrders: true }] }) { id stages { id } } } }"#;
    let pipeline = world.ask(pipeline, json!({})).await["pipeline"]["create"].take();
    let (ada, bob) = (order_of(&world, "ada").await, order_of(&world, "bob").await);
    let query = "query ($tenantId: ID!, $customer: String, $pipeline: ID, $stage: ID) { order { getMany(tenantId: $tenantId, customerIdentifier: $customer,
        pipelineId: $pipeline, pipelineStageId: $stage, sortField: createdAt, sort: asc) { edges { node { id } } } } }";
    for (variables, expected) in [
        (json!({ "customer": "ada" }), vec![&ada]),
        (json!({ "pipeline": pipeline["id"] }), vec![&ada, &bob]),
        (json!({ "stage": pipeline["stages"][0]["id"], "customer": "bob" }), vec![&bob]),
        (json!({ "stage": "none" }), vec![]),
    ] {
        let answer = world.ask(query, variables).await;
        let edges = answer["order"]["getMany"]["edges"].as_array().unwrap().clone();
        let ids: Vec<_> = edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let world = World::new();
    let id = order_of(&world, "ada").await;
    let other = hookgraph_domain::ids::TenantId(uuid::Uuid::from_u128(0xb0b));
    let read = world.ask_as(other, "query ($id: ID!) { order { get(id: $id) { id } } }", json!({ "id": id })).await;
    assert_eq!(read, Ok(json!({ "order": { "get": null } })));
    let update = "mutation ($id: ID!) { order { update(id: $id, input: { additionalInformation: \"x\" }) { id } } }";
    assert_eq!(world.ask_as(other, update, json!({ "id": id })).await, Err("NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_given_moment_is_answered_in_utc_with_milliseconds() {
    let world = World::new();
    let create = r#"mutation ($tenantId: ID!, $at: DateTime) { order { create(input: {
        tenantId: $tenantId, createdAt: $at, customer: { firstName: "Ada" }, cart: []
    }) { createdAt } } }"#;
    let answer = world.ask(create, json!({ "at": "2023-02-20T03:58:10.0004+02:00" })).await;
    assert_eq!(answer["order"]["create"]["createdAt"], "2023-02-20T01:58:10.000Z");
}
