//! Every field of both SDLs against the permission that guards it.

use super::documents::{self, object, objects_of};
use crate::Api;
use crate::access::needs::{of_field, of_operation};
use crate::document::{Validator, parse};
use crate::limits::CALL_DOCUMENT;
use crate::tests::world::{World, world};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema};
use async_graphql::Request;
use futures::{FutureExt, StreamExt};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_pim::Caller;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Fields that every token may ask for: the catalogue of event types, and the namespaces, which hold nothing themselves.
/// This list may only shrink.
const OPEN: [&str; 14] = [
    "EventType.category",
    "EventType.categoryName",
    "EventType.concern",
    "EventType.description",
    "EventType.event",
    "EventType.exampleDefaultPayload",
    "EventType.id",
    "EventType.variables",
    "EventTypeQueries.get",
    "EventTypeQueries.getMany",
    "EventVariable.description",
    "EventVariable.isRequired",
    "EventVariable.name",
    "EventVariable.type",
];

/// The tenant of the tests' world.
const OWN_TENANT: &str = "00000000-0000-0000-0000-000000000001";

/// The types that show a noun, and the permission without which nothing may lead to them.
const SHOWN: [(&str, Permission); 19] = [
    ("Item", Permission::ItemsRead),
    ("Product", Permission::ItemsRead),
    ("Document", Permission::ItemsRead),
    ("Folder", Permission::ItemsRead),
    ("TreeNode", Permission::ItemsRead),
    ("Topic", Permission::TopicsRead),
    ("Grid", Permission::GridsRead),
    ("Order", Permission::OrdersRead),
    ("Pipeline", Permission::PipelinesRead),
    ("Flow", Permission::FlowsRead),
    ("Customer", Permission::CustomersRead),
    ("PriceList", Permission::PriceListsRead),
    ("Market", Permission::MarketsRead),
    ("SubscriptionContract", Permission::SubscriptionContractsRead),
    ("Tenant", Permission::TenantsRead),
    ("Webhook", Permission::WebhooksRead),
    ("Event", Permission::EventsRead),
    ("AccessToken", Permission::TokensRead),
    ("AuditEntry", Permission::AuditRead),
];

/// What `createCopyTask` needs beside what the schema names, each permission but where its noun is excluded.
const COPIED_UNLESS_EXCLUDED: [Permission; 4] = [
    Permission::CustomersRead,
    Permission::OrdersRead,
    Permission::SubscriptionContractsRead,
    Permission::WebhooksWrite,
];

