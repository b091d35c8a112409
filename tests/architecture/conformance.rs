//! The list of the conformance suite: a fact that is missing there would never run, and draw no warning.

use super::{files, read, root};
use std::collections::BTreeSet;

/// A module of the suite, and a fact of it.
type Fact = (String, String);

#[test]
fn every_fact_of_the_conformance_suite_is_listed() {
    let folder = root().join("crates/testkit/src/conformance");
    let mut written = BTreeSet::new();
    for path in files(&folder, "rs") {
        let module = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = read(&path);
        written.extend(text.lines().filter_map(fact_of).map(|fact| (module.clone(), fact.to_owned())));
    }
    assert!(written.len() > 100, "{} facts are found", written.len());
    assert_eq!(listed(&read(&folder.join("mod.rs"))), written);
}

/// The fact that a line of a module begins.
fn fact_of(line: &str) -> Option<&str> {
    let (name, parameters) = line.strip_prefix("pub async fn ")?.split_once('(')?;
    parameters.starts_with("store: Arc<dyn Store>)").then_some(name)
}

/// The facts in the list, which has a line for each below the line of its module.
fn listed(text: &str) -> BTreeSet<Fact> {
    let (mut module, mut facts) = ("", BTreeSet::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(": [") {
            module = name;
        } else if let Some(name) = line.strip_suffix(',').filter(|name| is_name(name)) {
            facts.insert((module.to_owned(), name.to_owned()));
        }
    }
    facts
}

fn is_name(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[test]
fn a_fact_is_told_by_its_parameter_and_listed_below_its_module() {
    assert_eq!(fact_of("pub async fn keys_sort_by_bytes(store: Arc<dyn Store>) {"), Some("keys_sort_by_bytes"));
    for line in ["pub async fn webhook(&self) -> Webhook {", "    pub async fn new(store: Arc<dyn Store>) -> Self {"] {
        assert_eq!(fact_of(line), None, "{line}");
    }
    let list = "        a: [\n            one,\n        ],\n        b: [\n            two,\n        ],\n";
    let facts = [("a", "one"), ("b", "two")].map(|(module, fact)| (module.to_owned(), fact.to_owned()));
    assert_eq!(listed(list), BTreeSet::from(facts));
}
