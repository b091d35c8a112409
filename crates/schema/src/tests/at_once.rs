//! What the requests of all callers together hold of what they read.

use super::world::{ADD_CUSTOMER, CUSTOMER, World, world};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{RecordReader, UnitOfWork};
use hookgraph_domain::record::RecordKind;
use hookgraph_pim::limits::{READ_BYTES_AT_ONCE_MAX, ROOM_STEP_BYTES};
use hookgraph_pim::{ByteRoom, Taken};
use hookgraph_testkit::sample;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

const GET: &str =
    "{ customer { get(identifier: \"ada\", tenantId: \"00000000-0000-0000-0000-000000000001\") { firstName } } }";
const PREVIEW: &str = "query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) { payload } } }";

/// A customer whose record is larger than what is free.
async fn large_customer(world: &World) {
    world.ask(ADD_CUSTOMER, json!({})).await;
    let keys = ["ada".to_owned()];
    let mut found = world.store.records(world.caller.tenant_id, RecordKind::Customer, &keys).await.unwrap();
    let mut record = found.remove(0);
    let expected = Expected::Version(record.version);
    record.version += 1;
    record.body.push_str(&" ".repeat(2 * ROOM_STEP_BYTES));
    let mut change = Change::at(sample::now());
    change.writes.push(Write::PutRecord { record, expected, links: Vec::new(), names: Vec::new() });
    world.store.commit(change).await.unwrap();
}

/// All the room but a few bytes, held by other tenants: whoever takes some leaves some for one more.
pub(crate) fn full(room: &Arc<ByteRoom>) -> Vec<Taken> {
    let mut taken = Vec::new();
    for number in 100..120 {
        let share = room.of(TenantId(Uuid::from_u128(number)), None);
        let mut bytes = READ_BYTES_AT_ONCE_MAX;
        while bytes > 0 {
            match share.take(bytes) {
                Ok(more) => taken.push(more),
                Err(_) => bytes /= 2,
            }
        }
    }
    taken
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

#[tokio::test]
async fn what_callers_hold_refuses_callers_and_their_previews_and_no_delivery() {
    let world = world().await;
    large_customer(&world).await;
    let event = world.latest("customers/create").await;
    let draft = json!({ "name": "Draft", "concern": "customers", "event": "create", "method": "POST",
        "url": "https://receiver.example/hooks", "graphqlQuery": CUSTOMER });
    let preview = json!({ "input": { "webhook": draft, "eventId": event.id } });
    let taken = full(world.api.room());
    assert_eq!(code(&world.ask(GET, json!({})).await), "UNAVAILABLE");
    assert_eq!(code(&world.ask(PREVIEW, preview.clone()).await), "UNAVAILABLE");
    let rendered = world.rendered(&[world.request(&event, CUSTOMER)]).await.remove(0).unwrap();
    assert_eq!(rendered["customer"]["get"]["firstName"], "Ada");
    drop(taken);
    assert_eq!(world.ask(GET, json!({})).await["data"]["customer"]["get"]["firstName"], "Ada");
    let shown = world.ask(PREVIEW, preview).await;
    assert_eq!(shown["data"]["webhook"]["previewPayload"]["payload"], rendered, "{shown}");
    assert_eq!(world.api.room().bytes_held(), 0, "what requests took is given back as they end");
}
