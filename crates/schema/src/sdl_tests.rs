//! The committed SDL.

use crate::Api;
use crate::access::needs::of_field;
use crate::document::{PAGE_LISTS, PLAIN_LISTS, Validator};
use std::collections::BTreeSet;
use std::path::Path;

/// The lists of records that hang on records: what they read is bounded as it is read. This list may only shrink.
const BOUNDED_AS_READ: [(&str, &str); 23] = [
    ("Document", "relatingItems"),
    ("Document", "topics"),
    ("Folder", "relatingItems"),
    ("Folder", "topics"),
    ("ItemRelationsContent", "items"),
    ("ItemRelationsContent", "productVariants"),
    ("Order", "pipelines"),
    ("Product", "relatingItems"),
    ("Product", "topics"),
    ("Tenant", "grids"),
    ("Tenant", "topics"),
    ("Tenant", "tree"),
    ("TenantQueries", "getMany"),
    ("TenantQueries", "getRootTopics"),
    ("Topic", "ancestors"),
    ("Topic", "children"),
    ("Topic", "descendants"),
    ("Topic", "items"),
    ("TopicMutations", "bulkCreate"),
    ("TopicQueries", "getRootTopics"),
    ("TreeNode", "ancestors"),
    ("TreeNode", "children"),
    ("TreeNode", "siblings"),
];

#[test]
fn the_committed_sdls_are_current() {
    for (name, sdl) in [("schema.graphql", Api::sdl()), ("payload-schema.graphql", Api::payload_sdl())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == sdl, "{name} is not current: `make schema` rewrites it");
    }
}

#[test]
fn both_sdls_are_valid_and_the_payload_schema_only_reads() {
    for sdl in [Api::sdl(), Api::payload_sdl()] {
        assert_eq!(Validator::of_sdl(&sdl).err(), None);
        assert!(!sdl.contains('\t'));
    }
    let payload_sdl = Api::payload_sdl();
    for absent in ["type Mutation {", "type Subscription {", "type Webhook", "type Delivery", "Mutations {"] {
        assert!(!payload_sdl.contains(absent), "{absent}");
    }
}

#[test]
fn the_fields_of_the_roots_are_plain_object_types_because_the_guard_flattens_them() {
    for sdl in [Api::sdl(), Api::payload_sdl()] {
        let schema = apollo_compiler::Schema::parse(sdl, "schema.graphql").unwrap();
        for root in ["Query", "Mutation"] {
            for field in schema.get_object(root).into_iter().flat_map(|root| root.fields.values()) {
                let is_plain = !field.ty.is_list() && schema.get_object(field.ty.inner_named_type()).is_some();
                assert!(is_plain, "{root}.{}", field.name);
            }
        }
    }
}

#[test]
fn lists_of_pages_and_they_alone_are_named_as_the_cost_of_a_document_knows_them() {
    let schema = apollo_compiler::Schema::parse(Api::sdl(), "schema.graphql").unwrap();
    let (mut count, mut plain) = (0, Vec::new());
    for (name, object) in schema.types.iter().filter_map(|(name, ty)| Some((name, ty.as_object()?))) {
        let is_page = object.fields.contains_key("pageInfo");
        for field in object.fields.values() {
            let is_list = is_page && field.ty.is_list();
            assert_eq!(PAGE_LISTS.contains(&field.name.as_str()), is_list, "{name}.{}", field.name);
            count += usize::from(is_list);
            let size =
                field.arguments.iter().find(|argument| ["first", "last", "limit"].contains(&argument.name.as_str()));
            if let (true, Some(size)) = (field.ty.is_list(), size) {
                let default = size.default_value.as_ref().and_then(|value| value.to_i32()).unwrap();
                plain.push((name.as_str(), field.name.as_str(), u32::try_from(default).unwrap()));
            }
        }
    }
    assert!(count > PAGE_LISTS.len(), "{count} lists of pages");
    assert_eq!(plain, [("Webhook", "pastInvocations", 50)]);
    assert!(plain.iter().all(|list| PLAIN_LISTS.contains(list)));
}

#[test]
fn every_list_that_is_read_for_itself_costs_its_places_or_is_bounded_as_it_is_read() {
    let schema = apollo_compiler::Schema::parse(Api::sdl(), "schema.graphql").unwrap();
    let mut found = BTreeSet::new();
    for (name, object) in schema.types.iter().filter_map(|(name, ty)| Some((name, ty.as_object()?))) {
        if object.fields.contains_key("pageInfo") {
            continue;
        }
        for field in object.fields.values().filter(|field| field.ty.is_list() && of_field(field).count() > 0) {
            found.insert((name.as_str(), field.name.as_str()));
        }
    }
    let known: BTreeSet<_> = PLAIN_LISTS.into_iter().map(|(of, list, _)| (of, list)).chain(BOUNDED_AS_READ).collect();
    assert_eq!(found, known);
}
