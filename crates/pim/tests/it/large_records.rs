//! How many bytes of records one request may read: counted by their bodies, wherever and however often they are handed out.

use crate::shop::{Shop, text};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::record::RecordKind;
use hookgraph_pim::limits::READ_BYTES_AT_ONCE_MAX;
use hookgraph_pim::{ByteRoom, Taken};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

const FOLDER: &str = "mutation ($tenant: ID!) { folder { create(language: \"en\", input: { tenantId: $tenant,
    name: \"Folder\" }) { id } } }";
const DOCUMENT: &str = "mutation ($tenant: ID!, $tree: TreeNodeInput, $components: [ComponentInput!]) { document { create(
    language: \"en\", input: { tenantId: $tenant, name: \"Document\", tree: $tree, components: $components }) { id } } }";
const LATEST: &str = "{ item { getMany(language: \"en\") { id } } }";
const RELATING: &str = "query ($id: ID!) { item { get(id: $id, language: \"en\") { relatingItems { id } } } }";

/// So few of them are more than `RECORD_BYTES_READ_MAX`, and each is below `RECORD_BYTES_MAX`.
const FORTIETH_BYTES: usize = 1_900_000;
/// A hundred of them, which are read at once, are more than `RECORD_BYTES_READ_MAX`.
const HUNDREDTH_BYTES: usize = 680_000;

async fn document(shop: &Shop, variables: Value) -> String {
    text(&shop.data(DOCUMENT, variables).await, "/document/create/id")
}

/// A document, and one that relates to it.
async fn related(shop: &Shop) -> (String, String) {
    let target = document(shop, json!({})).await;
    let relation = json!([{ "componentId": "see", "itemRelations": { "itemIds": [target] } }]);
    let relating = document(shop, json!({ "components": relation })).await;
    (target, relating)
}

async fn assert_refused(shop: &Shop, document: &str, variables: Value) {
    let refusal = shop.refusal(document, variables).await;
    let expected = "LIMIT_EXCEEDED: this reads more than 64 MiB of records: ask for fewer at once, by their ids or \
        externalReferences, or by a smaller page (first, last) of a list that has pages";
    assert_eq!(refusal, expected, "{document}");
}

/// The same field so many times, each under a name of its own.
fn times(count: usize, field: &str) -> String {
    (0..count).map(|index| format!("a{index}: {field} ")).collect()
}

#[tokio::test]
async fn lists_of_records_are_refused_beyond_their_bytes_and_read_no_further() {
    let shop = Shop::open();
    let (target, relating) = related(&shop).await;
    shop.copy(RecordKind::Item, &relating, 120, HUNDREDTH_BYTES);
    shop.reads();
    assert_refused(&shop, LATEST, json!({})).await;
    assert_eq!(shop.reads(), 1, "of two pieces");
    assert_refused(&shop, RELATING, json!({ "id": target })).await;
    assert_eq!(shop.reads(), 3, "the item, what relates to it, and the first of two pieces");
}

#[tokio::test]
async fn a_list_that_is_read_in_pieces_is_whole_and_in_order() {
    let shop = Shop::open();
    let (target, relating) = related(&shop).await;
    shop.copy(RecordKind::Item, &relating, 250, 0);
    shop.reads();
    let latest = shop.data(LATEST, json!({})).await;
    assert_eq!(shop.reads(), 3);
    let copies = (0..250).rev().map(|index| format!("{relating}-{index:03}"));
    let expected: Vec<_> = copies.chain([relating.clone(), target.clone()]).map(|id| json!({ "id": id })).collect();
    assert_eq!(latest["item"]["getMany"], json!(expected));
    let found = shop.data(RELATING, json!({ "id": target })).await;
    assert_eq!(found["item"]["get"]["relatingItems"].as_array().map(Vec::len), Some(251));
}

#[tokio::test]
async fn a_record_counts_each_time_that_it_is_handed_out() {
    let shop = Shop::open();
    let id = document(&shop, json!({})).await;
    shop.copy(RecordKind::Item, &id, 1, FORTIETH_BYTES);
    let large = json!({ "id": format!("{id}-000") });
    let get =
        |count| format!("query ($id: ID!) {{ item {{ {} }} }}", times(count, "get(id: $id, language: \"en\") { id }"));
    assert_eq!(shop.data(&get(30), large.clone()).await["item"].as_object().map(serde_json::Map::len), Some(30));
    assert_refused(&shop, &get(40), large).await;
}

