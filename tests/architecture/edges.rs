//! The allowed edges between crates, held against `cargo metadata` and against the table in `ARCHITECTURE.md`.

use super::{read, root};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// The crates of this workspace on which each crate may depend, outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("storage", &["domain"]),
    ("pim", &["domain"]),
    ("schema", &["domain", "pim"]),
    ("dispatcher", &["domain"]),
    ("server", &["dispatcher", "domain", "pim", "schema", "storage"]),
    ("testkit", &["domain"]),
];

/// The crates whose tests may depend on `testkit`. `domain`'s unit tests do without.
const TESTED_WITH_TESTKIT: &[&str] = &["storage", "pim", "schema", "dispatcher", "server"];

type Edges = BTreeMap<String, BTreeSet<String>>;

fn edges(kind: DependencyKind) -> Edges {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata answers");
    let short = |name: &str| name.strip_prefix("hookgraph-").map(str::to_owned);
    let mut edges = Edges::new();
    for package in metadata.packages {
        // Nothing depends on the two packages that drive the others from outside.
        let is_crate = |name: &String| name != "tests" && name != "bench";
        let Some(name) = short(package.name.as_str()).filter(is_crate) else { continue };
        let dependencies = package.dependencies.iter().filter(|dependency| dependency.kind == kind);
        edges.insert(name, dependencies.filter_map(|dependency| short(&dependency.name)).collect());
    }
    edges
}

fn allowed() -> Edges {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ALLOWED.iter().map(|(name, dependencies)| ((*name).to_owned(), owned(dependencies))).collect()
}

#[test]
fn crates_depend_on_nothing_but_what_is_allowed() {
    let allowed = allowed();
    for (name, dependencies) in edges(DependencyKind::Normal) {
        let permitted = allowed.get(&name).unwrap_or_else(|| panic!("crate {name} has no line in the table of edges"));
        let forbidden: Vec<_> = dependencies.difference(permitted).collect();
        assert!(forbidden.is_empty(), "{name} may not depend on {forbidden:?}");
    }
}

#[test]
fn tests_of_crates_depend_on_nothing_but_the_testkit() {
    for (name, dependencies) in edges(DependencyKind::Development) {
        let mut permitted = BTreeSet::new();
        if TESTED_WITH_TESTKIT.contains(&name.as_str()) {
            permitted.insert("testkit".to_owned());
        }
        let forbidden: Vec<_> = dependencies.difference(&permitted).collect();
        assert!(forbidden.is_empty(), "the tests of {name} may not depend on {forbidden:?}");
    }
}

#[test]
fn the_table_of_edges_in_the_architecture_document_is_the_one_that_is_held() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let mut documented = Edges::new();
    for line in text.lines().filter(|line| line.starts_with("| `crates/")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').trim_start_matches("crates/").to_owned();
        let dependencies = cells.get(cells.len() - 2).expect("a last cell").split(',');
        let dependencies = dependencies.map(|cell| cell.trim().to_owned()).filter(|cell| cell != "–");
        documented.insert(name, dependencies.collect());
    }
    assert_eq!(documented, allowed());
}
