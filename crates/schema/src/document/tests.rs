//! Verdicts on payload documents.

use super::{DocumentChecker, Sizes, Validator, judge};
use crate::limits::{KEPT_DOCUMENT_BYTES, KEPT_TEXT_TIMES, KEPT_WORD_BYTES, PREPARED_BYTES_MAX, PROVEN_BYTES_MAX};
use crate::{roots, sdl};
use hookgraph_domain::catalogue::find;
use hookgraph_domain::problem::Problem;
use std::fmt::Write;

fn checker() -> DocumentChecker {
    let sdl = sdl::of(&roots::payload());
    DocumentChecker::new(Validator::of_sdl(&sdl).unwrap(), judge(|| roots::proving_payload(true)))
}

fn problems(text: &str) -> Vec<Problem> {
    checker().check(text, find("customers", "update").unwrap()).err().unwrap_or_default()
}

fn codes(text: &str) -> Vec<String> {
    problems(text).into_iter().map(|problem| problem.code).collect()
}

const CUSTOMER: &str = "query ($identifier: String!, $tenantId: ID!) { \
    customer { get(identifier: $identifier, tenantId: $tenantId) { identifier firstName } } }";

#[test]
fn a_fitting_document_is_accepted_with_what_was_found_out() {
    let document = checker().check(CUSTOMER, find("customers", "update").unwrap()).unwrap();
    assert_eq!(document.used_variables, ["identifier", "tenantId"]);
    assert_eq!(document.complexity, 4);
    assert_eq!(document.document_sha256.len(), 64);
    assert_eq!(document.schema_sha256, checker().schema_sha256());
}

#[test]
fn what_a_page_holds_costs_once_for_each_of_its_places() {
    let complexity = |variables: &str, page: &str, selection: &str| {
        let fragment = "fragment F on CustomerConnection { edges { node { identifier } } }";
        let fragment = if selection.contains("...F") { fragment } else { "" };
        let text = format!(
            "query ($tenantId: ID! {variables}) {{ customer {{ getMany(tenantId: $tenantId {page}) {{ {selection} }} }} }} {fragment}"
        );
        checker().check(&text, find("customers", "update").unwrap()).unwrap().complexity
    };
    let edges = "edges { node { identifier } }";
    for (variables, page, places) in [
        ("", "", 20),
        ("", "first: null", 20),
        ("", "first: 7", 7),
        ("", "first: null, last: 9", 9),
        ("", "last: 3, first: 50", 50),
        ("$n: Int = 1", "first: $n", 100),
        ("$n: Int = 1", "first: 1, last: $n", 100),
    ] {
        assert_eq!(complexity(variables, page, edges), 2 + 3 * places, "{page}");
    }
    for selection in ["...F", "... on CustomerConnection { edges { node { identifier } } }"] {
        assert_eq!(complexity("", "", selection), 2 + 3 * 20, "{selection}");
    }
    assert_eq!(complexity("", "", "pageInfo { totalNodes }"), 4, "no node is asked for");
    assert_eq!(
        complexity("", "first: 9", &format!("{edges} pageInfo {{ totalNodes }}")),
        2 + 3 * 9 + 2,
        "of a page there is one"
    );
}

