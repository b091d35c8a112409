//! The committed SDL.

use crate::Api;
use crate::access::needs::of_field;
use crate::document::{PAGE_LISTS, PLAIN_LISTS, Validator};
use crate::limits::{INVOCATIONS_DEFAULT, INVOCATIONS_MAX, TOKENS_LIST_MAX, WEBHOOKS_LIST_MAX};
use hookgraph_domain::limits::{
    CHANGED_FIELD_BYTES_MAX, CHANGED_FIELDS_MAX, DELIVERIES_AT_ONCE_MAX, DOCUMENT_BYTES_MAX, EVENT_VARIABLE_BYTES_MAX,
    HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX,
    RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADERS_BYTES_MAX, RETRY_DELAY_S_MAX, RETRY_DELAY_S_MIN, RETRY_DELAYS_MAX,
    TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, TLS_PEM_BYTES_MAX, URL_BYTES_MAX, WEBHOOK_NAME_CHARS_MAX,
};
use hookgraph_domain::retry::RETRY_DELAYS_S_DEFAULT;
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
fn the_descriptions_of_what_is_bounded_name_its_bounds() {
    let sdl = Api::sdl().split_whitespace().collect::<Vec<_>>().join(" ");
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let delays = RETRY_DELAYS_S_DEFAULT.map(|delay_s| delay_s.to_string());
    let (last, first) = delays.split_last().unwrap();
    for told in [
        format!("What you call it: 1 to {WEBHOOK_NAME_CHARS_MAX} characters."),
        format!("Which URL it calls: https or http, up to {} as normalised.", kib(URL_BYTES_MAX)),
        format!("Headers that its requests bear: up to {HEADERS_MAX}, of {} together.", kib(HEADERS_BYTES_MAX)),
        format!("What it is for: 1 to {} characters.", crate::limits::TOKEN_NAME_CHARS_MAX),
        format!("Kept in lower case; up to {HEADER_NAME_BYTES_MAX} bytes."),
        format!("The value, up to {}.", kib(HEADER_VALUE_BYTES_MAX)),
        format!("The query whose result is the payload, up to {};", kib(DOCUMENT_BYTES_MAX)),
        format!("milliseconds: {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}, {TIMEOUT_MS_DEFAULT} unless you say otherwise."),
        format!("in milliseconds: {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX}; null for the default, {TIMEOUT_MS_DEFAULT}."),
        format!("in seconds: up to {RETRY_DELAYS_MAX} of {RETRY_DELAY_S_MIN} to {RETRY_DELAY_S_MAX}; empty"),
        format!("Unless you say otherwise {} and {last}: eleven attempts", first.join(", ")),
        format!("Null for the default, {} and {last}: eleven attempts", first.join(", ")),
        format!("PEM, up to {}: the own one first", kib(TLS_PEM_BYTES_MAX)),
        format!("all texts of up to {}, none that is required empty", kib(EVENT_VARIABLE_BYTES_MAX)),
        format!("up to {CHANGED_FIELDS_MAX}, with names of up to {CHANGED_FIELD_BYTES_MAX} bytes."),
        format!("The body as text, its first {}.", kib(RESPONSE_BODY_BYTES_MAX)),
        format!("as many as fit into {}.", kib(RESPONSE_HEADERS_BYTES_MAX)),
        format!("At most so many, 1 to {PAGE_SIZE_MAX}. \"\"\" first: Int = {PAGE_SIZE_DEFAULT}"),
        format!("At most so many, 1 to {INVOCATIONS_MAX}. \"\"\" limit: Int = {INVOCATIONS_DEFAULT}"),
        format!("webhooks, oldest first: up to {WEBHOOKS_LIST_MAX}, and `after` the last of them goes on."),
        format!("revoked and expired ones too. Up to {TOKENS_LIST_MAX}, and `after` the last of them goes on."),
        format!("At most so many, 1 to {PAGE_SIZE_MAX}; up to {WEBHOOKS_LIST_MAX} where none is named."),
        format!("At most so many, 1 to {DELIVERIES_AT_ONCE_MAX}. \"\"\" first: Int = 100"),
    ] {
        assert!(sdl.contains(&told), "{told}");
    }
}

#[test]
fn the_namespaces_of_mutations_may_be_null_where_compatibility_lets_them() {
    let schema = apollo_compiler::Schema::parse(Api::sdl(), "schema.graphql").unwrap();
    let fields = schema.get_object("Mutation").unwrap().fields.values();
    let strict: BTreeSet<_> = fields.filter(|field| field.ty.is_non_null()).map(|field| field.name.as_str()).collect();
    assert_eq!(strict, BTreeSet::from(["market", "priceList", "subscriptionContract"]));
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
                let default = size.default_value.as_ref().and_then(|value| value.to_i32());
                let default = default.map(|default| u32::try_from(default).unwrap());
                plain.push((name.as_str(), field.name.as_str(), default));
            }
        }
    }
    assert!(count > PAGE_LISTS.len(), "{count} lists of pages");
    plain.sort_unstable();
    let expected = [
        ("AccessTokenQueries", "getMany", None),
        ("Webhook", "pastInvocations", Some(50)),
        ("WebhookQueries", "getMany", None),
    ];
    assert_eq!(plain, expected);
    for (of, list, default) in expected {
        // Without a default it holds up to a thousand, and counts as the largest page.
        assert!(PLAIN_LISTS.contains(&(of, list, default.unwrap_or(PAGE_SIZE_MAX))), "{of}.{list}");
    }
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
