//! Items, topics, grids and flows through the schema: what is read, what is refused, and which events are raised.

use crate::shop::{Shop, text};
use serde_json::{Value, json};

const FOLDER: &str = "mutation ($tenant: ID!, $name: String!, $tree: TreeNodeInput) { folder { create(language: \"en\",
    input: { tenantId: $tenant, name: $name, tree: $tree }) { id } } }";
const DOCUMENT: &str = "mutation ($tenant: ID!, $name: String!, $tree: TreeNodeInput, $components: [ComponentInput!],
    $topicIds: [ID!]) { document { create(language: \"en\", input: { tenantId: $tenant, name: $name, tree: $tree,
    components: $components, topicIds: $topicIds, externalReference: \"doc\" }) { id } } }";
const PRODUCT: &str = "mutation ($tenant: ID!, $variants: [CreateProductVariantInput!]!) { product { create(
    language: \"en\", input: { tenantId: $tenant, name: \"Chair\", variants: $variants }) { id } } }";
const TOPIC: &str = "mutation ($tenant: ID!) { topic { create(language: \"en\", input: { tenantId: $tenant,
    name: \"Colour\", children: [{ name: \"Red\" }, { name: \"Red\" }] }) { id children { id path } } } }";

async fn folder(shop: &Shop, name: &str, parent_id: Option<&str>) -> String {
    let tree = parent_id.map(|id| json!({ "parentId": id }));
    text(&shop.data(FOLDER, json!({ "name": name, "tree": tree })).await, "/folder/create/id")
}

async fn document(shop: &Shop, name: &str, parent_id: Option<&str>) -> String {
    let tree = parent_id.map(|id| json!({ "parentId": id }));
    text(&shop.data(DOCUMENT, json!({ "name": name, "tree": tree })).await, "/document/create/id")
}

async fn product(shop: &Shop, sku: &str) -> String {
    let variants = json!([{ "sku": sku, "isDefault": true, "price": 10.5, "stock": 3 }]);
    text(&shop.data(PRODUCT, json!({ "variants": variants })).await, "/product/create/id")
}

#[tokio::test]
async fn a_draft_is_apart_from_what_is_published() {
    let shop = Shop::open();
    let id = document(&shop, "Draft", None).await;
    let get = "query ($id: ID!, $label: VersionLabel!) { item { get(id: $id, language: \"en\", versionLabel: $label) {
        name type hasVersion(versionLabel: published) version { id label } tree { path } } } }";
    assert_eq!(shop.data(get, json!({ "id": id, "label": "published" })).await, json!({ "item": { "get": null } }));
    let publish = "mutation ($id: ID!) { document { publish(id: $id, language: \"en\") { id versionId } } }";
    let version = text(&shop.data(publish, json!({ "id": id })).await, "/document/publish/versionId");
    let rename =
        "mutation ($id: ID!) { document { update(id: $id, language: \"en\", input: { name: \"New\" }) { name } } }";
    shop.data(rename, json!({ "id": id })).await;
    let published = shop.data(get, json!({ "id": id, "label": "published" })).await;
    let expected = json!({ "name": "Draft", "type": "document", "hasVersion": true,
        "version": { "id": version, "label": "published" }, "tree": { "path": "/draft" } });
    assert_eq!(published["item"]["get"], expected);
    let current = shop.data(get, json!({ "id": id, "label": "current" })).await;
    assert_eq!(current.pointer("/item/get/name"), Some(&json!("New")));
    assert_eq!(current.pointer("/item/get/version/label"), Some(&json!("draft")));
    assert_eq!(current.pointer("/item/get/tree/path"), Some(&json!("/new")));
}