#[test]
fn lists_that_are_no_pages_cost_as_many_places_as_they_count_as() {
    let schema = Validator::of_sdl(&crate::Api::sdl()).unwrap().schema;
    let limits = crate::limits::CALL_DOCUMENT;
    for (text, expected) in [
        ("{ webhook { get(id: \"w\") { id } } }", Ok(3)),
        ("{ webhook { getMany(tenantId: \"t\") { id } } }", Ok(2 + 100)),
        ("{ webhook { ... on WebhookQueries { getMany(tenantId: \"t\") { id name } } } }", Ok(2 + 2 * 100)),
        (
            "{ ...F } fragment F on Query { webhook { ...G } } fragment G on WebhookQueries { a: getMany { id } }",
            Ok(102),
        ),
        ("{ webhook { getMany(tenantId: \"t\") { deliveries { nodes { id } } } } }", Ok(2 + 100 * (1 + 20 * 2))),
        ("{ webhook { get(id: \"w\") { pastInvocations { id } } } }", Ok(3 + 50)),
        ("{ webhook { get(id: \"w\") { pastInvocations(limit: 7) { id } } } }", Ok(3 + 7)),
        ("{ accessToken { getMany { id } } }", Ok(102)),
        ("{ accessToken { getMany(first: 7) { id } } }", Ok(2 + 7)),
        ("query ($n: Int) { webhook { getMany(tenantId: \"t\", first: $n) { id } } }", Ok(102)),
        ("{ item { getMany(language: \"en\") { id } } }", Ok(102)),
        ("{ grid { getMany(language: \"en\") { id } } }", Ok(102)),
        ("{ product { getVariants(tenantId: \"t\", language: \"en\") { sku } } }", Ok(22)),
        ("{ event { get(id: \"e\") { matches { delivery { attempts { number } } } } } }", Ok(3 + 20 * (1 + 1 + 20))),
        ("mutation { event { publishMany(inputs: []) { id } } }", Ok(102)),
        ("{ tenant { getMany { id } } }", Ok(3)),
        (
            "{ webhook { getMany { deliveries(first: 100) { nodes { attempts { number } } } } } }",
            Err("the document's complexity is 220102, 50000 are allowed".to_owned()),
        ),
    ] {
        let document = super::parse(text, &limits).unwrap();
        let cost = super::measure(&document, &schema, &limits, Sizes::Largest);
        assert_eq!(cost.map(|cost| cost.complexity).map_err(|problem| problem.message), expected, "{text}");
    }
}

#[test]
fn lists_that_are_no_pages_count_once_in_what_is_stored() {
    let fields: String = (0..60).map(|n| format!(" f{n}: id")).collect();
    for (text, expected) in [
        ("{ item { getMany(language: \"en\") { id } } }".to_owned(), 3),
        ("{ grid { getMany(language: \"en\") { id } } }".to_owned(), 3),
        (format!("{{ item {{ getMany(language: \"en\") {{{fields} }} }} }}"), 62),
    ] {
        let document = checker().check(&text, find("customers", "update").unwrap()).unwrap();
        assert_eq!(document.complexity, expected, "{text}");
    }
}

#[test]
fn other_shapes_than_one_query_are_refused() {
    for (text, expected) in [
        ("", "SYNTAX"),
        ("{ customer { ", "SYNTAX"),
        ("# nothing", "SYNTAX"),
        ("fragment F on Customer { identifier }", "OPERATION_MISSING"),
        ("query A { customer { __typename } } query B { customer { __typename } }", "OPERATION_AMBIGUOUS"),
        ("mutation ($identifier: String!) { customer { delete(identifier: $identifier) } }", "OPERATION_NOT_QUERY"),
        ("subscription { x }", "OPERATION_NOT_QUERY"),
        ("{ customer { __typename } } type A { a: Int }", "NOT_EXECUTABLE"),
        ("{ __schema { types { name } } }", "INTROSPECTION_NOT_ALLOWED"),
        ("{ t: __type(name: \"Customer\") { name } }", "INTROSPECTION_NOT_ALLOWED"),
    ] {
        assert!(codes(text).iter().any(|code| code == expected), "{text}: {:?}", problems(text));
    }
    assert!(codes("{ __typename customer { __typename } }").is_empty());
}

#[test]
fn a_mutation_is_told_what_to_write_instead() {
    let found = problems("mutation { customer { delete(identifier: \"a\") } }");
    assert!(found[0].message.contains("write a query"), "{found:?}");
}

#[test]
fn unknown_fields_are_told_the_nearest_with_their_place() {
    let found = problems("query ($identifier: String!) {\n  customers { get(identifier: $identifier) { email } }\n}");
    let unknown = found.iter().find(|problem| problem.code == "UNDEFINED_FIELD").unwrap();
    assert!(unknown.message.contains("Did you mean \"customer\""), "{unknown:?}");
    assert_eq!((unknown.line, unknown.column), (Some(2), Some(3)));
    assert_eq!(unknown.path, "input.graphqlQuery");
}

