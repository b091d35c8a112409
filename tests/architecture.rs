//! The allowed edges between crates, held against `cargo metadata` and against the table in `ARCHITECTURE.md`.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Which crate may depend on which of this workspace, outside of tests.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("storage", &["domain"]),
    ("pim", &["domain"]),
    ("schema", &["domain", "pim"]),
    ("dispatcher", &["domain"]),
    ("server", &["dispatcher", "domain", "pim", "schema", "storage"]),
    ("testkit", &["domain"]),
];

/// Which may depend on `testkit` in their tests. `domain`'s unit tests do without.
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
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).expect("ARCHITECTURE.md is there");
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

/// What opens a connection to elsewhere. The database's own connections are the libraries' that speak its protocol.
const OPENING: &[&str] =
    &["reqwest::Client", "reqwest::get", "TcpStream::connect", "UdpSocket", "TcpSocket", "hyper_util::client"];

/// The sources of the crates without their tests: path and text.
fn sources() -> Vec<(String, String)> {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates");
    let (mut found, mut folders) = (Vec::new(), vec![std::path::PathBuf::from(crates)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of this repository").flatten() {
            let path = entry.path();
            let shown = path.strip_prefix(crates).expect("a path beneath it").display().to_string();
            // Tests and the testkit speak to servers of their own.
            let is_passed_over = shown.starts_with("testkit") || shown.split('/').any(|part| part == "tests");
            if path.is_dir() && !is_passed_over {
                folders.push(path);
            } else if shown.ends_with(".rs") && !is_passed_over {
                found.push((shown, std::fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn nothing_but_the_checked_transport_opens_connections() {
    let opens = |(_, text): &(String, String)| OPENING.iter().any(|word| text.contains(word));
    let opening: Vec<_> = sources().into_iter().filter(opens).map(|(path, _)| path).collect();
    // What looks names up asks the system for its route to addresses that have passed the filter: nothing is sent. The collector's
    // address is the operator's, in the configuration: no tenant has a say.
    let known =
        ["dispatcher/src/transport/clients.rs", "dispatcher/src/transport/names.rs", "server/src/traces/collector.rs"];
    assert_eq!(opening, known, "call the address filter's transport instead");
}

/// What names of secrets, and of what is computed from them, consist of.
const SECRET_WORDS: &[&str] = &["secret", "sha256", "signature", "hmac", "digest", "password", "token_text", "api_key"];

/// Comparisons of what is no secret: the end of the path, and what the line holds. (The claim `hmac` is a hash of the request,
/// without a key; the manifest is the operator's.)
const NO_SECRETS: &[(&str, &str)] = &[
    ("domain/src/verification/jwt.rs", "hmac_claim("),
    ("server/src/documents/manifest.rs", "super::sha256_of_hex(hash) == Some(super::sha256(text))"),
    ("pim/src/idempotency.rs", "kept.request_sha256 != step.request_sha256"),
    ("storage/src/migrate.rs", "sha256_hex(migration.sql) != *sha256"),
];

#[test]
fn secrets_are_compared_in_constant_time_and_nowhere_else() {
    let mut comparing = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let is_known = NO_SECRETS.iter().any(|(file, part)| path.ends_with(file) && line.contains(part));
            if !is_known && compared(line).any(|name| SECRET_WORDS.iter().any(|word| name.contains(word))) {
                comparing.push(format!("{path}: {line}"));
            }
        }
    }
    assert!(comparing.is_empty(), "compare with domain::constant_time::same: {comparing:#?}");
}

/// What stands on either side of a line's `==` and `!=`, up to the next space, in lower case.
fn compared(line: &str) -> impl Iterator<Item = String> {
    let sides = |operator: &'static str| {
        let parts: Vec<_> = line.split(operator).collect();
        let pairs = parts.windows(2).map(|pair| [pair[0].split_whitespace().last(), pair[1].split_whitespace().next()]);
        pairs.flatten().flatten().map(str::to_lowercase).collect::<Vec<_>>()
    };
    sides(" == ").into_iter().chain(sides(" != "))
}

#[test]
fn a_comparison_is_seen_by_what_stands_on_its_sides() {
    let seen = |line: &str| compared(line).collect::<Vec<_>>();
    assert_eq!(seen("if hmac_sha256(a) == *b.signature {"), ["hmac_sha256(a)", "*b.signature"]);
    assert_eq!(seen("a.b != c && d == e"), ["d", "e", "a.b", "c"]);
    assert!(seen("let secret = signature;").is_empty());
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let root = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let model = std::fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md is there");
    let find = |path: &str| {
        ["crates", "tests", ""].map(|below| root.join(below).join(path)).into_iter().find(|path| path.exists())
    };
    let (mut file, mut named) = (String::new(), 0);
    for word in model.split('`').skip(1).step_by(2) {
        let (path, test) = word.split_once("::").unwrap_or((word, ""));
        if [".rs", ".mjs", ".md", "/"].iter().any(|end| path.ends_with(end)) {
            let found = find(path).unwrap_or_else(|| panic!("{path} is not there"));
            file = std::fs::read_to_string(found).unwrap_or_default();
        }
        if !test.is_empty() {
            assert!(file.contains(&format!("fn {test}(")), "{word} is not there");
            named += 1;
        }
    }
    assert!(named >= 10, "{named} tests are named");
}
