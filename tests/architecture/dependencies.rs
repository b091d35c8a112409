//! The dependencies of the manifests: each is used, and one whose version matters has one version.

use super::{files, read, root};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::PathBuf;

/// Packages that have code in another package's folder, and that folder.
const ELSEWHERE: &[(&str, &str)] = &[("hookgraph-tests", "fuzz/properties")];

/// The code in a package's folders without its comments: all of it, or the code that is shipped, without tests,
/// examples and benchmarks.
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

/// Whether the code names that crate, in a path or in an import.
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
                // A crate that only tests use is to be a dependency of the tests.
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

/// With two versions, tests and fuzz targets would read frames as no server does.
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
