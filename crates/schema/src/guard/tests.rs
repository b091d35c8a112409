//! Requests that the guard admits, in the form in which they run, and requests that it refuses.

use super::{Answers, Guard, is_mutation};
use crate::document::{PARSED, Validator, kept_bytes};
use crate::limits::{CALL_DOCUMENT, KEPT_DOCUMENT_BYTES, VALUE_SHOWN_CHARS_MAX, WORD_SHOWN_CHARS_MAX};
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{Request, Variables};
use hookgraph_domain::permission::PermissionSet;
use serde_json::json;
use std::sync::Arc;

fn guard() -> Guard {
    let sdl = "type Query { a: A b(n: Int! = 1): Int } type A { x: Int y: Int a: A }
        type Mutation { shop: Shop } type Shop { buy(n: Int!, on: Day): A }
        input Day { at: [DateTime!] any: JSON } scalar DateTime scalar JSON";
    Guard::new(Validator::of_sdl(sdl).unwrap(), Arc::new(|_, _| Vec::new()))
}

fn request(text: &str, variables: serde_json::Value) -> Request {
    Request::new(text).variables(Variables::from_json(variables))
}

/// The selection sets of the only operation, spelled with spreads as `...`.
fn admitted(text: &str, variables: serde_json::Value) -> String {
    let mut admitted = guard().admit(request(text, variables), PermissionSet::all(), Answers::Once).unwrap();
    let document: &ExecutableDocument = admitted.parsed_query().unwrap();
    let operation = document.operations.iter().next().unwrap().1;
    spelled(&operation.node.selection_set.node)
}

fn spelled(set: &SelectionSet) -> String {
    let one = |selection: &Selection| match selection {
        Selection::Field(field) => {
            format!("{}{}", field.node.response_key().node, spelled(&field.node.selection_set.node))
        }
        Selection::InlineFragment(fragment) => format!("...{}", spelled(&fragment.node.selection_set.node)),
        Selection::FragmentSpread(spread) => format!("...{}", spread.node.fragment_name.node),
    };
    let items: Vec<_> = set.items.iter().map(|item| one(&item.node)).collect();
    if items.is_empty() { String::new() } else { format!("{{{}}}", items.join(" ")) }
}

fn refusal(text: &str, variables: serde_json::Value) -> String {
    match guard().admit(request(text, variables), PermissionSet::all(), Answers::Once) {
        Ok(_) => "admitted".to_owned(),
        Err(errors) => errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join("; "),
    }
}

#[test]
fn a_response_key_that_is_asked_for_twice_is_one_field() {
    assert_eq!(admitted("{ a { x } a { y a { x } } a { a { y } } }", json!({})), "{a{x y a{x y}}}");
    assert_eq!(admitted("{ a { x } one: a { x } }", json!({})), "{a{x} one{x}}");
}

#[test]
fn a_mutation_is_flattened_where_running_twice_would_write_twice() {
    let text = "mutation { shop { buy(n: 1) { x } } shop { buy(n: 1) { y } ...S ... { buy(n: 1) { x } } } ...M }
        fragment M on Mutation { shop { buy(n: 1) { x } } } fragment S on Shop { buy(n: 1) { x } }";
    assert_eq!(admitted(text, json!({})), "{shop{buy{x y}}}");
}

#[test]
fn a_query_reads_once_what_fragments_ask_for_again_and_again() {
    let twice = |n: usize| format!("fragment F{n} on Query {{ ...F{next} ...F{next} }}", next = n + 1);
    let doubling: String = (0..8).map(twice).collect();
    let text = format!("{{ ...F0 ...F0 }} {doubling} fragment F8 on Query {{ a {{ x }} ... {{ a {{ y }} }} }}");
    assert_eq!(admitted(&text, json!({})), "{a{x y}}");
    let text = "query ($not: Boolean!) { ...F @skip(if: $not) a { y } } fragment F on Query { a { x } }";
    assert_eq!(admitted(text, json!({ "not": true })), "{a{y}}");
    assert_eq!(admitted(text, json!({ "not": false })), "{a{x y}}");
}

