//! The properties of the fuzz targets, over the corpus that is kept: a fault that fuzzing found stays found without
//! fuzzing.

use std::path::Path;

#[path = "../fuzz/properties/addresses.rs"]
mod addresses;
#[path = "../fuzz/properties/canonical_json.rs"]
mod canonical_json;
#[path = "../fuzz/properties/cursors.rs"]
mod cursors;
#[path = "../fuzz/properties/documents.rs"]
mod documents;
#[path = "../fuzz/properties/frames.rs"]
mod frames;
#[path = "../fuzz/properties/headers.rs"]
mod headers;
#[path = "../fuzz/properties/requests.rs"]
mod requests;
#[path = "../fuzz/properties/tokens.rs"]
mod tokens;

/// Tries every file of the target's corpus, and beginnings of each file.
fn replay(target: &str, hold: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files.flatten() {
        let data = std::fs::read(file.path()).expect("a file of the corpus");
        let step = (data.len() / BEGINNINGS_MAX).max(1);
        for end in (0..data.len()).step_by(step) {
            hold(&data[..end]);
        }
        hold(&data);
        count += 1;
    }
    assert!(count >= 5, "{target} has {count} files");
}

/// How many beginnings of one file are tried beside the whole file.
const BEGINNINGS_MAX: usize = 16;

#[test]
fn addresses_hold() {
    replay("addresses", addresses::hold);
}

#[test]
fn canonical_json_holds() {
    replay("canonical_json", canonical_json::hold);
}

#[test]
fn cursors_hold() {
    replay("cursors", cursors::hold);
}

#[test]
fn documents_hold() {
    replay("documents", documents::hold);
}

#[test]
fn frames_hold() {
    replay("frames", frames::hold);
}

#[test]
fn headers_hold() {
    replay("headers", headers::hold);
}

#[test]
fn requests_hold() {
    replay("requests", requests::hold);
}

#[test]
fn tokens_hold() {
    replay("tokens", tokens::hold);
}
