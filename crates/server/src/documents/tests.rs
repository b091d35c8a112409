//! Which documents are known by which names, and which may run.

use super::{Documents, Named, sha256};
use crate::config::DocumentsConfig;
use crate::limits::{
    PERSISTED_DOCUMENT_BYTES_MAX, PERSISTED_TEXT_BYTES_MAX, TRUSTED_DOCUMENTS_MAX, TRUSTED_FILE_BYTES_MAX,
};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const HELLO: &str = "query Hello { hello }";

fn hex_of(text: &str) -> String {
    hex::encode(sha256(text))
}

/// The name that a request with those parameters gives its document.
fn named(document_id: Value, persisted_query: Value) -> Option<Named> {
    Named::read(Some(document_id), Some(&persisted_query)).unwrap()
}

fn by_hash(text: &str) -> Option<Named> {
    named(Value::Null, json!({ "version": 1, "sha256Hash": hex_of(text) }))
}

fn automatic() -> Documents {
    Documents::new(&DocumentsConfig { automatic: true, ..DocumentsConfig::default() }).unwrap()
}

fn trusting(path: &Path, trusted_only: bool) -> anyhow::Result<Documents> {
    Documents::new(&DocumentsConfig { trusted: Some(path.to_owned()), trusted_only, automatic: true })
}

fn folder(files: &[(&str, Value)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    folder
}

fn refusal(documents: &Documents, sent: Option<&str>, named: Option<Named>) -> &'static str {
    documents.text(sent.map(str::to_owned), named).unwrap_err().code.as_str()
}

fn text(documents: &Documents, sent: Option<&str>, named: Option<Named>) -> Option<String> {
    documents.text(sent.map(str::to_owned), named).unwrap()
}

#[test]
fn a_document_that_was_sent_with_its_hash_is_known_by_it() {
    let documents = automatic();
    assert_eq!(refusal(&documents, None, by_hash(HELLO)), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(text(&documents, Some(HELLO), by_hash(HELLO)).as_deref(), Some(HELLO));
    assert_eq!(text(&documents, None, by_hash(HELLO)).as_deref(), Some(HELLO));
    let by_id = named(json!(format!("sha256:{}", hex_of(HELLO))), Value::Null);
    assert_eq!(text(&documents, None, by_id).as_deref(), Some(HELLO));
    assert_eq!(text(&documents, None, None), None);
}

#[test]
fn nothing_is_remembered_under_anothers_hash() {
    let documents = automatic();
    assert_eq!(refusal(&documents, Some("{ evil }"), by_hash(HELLO)), "BAD_USER_INPUT");
    assert_eq!(refusal(&documents, None, by_hash(HELLO)), "PERSISTED_QUERY_NOT_FOUND");
}

#[test]
fn what_is_remembered_is_bounded() {
    let documents = automatic();
    let long = |number: usize| format!("{{ hello }} #{number} {}", "x".repeat(PERSISTED_DOCUMENT_BYTES_MAX - 100));
    for number in 0..200 {
        text(&documents, Some(&long(number)), by_hash(&long(number)));
    }
    let remembered = documents.remembered.as_ref().unwrap();
    remembered.run_pending_tasks();
    assert!(remembered.weighted_size() <= PERSISTED_TEXT_BYTES_MAX, "{}", remembered.weighted_size());
    assert!(remembered.entry_count() > 10);
    let too_long = "#".repeat(PERSISTED_DOCUMENT_BYTES_MAX + 1);
    text(&documents, Some(&too_long), by_hash(&too_long));
    assert_eq!(refusal(&documents, None, by_hash(&too_long)), "PERSISTED_QUERY_NOT_FOUND");
}

#[test]
fn a_server_that_knows_no_hashes_says_so() {
    let documents = Documents::default();
    assert_eq!(refusal(&documents, None, by_hash(HELLO)), "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!(refusal(&documents, None, named(json!("a"), Value::Null)), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(text(&documents, Some(HELLO), by_hash(HELLO)).as_deref(), Some(HELLO));
}

#[test]
fn documents_of_the_operators_files_are_known_by_their_identifiers_and_hashes() {
    let sha256 = hex_of("{ b }");
    let apollo = json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
        { "id": "apollo-1", "name": "Hello", "type": "query", "body": HELLO }] });
    let codegen = json!({ "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33": "{ a }", sha256.as_str(): "{ b }" });
    let folder = folder(&[("apollo.json", apollo), ("codegen.json", codegen)]);
    std::fs::write(folder.path().join("notes.txt"), "no JSON").unwrap();
    let documents = trusting(folder.path(), false).unwrap();
    assert_eq!(documents.trusted.len(), 3);
    for (name, wanted) in [
        (named(json!("apollo-1"), Value::Null), HELLO),
        (named(json!("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"), Value::Null), "{ a }"),
        (named(json!(sha256), Value::Null), "{ b }"),
        (named(json!(format!("sha256:{sha256}")), Value::Null), "{ b }"),
        (named(Value::Null, json!({ "version": 1, "sha256Hash": "apollo-1" })), HELLO),
        (by_hash(HELLO), HELLO),
    ] {
        assert_eq!(text(&documents, None, name.clone()).as_deref(), Some(wanted), "{name:?}");
    }
    let one_file = trusting(&folder.path().join("codegen.json"), false).unwrap();
    assert_eq!(one_file.trusted.len(), 2);
    assert_eq!(refusal(&documents, Some("{ evil }"), named(json!("apollo-1"), Value::Null)), "BAD_USER_INPUT");
}

