//! Every event type of the catalogue is raised by its mutation and delivered, once for each change; a mutation that
//! changes nothing raises nothing.

use anyhow::{Context, ensure};
use hookgraph_testkit::ScriptedReceiver;
use hookgraph_tests::{Api, Database, Installation, Live, on, verify_signatures};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One mutation with the events that it must raise. `<name>` stands for a saved value.
struct Step {
    mutation: &'static str,
    raises: &'static [&'static str],
    /// Pointers into `data` and the names under which their values are saved.
    saves: &'static [(&'static str, &'static str)],
}

const fn step(mutation: &'static str, raises: &'static [&'static str]) -> Step {
    Step { mutation, raises, saves: &[] }
}

const fn saving(
    mutation: &'static str,
    raises: &'static [&'static str],
    saves: &'static [(&'static str, &'static str)],
) -> Step {
    Step { mutation, raises, saves }
}

const CUSTOMERS: &[Step] = &[
    step(
        r#"customer { create(input: { tenantId: "<tenant>", identifier: "ada", firstName: "Ada", lastName: "L" }) { identifier } }"#,
        &["customers/create"],
    ),
    step(
        r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { companyName: "Engines" }) { identifier } }"#,
        &["customers/update"],
    ),
    step(
        r#"customer { update(identifier: "ada", tenantId: "<tenant>", input: { companyName: "Engines" }) { identifier } }"#,
        &[],
    ),
];