#[tokio::test]
async fn a_language_without_a_version_has_no_name_and_other_tenants_items_do_not_exist() {
    let shop = Shop::open();
    let id = document(&shop, "Only English", None).await;
    let get = "query ($id: ID!) { item { get(id: $id, language: \"no\") { id name hasVersion version { id } tree { path } } }
        document { get(id: $id, language: \"no\", versionLabel: draft) { id } } product { get(id: $id, language: \"en\") { id } } }";
    let expected = json!({ "item": { "get": { "id": id, "name": null, "hasVersion": false, "version": null,
        "tree": { "path": "/only-english" } } }, "document": { "get": null }, "product": { "get": null } });
    assert_eq!(shop.data(get, json!({ "id": id })).await, expected);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a step for each change")]
async fn each_change_raises_its_event_once_and_no_change_raises_none() {
    let shop = Shop::open();
    let folder_id = folder(&shop, "Folder", None).await;
    let id = document(&shop, "Below", Some(&folder_id)).await;
    let product_id = product(&shop, "chair").await;
    shop.raised();
    let of_folder = json!({ "id": folder_id });
    let of_product = json!({ "id": product_id });
    let item = |event: &str, id: &str, rest: &str| format!("items/{event} {id} {rest}");
    for (document, variables, expected) in [
        (
            "mutation ($id: ID!) { folder { update(id: $id, language: \"en\", input: { name: \"Folder\" }) { id } } }",
            &of_folder,
            vec![],
        ),
        (
            "mutation ($id: ID!) { folder { update(id: $id, language: \"en\", input: { name: \"Renamed\" }) { id } } }",
            &of_folder,
            vec![item("update", &folder_id, "en name,tree")],
        ),
        (
            "mutation ($id: ID!) { folder { update(id: $id, language: \"no\", input: { name: \"Mappe\" }) { id } } }",
            &of_folder,
            vec![item("update", &folder_id, "no name,tree")],
        ),
        (
            "mutation ($id: ID!) { folder { publish(id: $id, language: \"en\", includeDescendants: true) { id } } }",
            &of_folder,
            vec![item("publish", &folder_id, "en"), item("publish", &id, "en")],
        ),
        (
            "mutation ($id: ID!) { folder { publish(id: $id, language: \"en\", includeDescendants: true) { id } } }",
            &of_folder,
            vec![],
        ),
        (
            "mutation ($id: ID!) { folder { unpublish(id: $id, language: \"en\") { id } } }",
            &of_folder,
            vec![item("unpublish", &folder_id, "en")],
        ),
        ("mutation ($id: ID!) { folder { unpublish(id: $id, language: \"en\") { id } } }", &of_folder, vec![]),
        (
            "mutation ($id: ID!) { product { updateStock(productId: $id, sku: \"chair\", stock: 5) { stock } } }",
            &of_product,
            vec![item("update", &product_id, "en variants")],
        ),
        (
            "mutation ($id: ID!) { product { updateStock(productId: $id, sku: \"chair\", stock: 5) { stock } } }",
            &of_product,
            vec![],
        ),
        (
            "mutation ($id: ID!) { product { updateVariant(productId: $id, language: \"en\", input: { price: 10.5 }) { id } } }",
            &of_product,
            vec![],
        ),
        (
            "mutation ($id: ID!) { product { updateVariant(productId: $id, language: \"en\", input: { price: 11 }) { id } } }",
            &of_product,
            vec![item("update", &product_id, "en variants")],
        ),
        (
            "mutation ($id: ID!) { product { addVariant(productId: $id, language: \"en\",
            input: { sku: \"stool\", isDefault: false }) { id } } }",
            &of_product,
            vec![item("update", &product_id, "en variants")],
        ),
        (
            "mutation ($id: ID!) { product { setDefaultVariant(productId: $id, language: \"en\", sku: \"stool\") { id } } }",
            &of_product,
            vec![item("update", &product_id, "en variants")],
        ),
        (
            "mutation ($id: ID!) { product { updateVariantComponent(productId: $id, language: \"en\", sku: \"stool\",
            input: { componentId: \"weight\", numeric: { number: 2.5, unit: \"kg\" } }) { id } } }",
            &of_product,
            vec![item("update", &product_id, "en variants")],
        ),
        (
            "mutation ($id: ID!) { folder { delete(id: $id) } }",
            &of_folder,
            vec![item("delete", &id, "en with tombstone"), item("delete", &folder_id, "en with tombstone")],
        ),
        ("mutation ($id: ID!) { folder { delete(id: $id) } }", &of_folder, vec![]),
    ] {
        shop.data(document, variables.clone()).await;
        assert_eq!(shop.raised(), expected, "{document}");
    }
}

#[tokio::test]
async fn topics_raise_their_events_and_those_of_their_items() {
    let shop = Shop::open();
    let created = shop.data(TOPIC, json!({})).await;
    let (colour, red) = (text(&created, "/topic/create/id"), text(&created, "/topic/create/children/0/id"));
    assert_eq!(text(&created, "/topic/create/children/1/path"), "/colour/red-1");
    assert_eq!(shop.raised().len(), 3);
    let id = document(&shop, "Rose", None).await;
    shop.raised();
    let variables = json!({ "id": red, "item": id, "colour": colour });
    let add =
        "mutation ($id: ID!, $item: ID!) { topic { addItems(topicId: $id, itemIds: [$item, $item]) { modified } } }";
    for modified in [1, 0] {
        let added = shop.data(add, variables.clone()).await;
        assert_eq!(added.pointer("/topic/addItems/modified"), Some(&json!(modified)));
    }
    assert_eq!(shop.raised(), [format!("items/update {id} en topics")]);
    let get =
        "query ($tenant: ID!) { topic { get(language: \"en\", path: { tenantId: $tenant, path: \"/colour/red\" }) {
        id name parentId items { name topics { path } } ancestors { name } tenant { identifier } } } }";
    let expected = json!({ "topic": { "get": { "id": red, "name": "Red", "parentId": colour,
        "items": [{ "name": "Rose", "topics": [{ "path": "/colour/red" }] }], "ancestors": [{ "name": "Colour" }],
        "tenant": { "identifier": "shop" } } } });
    assert_eq!(shop.data(get, json!({})).await, expected);
    let rename =
        "mutation ($id: ID!) { topic { update(id: $id, language: \"en\", input: { name: \"Scarlet\" }) { path } } }";
    assert_eq!(text(&shop.data(rename, variables.clone()).await, "/topic/update/path"), "/colour/scarlet");
    shop.data(rename, variables.clone()).await;
    assert_eq!(shop.raised(), [format!("topics/update {red} en name,path")]);
    let cycle = "mutation ($id: ID!, $colour: ID!) { topic { update(id: $colour, language: \"en\",
        input: { parentId: $id }) { id } } }";
    assert!(shop.refusal(cycle, variables.clone()).await.starts_with("BAD_USER_INPUT"));
    let delete = "mutation ($colour: ID!) { topic { delete(id: $colour) } }";
    assert_eq!(shop.data(delete, variables).await, json!({ "topic": { "delete": 3 } }));
    let raised = shop.raised();
    assert_eq!(raised.iter().filter(|event| event.starts_with("topics/delete")).count(), 3);
    assert_eq!(raised.last(), Some(&format!("items/update {id} en topics")));
}

