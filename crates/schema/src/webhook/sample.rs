//! Events for previews and tests: one that was recorded, or one made up of given variables or of the catalogue's examples.

use crate::access::EventsRead;
use crate::context::Asked;
use crate::ids::required;
use async_graphql::ID;
use hookgraph_domain::catalogue::{self, EventType, Variable, VariableType};
use hookgraph_domain::event::{Event, EventTypeKey, NewEvent};
use hookgraph_domain::ids::EventId;
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::JsonValue;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a caller says of the event.
pub(super) struct EventChoice {
    /// Where the choice stands in the arguments: empty, or ending with a dot.
    pub path: &'static str,
    pub event_id: Option<ID>,
    pub variables: Option<JsonValue>,
}

/// The event of a preview or test.
pub(super) enum Chosen {
    Recorded(Arc<Event>),
    MadeUp(Box<NewEvent>),
}

impl Chosen {
    /// The event as a render reads it.
    pub fn into_event(self, now: Timestamp) -> Arc<Event> {
        match self {
            Chosen::Recorded(event) => event,
            Chosen::MadeUp(event) => Arc::new(Event {
                id: event.id,
                tenant_id: event.tenant_id,
                event_type: event.event_type,
                variables: event.variables,
                changed_fields: event.changed_fields,
                record_label: event.record_label,
                is_test: true,
                recorded_at: now,
            }),
        }
    }
}

/// Finds or makes up the event.
pub(super) async fn chosen_event(asked: &Asked, key: &EventTypeKey, choice: EventChoice) -> Result<Chosen, Refusal> {
    let EventChoice { path, event_id, variables } = choice;
    match (event_id, variables) {
        (Some(_), Some(_)) => {
            let message = "name an event or give variables, not both";
            Err(Refusal::invalid_at(format!("{path}variables"), "EVENT_AMBIGUOUS", message))
        }
        (Some(id), None) => recorded(asked, key, path, &id).await.map(Chosen::Recorded),
        (None, variables) => made_up(asked, key, path, variables).map(Box::new).map(Chosen::MadeUp),
    }
}

async fn recorded(asked: &Asked, key: &EventTypeKey, path: &str, id: &ID) -> Result<Arc<Event>, Refusal> {
    let event = asked.may::<EventsRead>()?.event(required("event", id)?).await?;
    let event = event.ok_or_else(|| Refusal::not_found("event", id))?;
    if event.event_type == *key {
        return Ok(event);
    }
    let message = format!("that event is {}, the webhook is called on {key}", event.event_type);
    Err(Refusal::invalid_at(format!("{path}eventId"), "EVENT_TYPE_MISMATCH", message))
}

fn made_up(asked: &Asked, key: &EventTypeKey, path: &str, given: Option<JsonValue>) -> Result<NewEvent, Refusal> {
    let unknown = || Refusal::not_found("event type", &key.to_string());
    let event_type = catalogue::find(&key.concern, &key.event).ok_or_else(unknown)?;
    let given = match given {
        None => event_type.example_payload(),
        Some(JsonValue(Value::Object(given))) => given,
        Some(_) => {
            let message = "give an object with a value for each variable";
            return Err(Refusal::invalid_at(format!("{path}variables"), "VARIABLES_NO_OBJECT", message));
        }
    };
    let is_example = given == event_type.example_payload();
    let variables = checked_variables(asked, event_type, path, given, is_example)?;
    let subject = ["id", "orderId", "identifier", "taskId"].into_iter().find_map(|name| variables.get(name));
    let record_label = format!("test:{}", subject.and_then(Value::as_str).unwrap_or_default());
    Ok(NewEvent {
        id: EventId(asked.new_id()),
        tenant_id: asked.tenant_id(),
        event_type: key.clone(),
        variables,
        changed_fields: Vec::new(),
        tombstone: None,
        record_label,
    })
}

/// The values in the catalogue's order, `webhookId` left out, the caller's own filled in.
fn checked_variables(
    asked: &Asked,
    event_type: &EventType,
    path: &str,
    given: Map<String, Value>,
    is_example: bool,
) -> Result<Map<String, Value>, Refusal> {
    let at = |name: &str| format!("{path}variables.{name}");
    let mut problems = Vec::new();
    for name in given.keys().filter(|name| event_type.variable(name).is_none()) {
        let known: Vec<_> = event_type.variables.iter().map(|variable| variable.name).collect();
        let message = format!("the event type supplies {}", known.join(", "));
        problems.push(Problem::new(at(name), "VARIABLE_UNKNOWN", message));
    }
    let own_tenant = asked.tenant_id().to_string();
    let mut variables = Map::new();
    for variable in event_type.variables.iter().filter(|variable| variable.name != "webhookId") {
        let value = given.get(variable.name).cloned().unwrap_or_default();
        let value = match variable.name {
            "tenantId" if is_example || value.is_null() => Value::from(own_tenant.clone()),
            "tenantId" if value.as_str() != Some(&own_tenant) => {
                problems.push(Problem::new(at("tenantId"), "VARIABLE_TENANT", "leave it out: it is your own tenant"));
                continue;
            }
            "userId" if is_example || value.is_null() => asked.caller.user_id.clone().map_or(Value::Null, Value::from),
            _ => value,
        };
        if let Some(message) = value_problem(variable, &value) {
            problems.push(Problem::new(at(variable.name), "VARIABLE_VALUE", message));
        }
        variables.insert(variable.name.to_owned(), value);
    }
    if problems.is_empty() { Ok(variables) } else { Err(Refusal::invalid(problems)) }
}

fn value_problem(variable: &Variable, value: &Value) -> Option<String> {
    const ITEM_TYPES: [&str; 3] = ["product", "document", "folder"];
    match value {
        Value::Null if variable.is_required => Some(format!("{} is required", variable.graphql_type())),
        Value::Null => None,
        Value::String(text)
            if variable.variable_type == VariableType::ItemType && !ITEM_TYPES.contains(&text.as_str()) =>
        {
            Some(format!("{text:?} is none of {}", ITEM_TYPES.join(", ")))
        }
        Value::String(text) if text.contains('\0') => Some("a text without the character U+0000 is needed".to_owned()),
        Value::String(_) => None,
        _ => Some(format!("a text is needed: the type is {}", variable.graphql_type())),
    }
}
