//! The bounds of texts, lists and trees: what is at one is taken, and what is one beyond it is refused with its code and place.

use crate::shop::{Shop, text};
use hookgraph_domain::record::RecordKind;
use hookgraph_pim::limits::{
    COMPONENTS_MAX, IDENTIFIER_CHARS_MAX, INPUT_LIST_MAX, LANGUAGE_CHARS_MAX, LIST_MAX, READ_BATCH_ROWS,
    SLUG_TRIES_MAX, STAGES_MAX, TENANT_IDENTIFIER_CHARS_MAX, TEXT_CHARS_MAX, TREE_DEPTH_MAX, VARIANTS_MAX,
};
use serde_json::{Value, json};

const FOLDER: &str = "mutation ($tenant: ID!, $name: String!, $tree: TreeNodeInput) { folder { create(language: \"en\",
    input: { tenantId: $tenant, name: $name, tree: $tree }) { id } } }";
const DOCUMENT: &str = "mutation ($tenant: ID!, $reference: String, $components: [ComponentInput!], $topicIds: [ID!]) {
    document { create(language: \"en\", input: { tenantId: $tenant, name: \"Document\", externalReference: $reference,
    components: $components, topicIds: $topicIds }) { id } } }";
const PRODUCT: &str = "mutation ($tenant: ID!, $variants: [CreateProductVariantInput!]!) { product { create(
    language: \"en\", input: { tenantId: $tenant, name: \"Chair\", variants: $variants }) { id } } }";
const FLOW: &str = "mutation ($tenant: ID!, $name: String!, $stages: [CreateFlowStageInput!]) { flow { create(input: {
    tenantId: $tenant, name: $name, stages: $stages }) { id } } }";
const PIPELINE: &str = "mutation ($tenant: ID!, $stages: [CreatePipelineStageInput!]) { pipeline { create(input: {
    tenantId: $tenant, name: \"Sales\", stages: $stages }) { id } } }";
const TOPIC: &str = "mutation ($tenant: ID!, $parent: ID, $children: [CreateChildTopicInput!]) { topic { create(
    language: \"en\", input: { tenantId: $tenant, name: \"Same\", parentId: $parent, children: $children }) { id path } } }";

/// A document at a bound of it, with what is given of so many, and the refusal of one more.
struct Bound {
    max: usize,
    document: &'static str,
    given: fn(usize) -> Value,
    refused: String,
}

fn bound(max: usize, document: &'static str, given: fn(usize) -> Value, refused: String) -> Bound {
    Bound { max, document, given, refused }
}

async fn assert_bounded(shop: &Shop, document: &str, taken: Value, beyond: Value, refused: &str) {
    shop.data(document, taken).await;
    assert_eq!(shop.refusal(document, beyond).await, refused, "{document}");
}

/// The elements `0`, `1` … of a list.
fn numbered(count: usize, element: impl Fn(String) -> Value) -> Value {
    (0..count).map(|index| element(index.to_string())).collect()
}

fn too_many(path: &str, max: usize) -> String {
    format!("BAD_USER_INPUT: {path}: {} elements, {max} are allowed", max + 1)
}