#[tokio::test]
async fn grids_have_rows_of_items_and_raise_their_events() {
    let shop = Shop::open();
    let item = document(&shop, "Cell", None).await;
    shop.raised();
    let create = "mutation ($tenant: ID!, $item: ID!) { grid { create(language: \"en\", input: { tenantId: $tenant,
        name: \"Front\", rows: [{ columns: [{ itemId: $item, layout: { colspan: 2 } }] }] }) { id } } }";
    let id = text(&shop.data(create, json!({ "item": item })).await, "/grid/create/id");
    let get = "query ($id: ID!) { grid { get(id: $id, language: \"en\") { name
        rows { columns { itemId itemType layout { colspan } item { name } } } } } }";
    let column =
        json!({ "itemId": item, "itemType": "document", "layout": { "colspan": 2 }, "item": { "name": "Cell" } });
    let expected = json!({ "grid": { "get": { "name": "Front", "rows": [{ "columns": [column] }] } } });
    assert_eq!(shop.data(get, json!({ "id": id })).await, expected);
    for (mutation, twice) in [
        ("update(id: $id, language: \"en\", input: { name: \"Back\" }) { id }", true),
        ("publish(id: $id, language: \"en\") { id versionId }", true),
        ("unpublish(id: $id, language: \"en\") { id }", true),
        ("delete(id: $id)", true),
    ] {
        let document = format!("mutation ($id: ID!) {{ grid {{ {mutation} }} }}");
        shop.data(&document, json!({ "id": id })).await;
        if twice {
            shop.data(&document, json!({ "id": id })).await;
        }
    }
    let expected = ["create", "update", "publish", "unpublish", "delete"].map(|event| match event {
        "update" => format!("grids/update {id} en name"),
        "delete" => format!("grids/delete {id} en with tombstone"),
        event => format!("grids/{event} {id} en"),
    });
    assert_eq!(shop.raised(), expected);
}