#[test]
fn what_costs_too_much_is_refused_with_its_cost_and_what_is_allowed() {
    let many = |count: usize, part: &dyn Fn(usize) -> String| (0..count).map(part).collect::<Vec<_>>().join(" ");
    let twice = |n: usize| {
        format!(
            "fragment F{n} on A {{ ...F{next} ...G{next} }} fragment G{n} on A {{ ...F{next} ...G{next} }}",
            next = n + 1
        )
    };
    let doubling = |levels: usize| {
        format!(
            "{{ a {{ ...F0 }} }} {} fragment F{levels} on A {{ x }} fragment G{levels} on A {{ x }}",
            many(levels, &twice)
        )
    };
    for (text, wanted) in [
        (many(21, &|n| format!("query Q{n} {{ b }}")), "the document holds 21 operations, 20 are allowed"),
        (
            format!("{{ {} }}", many(101, &|n| format!("b{n}: b"))),
            "the document's number of aliases is 101, 100 are allowed",
        ),
        (doubling(12), "the document's number of fields is 4097, 4000 are allowed"),
        (doubling(20), "the document's complexity is 1048577, 50000 are allowed"),
        (
            "{ a(first: 1000000) { x } }".to_owned(),
            "the document's complexity is 1000001, 50000 are allowed: it asks for a page of 1000000, and a page is from 1 to 100",
        ),
        (format!("{{ {}x{} }}", "a { ".repeat(31), " }".repeat(31)), "the document's depth is 32, 30 are allowed"),
    ] {
        assert_eq!(refusal(&text, json!({})), wanted);
    }
}

#[test]
fn a_size_that_is_a_variable_costs_what_it_is_in_the_request() {
    let guard = Guard::new(Validator::of_sdl(&crate::Api::sdl()).unwrap(), Arc::new(|_, _| Vec::new()));
    let told = |text: &str, operation: &str, variables: serde_json::Value| {
        let asked = request(text, variables).operation_name(operation);
        match guard.admit(asked, PermissionSet::all(), Answers::Once) {
            Ok(_) => "admitted".to_owned(),
            Err(errors) => errors[0].message.clone(),
        }
    };
    let too_much = |cost: u32| format!("the document's complexity is {cost}, 50000 are allowed");
    let listed = "{ webhook { getMany(tenantId: \"t\") { id ...F } } }";
    let fragment = "fragment F on Webhook {
        deliveries(first: $first) { nodes { id state createdAt updatedAt attemptCount } } }";
    let text = format!("query A($first: Int) {listed} {fragment}");
    // The proof is remembered, whatever the values were that it was first asked with.
    for _ in 0..2 {
        for first in [json!(5), json!(82), json!(null), json!(-1)] {
            assert_eq!(told(&text, "A", json!({ "first": first })), "admitted", "{first}");
        }
        assert_eq!(told(&text, "A", json!({})), "admitted");
        for (first, cost) in [(83, 50_002), (100, 60_202)] {
            assert_eq!(told(&text, "A", json!({ "first": first })), too_much(cost));
        }
        let page = told(&text, "A", json!({ "first": 1_000_000 }));
        assert!(page.ends_with(": it asks for a page of 1000000, and a page is from 1 to 100"), "{page}");
    }
    // A default counts where no value is given, and each operation by itself.
    let two = format!("query A($first: Int = 100) {listed} query B($first: Int = 5) {listed} {fragment}");
    assert_eq!(told(&two, "A", json!({})), too_much(60_202));
    assert_eq!(told(&two, "A", json!({ "first": 5 })), "admitted");
    assert_eq!(told(&two, "B", json!({})), "admitted");
    assert_eq!(told(&two, "B", json!({ "first": 100 })), too_much(60_202));
    // What no value makes cheap enough is refused as it is proven.
    let always = format!("query A($first: Int) {listed} {}", fragment.replace("id state", "id webhook {         deliveries(first: 100) { nodes { id } } deliveries(first: 100) { nodes { id } }         one: deliveries(first: 100) { nodes { id } } two: deliveries(first: 100) { nodes { id } } } state"));
    assert!(guard.proven(&always).is_err());
    assert!(told(&always, "A", json!({ "first": 1 })).starts_with("the document's complexity is "));
}