#[test]
fn variables_are_those_of_the_event_type() {
    let with = |declaration: &str, usage: &str| {
        codes(&format!(
            "query ({declaration}) {{ customer {{ get(identifier: {usage}, tenantId: \"t\") {{ identifier }} }} }}"
        ))
    };
    assert_eq!(with("$identifier: String!", "$identifier"), [""; 0]);
    assert_eq!(with("$identifier: ID!", "$identifier"), ["DISALLOWED_VARIABLE_USAGE"]);
    assert_eq!(with("$identifer: String!", "$identifer"), ["VARIABLE_NOT_SUPPLIED"]);
    assert_eq!(with("$mine: String = \"a\", $identifier: String!", "$identifier"), ["UNUSED_VARIABLE"]);
    assert_eq!(with("$mine: String! = \"a\"", "$mine"), [""; 0]);
    assert_eq!(with("$identifier: Int!", "$identifier")[0], "VARIABLE_TYPE_MISMATCH");
    assert_eq!(with("$identifier: [String!]!", "$identifier")[0], "VARIABLE_TYPE_MISMATCH");
    assert_eq!(with("$userId: String!", "$userId"), ["VARIABLE_MAY_BE_NULL"]);
    assert_eq!(with("$userId: String! = \"none\"", "$userId"), [""; 0]);
    let found = problems("query ($identifer: String!) { customer { get(identifier: $identifer) { identifier } } }");
    assert!(found[0].message.contains("did you mean $identifier"), "{found:?}");
}

#[test]
fn independent_problems_are_told_together() {
    let found = codes("query ($nonsense: ID!) { customer { get(identifier: 1) { nothing } } }");
    for expected in ["VARIABLE_NOT_SUPPLIED", "UNDEFINED_FIELD", "UNSUPPORTED_VALUE_TYPE"] {
        assert!(found.iter().any(|code| code == expected), "{expected}: {found:?}");
    }
}

#[test]
fn what_costs_too_much_is_refused_before_it_costs() {
    let long = format!("{{ customer {{ __typename }} }} #{}", "x".repeat(40_000));
    assert_eq!(codes(&long), ["DOCUMENT_TOO_LONG"]);
    assert_eq!(codes(&format!("{{{} }}", " a".repeat(5_000))), ["DOCUMENT_TOO_MANY_TOKENS"]);
    assert_eq!(codes(&"{a".repeat(70)), ["DOCUMENT_TOO_NESTED"]);
    assert_eq!(codes(&format!("{{ a(b: {}1{}) }}", "[".repeat(80), "]".repeat(80))), ["DOCUMENT_TOO_NESTED"]);
    let deep = format!("{}{}", "{a".repeat(30), "}".repeat(30));
    assert_eq!(codes(&deep), ["DOCUMENT_TOO_DEEP"]);
    let aliases: String = (0..150).map(|n| format!(" a{n}: __typename")).collect();
    assert_eq!(codes(&format!("{{{aliases} }}")), ["DOCUMENT_TOO_MANY_ALIASES"]);
    assert_eq!(codes(&format!("{{{} }}", " __typename".repeat(101))), ["DOCUMENT_TOO_MANY_REPEATS"]);
    assert_eq!(codes(&format!("{{ __typename{} }}", " @a".repeat(5))), ["DOCUMENT_TOO_MANY_DIRECTIVES"]);
}

#[test]
fn a_bomb_of_fragments_is_measured_in_the_time_it_takes_to_read_it() {
    let mut bomb = "{ ...F0 }".to_owned();
    for n in 0..40 {
        write!(bomb, " fragment F{n} on Query {{ ...F{next} ...F{next} }}", next = n + 1).unwrap();
    }
    bomb.push_str(" fragment F40 on Query { customer { __typename } }");
    assert_eq!(codes(&bomb), ["DOCUMENT_TOO_COMPLEX"]);
}

#[test]
fn fragments_in_a_circle_are_refused() {
    assert_eq!(codes("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }"), ["FRAGMENT_CYCLE"]);
    assert_eq!(codes("{ customer { __typename } } fragment F on Query { ...F }"), ["FRAGMENT_CYCLE"]);
}

