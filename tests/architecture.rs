//! The allowed edges between crates, held against `cargo metadata` and against the table in `ARCHITECTURE.md`, and what else holds of
//! the repository as a whole.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files beneath a folder of this repository whose names end so, without what was built or installed there.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of this repository").flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| end == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

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

/// Code of a package that lies in another's folder.
const ELSEWHERE: &[(&str, &str)] = &[("hookgraph-tests", "fuzz/properties")];

/// The code in a package's folders: all of it, or what is left without its tests, examples and benchmarks. Comments are none.
fn code(folders: &[PathBuf], is_all: bool) -> String {
    let mut code = String::new();
    for folder in folders {
        for path in files(folder, "rs") {
            let inside = path.strip_prefix(folder).expect("a path beneath it").display().to_string();
            let is_beside = inside.ends_with("tests.rs")
                || inside.split('/').any(|part| ["tests", "examples", "benches"].contains(&part));
            if is_all || !is_beside {
                let text = read(&path);
                let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let lines = if is_all { text.lines() } else { shipped.lines() };
                code.extend(lines.filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]));
            }
        }
    }
    code
}

/// Whether the code names that crate, in a path or as what is imported.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = |before: &str| !before.ends_with(|last: char| last.is_alphanumeric() || "_:.>".contains(last));
        let is_path = after.starts_with("::") && begins(before.strip_suffix("::").unwrap_or(before));
        is_path || (before.ends_with("use ") && after.starts_with([';', ' ']))
    })
}

#[test]
fn a_crate_is_named_by_a_path_or_an_import() {
    for code in ["let url = url::Url::parse(url);", "(::url::Url)", "use url::Url;", "use url;", "use url as u;"] {
        assert!(names(code, "url"), "{code}");
    }
    for code in ["let url = url(of);", "crate::url::of(url)", "my_url::Url", "url: Option<String>", "use crate::url;"] {
        assert!(!names(code, "url"), "{code}");
    }
}

#[test]
fn every_dependency_that_a_manifest_names_is_used() {
    let mut unused = Vec::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let metadata = MetadataCommand::new().manifest_path(root().join(manifest)).no_deps().exec();
        for package in metadata.expect("cargo metadata answers").packages {
            let elsewhere = ELSEWHERE.iter().filter(|(name, _)| *name == package.name.as_str());
            let mut folders: Vec<_> = elsewhere.map(|(_, folder)| root().join(folder)).collect();
            folders.extend(package.manifest_path.parent().map(|folder| folder.as_std_path().to_owned()));
            let (shipped, all) = (code(&folders, false), code(&folders, true));
            for dependency in &package.dependencies {
                // What only tests use is a dependency of theirs alone.
                let code = if dependency.kind == DependencyKind::Normal { &shipped } else { &all };
                let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
                if !names(code, &name.replace('-', "_")) {
                    unused.push(format!("{}: {name}", package.name.as_str()));
                }
            }
        }
    }
    assert!(unused.is_empty(), "take these out of the manifests, or let tests alone have them: {unused:#?}");
}

/// Else tests and fuzz targets would read frames as no server does.
#[test]
fn one_version_of_what_speaks_websockets_is_served_tested_and_fuzzed() {
    let versions = ["Cargo.lock", "fuzz/Cargo.lock"].map(|lock| {
        let text = read(&root().join(lock));
        let packages = text.split("[[package]]").filter(|package| package.contains("\nname = \"tungstenite\"\n"));
        let versions = packages.filter_map(|package| package.lines().find(|line| line.starts_with("version = ")));
        versions.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(versions[0].len(), 1, "tokio-tungstenite is to have axum's version: {versions:?}");
    assert_eq!(versions[0], versions[1]);
}

/// What opens a connection to elsewhere. The database's own connections are the libraries' that speak its protocol.
const OPENING: &[&str] =
    &["reqwest::Client", "reqwest::get", "TcpStream::connect", "UdpSocket", "TcpSocket", "hyper_util::client"];

/// The sources of the crates without their tests: path and text.
fn sources() -> Vec<(String, String)> {
    let crates = root().join("crates");
    let mut found = Vec::new();
    for path in files(&crates, "rs") {
        let shown = path.strip_prefix(&crates).expect("a path beneath it").display().to_string();
        // Tests and the testkit speak to servers of their own.
        if !shown.starts_with("testkit") && !shown.split('/').any(|part| part == "tests") {
            found.push((shown, read(&path)));
        }
    }
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
    let root = root();
    let model = read(&root.join("SECURITY.md"));
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

/// The folders of this repository that documents name files of.
const FOLDERS: &[&str] =
    &[".cargo", ".ci", "bench", "crates", "docs", "examples", "fuzz", "migrations", "scripts", "tests"];

#[test]
fn every_path_that_a_document_names_is_there() {
    let root = root();
    let mut documents = files(&root.join("docs"), "md");
    documents.extend(["ARCHITECTURE.md", "README.md", "SECURITY.md"].map(|name| root.join(name)));
    let (mut missing, mut named) = (Vec::new(), 0);
    for document in documents {
        for path in paths(&read(&document)) {
            named += 1;
            if !root.join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named >= 20, "{named} paths are named");
}

/// What of a document's words in backticks is a path of this repository: of a pattern its folder, and of a test its file.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    let words = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    let words = words.filter(|word| !word.contains(char::is_whitespace));
    let paths = words.map(|word| {
        let path = word.split("::").next().unwrap_or_default();
        path.find(['{', '*', '<']).map_or(path, |at| path[..at].trim_end_matches(|last: char| last != '/'))
    });
    paths.filter(|path| path.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder)))
}

#[test]
fn a_path_is_told_by_its_folder() {
    let text =
        "`crates/a.rs`, `application/json` and `docs/*.md`\n```\n`tests/b.rs`\n```\n`tests/c.rs::holds` `make fuzz/d`";
    assert_eq!(paths(text).collect::<Vec<_>>(), ["crates/a.rs", "docs/", "tests/c.rs"]);
}