#[test]
fn a_document_whose_sizes_are_variables_is_parsed_once_and_kept_as_it_was_parsed() {
    let guard = Guard::new(Validator::of_sdl(&crate::Api::sdl()).unwrap(), Arc::new(|_, _| Vec::new()));
    let text = "query ($first: Int) { webhook { getMany(tenantId: \"t\") { id
        deliveries(first: $first) { nodes { id state createdAt updatedAt attemptCount } } } } }";
    PARSED.set(0);
    let admitted = [5, 82, 83, 100, 5].map(|first| {
        guard.admit(request(text, json!({ "first": first })), PermissionSet::all(), Answers::Once).is_ok()
    });
    assert_eq!((admitted, PARSED.get()), ([true, true, false, false, true], 1));
    guard.proven.run_pending_tasks();
    assert_eq!(guard.proven.weighted_size(), 2 * u64::from(kept_bytes(text, &CALL_DOCUMENT)));
}

#[test]
fn conditions_are_resolved_before_mutations_are_merged() {
    let text = "mutation ($skip: Boolean! = true) { shop { buy(n: 1) @skip(if: $skip) { x } buy(n: 1) { y } } }";
    assert_eq!(admitted(text, json!({})), "{shop{buy{y}}}");
    assert_eq!(admitted(text, json!({ "skip": false })), "{shop{buy{x y}}}");
}

#[test]
fn variables_are_coerced_before_anything_runs() {
    let text = "mutation ($n: Int!) { shop { a: buy(n: 1) { x } b: buy(n: $n) { x } } }";
    assert_eq!(refusal(text, json!({ "n": 1 })), "admitted");
    assert!(refusal(text, json!({})).contains("n"), "{}", refusal(text, json!({})));
    for wrong in [json!({ "n": null }), json!({ "n": "1" }), json!({ "n": 1.5 }), json!({ "n": 3_000_000_000_u64 })] {
        assert_ne!(refusal(text, wrong.clone()), "admitted", "{wrong}");
    }
}

#[test]
fn values_of_our_own_scalars_are_judged_before_anything_runs() {
    let text = "mutation ($day: Day) { shop { a: buy(n: 1) { x } b: buy(n: 1, on: $day) { x } } }";
    assert_eq!(refusal(text, json!({ "day": { "at": ["2026-01-01T00:00:00Z"], "any": [{}] } })), "admitted");
    for wrong in [json!("yesterday"), json!([["2026-01-01T00:00:00Z"]]), json!(["2026-01-01T00:00:00Z", 1])] {
        let told = refusal(text, json!({ "day": { "at": wrong } }));
        assert!(told.starts_with("variables.day.at") && told.contains("DateTime"), "{told}");
    }
    for (literal, is_right) in
        [("\"2026-01-01T00:00:00Z\"", true), ("[1, \"a\"]", false), ("WORD", false), ("{a: $n}", false)]
    {
        let text = format!(
            "mutation ($n: Int = 1) {{ shop {{ buy(n: $n, on: {{ at: {literal}, any: [{{ b: $n }}] }}) {{ x }} }} }}"
        );
        assert_eq!(refusal(&text, json!({})) == "admitted", is_right, "{literal}: {}", refusal(&text, json!({})));
    }
    let long = refusal(text, json!({ "day": { "at": ["x".repeat(VALUE_SHOWN_CHARS_MAX)] } }));
    assert!(long.ends_with('…') && long.chars().count() < VALUE_SHOWN_CHARS_MAX + 60, "{long}");
    let default = "mutation ($day: Day = { at: \"x\" }) { shop { buy(n: 1, on: $day) { x } } }";
    assert_ne!(refusal(default, json!({ "day": null })), "admitted");
}

#[test]
fn what_the_executor_lets_through_is_refused() {
    for text in [
        "query ($n: Int) { b(n: $n) c: b(n: $n) @include(if: $n) }",
        "query ($n: String!) { b(n: $n) }",
        "{ b(n: 1) b(n: 2) }",
        "{ a }",
        "{ a { x } ...F } fragment F on Query { ...F }",
        "query A { b } query A { b }",
        "{ b } { b }",
    ] {
        assert_ne!(refusal(text, json!({})), "admitted", "{text}");
    }
}

