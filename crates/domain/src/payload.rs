//! Payloads: what a payload query rendered to, frozen before the first send.

use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A payload: the canonical JSON text of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenPayload {
    /// JavaScript-canonical JSON: for all methods but GET the exact bytes of the body.
    pub json: Arc<str>,
    /// As of when it was read.
    pub rendered_at: Timestamp,
}

/// The body of a webhook with `preserve_default_payload`: the default payload's keys first, then the query's; on equal keys
/// the query's value, in the default payload's place.
pub fn merge(default: Map<String, Value>, data: Map<String, Value>) -> Map<String, Value> {
    let mut merged = default;
    merged.extend(data);
    merged
}

#[cfg(test)]
mod tests {
    use super::merge;
    use crate::canonical_json::to_text;
    use serde_json::{Value, json};

    #[test]
    fn the_querys_values_win_in_the_default_payloads_places() {
        let (Value::Object(default), Value::Object(data)) =
            (json!({ "id": "1", "tenantId": "t" }), json!({ "order": { "a": 1 }, "id": { "b": 2 } }))
        else {
            unreachable!()
        };
        let merged = Value::Object(merge(default, data));
        assert_eq!(to_text(&merged), r#"{"id":{"b":2},"tenantId":"t","order":{"a":1}}"#);
    }
}
