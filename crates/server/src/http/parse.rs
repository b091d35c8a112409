//! Turns the parameters of a request into the request that the schema runs. Unknown keys are passed over, as the
//! specification says.

use crate::documents::{Documents, Named};
use crate::limits::{JSON_DEPTH_MAX, REQUEST_VALUES_MAX};
use async_graphql::{Request, Variables};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_schema::IDEMPOTENCY_EXTENSION;
use serde_json::{Map, Value};

/// Reads the body of a POST.
///
/// # Errors
/// The refusal, which names the fault.
pub fn body(bytes: &[u8], documents: &Documents) -> Result<Request, Refusal> {
    if bytes.is_empty() {
        return Err(wrong("the body is empty: send a JSON object with the key \"query\""));
    }
    check_values("the body", bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json("the body", &error))?;
    match value {
        Value::Object(parameters) => from_parameters(parameters, documents),
        Value::Array(_) => Err(wrong("a batch of requests is not supported: send one JSON object")),
        _ => Err(wrong("the body is not a JSON object")),
    }
}

/// Reads the query string of a GET; `variables` and `extensions` are JSON texts there.
///
/// # Errors
/// The refusal, which names the fault.
pub fn query_string(query: &str, documents: &Documents) -> Result<Request, Refusal> {
    let mut parameters = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = match name.as_ref() {
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" | "extensions" => {
                serde_json::from_str(&value).map_err(|error| not_json(&format!("the parameter {name:?}"), &error))?
            }
            _ => Value::String(value.into_owned()),
        };
        parameters.insert(name.into_owned(), value);
    }
    from_parameters(parameters, documents)
}

/// Reads the parameters of a request, also of a WebSocket `subscribe`.
///
/// # Errors
/// The refusal, which names the fault.
pub fn from_parameters(mut parameters: Map<String, Value>, documents: &Documents) -> Result<Request, Refusal> {
    let mut extensions = match parameters.remove("extensions") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extensions)) => extensions,
        Some(_) => return Err(wrong("\"extensions\" is not an object")),
    };
    let named = Named::read(parameters.remove("documentId"), extensions.get("persistedQuery"))?;
    let sent = match parameters.remove("query") {
        Some(Value::String(query)) if !query.trim().is_empty() => Some(query),
        Some(Value::String(_)) if named.is_none() => return Err(wrong("\"query\" is empty")),
        None | Some(Value::Null | Value::String(_)) => None,
        Some(_) => return Err(wrong("\"query\" is not a string")),
    };
    let text = documents.text(sent, named)?.ok_or_else(|| wrong("\"query\" is missing"))?;
    let mut request = Request::new(text);
    request.operation_name = match parameters.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err(wrong("\"operationName\" is not a string")),
    };
    match parameters.remove("variables") {
        None | Some(Value::Null) => {}
        Some(variables @ Value::Object(_)) => request.variables = Variables::from_json(variables),
        Some(_) => return Err(wrong("\"variables\" is not an object")),
    }
    if let Some(key) = extensions.remove(IDEMPOTENCY_EXTENSION) {
        let key = async_graphql::Value::from_json(key).unwrap_or_default();
        request.extensions.insert(IDEMPOTENCY_EXTENSION.to_owned(), key);
    }
    Ok(request)
}

/// Refuses a JSON text of more than [`REQUEST_VALUES_MAX`] values, which is told without reading the values.
///
/// # Errors
/// The refusal, which calls the text `what`.
pub fn check_values(what: &str, json: &[u8]) -> Result<(), Refusal> {
    // A value has a byte at least, so most texts need not be looked through.
    if json.len() > REQUEST_VALUES_MAX && values(json) > REQUEST_VALUES_MAX {
        return Err(wrong(format!("{what} holds more than {REQUEST_VALUES_MAX} values: send it in parts")));
    }
    Ok(())
}

/// How many values a JSON text holds at most, by the commas and brackets outside its strings.
fn values(json: &[u8]) -> usize {
    let (mut count, mut is_string, mut is_escaped) = (1_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b',' | b'[' | b'{' if !is_string => count += 1,
            _ => {}
        }
    }
    count
}

fn not_json(what: &str, error: &serde_json::Error) -> Refusal {
    let told = error.to_string();
    // The text is well-formed as far as it was read.
    wrong(match told.strip_prefix("recursion limit exceeded") {
        Some(place) => format!("{what} nests more than {JSON_DEPTH_MAX} values within each other{place}"),
        None => format!("{what} is not well-formed JSON: {told}"),
    })
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use super::{body, values};
    use crate::documents::Documents;
    use crate::limits::{JSON_DEPTH_MAX, REQUEST_VALUES_MAX};
    use async_graphql::Value;
    use hookgraph_schema::IDEMPOTENCY_EXTENSION;

    #[test]
    fn a_body_of_too_many_values_is_refused_and_one_long_text_is_not() {
        for (json, count) in [("1", 1), (r#"{"a":[1,2],"b":"[,{\\"}"#, 5), (r#""\",[""#, 1), ("[[],{}]", 5)] {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
        let with = |variable: &str| format!(r#"{{"query":"{{ a }}","variables":{{"v":{variable}}}}}"#);
        let many = with(&format!("[{}1]", "1,".repeat(REQUEST_VALUES_MAX)));
        let refusal = body(many.as_bytes(), &Documents::default()).err().unwrap();
        assert!(refusal.message.contains("more than 100000 values"), "{}", refusal.message);
        let long = with(&format!("\"{}\"", "1,[".repeat(REQUEST_VALUES_MAX)));
        assert!(body(long.as_bytes(), &Documents::default()).is_ok());
    }

    #[test]
    fn a_body_that_nests_too_deep_is_told_apart_from_one_that_is_no_json() {
        let nested = |depth: usize| {
            let text =
                format!(r#"{{"query":"{{ a }}","variables":{{"v":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
            body(text.as_bytes(), &Documents::default())
        };
        // The body and its variables are two levels.
        assert!(nested(JSON_DEPTH_MAX - 2).is_ok());
        let refusal = nested(JSON_DEPTH_MAX - 1).err().unwrap();
        assert!(
            refusal.message.starts_with("the body nests more than 127 values within each other at line 1"),
            "{refusal}"
        );
    }

    #[test]
    fn of_the_extensions_the_idempotency_key_alone_is_read() {
        let request =
            body(br#"{"query":"{ a }","extensions":{"idempotencyKey":"k","trace":true}}"#, &Documents::default())
                .unwrap();
        assert_eq!(request.extensions.get(IDEMPOTENCY_EXTENSION), Some(&Value::from("k")));
        assert_eq!(request.extensions.len(), 1);
        assert!(body(br#"{"query":"{ a }","extensions":[]}"#, &Documents::default()).is_err());
    }
}
