//! Each mutation raises exactly its events, and one that changes nothing raises none.

use crate::support::World;
use serde_json::{Value, json};

/// A mutation, what to remember of its answer, and the events that it raises: type, variables, changed fields.
/// `<name>` stands for what was remembered.
type Step = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const ORDER_STEPS: &[Step] = &[
    (
        r#"pipeline { create(input: { tenantId: "<tenant>", name: "Fulfilment", stages: [{ name: "New", placeNewOrders: true }, { name: "Sent" }] }) { id stages { id } } }"#,
        &[
            ("pipeline", "/pipeline/create/id"),
            ("new", "/pipeline/create/stages/0/id"),
            ("sent", "/pipeline/create/stages/1/id"),
        ],
        &[],
    ),
    (
        r#"order { create(input: { tenantId: "<tenant>", cart: [{ name: "Chair", quantity: 1 }] }) { id pipelines { stageId } } }"#,
        &[("order", "/order/create/id"), ("new", "/order/create/pipelines/0/stageId")],
        &[r#"orders/create {"id":"<order>","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"order { update(id: "<order>", input: { additionalInformation: "ring twice", total: { currency: "EUR", gross: 1.5 } }) { id } }"#,
        &[],
        &[
            r#"orders/update {"id":"<order>","userId":"user-1","tenantId":"<tenant>"} ["additionalInformation", "total"]"#,
        ],
    ),
    (r#"order { update(id: "<order>", input: { additionalInformation: "ring twice" }) { id } }"#, &[], &[]),
    (r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<new>") { id } }"#, &[], &[]),
    (
        r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<sent>") { id } }"#,
        &[],
        &[
            r#"orders/pipelineStageChanged {"orderId":"<order>","pipelineId":"<pipeline>","stageId":"<sent>","tenantId":"<tenant>","previousStageId":"<new>","userId":"user-1"} ["pipelines"]"#,
        ],
    ),
    (
        r#"order { removePipeline(orderId: "<order>", pipelineId: "<pipeline>") { id } }"#,
        &[],
        &[
            r#"orders/pipelineRemoved {"orderId":"<order>","pipelineId":"<pipeline>","stageId":"<sent>","tenantId":"<tenant>","userId":"user-1"} ["pipelines"]"#,
        ],
    ),
    (r#"order { removePipeline(orderId: "<order>", pipelineId: "<pipeline>") { id } }"#, &[], &[]),
    (
        r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<new>") { id } }"#,
        &[],
        &[
            r#"orders/pipelineStageChanged {"orderId":"<order>","pipelineId":"<pipeline>","stageId":"<new>","tenantId":"<tenant>","previousStageId":null,"userId":"user-1"} ["pipelines"]"#,
        ],
    ),
    (
        r#"pipeline { delete(id: "<pipeline>", force: true) }"#,
        &[],
        &[
            r#"orders/pipelineRemoved {"orderId":"<order>","pipelineId":"<pipeline>","stageId":"<new>","tenantId":"<tenant>","userId":"user-1"} ["pipelines"]"#,
        ],
    ),
    (
        r#"order { delete(id: "<order>") }"#,
        &[],
        &[r#"orders/delete {"id":"<order>","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (r#"order { delete(id: "<order>") }"#, &[], &[]),
];

const IDENTIFIED_STEPS: &[Step] = &[
    (
        r#"customer { create(input: { tenantId: "<tenant>", identifier: "ada", firstName: "Ada", lastName: "L" }) { identifier } }"#,
        &[],
        &[r#"customers/create {"identifier":"ada","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { phone: "1" }) { identifier } }"#,
        &[],
        &[r#"customers/update {"identifier":"ada","userId":"user-1","tenantId":"<tenant>"} ["phone"]"#],
    ),
    (r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { phone: "1" }) { identifier } }"#, &[], &[]),
    (
        r#"market { create(input: { tenantId: "<tenant>", identifier: "north", name: "North" }) { identifier } }"#,
        &[],
        &[r#"markets/create {"identifier":"north","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"market { update(identifier: "north", tenantId: "<tenant>", input: { customerIdentifiers: ["ada"] }) { identifier } }"#,
        &[],
        &[r#"markets/update {"identifier":"north","userId":"user-1","tenantId":"<tenant>"} ["customerIdentifiers"]"#],
    ),
    (
        r#"market { update(identifier: "north", tenantId: "<tenant>", input: { name: "North" }) { identifier } }"#,
        &[],
        &[],
    ),
    (
        r#"market { delete(identifier: "north", tenantId: "<tenant>") }"#,
        &[],
        &[r#"markets/delete {"identifier":"north","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"priceList { create(input: { tenantId: "<tenant>", identifier: "sale", name: "Sale", modifierType: PERCENTAGE, selectedProductVariants: { type: SOME_SKUS }, targetAudience: { type: EVERYONE } }) { identifier } }"#,
        &[],
        &[r#"priceLists/create {"identifier":"sale","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"priceList { upsertSelectedProductVariants(identifier: "sale", tenantId: "<tenant>", variants: [{ sku: "chair" }]) { identifier } }"#,
        &[],
        &[
            r#"priceLists/update {"identifier":"sale","userId":"user-1","tenantId":"<tenant>"} ["selectedProductVariants"]"#,
        ],
    ),
    (
        r#"priceList { upsertSelectedProductVariants(identifier: "sale", tenantId: "<tenant>", variants: [{ sku: "chair" }]) { identifier } }"#,
        &[],
        &[],
    ),
    (
        r#"priceList { delete(identifier: "sale", tenantId: "<tenant>") }"#,
        &[],
        &[r#"priceLists/delete {"identifier":"sale","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
];

const CONTRACT_STEPS: &[Step] = &[
    (
        r#"customer { create(input: { tenantId: "<tenant>", identifier: "ada", firstName: "Ada", lastName: "L" }) { identifier } }"#,
        &[],
        &[r#"customers/create {"identifier":"ada","userId":"user-1","tenantId":"<tenant>"} []"#],
    ),
    (
        r#"subscriptionContract { create(input: { tenantId: "<tenant>", customerIdentifier: "ada", item: { name: "Paper", sku: "paper" }, recurring: { currency: "EUR", price: 9 }, status: { currency: "EUR", price: 9, renewAt: "2026-01-31T00:00:00Z" } }) { id } }"#,
        &[("contract", "/subscriptionContract/create/id")],
        &[
            r#"subscriptionContracts/create {"id":"<contract>","customerIdentifier":"ada","userId":"user-1","tenantId":"<tenant>"} []"#,
        ],
    ),
    (
        r#"subscriptionContract { update(id: "<contract>", input: { item: { name: "Journal" } }) { id } }"#,
        &[],
        &[
            r#"subscriptionContracts/update {"id":"<contract>","customerIdentifier":"ada","userId":"user-1","tenantId":"<tenant>"} ["item"]"#,
        ],
    ),
    (r#"subscriptionContract { update(id: "<contract>", input: { item: { name: "Journal" } }) { id } }"#, &[], &[]),
    (
        r#"subscriptionContract { renew(id: "<contract>") { id } }"#,
        &[],
        &[
            r#"subscriptionContracts/renew {"id":"<contract>","customerIdentifier":"ada","userId":"user-1","tenantId":"<tenant>"} ["status"]"#,
        ],
    ),
    (
        r#"subscriptionContract { cancel(id: "<contract>") { id } }"#,
        &[],
        &[
            r#"subscriptionContracts/cancel {"id":"<contract>","customerIdentifier":"ada","userId":"user-1","tenantId":"<tenant>"} ["status"]"#,
        ],
    ),
    (r#"subscriptionContract { cancel(id: "<contract>") { id } }"#, &[], &[]),
    (
        r#"customer { delete(identifier: "ada", tenantId: "<tenant>", deleteSubscriptionContracts: true) }"#,
        &[],
        &[
            r#"customers/delete {"identifier":"ada","userId":"user-1","tenantId":"<tenant>"} []"#,
            r#"subscriptionContracts/delete {"id":"<contract>","customerIdentifier":"ada","userId":"user-1","tenantId":"<tenant>"} []"#,
        ],
    ),
    (r#"subscriptionContract { delete(id: "<contract>") }"#, &[], &[]),
];

async fn walk(steps: &[Step]) {
    let world = World::new();
    let mut known = vec![("tenant", world.tenant_id.to_string())];
    let filled = |text: &str, known: &[(&str, String)]| {
        known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    };
    for (mutation, remembered, expected) in steps {
        let answer = world.ask(&format!("mutation {{ {} }}", filled(mutation, &known)), json!({})).await;
        for (name, pointer) in *remembered {
            known.push((name, answer.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()));
        }
        let raised = world.raised();
        let expected: Vec<_> = expected.iter().map(|text| filled(text, &known)).collect();
        let told: Vec<_> = raised
            .iter()
            .map(|event| {
                let variables = Value::Object(event.variables.clone());
                format!("{} {variables} {:?}", event.event_type, event.changed_fields)
            })
            .collect();
        assert_eq!(told, expected, "{mutation}");
        for event in raised {
            assert_eq!(event.tombstone.is_some(), event.event_type.event == "delete", "{mutation}");
        }
    }
}

#[tokio::test]
async fn order_and_pipeline_mutations_raise_their_events() {
    walk(ORDER_STEPS).await;
}

#[tokio::test]
async fn customer_market_and_price_list_mutations_raise_their_events() {
    walk(IDENTIFIED_STEPS).await;
}

#[tokio::test]
async fn subscription_contract_mutations_raise_their_events() {
    walk(CONTRACT_STEPS).await;
}