const ORDERS: &[Step] = &[
    saving(
        r#"pipeline { create(input: { tenantId: "<tenant>", name: "Fulfilment", stages: [{ name: "New" }, { name: "Done" }] }) { id stages { id } } }"#,
        &[],
        &[
            ("/pipeline/create/id", "pipeline"),
            ("/pipeline/create/stages/0/id", "new"),
            ("/pipeline/create/stages/1/id", "done"),
        ],
    ),
    saving(
        r#"order { create(input: { tenantId: "<tenant>", customer: { identifier: "ada" }, cart: [{ name: "Chair", sku: "chair", quantity: 1 }] }) { id } }"#,
        &["orders/create"],
        &[("/order/create/id", "order")],
    ),
    step(
        r#"order { update(id: "<order>", input: { additionalInformation: "Ring twice" }) { id } }"#,
        &["orders/update"],
    ),
    step(r#"order { update(id: "<order>", input: { additionalInformation: "Ring twice" }) { id } }"#, &[]),
    step(
        r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<new>") { id } }"#,
        &["orders/pipelineStageChanged"],
    ),
    step(r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<new>") { id } }"#, &[]),
    step(
        r#"order { setPipelineStage(orderId: "<order>", pipelineId: "<pipeline>", stageId: "<done>") { id } }"#,
        &["orders/pipelineStageChanged"],
    ),
    step(
        r#"order { removePipeline(orderId: "<order>", pipelineId: "<pipeline>") { id } }"#,
        &["orders/pipelineRemoved"],
    ),
    step(r#"order { delete(id: "<order>") }"#, &["orders/delete"]),
];

const ITEMS: &[Step] = &[
    saving(
        r#"document { create(language: "en", input: { tenantId: "<tenant>", name: "Care" }) { id } }"#,
        &["items/create"],
        &[("/document/create/id", "document")],
    ),
    step(
        r#"document { update(id: "<document>", language: "en", input: { name: "Care guide" }) { id } }"#,
        &["items/update"],
    ),
    step(r#"document { update(id: "<document>", language: "en", input: { name: "Care guide" }) { id } }"#, &[]),
    step(r#"document { publish(id: "<document>", language: "en") { id } }"#, &["items/publish"]),
    step(r#"document { publish(id: "<document>", language: "en") { id } }"#, &[]),
    saving(
        r#"flow { create(input: { tenantId: "<tenant>", name: "Review", stages: [{ name: "Draft" }, { name: "Ready" }] }) { id stages { id } } }"#,
        &[],
        &[("/flow/create/id", "flow"), ("/flow/create/stages/0/id", "draft"), ("/flow/create/stages/1/id", "ready")],
    ),
    step(
        r#"flow { addItem(flowId: "<flow>", stageId: "<draft>", itemId: "<document>") { id } }"#,
        &["flows/itemAddedToStage"],
    ),
    step(
        r#"flow { moveItem(flowId: "<flow>", stageId: "<ready>", itemId: "<document>") { id } }"#,
        &["flows/itemRemovedFromStage", "flows/itemAddedToStage"],
    ),
    step(r#"flow { removeItem(flowId: "<flow>", itemId: "<document>") { id } }"#, &["flows/itemRemovedFromStage"]),
    step(r#"document { unpublish(id: "<document>", language: "en") { id } }"#, &["items/unpublish"]),
    step(r#"document { delete(id: "<document>") }"#, &["items/delete"]),
];

const TOPICS_AND_GRIDS: &[Step] = &[
    saving(
        r#"topic { create(language: "en", input: { tenantId: "<tenant>", name: "Colour" }) { id } }"#,
        &["topics/create"],
        &[("/topic/create/id", "topic")],
    ),
    step(r#"topic { update(id: "<topic>", language: "en", input: { name: "Color" }) { id } }"#, &["topics/update"]),
    step(r#"topic { update(id: "<topic>", language: "en", input: { name: "Color" }) { id } }"#, &[]),
    step(r#"topic { delete(id: "<topic>") }"#, &["topics/delete"]),
    saving(
        r#"grid { create(language: "en", input: { tenantId: "<tenant>", name: "Front" }) { id } }"#,
        &["grids/create"],
        &[("/grid/create/id", "grid")],
    ),
    step(r#"grid { update(id: "<grid>", language: "en", input: { name: "Home" }) { id } }"#, &["grids/update"]),
    step(r#"grid { update(id: "<grid>", language: "en", input: { name: "Home" }) { id } }"#, &[]),
    step(r#"grid { publish(id: "<grid>", language: "en") { id } }"#, &["grids/publish"]),
    step(r#"grid { unpublish(id: "<grid>", language: "en") { id } }"#, &["grids/unpublish"]),
    step(r#"grid { delete(id: "<grid>") }"#, &["grids/delete"]),
];

const PRICE_LISTS_AND_MARKETS: &[Step] = &[
    step(
        r#"priceList { create(input: { tenantId: "<tenant>", identifier: "b2b", name: "B2B", modifierType: PERCENTAGE,
            selectedProductVariants: { type: ALL_SKUS }, targetAudience: { type: EVERYONE } }) { identifier } }"#,
        &["priceLists/create"],
    ),
    step(
        r#"priceList { update(identifier: "b2b", tenantId: "<tenant>", input: { name: "Trade" }) { identifier } }"#,
        &["priceLists/update"],
    ),
    step(
        r#"priceList { update(identifier: "b2b", tenantId: "<tenant>", input: { name: "Trade" }) { identifier } }"#,
        &[],
    ),
    step(r#"priceList { delete(identifier: "b2b", tenantId: "<tenant>") }"#, &["priceLists/delete"]),
    step(
        r#"market { create(input: { tenantId: "<tenant>", identifier: "no", name: "Norway" }) { identifier } }"#,
        &["markets/create"],
    ),
    step(
        r#"market { update(identifier: "no", tenantId: "<tenant>", input: { name: "Norge" }) { identifier } }"#,
        &["markets/update"],
    ),
    step(r#"market { update(identifier: "no", tenantId: "<tenant>", input: { name: "Norge" }) { identifier } }"#, &[]),
    step(r#"market { delete(identifier: "no", tenantId: "<tenant>") }"#, &["markets/delete"]),
];

const SUBSCRIPTION_CONTRACTS: &[Step] = &[
    saving(
        r#"subscriptionContract { create(input: { tenantId: "<tenant>", customerIdentifier: "ada",
            item: { name: "Coffee", sku: "coffee" }, recurring: { currency: "EUR", price: 9.5 },
            status: { currency: "EUR", price: 9.5, renewAt: "2026-12-01T00:00:00Z" } }) { id } }"#,
        &["subscriptionContracts/create"],
        &[("/subscriptionContract/create/id", "contract")],
    ),
    step(
        r#"subscriptionContract { update(id: "<contract>", input: { item: { name: "Espresso" } }) { id } }"#,
        &["subscriptionContracts/update"],
    ),
    step(r#"subscriptionContract { update(id: "<contract>", input: { item: { name: "Espresso" } }) { id } }"#, &[]),
    step(r#"subscriptionContract { renew(id: "<contract>") { id } }"#, &["subscriptionContracts/renew"]),
    step(r#"subscriptionContract { cancel(id: "<contract>") { id } }"#, &["subscriptionContracts/cancel"]),
    step(r#"subscriptionContract { delete(id: "<contract>") }"#, &["subscriptionContracts/delete"]),
    step(r#"customer { delete(identifier: "ada", tenantId: "<tenant>") }"#, &["customers/delete"]),
];

/// The first copy finishes; the second finds that its identifier is taken by then.
const TENANTS: &[Step] = &[step(
    r#"tenant { one: createCopyTask(tenantId: "<tenant>", desiredIdentifier: "acme-copy") { id }
                two: createCopyTask(tenantId: "<tenant>", desiredIdentifier: "acme-copy") { id } }"#,
    &["tenants/copyStarted", "tenants/copyStarted", "tenants/copyFinished", "tenants/copyFailed"],
)];

const STORY: &[&[Step]] =
    &[CUSTOMERS, ORDERS, ITEMS, TOPICS_AND_GRIDS, PRICE_LISTS_AND_MARKETS, SUBSCRIPTION_CONTRACTS, TENANTS];

/// The catalogue as the API tells it: `concern/event` with the names of its variables, in order.
async fn catalogue(api: &Api) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let data = api.data("{ eventType { getMany { concern event variables { name } } } }", json!({})).await?;
    let types = data["eventType"]["getMany"].as_array().context("event types")?.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = types.iter().map(|event_type| {
        let variables = event_type["variables"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = variables.iter().map(|variable| text(&variable["name"])).collect();
        (format!("{}/{}", text(&event_type["concern"]), text(&event_type["event"])), names)
    });
    Ok(entries.collect())
}

async fn tell(api: &Api, step: &Step, saved: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let mut mutation = format!("mutation {{ {} }}", step.mutation);
    for (name, value) in saved.iter() {
        mutation = mutation.replace(&format!("<{name}>"), value);
    }
    let data = api.data(&mutation, json!({})).await?;
    for (pointer, name) in step.saves {
        let value = data.pointer(pointer).and_then(Value::as_str).with_context(|| format!("{pointer} in {data}"))?;
        saved.insert((*name).to_owned(), value.to_owned());
    }
    Ok(())
}

async fn tells_the_whole_story(installation: Installation) -> anyhow::Result<()> {
    let receiver = ScriptedReceiver::start().await;
    let server = installation.serve().await?;
    let api = &server.api;
    let catalogue = catalogue(api).await?;
    for event_type in catalogue.keys() {
        let (concern, event) = event_type.split_once('/').context("a pair")?;
        let url = receiver.url(&format!("/{event_type}"));
        api.create_webhook(
            json!({ "name": event_type, "concern": concern, "event": event, "method": "POST", "url": url }),
        )
        .await?;
    }
    let mut live = Live::deliveries(api, &api.feed_cursor().await?).await?;
    let mut saved = BTreeMap::from([("tenant".to_owned(), api.tenant_id().await?)]);
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for step in STORY.iter().copied().flatten() {
        tell(api, step, &mut saved).await.with_context(|| step.mutation.to_owned())?;
        let updates = live.finished(step.raises.len()).await.with_context(|| step.mutation.to_owned())?;
        let raised: BTreeSet<_> = updates.iter().map(event_type_of).collect();
        let wanted: BTreeSet<_> = step.raises.iter().map(|event_type| (*event_type).to_owned()).collect();
        ensure!(raised == wanted, "{} raised {raised:?}, not {wanted:?}", step.mutation);
        for event_type in step.raises {
            *expected.entry((*event_type).to_owned()).or_default() += 1;
        }
    }
    let never_raised: Vec<_> = catalogue.keys().filter(|event_type| !expected.contains_key(*event_type)).collect();
    ensure!(never_raised.is_empty(), "no mutation raised {never_raised:?}");

    let mut received: BTreeMap<String, usize> = BTreeMap::new();
    for request in receiver.requests() {
        verify_signatures(&request, &receiver.url(&request.uri))?;
        let event_type = request.uri.trim_start_matches('/').to_owned();
        let body: Value = serde_json::from_str(request.text())?;
        let keys: Vec<_> = body.as_object().context("an object")?.keys().cloned().collect();
        ensure!(Some(&keys) == catalogue.get(&event_type), "the default payload of {event_type} is {body}");
        *received.entry(event_type).or_default() += 1;
    }
    ensure!(received == expected, "received {received:#?}, expected {expected:#?}");
    server.stop().await
}

fn event_type_of(update: &Value) -> String {
    let event = &update["delivery"]["event"];
    format!("{}/{}", event["concern"].as_str().unwrap_or_default(), event["event"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn every_event_type_is_raised_and_delivered_once_per_change_on_sqlite() -> anyhow::Result<()> {
    on(Database::Sqlite, tells_the_whole_story).await
}

#[tokio::test]
async fn every_event_type_is_raised_and_delivered_once_per_change_on_postgres() -> anyhow::Result<()> {
    on(Database::Postgres, tells_the_whole_story).await
}