pub fn schemas() -> [(&'static str, Valid<Schema>); 2] {
    let parsed = |sdl: String| Schema::parse_and_validate(sdl, "schema.graphql").unwrap();
    [("management", parsed(Api::sdl())), ("payload", parsed(Api::payload_sdl()))]
}

/// A set with the reading that writing implies.
fn with_reads(set: PermissionSet) -> PermissionSet {
    Permission::ALL.into_iter().filter(|permission| set.allows(*permission)).collect()
}

fn both(one: PermissionSet, other: PermissionSet) -> PermissionSet {
    one.iter().filter(|permission| other.iter().any(|known| known == *permission)).collect()
}

/// For each object type, the permissions that every way to it needs.
fn inherited(schema: &Schema) -> BTreeMap<Name, PermissionSet> {
    let definition = &schema.schema_definition;
    let roots = [&definition.query, &definition.mutation, &definition.subscription];
    let mut known: BTreeMap<Name, PermissionSet> =
        roots.into_iter().flatten().map(|root| (root.name.clone(), PermissionSet::NONE)).collect();
    loop {
        let before = known.clone();
        for (type_name, held) in &before {
            let Some(object) = object(schema, type_name) else { continue };
            for field in object.fields.values() {
                let way = with_reads(of_field(field).fold(*held, PermissionSet::with));
                for reached in objects_of(schema, field.ty.inner_named_type()) {
                    let narrowed = known.get(&reached).map_or(way, |other| both(*other, way));
                    known.insert(reached, narrowed);
                }
            }
        }
        if known == before {
            return known;
        }
    }
}

/// The object types that some way leads to on which no field names a permission.
fn open_types(schema: &Schema) -> BTreeSet<Name> {
    let definition = &schema.schema_definition;
    let roots = [&definition.query, &definition.mutation, &definition.subscription];
    let mut open: BTreeSet<Name> = roots.into_iter().flatten().map(|root| root.name.clone()).collect();
    let mut waiting: Vec<Name> = open.iter().cloned().collect();
    while let Some(type_name) = waiting.pop() {
        for field in object(schema, &type_name).unwrap().fields.values().filter(|field| of_field(field).count() == 0) {
            for reached in objects_of(schema, field.ty.inner_named_type()) {
                if open.insert(reached.clone()) {
                    waiting.push(reached);
                }
            }
        }
    }
    open
}

#[test]
fn every_field_is_guarded_or_on_the_list_of_open_ones() {
    let mut seen = BTreeSet::new();
    for (_, schema) in schemas() {
        for type_name in open_types(&schema) {
            for (name, field) in &object(&schema, &type_name).unwrap().fields {
                let target = field.ty.inner_named_type();
                let is_namespace = target.ends_with("Queries") || target.ends_with("Mutations");
                if of_field(field).count() == 0 && !is_namespace {
                    seen.insert(format!("{type_name}.{name}"));
                }
            }
        }
    }
    let open: BTreeSet<_> = OPEN.iter().map(|&open| open.to_owned()).collect();
    let new: Vec<_> = seen.difference(&open).collect();
    assert!(new.is_empty(), "open to every token: {new:?}");
    let stale: Vec<_> = open.difference(&seen).collect();
    assert!(stale.is_empty(), "not open any more, take them off the list: {stale:?}");
}

#[test]
fn whatever_leads_to_a_noun_needs_its_permission() {
    let mut open = Vec::new();
    for (schema_name, schema) in schemas() {
        let inherited = inherited(&schema);
        for (type_name, permission) in SHOWN {
            if let Some(held) = inherited.get(&Name::new(type_name).unwrap())
                && !held.allows(permission)
            {
                open.push(format!("{schema_name}: a way to {type_name} does not need {permission}"));
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
}

async fn asked(world: &World, schema_name: &str, operation: &str, caller: &Caller, document: &str) -> Value {
    let request = Request::new(document);
    let response = match (schema_name, operation) {
        ("payload", _) => world.api.execute_payload(caller.clone(), request).await,
        (_, "subscription") => {
            // What is let in waits for news, which this store has none of.
            let first = world.api.subscribe(caller.clone(), request).next().now_or_never().flatten();
            first.unwrap_or_else(|| async_graphql::Response::new(async_graphql::Value::Null))
        }
        _ => world.api.execute(caller.clone(), request).await,
    };
    serde_json::to_value(response).unwrap()
}

fn forbidden(answer: &Value) -> Option<&str> {
    let errors = answer["errors"].as_array()?;
    let refused = errors.iter().find(|error| error["extensions"]["code"] == "FORBIDDEN")?;
    Some(refused["extensions"]["permission"].as_str().unwrap_or("unnamed"))
}

#[tokio::test]
async fn each_field_is_refused_without_its_permission_and_the_refusal_names_it() {
    let (world, mut count, mut wrong) = (world().await, 0, Vec::new());
    for (schema_name, schema) in schemas() {
        for made in documents::all(&schema, OWN_TENANT, false) {
            let field = &object(&schema, &Name::new(&made.type_name).unwrap()).unwrap().fields[made.field.as_str()];
            for permission in of_field(field) {
                let all = PermissionSet::all();
                let without = all.iter().filter(|one| !PermissionSet::NONE.with(*one).allows(permission)).collect();
                let caller = Caller { permissions: without, ..world.caller.clone() };
                let answer = asked(&world, schema_name, made.operation, &caller, &made.document).await;
                let named = forbidden(&answer).and_then(Permission::from_name);
                if named != Some(permission) || !answer["data"].is_null() {
                    wrong.push(format!("{schema_name} {}: {answer}", made.document));
                }
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 150, "{count}");
}

#[tokio::test]
async fn what_the_schema_names_is_all_that_a_field_needs() {
    let (world, mut wrong) = (world().await, Vec::new());
    for (schema_name, schema) in schemas() {
        let sdl = if schema_name == "payload" { Api::payload_sdl() } else { Api::sdl() };
        let validator = Validator::of_sdl(&sdl).unwrap();
        for made in documents::all(&schema, OWN_TENANT, false) {
            // The one mutation after which there is nothing left to ask.
            if made.type_name == "TenantMutations" && made.field == "delete" {
                continue;
            }
            let parsed = parse(&made.document, &CALL_DOCUMENT).unwrap();
            let typed = validator.proven(&parsed).unwrap_or_else(|problems| panic!("{}: {problems:?}", made.document));
            let operation = typed.operations.get(None).unwrap();
            let permissions = of_operation(&validator.schema, &typed, operation);
            // Who makes a token must hold what it shall, and who copies a tenant what is not excluded: that is input.
            let of_input: &[Permission] = if made.document.contains("accessToken") {
                &[Permission::AuditRead]
            } else if made.document.contains("createCopyTask") {
                &COPIED_UNLESS_EXCLUDED
            } else {
                &[]
            };
            let permissions = of_input.iter().copied().fold(permissions, PermissionSet::with);
            let caller = Caller { permissions, ..world.caller.clone() };
            let answer = asked(&world, schema_name, made.operation, &caller, &made.document).await;
            if let Some(missing) = forbidden(&answer) {
                wrong.push(format!("{schema_name} {}: {permissions:?} lacks {missing}", made.document));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
