//! Tenant copies: the whole of a tenant, in batches, with new ids.

use crate::support::World;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::record::RecordKind;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::WebhookStatus;
use hookgraph_pim::copy::{CopyRound, CopyRunner};
use hookgraph_pim::limits::{COPY_TASKS_AT_ONCE_MAX, COPY_TASKS_RUNNING_MAX};
use hookgraph_testkit::sample;
use serde_json::{Value, json};

const START: &str = "mutation ($tenantId: ID!, $identifier: String!, $exclude: [TenantCopyExcludeableTypes!], $overwrite: Boolean) {
    tenant { createCopyTask(tenantId: $tenantId, desiredIdentifier: $identifier, exclude: $exclude, overwrite: $overwrite) { id } } }";

async fn filled_world() -> World {
    let world = World::new();
    let pipeline = r#"mutation ($tenantId: ID!) { pipeline { create(input: { tenantId: $tenantId, name: "P", stages: [{ name: "New", placeNewOrders: true }] }) { id } } }"#;
    world.ask(pipeline, json!({})).await;
    for n in 0..130 {
        let order = r#"mutation ($tenantId: ID!, $identifier: String) { order { create(input: { tenantId: $tenantId, customer: { identifier: $identifier }, cart: [] }) { id } } }"#;
        world.ask(order, json!({ "identifier": format!("c{}", n % 3) })).await;
    }
    let customer = r#"mutation ($tenantId: ID!) { customer { create(input: { tenantId: $tenantId, identifier: "c0", firstName: "A", lastName: "B" }) { identifier } } }"#;
    world.ask(customer, json!({})).await;
    let webhook = sample::webhook(WebhookId(uuid::Uuid::from_u128(5)), world.tenant_id);
    world.store.tables().webhooks.insert(webhook.id, webhook);
    world.raised();
    world
}

async fn run_to_the_end(world: &World) -> usize {
    let mut rounds = 0;
    // A new runner each round: all that it knows is in the store, as after a crash.
    while CopyRunner::new(world.services.clone()).run_once().await.unwrap() == CopyRound::Worked {
        rounds += 1;
        assert!(rounds < 100, "the copy does not end");
    }
    rounds
}

fn target_of(world: &World, identifier: &str) -> TenantId {
    world.store.tables().tenants.values().find(|tenant| tenant.identifier == identifier).unwrap().id
}