#[tokio::test]
async fn pages_and_grids_count_too() {
    let shop = Shop::open();
    let grid = "mutation ($tenant: ID!) { grid { create(language: \"en\", input: { tenantId: $tenant, name: \"Front\" }) { id } } }";
    let grid = text(&shop.data(grid, json!({})).await, "/grid/create/id");
    shop.copy(RecordKind::Grid, &grid, 40, FORTIETH_BYTES);
    assert_refused(&shop, "{ grid { getMany(language: \"en\") { id } } }", json!({})).await;
    assert_refused(&shop, "{ tenant { get { grids(language: \"en\") { id } } } }", json!({})).await;

    let customer = "mutation ($tenant: ID!) { customer { create(input: { tenantId: $tenant, identifier: \"ada\",
        firstName: \"Ada\", lastName: \"L\" }) { identifier } } }";
    shop.data(customer, json!({})).await;
    shop.copy(RecordKind::Customer, "ada", 40, FORTIETH_BYTES);
    let page = "query ($tenant: ID!, $first: Int) { customer { getMany(tenantId: $tenant, first: $first) { edges { cursor } } } }";
    assert_refused(&shop, page, json!({ "first": 100 })).await;
    let small = shop.data(page, json!({ "first": 20 })).await;
    assert_eq!(small["customer"]["getMany"]["edges"].as_array().map(Vec::len), Some(20));
}

/// The answers of all mutations of a request are in memory at once.
#[tokio::test]
async fn what_the_answers_of_mutations_hold_adds_up() {
    let shop = Shop::open();
    let (target, relating) = related(&shop).await;
    shop.copy(RecordKind::Item, &relating, 10, FORTIETH_BYTES);
    let renamed = |names: &[&str]| {
        let updates = names.iter().map(|name| {
            format!(
                "{name}: update(id: $id, language: \"en\", input: {{ name: {name:?} }}) {{ relatingItems {{ id }} }} "
            )
        });
        format!("mutation ($id: ID!) {{ document {{ {} }} }}", updates.collect::<String>())
    };
    let answers = shop.data(&renamed(&["A", "B", "C"]), json!({ "id": target })).await;
    assert_eq!(answers["document"]["C"]["relatingItems"].as_array().map(Vec::len), Some(11));
    let refusal = shop.refusal(&renamed(&["D", "E", "F", "G"]), json!({ "id": target })).await;
    assert!(refusal.starts_with("LIMIT_EXCEEDED: this reads more than 64 MiB"), "{refusal}");
}

#[tokio::test]
async fn what_a_mutation_reads_to_decide_does_not_count() {
    let shop = Shop::open();
    let folder = text(&shop.data(FOLDER, json!({})).await, "/folder/create/id");
    let below = document(&shop, json!({ "tree": { "parentId": folder } })).await;
    let publish = |count| {
        let field = "publish(id: $id, language: \"en\", includeDescendants: true) { id }";
        format!("mutation ($id: ID!) {{ folder {{ {} }} }}", times(count, field))
    };
    shop.data(&publish(1), json!({ "id": folder })).await;
    shop.raised();
    // Published as they are: the copies are read, and not written.
    shop.copy(RecordKind::Item, &below, 10, FORTIETH_BYTES);
    shop.data(&publish(5), json!({ "id": folder })).await;
    assert!(shop.raised().is_empty());
    // The rows of a change bound what it goes over, however large they are.
    shop.copy(RecordKind::Item, &below, 40, FORTIETH_BYTES);
    shop.data(&publish(2), json!({ "id": folder })).await;
    assert!(shop.raised().is_empty());
    // What a query reads counts.
    assert_refused(&shop, LATEST, json!({})).await;
}

#[tokio::test]
async fn what_all_requests_hold_at_a_time_is_bounded_and_half_of_it_is_never_one_tokens() {
    let shop = Shop::open();
    let id = document(&shop, json!({})).await;
    shop.copy(RecordKind::Item, &id, 1, FORTIETH_BYTES);
    let get = "query ($id: ID!) { item { get(id: $id, language: \"en\") { id } } }";
    let (small, large) = (json!({ "id": id }), json!({ "id": format!("{id}-000") }));
    let half = READ_BYTES_AT_ONCE_MAX / 2;
    let assert_no_room = async || {
        let refusal = shop.refusal(get, large.clone()).await;
        assert!(refusal.starts_with("UNAVAILABLE: the server holds as much"), "{refusal}");
        shop.data(get, small.clone()).await;
    };
    let of = |user| shop.room.of(shop.tenant_id, Some(user));
    let own = of("ada").take(half - FORTIETH_BYTES / 2).unwrap();
    assert_no_room().await;
    drop(own);
    let colleagues = of("bo").take(half).unwrap();
    shop.data(get, large.clone()).await;
    drop(colleagues);
    let others = full(&shop.room);
    assert_no_room().await;
    drop(others);
    shop.data(get, large.clone()).await;
    assert_eq!(shop.room.bytes_held(), 0, "what a request took is given back as it ends");
}

/// All the room but a few bytes, held by other tenants: whoever takes some leaves some for one more.
fn full(room: &Arc<ByteRoom>) -> Vec<Taken> {
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
