//! Checks the values that a caller gives to an event type's variables, for an event from outside or for one made up for
//! a test.

use crate::document::nearest_name;
use hookgraph_domain::catalogue::{EventType, Variable, VariableType};
use hookgraph_domain::limits::EVENT_VARIABLE_BYTES_MAX;
use hookgraph_domain::problem::Problem;
use hookgraph_pim::{Caller, JsonValue};
use serde_json::{Map, Value};

/// The variables that callers need not give: the tenant is the caller's, and the webhook is the called one.
const SET_BY_THE_SERVER: [&str; 2] = ["tenantId", "webhookId"];

/// Checks the given values, and fills in the caller's: `tenantId` always, `userId` where none is given. Returns the
/// values in the catalogue's order, all but `webhookId`, which differs by webhook. `path` is the place of the values in
/// the input.
pub(crate) fn checked_variables(
    caller: &Caller,
    event_type: &EventType,
    path: &str,
    mut given: Map<String, Value>,
    problems: &mut Vec<Problem>,
) -> Map<String, Value> {
    let at = |name: &str| format!("{path}.{name}");
    let mut variables = Map::with_capacity(event_type.variables.len());
    for variable in event_type.variables {
        let value = given.remove(variable.name).unwrap_or_default();
        let value = match variable.name {
            "webhookId" => {
                if !value.is_null() {
                    let message = "leave it out: the server sets it for each webhook that is called";
                    problems.push(Problem::new(at("webhookId"), "VARIABLE_WEBHOOK", message));
                }
                continue;
            }
            "tenantId" if value.is_null() => Value::String(caller.tenant_id.to_string()),
            "tenantId" if value.as_str().map(str::parse) != Some(Ok(caller.tenant_id)) => {
                problems.push(Problem::new(at("tenantId"), "VARIABLE_TENANT", "leave it out: it is your own tenant"));
                continue;
            }
            "userId" if value.is_null() => caller.user_id.clone().map_or(Value::Null, Value::String),
            _ => value,
        };
        if let Some(message) = value_problem(variable, &value) {
            problems.push(Problem::new(at(variable.name), "VARIABLE_VALUE", message));
        }
        variables.insert(variable.name.to_owned(), value);
    }
    for name in given.keys() {
        problems.push(Problem::new(at(name), "VARIABLE_UNKNOWN", unknown(event_type, name)));
    }
    variables
}

/// The values as an object.
pub(crate) fn object(values: JsonValue, path: &str) -> Result<Map<String, Value>, Problem> {
    match values {
        JsonValue(Value::Object(values)) => Ok(values),
        JsonValue(_) => Err(Problem::new(path, "VARIABLES_NO_OBJECT", "give an object with a value for each variable")),
    }
}

fn unknown(event_type: &EventType, name: &str) -> String {
    let EventType { concern, event, .. } = event_type;
    let known = event_type.variables.iter().map(|variable| variable.name);
    let known = known.filter(|name| !SET_BY_THE_SERVER.contains(name));
    match nearest_name(name, known.clone()) {
        Some(meant) => format!("{concern}/{event} has no variable of that name: did you mean {meant}?"),
        None => {
            format!("{concern}/{event} has no variable of that name, only {}", known.collect::<Vec<_>>().join(", "))
        }
    }
}

fn value_problem(variable: &Variable, value: &Value) -> Option<String> {
    const ITEM_TYPES: [&str; 3] = ["product", "document", "folder"];
    match value {
        Value::Null if variable.is_required => Some(format!("{} is required", variable.graphql_type())),
        Value::Null => None,
        Value::String(text) if text.is_empty() && variable.is_required => {
            Some(format!("must not be empty: the type is {}", variable.graphql_type()))
        }
        Value::String(text)
            if variable.variable_type == VariableType::ItemType && !ITEM_TYPES.contains(&text.as_str()) =>
        {
            Some(format!("{text:?} is none of {}", ITEM_TYPES.join(", ")))
        }
        Value::String(text) if text.contains('\0') => Some("a text without the character U+0000 is needed".to_owned()),
        Value::String(text) if text.len() > EVENT_VARIABLE_BYTES_MAX => {
            Some(format!("the text has {} bytes, {EVENT_VARIABLE_BYTES_MAX} are allowed", text.len()))
        }
        Value::String(_) => None,
        _ => Some(format!("a text is needed: the type is {}", variable.graphql_type())),
    }
}
