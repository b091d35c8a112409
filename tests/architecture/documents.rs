//! The documents: the paths and tests that they name are there.

use super::{files, read, root};

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

/// The folders of this repository of which documents name files.
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

/// The words in a document's backticks that are paths of this repository: of a pattern its folder, and of a test its
/// file.
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