#[test]
fn the_two_rules_that_the_validator_lacks_are_there() {
    let sdl = "type Query { f(a: In): Int } input In { a: Int! b: Int = 1 c: [Int!] }";
    let validator = Validator::of_sdl(sdl).unwrap();
    let codes = |text: &str| -> Vec<String> {
        let document = super::parse(text, &crate::limits::PAYLOAD_DOCUMENT).unwrap();
        validator.problems(&document).into_iter().map(|problem| problem.code).collect()
    };
    assert_eq!(codes("{ f(a: { a: 1, a: 2 }) }"), ["UNIQUE_INPUT_FIELD"]);
    assert_eq!(codes("query ($v: Int) { f(a: { a: $v }) }"), ["DISALLOWED_VARIABLE_USAGE"]);
    assert_eq!(
        codes("query ($v: Int) { ...F } fragment F on Query { f(a: { a: $v }) }"),
        ["DISALLOWED_VARIABLE_USAGE"]
    );
    assert_eq!(codes("query ($v: Int) { f(a: { a: 1, c: [$v] }) }"), ["DISALLOWED_VARIABLE_USAGE"]);
    for fine in [
        "query ($v: Int!) { f(a: { a: $v }) }",
        "query ($v: Int = 1) { f(a: { a: $v }) }",
        "query ($v: Int) { f(a: { a: 1, b: $v }) }",
        "query ($v: Int!) { f(a: { a: 1, c: [$v] }) }",
        "query ($v: [Int!]) { f(a: { a: 1, c: $v }) }",
        "query ($v: In) { f(a: $v) }",
    ] {
        assert_eq!(codes(fine), [""; 0], "{fine}");
    }
}

#[test]
fn a_document_that_nests_as_deep_as_is_allowed_is_parsed() {
    let limits = crate::limits::CALL_DOCUMENT;
    let nested = format!("{}{}", "{a".repeat(limits.nesting_max), "}".repeat(limits.nesting_max));
    assert!(super::scan(&nested, &limits).is_ok());
    assert!(super::parse(&nested, &limits).is_ok());
}

#[test]
fn an_unknown_field_is_the_only_problem_of_what_is_beneath_it() {
    assert_eq!(
        codes("query ($identifier: String!) { customer { fetch(identifier: $identifier) { a } } }"),
        ["UNDEFINED_FIELD"]
    );
    assert_eq!(
        codes("query ($identifier: String!) { customer { fetch { a } } }"),
        ["UNUSED_VARIABLE", "UNDEFINED_FIELD"]
    );
    let spread = "query { customer { fetch { ...F } } } fragment F on Customer { identifier }";
    assert_eq!(codes(spread), ["UNDEFINED_FIELD"]);
    assert_eq!(codes("{ customer { nothing } tenant }"), ["UNDEFINED_FIELD", "MISSING_SUBSELECTION"]);
}

#[test]
fn a_kept_document_weighs_at_least_what_its_fields_take_and_at_most_what_a_cache_holds() {
    let limits = crate::limits::CALL_DOCUMENT;
    let kept = |text: &str| super::kept_bytes(text, &limits) as usize;
    assert_eq!(kept("{b}"), KEPT_DOCUMENT_BYTES + KEPT_TEXT_TIMES * 3 + KEPT_WORD_BYTES);
    assert!(kept(&format!("{{{}}}", " b".repeat(4_000))) > 4_000 * KEPT_WORD_BYTES);
    assert!(kept("{ a(b: \"c d\") { e } }") > kept("{ a(b: \"c\") { e } }"));
    let longest = kept(&"b ".repeat(limits.bytes_max / 2));
    let (text_bytes, word_bytes) = (KEPT_TEXT_TIMES * limits.bytes_max, KEPT_WORD_BYTES * limits.tokens_max);
    assert_eq!(longest, KEPT_DOCUMENT_BYTES + text_bytes + word_bytes);
    assert!(8 * (longest as u64) < PROVEN_BYTES_MAX.min(PREPARED_BYTES_MAX), "{longest}");
}

#[test]
fn only_the_first_syntax_error_is_told() {
    assert_eq!(codes("query (id: ID!) { customer { __typename } }"), ["SYNTAX"]);
}

#[test]
fn a_variable_with_null_as_its_default_fits_no_place_that_refuses_null() {
    let text = "query ($b: Boolean = null) { customer { __typename @include(if: $b) } }";
    assert_eq!(codes(text), ["DISALLOWED_VARIABLE_USAGE"]);
}