#[tokio::test]
async fn items_go_through_the_stages_of_a_flow() {
    let shop = Shop::open();
    let item = document(&shop, "News", None).await;
    let create = "mutation ($tenant: ID!) { flow { create(input: { tenantId: $tenant, name: \"Editing\",
        stages: [{ name: \"Write\" }, { name: \"Check\" }] }) { id stages { id } } } }";
    let created = shop.data(create, json!({})).await;
    let id = text(&created, "/flow/create/id");
    let stages = ["/flow/create/stages/0/id", "/flow/create/stages/1/id"].map(|at| text(&created, at));
    shop.raised();
    let variables = |stage: &str| json!({ "id": id, "item": item, "stage": stage });
    let step = |name: &str| {
        format!("mutation ($id: ID!, $item: ID!, $stage: ID!) {{ flow {{
        {name}(flowId: $id, itemId: $item, stageId: $stage) {{ stages {{ items(first: 5) {{ edges {{ node {{ name }} }} }} }} }} }} }}")
    };
    shop.data(&step("addItem"), variables(&stages[0])).await;
    shop.data(&step("addItem"), variables(&stages[0])).await;
    let refused = shop.refusal(&step("addItem"), variables(&stages[1])).await;
    assert!(refused.starts_with("CONFLICT"), "{refused}");
    let moved = shop.data(&step("moveItem"), variables(&stages[1])).await;
    let node = "/flow/moveItem/stages/1/items/edges/0/node/name";
    assert_eq!(moved.pointer(node), Some(&json!("News")));
    shop.data("mutation ($item: ID!) { document { delete(id: $item) } }", json!({ "item": item })).await;
    let [write, check] = &stages;
    assert_eq!(
        shop.raised(),
        [
            format!("flows/itemAddedToStage {item} en {write}"),
            format!("flows/itemRemovedFromStage {item} en {write}"),
            format!("flows/itemAddedToStage {item} en {check}"),
            format!("flows/itemRemovedFromStage {item} en {check}"),
            format!("items/delete {item} en with tombstone"),
        ]
    );
}

#[tokio::test]
async fn paths_are_unique_among_siblings_and_follow_a_move() {
    let shop = Shop::open();
    let a = folder(&shop, "A", None).await;
    let b = folder(&shop, "B", Some(&a)).await;
    let first = document(&shop, "Red Chair", Some(&b)).await;
    let second = document(&shop, "Red chair!", Some(&b)).await;
    let tree = "query ($id: ID!) { item { get(id: $id, language: \"en\") { tree { path position parentId childCount
        ancestors { itemId } siblings { itemId } parent { children { item { name } } } } } } }";
    let read = shop.data(tree, json!({ "id": second })).await;
    let expected = json!({ "path": "/a/b/red-chair-1", "position": 2, "parentId": b, "childCount": 0,
        "ancestors": [{ "itemId": a }, { "itemId": b }], "siblings": [{ "itemId": first }],
        "parent": { "children": [{ "item": { "name": "Red Chair" } }, { "item": { "name": "Red chair!" } }] } });
    assert_eq!(read["item"]["get"]["tree"], expected);
    shop.raised();
    let move_to =
        "mutation ($id: ID!, $to: TreeNodeInput!) { item { move(id: $id, tree: $to) { tree { path position } } } }";
    let moved = shop.data(move_to, json!({ "id": second, "to": { "parentId": b, "position": 1 } })).await;
    assert_eq!(moved["item"]["move"]["tree"], json!({ "path": "/a/b/red-chair-1", "position": 1 }));
    let to_top = json!({ "id": b, "to": { "parentId": shop.tenant_id.to_string() } });
    let moved = shop.data(move_to, to_top.clone()).await;
    assert_eq!(moved["item"]["move"]["tree"], json!({ "path": "/b", "position": 2 }));
    shop.data(move_to, to_top).await;
    assert_eq!(shop.raised(), [format!("items/update {second} en tree"), format!("items/update {b} en tree")]);
    shop.data(move_to, json!({ "id": a, "to": { "parentId": b } })).await;
    let refused = shop.refusal(move_to, json!({ "id": b, "to": { "parentId": a } })).await;
    assert!(refused.starts_with("BAD_USER_INPUT"), "{refused}");
}

