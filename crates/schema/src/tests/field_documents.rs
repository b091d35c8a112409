//! Documents as handlers in the field write them: accepted for their event, and they yield data from what exists.

use super::world::{World, world};
use hookgraph_domain::catalogue;
use hookgraph_domain::problem::Problem;
use std::collections::BTreeMap;

/// The records, with what later mutations and documents need of the answers.
const RECORDS: &[(&str, &[(&str, &str)])] = &[
    (
        r#"customer { create(input: { tenantId: "<tenant>", identifier: "ada", firstName: "Ada", lastName: "L", email: "ada@example.com", addresses: [{ type: billing, email: "bill@example.com" }] }) { identifier } }"#,
        &[],
    ),
    (r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { phone: "1" }) { identifier } }"#, &[]),
    (
        r#"pipeline { create(input: { tenantId: "<tenant>", name: "Fulfilment", stages: [{ name: "New", placeNewOrders: true }, { name: "Sent" }] }) { id stages { id } } }"#,
        &[("pipeline", "/pipeline/create/id"), ("sent", "/pipeline/create/stages/1/id")],
    ),
    (
        r#"order { create(input: { tenantId: "<tenant>", customer: { identifier: "ada" }, meta: [{ key: "gift", value: "yes" }], total: { currency: "EUR", gross: 25, net: 20, tax: { name: "VAT", percent: 25 }, discounts: [{ percent: 10 }] },
            cart: [{ name: "Chair", sku: "chair", quantity: 2, imageUrl: "https://images.example/chair.png", price: { currency: "EUR", gross: 12.5, net: 10 } }],
            payment: [{ provider: stripe, stripe: { stripe: "pi_1", paymentMethod: "card" } }, { provider: custom, custom: { properties: [{ property: "n", value: "1" }] } }] }) { id } }"#,
        &[("order", "/order/create/id")],
    ),
    (r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<sent>") { id } }"#, &[]),
    (
        r#"product { create(language: "en", input: { tenantId: "<tenant>", name: "Chair", variants: [{ isDefault: true, sku: "chair", name: "Chair" }] }) { id } }"#,
        &[("product", "/product/create/id")],
    ),
    (r#"product { update(id: "<product>", language: "en", input: { name: "Armchair" }) { id } }"#, &[]),
    (r#"product { publish(id: "<product>", language: "en") { id } }"#, &[]),
    (
        r#"topic { create(language: "en", input: { tenantId: "<tenant>", name: "Colour" }) { id } }"#,
        &[("topic", "/topic/create/id")],
    ),
    (r#"topic { update(id: "<topic>", language: "en", input: { name: "Color" }) { id } }"#, &[]),
    (
        r#"grid { create(language: "en", input: { tenantId: "<tenant>", name: "Front", rows: [{ columns: [{ itemId: "<product>" }] }] }) { id } }"#,
        &[("grid", "/grid/create/id")],
    ),
    (r#"grid { update(id: "<grid>", language: "en", input: { name: "Home" }) { id } }"#, &[]),
    (
        r#"priceList { create(input: { tenantId: "<tenant>", identifier: "b2b", name: "B2B", modifierType: PERCENTAGE, startDate: "2026-01-01T00:00:00Z", selectedProductVariants: { type: ALL_SKUS }, targetAudience: { type: EVERYONE } }) { identifier } }"#,
        &[],
    ),
    (r#"priceList { update(identifier: "b2b", tenantId: "<tenant>", input: { name: "Trade" }) { identifier } }"#, &[]),
    (
        r#"market { create(input: { tenantId: "<tenant>", identifier: "no", name: "Norway", customerIdentifiers: ["ada"] }) { identifier } }"#,
        &[],
    ),
    (r#"market { update(identifier: "no", tenantId: "<tenant>", input: { name: "Norge" }) { identifier } }"#, &[]),
    (
        r#"subscriptionContract { create(input: { tenantId: "<tenant>", customerIdentifier: "ada", item: { name: "Coffee", sku: "coffee" }, recurring: { currency: "EUR", price: 9.5 }, payment: { provider: stripe, stripe: { stripe: "pi_2" } }, status: { currency: "EUR", price: 9.5, renewAt: "2026-12-01T00:00:00Z" } }) { id } }"#,
        &[("contract", "/subscriptionContract/create/id")],
    ),
    (r#"subscriptionContract { renew(id: "<contract>") { id } }"#, &[]),
];

/// The event, the document, and the places of its payload that must hold something.
const DOCUMENTS: &[(&str, &str, &[&str])] = &[
    (
        "orders/create",
        "query OrderForMail($id: ID!) { order { get(id: $id) { id createdAt updatedAt
            customer { identifier firstName lastName email addresses { type email phone street city postalCode country } }
            cart { name sku imageUrl quantity price { currency gross net discounts { percent } } }
            total { currency gross net discounts { percent } tax { name percent } } meta { key value }
            pipelines { stageId pipeline { id name } } } } }",
        &["customer/lastName", "customer/addresses/0/email", "cart/0/price/gross", "total/tax/percent", "meta/0/value"],
    ),
    (
        "orders/create",
        "query ($id: ID!) { order { get(id: $id) { payment { ... on StripePayment { provider paymentMethod }
            ... on CustomPayment { provider properties { property value } } } } } }",
        &["payment/0/paymentMethod", "payment/1/properties/0/value"],
    ),
    (
        "orders/pipelineStageChanged",
        "query Stage($orderId: ID!) { order { get(id: $orderId) { id pipelines { stageId pipeline { id name stages { id name } } }
            payment { ... on CustomPayment { properties { property value } } } } } }",
        &["pipelines/0/stageId", "pipelines/0/pipeline/stages/1/name", "payment/1/properties/0/property"],
    ),
    (
        "items/update",
        "query ($id: ID!, $language: String!) { item { get(id: $id, language: $language) { id name createdAt updatedAt } } }",
        &["name", "updatedAt"],
    ),
    (
        "items/publish",
        "query ($id: ID!, $language: String!) { item { get(id: $id, language: $language, versionLabel: published) {
            tree { path } relatingItems { tree { path } } } } }",
        &["tree/path", "relatingItems"],
    ),
    (
        "subscriptionContracts/renew",
        "query ($id: ID!) { subscriptionContract { get(id: $id) { id customerIdentifier item { sku name }
            payment { ... on StripePayment { provider } } status { renewAt activeUntil } } } }",
        &["item/sku", "payment/provider", "status/renewAt"],
    ),
    (
        "customers/update",
        "query ($identifier: String!, $tenantId: ID!) { customer { get(identifier: $identifier, tenantId: $tenantId) {
            identifier firstName lastName email phone addresses { type email } } } }",
        &["email", "phone", "addresses/0/type"],
    ),
    (
        "priceLists/update",
        "query ($identifier: String!, $tenantId: ID!) { priceList { get(identifier: $identifier, tenantId: $tenantId) {
            identifier name startDate endDate modifierType } } }",
        &["name", "startDate", "modifierType"],
    ),
    (
        "markets/update",
        "query ($identifier: String!, $tenantId: ID!) { market { get(identifier: $identifier, tenantId: $tenantId) {
            identifier name customerIdentifiers } } }",
        &["customerIdentifiers/0"],
    ),
    (
        "topics/update",
        "query ($id: ID!, $language: String!) { topic { get(id: $id, language: $language) { id name path } } }",
        &["name", "path"],
    ),
    (
        "grids/update",
        "query ($id: ID!, $language: String!) { grid { get(id: $id, language: $language) { id name rows { columns { itemId } } } } }",
        &["name", "rows/0/columns/0/itemId"],
    ),
];

