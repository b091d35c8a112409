//! From the parameters of a request to what the schema is asked. Unknown keys are passed over, as the specification says.

use async_graphql::{Request, Variables};
use hookgraph_schema::IDEMPOTENCY_EXTENSION;
use serde_json::{Map, Value};

/// Reads the body of a POST.
///
/// # Errors
/// What is wrong with it.
pub fn body(bytes: &[u8]) -> Result<Request, String> {
    if bytes.is_empty() {
        return Err("the body is empty: send a JSON object with the key \"query\"".into());
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("the body is not well-formed JSON: {error}"))?;
    match value {
        Value::Object(parameters) => from_parameters(parameters),
        Value::Array(_) => Err("a batch of requests is not supported: send one JSON object".into()),
        _ => Err("the body is not a JSON object".into()),
    }
}

/// Reads the query string of a GET; `variables` and `extensions` are JSON texts there.
///
/// # Errors
/// What is wrong with it.
pub fn query_string(query: &str) -> Result<Request, String> {
    let mut parameters = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = match name.as_ref() {
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" | "extensions" => serde_json::from_str(&value)
                .map_err(|error| format!("the parameter {name:?} is not well-formed JSON: {error}"))?,
            _ => Value::String(value.into_owned()),
        };
        parameters.insert(name.into_owned(), value);
    }
    from_parameters(parameters)
}

/// Reads the parameters of a request; those of a WebSocket `subscribe` too.
///
/// # Errors
/// What is wrong with them.
pub fn from_parameters(mut parameters: Map<String, Value>) -> Result<Request, String> {
    let query = match parameters.remove("query") {
        Some(Value::String(query)) if !query.trim().is_empty() => query,
        Some(Value::String(_)) => return Err("\"query\" is empty".into()),
        None | Some(Value::Null) => return Err("\"query\" is missing".into()),
        Some(_) => return Err("\"query\" is not a string".into()),
    };
    let mut request = Request::new(query);
    request.operation_name = match parameters.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err("\"operationName\" is not a string".into()),
    };
    match parameters.remove("variables") {
        None | Some(Value::Null) => {}
        Some(variables @ Value::Object(_)) => request.variables = Variables::from_json(variables),
        Some(_) => return Err("\"variables\" is not an object".into()),
    }
    match parameters.remove("extensions") {
        None | Some(Value::Null) => Ok(request),
        Some(Value::Object(mut extensions)) => {
            let key = extensions
                .remove(IDEMPOTENCY_EXTENSION)
                .map(|key| async_graphql::Value::from_json(key).unwrap_or_default());
            request.extensions.extend(key.map(|key| (IDEMPOTENCY_EXTENSION.to_owned(), key)));
            Ok(request)
        }
        Some(_) => Err("\"extensions\" is not an object".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::body;
    use async_graphql::Value;
    use hookgraph_schema::IDEMPOTENCY_EXTENSION;

    #[test]
    fn of_the_extensions_the_idempotency_key_alone_is_read() {
        let request = body(br#"{"query":"{ a }","extensions":{"idempotencyKey":"k","trace":true}}"#).unwrap();
        assert_eq!(request.extensions.get(IDEMPOTENCY_EXTENSION), Some(&Value::from("k")));
        assert_eq!(request.extensions.len(), 1);
        assert!(body(br#"{"query":"{ a }","extensions":[]}"#).is_err());
    }
}