#[tokio::test]
async fn wrong_input_is_refused_with_its_path() {
    let shop = Shop::open();
    product(&shop, "chair").await;
    let variants = |variants: Value| json!({ "variants": variants });
    for (given, expected) in [
        (json!([]), "BAD_USER_INPUT: input.variants: a product has at least one variant"),
        (json!([{ "sku": "", "isDefault": true }]), "BAD_USER_INPUT: input.variants.0.sku"),
        (
            json!([{ "sku": "a", "isDefault": true }, { "sku": "a", "isDefault": false }]),
            "BAD_USER_INPUT: input.variants",
        ),
        (
            json!([{ "sku": "a", "isDefault": true }, { "sku": "b", "isDefault": true }]),
            "BAD_USER_INPUT: input.variants",
        ),
        (json!([{ "sku": "chair", "isDefault": true }]), "CONFLICT: sku \"chair\" is taken"),
    ] {
        let refused = shop.refusal(PRODUCT, variants(given)).await;
        assert!(refused.starts_with(expected), "{refused}");
    }
    let two = json!([{ "componentId": "x", "boolean": { "value": true }, "singleLine": { "text": "y" } }]);
    let refused = shop.refusal(DOCUMENT, json!({ "name": "D", "components": two })).await;
    assert!(refused.starts_with("BAD_USER_INPUT: input.components.0: give exactly one"), "{refused}");
    let refused = shop.refusal(DOCUMENT, json!({ "name": "D", "topicIds": ["nope"] })).await;
    assert_eq!(refused, "BAD_USER_INPUT: input.topicIds: no topic \"nope\"");
}

#[tokio::test]
async fn a_hundred_related_items_are_read_in_a_bounded_number_of_reads() {
    let shop = Shop::open();
    let topics = shop.data(TOPIC, json!({})).await;
    let red = text(&topics, "/topic/create/children/0/id");
    let folder_id = folder(&shop, "Folder", None).await;
    let target = document(&shop, "Target", Some(&folder_id)).await;
    for index in 0..100 {
        let relation = json!([{ "componentId": "see", "itemRelations": { "itemIds": [target] } }]);
        let variables = json!({ "name": format!("Item {index}"), "tree": { "parentId": folder_id },
            "components": relation, "topicIds": [red] });
        shop.data(DOCUMENT, variables).await;
    }
    shop.reads();
    let query = "query ($id: ID!) { item { get(id: $id, language: \"en\") { relatingItems { name tree { path parent {
        itemId } } topics { path parent { name } } relatingItems { id } components { componentId content {
        ... on ItemRelationsContent { items { name } } } } } } } }";
    let read = shop.data(query, json!({ "id": target })).await;
    assert_eq!(read["item"]["get"]["relatingItems"].as_array().map(Vec::len), Some(100));
    assert_eq!(text(&read, "/item/get/relatingItems/7/tree/path"), "/folder/item-7");
    assert_eq!(text(&read, "/item/get/relatingItems/7/topics/0/path"), "/colour/red");
    assert_eq!(text(&read, "/item/get/relatingItems/7/components/0/content/items/0/name"), "Target");
    let reads = shop.reads();
    assert!(reads <= 12, "{reads} reads");
}

#[tokio::test]
async fn lists_within_lists_are_refused_before_they_fill_the_memory() {
    let shop = Shop::open();
    let folder_id = folder(&shop, "Folder", None).await;
    let mut id = String::new();
    for index in 0..60 {
        id = document(&shop, &format!("Item {index}"), Some(&folder_id)).await;
    }
    let query = "query ($id: ID!) { item { get(id: $id, language: \"en\") { tree { siblings { siblings { siblings {
        itemId } } } } } } }";
    let refusal = shop.refusal(query, json!({ "id": id })).await;
    assert!(refusal.starts_with("LIMIT_EXCEEDED: this reads more than"), "{refusal}");
}
