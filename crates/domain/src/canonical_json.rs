//! Canonical JSON: the text that JavaScript's `JSON.stringify(JSON.parse(x))` prints.

use serde_json::Value;

/// The canonical text of a value.
pub fn to_text(value: &Value) -> String {
    let _ = value;
    todo!()
}