async fn with_records() -> World {
    let world = world().await;
    let mut saved: BTreeMap<&str, String> = BTreeMap::new();
    for (mutation, saves) in RECORDS {
        let filled =
            saved.iter().fold((*mutation).to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value));
        let data = world.mutate(&filled).await;
        for (name, pointer) in *saves {
            saved.insert(name, data.pointer(pointer).unwrap().as_str().unwrap().to_owned());
        }
    }
    world
}

#[tokio::test]
async fn documents_from_the_field_yield_data_for_their_events() {
    let world = with_records().await;
    for (event_type, document, filled) in DOCUMENTS {
        let request = world.request(&world.latest(event_type).await, document);
        let payload = world.rendered(&[request]).await.remove(0).unwrap();
        let namespace = payload.as_object().unwrap().values().next().unwrap();
        for place in *filled {
            let found = namespace["get"].pointer(&format!("/{place}"));
            assert!(found.is_some_and(|value| !value.is_null()), "{event_type} {place}: {payload}");
        }
    }
}

fn refused(document: &str) -> Vec<Problem> {
    let sdl = crate::Api::payload_sdl();
    let validator = crate::document::Validator::of_sdl(&sdl).unwrap();
    let checker = crate::document::DocumentChecker::new(
        validator,
        crate::document::judge(|| crate::roots::proving_payload(true)),
    );
    checker.check(document, catalogue::find("orders", "create").unwrap()).unwrap_err()
}

#[test]
fn a_namespace_of_another_time_and_a_mutation_are_refused_with_what_to_do() {
    let plural = refused("query ($id: ID!) { orders { get(id: $id) { id pipelines { stageId pipeline { name } } } } }");
    assert_eq!(plural.len(), 1, "{plural:?}");
    assert!(plural[0].message.contains("Did you mean \"order\""), "{plural:?}");
    assert_eq!((plural[0].line, plural[0].column), (Some(1), Some(20)));
    let mutation = refused("mutation ($id: ID!) { order { delete(id: $id) } }");
    assert_eq!(mutation.len(), 1, "{mutation:?}");
    assert!(mutation[0].message.contains("write a query"), "{mutation:?}");
}
