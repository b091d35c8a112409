//! The idempotency key of a request, and the hash by which two requests are the same.

pub use hookgraph_domain::idempotency::IDEMPOTENCY_EXTENSION;

use async_graphql::{Request, Value};
use hookgraph_domain::idempotency::key_problem;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::Idempotency;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The idempotency key of the request, if it has one, with the hash of its document, operation and variables. The order
/// of an object's fields does not matter.
pub(crate) fn of(request: &Request) -> Result<Option<Idempotency>, Refusal> {
    let key = match request.extensions.get(IDEMPOTENCY_EXTENSION) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(key)) => key.clone(),
        Some(_) => return Err(refusal("an idempotency key is a text")),
    };
    if let Some(problem) = key_problem(&key) {
        return Err(refusal(&problem));
    }
    let variables: BTreeMap<_, _> = request.variables.iter().map(|(name, value)| (name, in_order(value))).collect();
    let variables = serde_json::to_string(&variables).unwrap_or_default();
    let parts = [request.query.as_str(), request.operation_name.as_deref().unwrap_or_default(), &variables];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ok(Some(Idempotency::new(key, hash.finalize().into())))
}

/// The value with the fields of its objects sorted by name: a client that builds a request anew may send them in
/// another order.
fn in_order(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.iter().map(in_order).collect()),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name.clone(), in_order(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        value => value.clone(),
    }
}

fn refusal(message: &str) -> Refusal {
    let message = format!("{message} (it is the header idempotency-key, or extensions.{IDEMPOTENCY_EXTENSION})");
    Refusal::invalid_at(format!("extensions.{IDEMPOTENCY_EXTENSION}"), "IDEMPOTENCY_KEY_INVALID", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::Variables;
    use serde_json::json;

    fn hash_of(document: &str, variables: serde_json::Value) -> String {
        let extensions = [(IDEMPOTENCY_EXTENSION.to_owned(), Value::from("a-key"))];
        let mut request = Request::new(document).variables(Variables::from_json(variables));
        request.extensions.extend(extensions);
        format!("{:?}", of(&request).expect("a key"))
    }

    fn fields(text: &str) -> serde_json::Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn the_order_of_fields_makes_no_other_request_and_all_else_does() {
        let document = "mutation($i: PublishEventInput!) { event { publish(input: $i) { id } } }";
        let one = hash_of(
            document,
            fields(r#"{"i":{"concern":"orders","variables":{"id":"a","userId":"b"}},"j":[{"a":1,"b":2}]}"#),
        );
        let same = hash_of(
            document,
            fields(r#"{"j":[{"b":2,"a":1}],"i":{"variables":{"userId":"b","id":"a"},"concern":"orders"}}"#),
        );
        assert_eq!(one, same);
        for other in [
            json!({ "i": { "concern": "orders", "variables": { "id": "a", "userId": "c" } }, "j": [{ "a": 1, "b": 2 }] }),
            json!({ "i": { "concern": "orders", "variables": { "id": "b", "userId": "a" } }, "j": [{ "a": 1, "b": 2 }] }),
            json!({ "i": { "concern": "orders", "variables": { "id": "a", "userId": "b" } }, "j": [{ "a": 1 }, { "b": 2 }] }),
        ] {
            assert_ne!(one, hash_of(document, other));
        }
        assert_ne!(one, hash_of("mutation { event { __typename } }", json!({})));
    }
}