#[expect(clippy::too_many_lines, reason = "a list of bounds")]
fn texts() -> Vec<Bound> {
    let length =
        |path: &str, max: usize| format!("BAD_USER_INPUT: {path}: {} characters; 1 to {max} are allowed", max + 1);
    let in_language = "mutation ($tenant: ID!, $language: String!) { folder { create(language: $language, input: {
        tenantId: $tenant, name: \"Folder\" }) { id } } }";
    let tenant = "mutation ($name: String!) { tenant { create(input: { identifier: $name, name: \"T\" }) { id } } }";
    let customer = "mutation ($tenant: ID!, $name: String!) { customer { create(input: { tenantId: $tenant,
        identifier: $name, firstName: \"Ada\", lastName: \"L\" }) { identifier } } }";
    let language = "x".repeat(LANGUAGE_CHARS_MAX + 1);
    vec![
        // Of characters, not of bytes.
        bound(
            TEXT_CHARS_MAX,
            FOLDER,
            |max| json!({ "name": "\u{f8}".repeat(max) }),
            length("input.name", TEXT_CHARS_MAX),
        ),
        bound(
            TEXT_CHARS_MAX,
            DOCUMENT,
            |max| json!({ "components": [{ "componentId": "a", "singleLine": { "text": "x".repeat(max) } }] }),
            format!(
                "BAD_USER_INPUT: input.components.0.singleLine.text: {} characters, {TEXT_CHARS_MAX} are allowed",
                TEXT_CHARS_MAX + 1
            ),
        ),
        bound(
            IDENTIFIER_CHARS_MAX,
            DOCUMENT,
            |max| json!({ "components": [{ "componentId": "x".repeat(max), "boolean": { "value": true } }] }),
            format!(
                "BAD_USER_INPUT: input.components.0.componentId: a component id has 1 to {IDENTIFIER_CHARS_MAX} characters"
            ),
        ),
        bound(
            IDENTIFIER_CHARS_MAX,
            DOCUMENT,
            |max| json!({ "reference": "x".repeat(max) }),
            length("input.externalReference", IDENTIFIER_CHARS_MAX),
        ),
        bound(
            IDENTIFIER_CHARS_MAX,
            PRODUCT,
            |max| json!({ "variants": [{ "sku": "x".repeat(max), "isDefault": true }] }),
            format!(
                "BAD_USER_INPUT: input.variants.0.sku: a sku has 1 to {IDENTIFIER_CHARS_MAX} characters and no control characters"
            ),
        ),
        bound(
            IDENTIFIER_CHARS_MAX,
            customer,
            |max| json!({ "name": "x".repeat(max) }),
            format!(
                "BAD_USER_INPUT: input.identifier: an identifier has 1 to {IDENTIFIER_CHARS_MAX} characters and no control characters"
            ),
        ),
        bound(
            IDENTIFIER_CHARS_MAX,
            FLOW,
            |max| json!({ "name": "x".repeat(max) }),
            length("input.name", IDENTIFIER_CHARS_MAX),
        ),
        bound(
            TENANT_IDENTIFIER_CHARS_MAX,
            tenant,
            |max| json!({ "name": "x".repeat(max) }),
            format!(
                "BAD_USER_INPUT: input.identifier: a tenant's identifier has 1 to {TENANT_IDENTIFIER_CHARS_MAX} lower-case letters, digits and dashes"
            ),
        ),
        bound(
            LANGUAGE_CHARS_MAX,
            in_language,
            |max| json!({ "language": "x".repeat(max) }),
            format!(
                "BAD_USER_INPUT: language: {language:?} is no language code like en or en-GB of at most {LANGUAGE_CHARS_MAX} letters"
            ),
        ),
    ]
}

#[tokio::test]
async fn texts_are_taken_at_their_bounds_and_refused_beyond_them() {
    let shop = Shop::open();
    for Bound { max, document, given, refused } in texts() {
        assert_bounded(&shop, document, given(max), given(max + 1), &refused).await;
    }
}

/// Topics below each other.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({ "name": "Leaf" }), |below, _| json!({ "name": "Branch", "children": [below] }))
}

fn variants(count: usize) -> Value {
    numbered(count, |sku| json!({ "isDefault": sku == "0", "sku": sku }))
}