#[test]
fn where_only_trusted_documents_run_others_are_refused_however_they_come() {
    let folder = folder(&[("documents.json", json!({ "hello": HELLO }))]);
    let documents = trusting(folder.path(), true).unwrap();
    assert_eq!(text(&documents, None, named(json!("hello"), Value::Null)).as_deref(), Some(HELLO));
    assert_eq!(text(&documents, Some(HELLO), None).as_deref(), Some(HELLO));
    assert_eq!(refusal(&documents, Some("{ hello }"), None), "FORBIDDEN");
    assert_eq!(refusal(&documents, Some("{ hello }"), by_hash("{ hello }")), "FORBIDDEN");
    assert_eq!(refusal(&documents, None, by_hash("{ hello }")), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(refusal(&documents, Some(&"#".repeat(PERSISTED_DOCUMENT_BYTES_MAX + 1)), None), "FORBIDDEN");
}

#[test]
fn a_files_mistakes_are_found_at_the_start() {
    for (content, wanted) in [
        (json!([]), "not a JSON object"),
        (json!({ "a": 1 }), "\"a\" is no text"),
        (json!({ "a": "{ b" }), "not GraphQL"),
        (json!({ "": "{ b }" }), "1 to 256 bytes"),
        (json!({ "a": "#".repeat(PERSISTED_DOCUMENT_BYTES_MAX + 1) }), "longer than"),
        (json!({ format!("sha256:{}", hex_of(HELLO)): "{ b }" }), "not its SHA-256"),
        (json!({ "format": "apollo-persisted-query-manifest", "operations": [{ "id": "a" }] }), "no id or no body"),
    ] {
        let folder = folder(&[("documents.json", content)]);
        let error = format!("{:#}", trusting(folder.path(), false).err().unwrap());
        assert!(error.contains(wanted) && error.contains("documents.json"), "{error}");
    }
    let two = folder(&[("a.json", json!({ "x": "{ a }" })), ("b.json", json!({ "x": "{ b }" }))]);
    assert!(format!("{:#}", trusting(two.path(), false).err().unwrap()).contains("names two documents"));
    assert!(trusting(Path::new("/no/such/file.json"), false).is_err());
    let empty = folder(&[]);
    assert!(trusting(empty.path(), true).is_err(), "a server that would refuse everything does not start");
}

#[test]
fn so_many_documents_are_trusted_of_all_files_together() {
    let of = |numbers: std::ops::Range<usize>| -> Value {
        numbers.map(|number| (format!("d{number}"), json!("{ a }"))).collect()
    };
    let (half, all) = (TRUSTED_DOCUMENTS_MAX / 2, TRUSTED_DOCUMENTS_MAX);
    let most = folder(&[("a.json", of(0..half)), ("b.json", of(half..all))]);
    assert!(trusting(most.path(), false).is_ok());
    let more = folder(&[("a.json", of(0..half)), ("b.json", of(half..all + 1))]);
    let error = format!("{:#}", trusting(more.path(), false).err().unwrap());
    assert!(error.contains(&format!("more than {TRUSTED_DOCUMENTS_MAX} documents")), "{error}");
}

#[test]
fn a_file_is_read_up_to_its_bound_and_no_longer_one_is_begun() {
    let folder = folder(&[("documents.json", json!({ "hello": HELLO }))]);
    let path = folder.path().join("documents.json");
    // Of nothing on the disk: what is behind the document is no JSON, which is said of a file that is read.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for (bytes, wanted) in [
        (TRUSTED_FILE_BYTES_MAX, "trailing characters".to_owned()),
        (
            TRUSTED_FILE_BYTES_MAX + 1,
            format!("{} bytes, {TRUSTED_FILE_BYTES_MAX} are allowed", TRUSTED_FILE_BYTES_MAX + 1),
        ),
    ] {
        file.set_len(bytes).unwrap();
        let error = format!("{:#}", trusting(&path, false).err().unwrap());
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn names_that_are_none_are_refused() {
    for (document_id, persisted_query) in [
        (json!(7), Value::Null),
        (json!(""), Value::Null),
        (json!("x".repeat(257)), Value::Null),
        (json!("sha256:abc"), Value::Null),
        (json!(format!("sha256:{}", hex_of(HELLO).to_uppercase())), Value::Null),
        (Value::Null, json!({ "version": 2, "sha256Hash": hex_of(HELLO) })),
        (Value::Null, json!({ "version": 1 })),
        (Value::Null, json!("x")),
        (json!("other"), json!({ "version": 1, "sha256Hash": hex_of(HELLO) })),
    ] {
        let refused = Named::read(Some(document_id.clone()), Some(&persisted_query));
        assert!(refused.is_err(), "{document_id} {persisted_query}");
    }
}