#[tokio::test]
async fn a_copy_has_all_records_under_new_ids_and_the_webhooks_switched_off() {
    let world = filled_world().await;
    world.ask(START, json!({ "identifier": "acme-copy" })).await;
    let rounds = run_to_the_end(&world).await;
    assert!(rounds > 12, "130 orders need more than one batch: {rounds} rounds");
    let target = target_of(&world, "acme-copy");
    let query = "query { order { getMany(first: 100) { edges { node { id tenantId customer { identifier lastName } pipelines { pipeline { id name } } } } pageInfo { totalNodes } } }
        pipeline { getMany(tenantId: \"<target>\") { edges { node { id } } } } }";
    let answer = world.ask_as(target, &query.replace("<target>", &target.to_string()), json!({})).await.unwrap();
    assert_eq!(answer["order"]["getMany"]["pageInfo"]["totalNodes"], 130);
    let pipeline_id = &answer["pipeline"]["getMany"]["edges"][0]["node"]["id"];
    for edge in answer["order"]["getMany"]["edges"].as_array().unwrap() {
        let node = &edge["node"];
        assert_eq!(node["tenantId"], target.to_string());
        assert_eq!(&node["pipelines"][0]["pipeline"]["id"], pipeline_id);
        let is_known = node["customer"]["identifier"] == "c0";
        assert_eq!(node["customer"]["lastName"] == "B", is_known);
    }
    let tables = world.store.tables();
    let keys = |tenant_id: TenantId, kind| -> Vec<String> {
        let own = tables.records.keys().filter(|(owner, reference)| *owner == tenant_id && reference.kind == kind);
        own.map(|(_, reference)| reference.key.clone()).collect()
    };
    let copied = keys(target, RecordKind::Order);
    assert!(keys(world.tenant_id, RecordKind::Order).iter().all(|key| !copied.contains(key)));
    let webhooks: Vec<_> = tables.webhooks.values().filter(|webhook| webhook.tenant_id == target).collect();
    assert_eq!(webhooks.iter().map(|webhook| webhook.status).collect::<Vec<_>>(), [WebhookStatus::Disabled]);
}

#[tokio::test]
async fn a_copy_raises_started_and_finished_of_its_source_and_nothing_else() {
    let world = filled_world().await;
    let task = world.ask(START, json!({ "identifier": "acme-copy" })).await["tenant"]["createCopyTask"]["id"].take();
    run_to_the_end(&world).await;
    let (source, target) = (world.tenant_id.to_string(), target_of(&world, "acme-copy").to_string());
    let told: Vec<_> =
        world.raised().iter().map(|event| (event.event_type.event.clone(), event.variables.clone().into())).collect();
    let variables = |target: Value| -> Value {
        json!({ "tenantId": source, "taskId": task, "targetIdentifier": "acme-copy", "targetTenantId": target, "error": null, "userId": "user-1" })
    };
    let expected: [(String, Value); 2] =
        [("copyStarted".to_owned(), variables(Value::Null)), ("copyFinished".to_owned(), variables(json!(target)))];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_excluded_is_left_out() {
    let world = filled_world().await;
    world.ask(START, json!({ "identifier": "acme-copy", "exclude": ["orders", "customers", "webhooks"] })).await;
    run_to_the_end(&world).await;
    let target = target_of(&world, "acme-copy");
    let tables = world.store.tables();
    let kinds: Vec<_> = tables.records.keys().filter(|(owner, _)| *owner == target).map(|(_, of)| of.kind).collect();
    assert_eq!(kinds, [RecordKind::Pipeline]);
    assert!(tables.webhooks.values().all(|webhook| webhook.tenant_id != target));
}

#[tokio::test]
async fn a_copy_whose_target_is_deleted_meanwhile_fails_with_its_event() {
    let world = filled_world().await;
    world.ask(START, json!({ "identifier": "acme-copy" })).await;
    CopyRunner::new(world.services.clone()).run_once().await.unwrap();
    let target = target_of(&world, "acme-copy");
    world.store.tables().tenants.remove(&target);
    run_to_the_end(&world).await;
    let failed = world.raised().pop().unwrap();
    assert_eq!(failed.event_type.event, "copyFailed");
    assert_eq!(failed.variables["error"], "the target was deleted while it was copied to");
    assert_eq!(failed.variables["targetTenantId"], target.to_string());
}

#[tokio::test]
async fn only_an_earlier_copy_of_the_same_tenant_is_overwritten() {
    let world = filled_world().await;
    let copy = json!({ "identifier": "acme-copy", "overwrite": true });
    world.ask(START, copy.clone()).await;
    run_to_the_end(&world).await;
    let first = target_of(&world, "acme-copy");
    world.ask(START, copy).await;
    run_to_the_end(&world).await;
    assert_ne!(target_of(&world, "acme-copy"), first);
    let stranger = sample::tenant(TenantId(uuid::Uuid::from_u128(0xb0b)), "stranger");
    world
        .store
        .tables()
        .tenants
        .insert(stranger.id, hookgraph_domain::tenant::Tenant { body: "{}".to_owned(), ..stranger });
    let onto = json!({ "tenantId": world.tenant_id.to_string(), "identifier": "stranger", "overwrite": true });
    assert_eq!(world.ask_as(world.tenant_id, START, onto).await, Err("CONFLICT".to_owned()));
}

#[tokio::test]
async fn an_earlier_copy_is_overwritten_however_it_has_lived_since() {
    let world = filled_world().await;
    let copy = json!({ "identifier": "acme-copy", "overwrite": true });
    world.ask(START, copy.clone()).await;
    run_to_the_end(&world).await;
    let first = target_of(&world, "acme-copy");
    let renamed = "mutation ($id: ID!) { tenant { update(id: $id, input: { name: \"Own\" }) { id } } }";
    world.ask_as(first, renamed, json!({ "id": first.to_string() })).await.unwrap();
    let customer = r#"mutation ($tenantId: ID!) { customer { create(input: { tenantId: $tenantId, identifier: "own", firstName: "A", lastName: "B" }) { identifier } } }"#;
    world.ask_as(first, customer, json!({ "tenantId": first.to_string() })).await.unwrap();
    world.ask(START, copy).await;
    run_to_the_end(&world).await;
    let tables = world.store.tables();
    assert!(!tables.tenants.contains_key(&first));
    assert!(tables.records.keys().all(|(_, reference)| reference.key != "own"), "it went with its tenant");
}

/// What reads all that a copy has, and no more.
fn needed() -> PermissionSet {
    let read = [
        Permission::TenantsWrite,
        Permission::ItemsRead,
        Permission::TopicsRead,
        Permission::GridsRead,
        Permission::OrdersRead,
        Permission::PipelinesRead,
        Permission::FlowsRead,
        Permission::CustomersRead,
        Permission::PriceListsRead,
        Permission::MarketsRead,
        Permission::SubscriptionContractsRead,
        Permission::WebhooksWrite,
    ];
    read.into_iter().collect()
}

/// The permission that a request for a copy lacks, if it lacks one.
async fn lacking(world: &World, permissions: PermissionSet, exclude: &[&str]) -> Option<String> {
    let variables = json!({ "identifier": "acme-copy", "exclude": exclude });
    let answer = serde_json::to_value(world.respond_permitted(permissions, START, variables).await).unwrap();
    let error = answer["errors"].as_array()?.first()?.clone();
    assert_eq!(error["extensions"]["code"], "FORBIDDEN", "{answer}");
    Some(error["extensions"]["permission"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn whoever_copies_a_tenant_may_read_what_is_copied() {
    let world = World::new();
    for permission in needed().iter().filter(|permission| *permission != Permission::TenantsWrite) {
        let lacks = lacking(&world, needed().without(permission), &[]).await;
        assert_eq!(lacks.as_deref(), Some(permission.as_str()));
    }
    let reads_webhooks = needed().without(Permission::WebhooksWrite).with(Permission::WebhooksRead);
    assert_eq!(lacking(&world, reads_webhooks, &["assets"]).await.as_deref(), Some("WEBHOOKS_WRITE"));
    assert!(world.store.tables().tasks.is_empty(), "nothing was begun");
    assert_eq!(lacking(&world, needed(), &[]).await, None);
    assert_eq!(world.store.tables().tasks.len(), 1);
}

#[tokio::test]
async fn what_is_excluded_from_a_copy_need_not_be_read() {
    for (excluded, permission) in [
        ("customers", Permission::CustomersRead),
        ("orders", Permission::OrdersRead),
        ("subscriptionContracts", Permission::SubscriptionContractsRead),
        ("webhooks", Permission::WebhooksWrite),
    ] {
        let world = World::new();
        let others: Vec<_> = ["assets", "customers", "orders", "subscriptionContracts", "webhooks"]
            .into_iter()
            .filter(|other| *other != excluded)
            .collect();
        let permissions = needed().without(permission);
        assert_eq!(lacking(&world, permissions, &others).await.as_deref(), Some(permission.as_str()), "{excluded}");
        assert_eq!(lacking(&world, permissions, &[excluded]).await, None, "{excluded}");
    }
}

#[tokio::test]
async fn so_many_copies_of_a_tenant_run_at_a_time() {
    let world = World::new();
    let identifier = |number: usize| json!({ "identifier": format!("copy-{number}") });
    for number in 1..=COPY_TASKS_RUNNING_MAX {
        world.ask(START, identifier(number)).await;
    }
    let mut beyond = identifier(COPY_TASKS_RUNNING_MAX + 1);
    beyond["tenantId"] = json!(world.tenant_id.to_string());
    let refused = world.respond(world.tenant_id, START, beyond.clone()).await;
    let expected = format!("{COPY_TASKS_RUNNING_MAX} copies of this tenant are running: wait for one to end");
    assert_eq!(refused.errors[0].message, expected);
    assert_eq!(world.ask_as(world.tenant_id, START, beyond.clone()).await, Err("LIMIT_EXCEEDED".to_owned()));
    run_to_the_end(&world).await;
    world.ask(START, beyond).await;
}

#[tokio::test]
async fn a_round_advances_so_many_copies_and_the_oldest_of_them() {
    let world = World::new();
    for number in 0..=COPY_TASKS_AT_ONCE_MAX {
        let id = TenantId(uuid::Uuid::from_u128(0xc000 + u128::from(number)));
        let source = sample::tenant(id, &format!("source-{number}"));
        let source = hookgraph_domain::tenant::Tenant { body: "{}".to_owned(), ..source };
        world.store.tables().tenants.insert(id, source);
        let copy = json!({ "tenantId": id.to_string(), "identifier": format!("copy-{number}") });
        world.ask_as(id, START, copy).await.unwrap();
    }
    // The first of them is the latest.
    for (task, older_ms) in world.store.tables().tasks.values_mut().zip(1..) {
        task.created_at = plus_ms(task.created_at, 1_000 - older_ms);
    }
    assert_eq!(CopyRunner::new(world.services.clone()).run_once().await.unwrap(), CopyRound::Worked);
    let tables = world.store.tables();
    let is_advanced: Vec<_> = tables.tasks.values().map(|task| task.target_tenant_id.is_some()).collect();
    let expected: Vec<_> = (0..=COPY_TASKS_AT_ONCE_MAX).map(|number| number > 0).collect();
    assert_eq!(is_advanced, expected);
}