#[expect(clippy::too_many_lines, reason = "a list of bounds")]
fn lists() -> Vec<Bound> {
    let grid = "mutation ($tenant: ID!, $rows: [GridRowInput!]) { grid { create(language: \"en\", input: {
        tenantId: $tenant, name: \"Front\", rows: $rows }) { id } } }";
    let items = "query ($references: [String!]) { item { getMany(language: \"en\", externalReferences: $references) {
        id } } }";
    let by_skus = "query ($tenant: ID!, $skus: [String!]) { product { getVariants(language: \"en\", tenantId: $tenant,
        skus: $skus) { sku } } }";
    vec![
        bound(
            COMPONENTS_MAX,
            DOCUMENT,
            |max| json!({ "components": numbered(max, |id| json!({ "componentId": id, "boolean": { "value": true } })) }),
            format!(
                "BAD_USER_INPUT: input.components: {} components, {COMPONENTS_MAX} are allowed",
                COMPONENTS_MAX + 1
            ),
        ),
        bound(
            INPUT_LIST_MAX,
            DOCUMENT,
            |max| json!({ "components": [{ "componentId": "a", "selection": { "keys": numbered(max, Value::String) } }] }),
            too_many("input.components.0.selection.keys", INPUT_LIST_MAX),
        ),
        bound(
            VARIANTS_MAX,
            PRODUCT,
            |max| json!({ "variants": variants(max) }),
            format!("BAD_USER_INPUT: input.variants: {} variants, {VARIANTS_MAX} are allowed", VARIANTS_MAX + 1),
        ),
        bound(
            INPUT_LIST_MAX,
            PRODUCT,
            |max| {
                let attributes = numbered(max, |name| json!({ "attribute": name, "value": "x" }));
                json!({ "variants": [{ "sku": "attributes", "isDefault": true, "attributes": attributes }] })
            },
            too_many("input.variants.0.attributes", INPUT_LIST_MAX),
        ),
        bound(
            INPUT_LIST_MAX,
            PRODUCT,
            |max| {
                let prices = numbered(max, |name| json!({ "identifier": name, "price": 1 }));
                json!({ "variants": [{ "sku": "prices", "isDefault": true, "priceVariants": prices }] })
            },
            too_many("input.variants.0.priceVariants", INPUT_LIST_MAX),
        ),
        bound(
            INPUT_LIST_MAX,
            grid,
            |max| json!({ "rows": numbered(max, |_| json!({})) }),
            format!(
                "BAD_USER_INPUT: input.rows: {} rows and columns, {INPUT_LIST_MAX} are allowed",
                INPUT_LIST_MAX + 1
            ),
        ),
        bound(
            INPUT_LIST_MAX,
            items,
            |max| json!({ "references": numbered(max, Value::String) }),
            too_many("externalReferences", INPUT_LIST_MAX),
        ),
        bound(
            INPUT_LIST_MAX,
            by_skus,
            |max| json!({ "skus": numbered(max, |sku| json!(format!("unknown-{sku}"))) }),
            too_many("skus", INPUT_LIST_MAX),
        ),
        bound(STAGES_MAX, FLOW, |max| json!({ "name": "F", "stages": stages(max) }), too_many_stages("flow")),
        bound(STAGES_MAX, PIPELINE, |max| json!({ "stages": stages(max) }), too_many_stages("pipeline")),
        bound(
            TREE_DEPTH_MAX,
            TOPIC,
            |max| json!({ "children": [nested(max - 1)] }),
            format!("LIMIT_EXCEEDED: more than {TREE_DEPTH_MAX} topics above each other"),
        ),
    ]
}

fn stages(count: usize) -> Value {
    numbered(count, |name| json!({ "name": name }))
}

fn too_many_stages(what: &str) -> String {
    format!("LIMIT_EXCEEDED: a {what} has at most {STAGES_MAX} stages")
}

#[tokio::test]
async fn lists_are_taken_at_their_bounds_and_refused_beyond_them() {
    let shop = Shop::open();
    for Bound { max, document, given, refused } in lists() {
        assert_bounded(&shop, document, given(max), given(max + 1), &refused).await;
    }
}

#[tokio::test]
async fn what_is_added_to_a_product_comes_to_the_same_bounds() {
    let shop = Shop::open();
    let components = numbered(COMPONENTS_MAX - 1, |id| json!({ "componentId": id, "boolean": { "value": true } }));
    let locations = numbered(INPUT_LIST_MAX - 1, |name| json!({ "identifier": name, "stock": 1 }));
    let mut variants = variants(VARIANTS_MAX - 1);
    variants[0]["components"] = components;
    variants[0]["stockLocations"] = locations;
    let id = text(&shop.data(PRODUCT, json!({ "variants": variants })).await, "/product/create/id");
    for (document, refused) in [
        (
            "mutation ($id: ID!, $new: String!) { product { addVariant(productId: $id, language: \"en\", input: {
            sku: $new, isDefault: false }) { id } } }",
            format!("BAD_USER_INPUT: input.variants: {} variants, {VARIANTS_MAX} are allowed", VARIANTS_MAX + 1),
        ),
        (
            "mutation ($id: ID!, $new: String!) { product { updateVariantComponent(productId: $id, language: \"en\",
            sku: \"0\", input: { componentId: $new, boolean: { value: true } }) { id } } }",
            format!("LIMIT_EXCEEDED: a variant has at most {COMPONENTS_MAX} components"),
        ),
        (
            "mutation ($id: ID!, $new: String!) { product { updateStock(productId: $id, sku: \"0\", stock: 1,
            stockLocationIdentifier: $new) { stock } } }",
            format!("LIMIT_EXCEEDED: a variant has at most {INPUT_LIST_MAX} stock locations"),
        ),
    ] {
        let new = |new: &str| json!({ "id": id, "new": new });
        assert_bounded(&shop, document, new("last"), new("beyond"), &refused).await;
    }
}

