//! What holds of the repository as a whole, read from its sources, manifests and documents. One file for each theme.

mod conformance;
mod connections;
mod constant_time;
mod dependencies;
mod documents;
mod edges;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files beneath a folder of this repository that have the extension, without those that were built or installed
/// there.
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

/// The path and text of each source of the crates, without their tests.
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