#[test]
fn introspection_may_not_go_round_in_its_own_lists() {
    let nested = |depth: usize| {
        let inner = (0..depth).fold("name".to_owned(), |inner, _| format!("fields {{ type {{ {inner} }} }}"));
        format!("{{ __type(name: \"Query\") {{ {inner} }} }}")
    };
    assert_eq!(refusal(&nested(2), json!({})), "admitted");
    assert_eq!(refusal(&nested(3), json!({})), "introspection nests 3 lists, 2 are allowed");
    let spread = "{ __schema { types { ...F } } } fragment F on __Type { fields { type { ...G } } }
        fragment G on __Type { possibleTypes { interfaces { name } } }";
    assert_eq!(refusal(spread, json!({})), "introspection nests 3 lists, 2 are allowed");
}

#[test]
fn introspection_that_is_switched_off_is_refused() {
    let asked = |text: &str| {
        guard().admit(request(text, json!({})).disable_introspection(), PermissionSet::all(), Answers::Once)
    };
    for text in ["{ __schema { queryType { name } } }", "{ b ... on Query { t: __type(name: \"Query\") { name } } }"] {
        let errors = asked(text).err().unwrap_or_default();
        assert_eq!(
            errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(),
            ["introspection is switched off on this server"]
        );
    }
    assert!(asked("{ __typename b }").is_ok());
}

#[test]
fn a_document_is_weighed_by_what_it_keeps_however_short_it_is() {
    let guard = guard();
    let texts = ["{ b }", "{ nope }", "{ a { x y a { x } } }"];
    let admitted = texts.map(|text| {
        // The second time it is remembered.
        let again = || guard.admit(request(text, json!({})), PermissionSet::all(), Answers::Once).is_ok();
        again() && again()
    });
    guard.proven.run_pending_tasks();
    assert_eq!((admitted, guard.proven.entry_count()), ([true, false, true], 3));
    let bytes: u64 = texts.iter().map(|text| u64::from(kept_bytes(text, &CALL_DOCUMENT))).sum();
    assert_eq!(guard.proven.weighted_size(), bytes);
    assert!(bytes >= 3 * KEPT_DOCUMENT_BYTES as u64, "{bytes}");
}

#[test]
fn a_document_is_known_once_it_was_judged() {
    let guard = guard();
    for text in ["{ b }", "{ nope }"] {
        assert!(!guard.knows(text), "{text}");
        let _ = guard.admit(request(text, json!({})), PermissionSet::all(), Answers::Once);
        assert!(guard.knows(text), "{text}");
    }
    assert!(!guard.knows(&" ".repeat(CALL_DOCUMENT.bytes_max + 1)));
}

#[test]
fn an_operation_is_asked_for_by_its_name() {
    let text = "query A { b } mutation B { shop { buy(n: 1) { x } } }";
    let guard = guard();
    for (name, operation_type) in [("A", OperationType::Query), ("B", OperationType::Mutation)] {
        let asked = || Request::new(text).operation_name(name);
        let mut admitted = guard.admit(asked(), PermissionSet::all(), Answers::Once).unwrap();
        assert_eq!(admitted.operation_name.as_deref(), Some(name));
        assert_eq!(guard.operation_type(&asked()), Some(operation_type));
        assert_eq!(is_mutation(&mut admitted), operation_type == OperationType::Mutation);
    }
    let told = |request: Request| {
        let errors = guard.admit(request, PermissionSet::all(), Answers::Once).err().unwrap_or_default();
        errors.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    assert_eq!(told(Request::new(text)), ["the document has several operations: name one by operationName, of A, B"]);
    let unknown = |text: &str| told(Request::new(text).operation_name("C"));
    assert_eq!(unknown(text), ["the document has no operation \"C\", only A, B"]);
    let unnamed = "the document has no operation \"C\": its only one has no name, so leave operationName out";
    assert_eq!(unknown("{ b }"), [unnamed]);
    let long = told(Request::new(text).operation_name("C".repeat(1_000)));
    assert!(long[0].len() < WORD_SHOWN_CHARS_MAX + 60, "{long:?}");
}