#[tokio::test]
async fn stages_that_are_added_come_to_the_same_bounds() {
    let shop = Shop::open();
    let flow = shop.data(FLOW, json!({ "name": "F", "stages": stages(STAGES_MAX - 1) })).await;
    let id = json!({ "id": text(&flow, "/flow/create/id") });
    let add = "mutation ($id: ID!) { flow { addStage(flowId: $id, input: { name: \"More\" }) { id } } }";
    assert_bounded(&shop, add, id.clone(), id, &too_many_stages("flow")).await;
    let pipeline = shop.data(PIPELINE, json!({ "stages": stages(STAGES_MAX - 1) })).await;
    let id = json!({ "id": text(&pipeline, "/pipeline/create/id") });
    let add = "mutation ($id: ID!) { pipeline { addStage(pipelineId: $id, input: { name: \"More\" }) { id } } }";
    assert_bounded(&shop, add, id.clone(), id, &too_many_stages("pipeline")).await;
}

#[tokio::test]
async fn the_topics_of_an_item_and_the_items_of_a_topic_are_counted_as_they_are_given() {
    let shop = Shop::open();
    let topic = text(&shop.data(TOPIC, json!({})).await, "/topic/create/id");
    let item = text(&shop.data(DOCUMENT, json!({})).await, "/document/create/id");
    let topics = |count| json!({ "topicIds": vec![&topic; count] });
    let refused =
        format!("BAD_USER_INPUT: input.topicIds: {} topics, {INPUT_LIST_MAX} are allowed", INPUT_LIST_MAX + 1);
    assert_bounded(&shop, DOCUMENT, topics(INPUT_LIST_MAX), topics(INPUT_LIST_MAX + 1), &refused).await;
    let items = |count| json!({ "id": topic, "items": vec![&item; count] });
    let add = "mutation ($id: ID!, $items: [ID!]!) { topic { addItems(topicId: $id, itemIds: $items) { modified } } }";
    let refused = format!("BAD_USER_INPUT: itemIds: {} items, {INPUT_LIST_MAX} are allowed", INPUT_LIST_MAX + 1);
    assert_bounded(&shop, add, items(INPUT_LIST_MAX), items(INPUT_LIST_MAX + 1), &refused).await;
}

async fn folder(shop: &Shop, name: &str, parent_id: Option<&str>) -> String {
    let tree = parent_id.map(|id| json!({ "parentId": id }));
    text(&shop.data(FOLDER, json!({ "name": name, "tree": tree })).await, "/folder/create/id")
}

#[tokio::test]
async fn items_are_so_many_above_each_other_and_no_more_however_they_come_there() {
    let shop = Shop::open();
    let mut line: Vec<String> = Vec::new();
    for _ in 1..TREE_DEPTH_MAX {
        line.push(folder(&shop, "Line", line.last().map(String::as_str)).await);
    }
    let refused = format!("LIMIT_EXCEEDED: more than {TREE_DEPTH_MAX} items above each other");
    let parent = folder(&shop, "Pair", None).await;
    folder(&shop, "Below", Some(&parent)).await;
    let move_to = "mutation ($id: ID!, $to: ID!) { item { move(id: $id, tree: { parentId: $to }) { id } } }";
    let below = |above: usize| json!({ "id": parent, "to": line[above - 1] });
    // With what is below it.
    assert_bounded(&shop, move_to, below(TREE_DEPTH_MAX - 2), below(TREE_DEPTH_MAX - 1), &refused).await;
    let last = folder(&shop, "Last", line.last().map(String::as_str)).await;
    let beyond = json!({ "name": "Beyond", "tree": { "parentId": last } });
    assert_eq!(shop.refusal(FOLDER, beyond).await, refused);
}

#[tokio::test]
async fn topics_are_so_many_above_each_other_when_they_are_moved_too() {
    let shop = Shop::open();
    let mut line: Vec<String> = Vec::new();
    for _ in 1..TREE_DEPTH_MAX {
        line.push(text(&shop.data(TOPIC, json!({ "parent": line.last() })).await, "/topic/create/id"));
    }
    let pair = shop.data(TOPIC, json!({ "children": [{ "name": "Below" }] })).await;
    let pair = text(&pair, "/topic/create/id");
    let move_to =
        "mutation ($id: ID!, $to: ID!) { topic { update(id: $id, language: \"en\", input: { parentId: $to }) {
        id } } }";
    let below = |above: usize| json!({ "id": pair, "to": line[above - 1] });
    let refused = format!("LIMIT_EXCEEDED: more than {TREE_DEPTH_MAX} topics above each other");
    assert_bounded(&shop, move_to, below(TREE_DEPTH_MAX - 2), below(TREE_DEPTH_MAX - 1), &refused).await;
}

#[tokio::test]
async fn a_part_of_a_path_ends_in_the_id_where_too_many_beside_it_have_the_name() {
    let shop = Shop::open();
    let get = "query ($id: ID!) { item { get(id: $id, language: \"en\") { tree { path } } } }";
    let path = async |id: &str| text(&shop.data(get, json!({ "id": id })).await, "/item/get/tree/path");
    let mut last = String::new();
    for _ in 0..SLUG_TRIES_MAX {
        last = folder(&shop, "Same", None).await;
    }
    assert_eq!(path(&last).await, format!("/same-{}", SLUG_TRIES_MAX - 1));
    let beyond = folder(&shop, "Same", None).await;
    assert_eq!(path(&beyond).await, format!("/same-{beyond}"));

    let mut last = json!(null);
    for _ in 0..SLUG_TRIES_MAX {
        last = shop.data(TOPIC, json!({})).await;
    }
    assert_eq!(text(&last, "/topic/create/path"), format!("/same-{}", SLUG_TRIES_MAX - 1));
    let beyond = shop.data(TOPIC, json!({})).await;
    let id = text(&beyond, "/topic/create/id");
    assert_eq!(text(&beyond, "/topic/create/path"), format!("/same-{id}"));
}

/// How many ids are in the list at a JSON pointer.
fn count(data: &Value, pointer: &str) -> Option<usize> {
    data.pointer(pointer).and_then(Value::as_array).map(Vec::len)
}

#[tokio::test]
async fn a_list_without_pages_has_so_many_items_and_says_no_more() {
    let list_max = LIST_MAX as usize;
    let latest = "{ item { getMany(language: \"en\") { id } } }";
    let relating = "query ($id: ID!) { item { get(id: $id, language: \"en\") { relatingItems { id } } } }";
    for (copies, listed) in [(list_max - 2, list_max - 1), (list_max, list_max)] {
        let shop = Shop::open();
        let target = text(&shop.data(DOCUMENT, json!({})).await, "/document/create/id");
        let relation = json!([{ "componentId": "see", "itemRelations": { "itemIds": [target] } }]);
        let first = shop.data(DOCUMENT, json!({ "components": relation })).await;
        let first = text(&first, "/document/create/id");
        shop.copy(RecordKind::Item, &first, copies, 0);
        let found = shop.data(relating, json!({ "id": target })).await;
        assert_eq!(count(&found, "/item/get/relatingItems"), Some(listed), "{copies}");
        shop.reads();
        let found = shop.data(latest, json!({})).await;
        // The item that they relate to is one more, while there is room for it.
        assert_eq!(count(&found, "/item/getMany"), Some(list_max), "{copies}");
        assert_eq!(shop.reads(), (LIST_MAX / READ_BATCH_ROWS) as usize, "{copies}");
        let is_listed = found["item"]["getMany"].as_array().unwrap().contains(&json!({ "id": target }));
        assert_eq!(is_listed, copies < list_max, "the latest come first: {copies}");
    }
}
