//! The events of previews and tests: a recorded one, or one made up of given variables or of the catalogue's examples.

use crate::access::EventsRead;
use crate::context::ApiContext;
use crate::event::{checked_variables, variables_object};
use crate::ids::required;
use async_graphql::ID;
use hookgraph_domain::catalogue;
use hookgraph_domain::event::{Event, EventTypeKey, NewEvent};
use hookgraph_domain::ids::EventId;
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::JsonValue;
use serde_json::Value;
use std::sync::Arc;

/// A caller's choice of an event.
pub(super) struct EventChoice {
    /// The path of the choice in the arguments: empty, or ending with a dot.
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
    /// The event in the form that a render reads.
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

/// Finds the recorded event, or makes one up.
pub(super) async fn chosen_event(api: &ApiContext, key: &EventTypeKey, choice: EventChoice) -> Result<Chosen, Refusal> {
    let EventChoice { path, event_id, variables } = choice;
    match (event_id, variables) {
        (Some(_), Some(_)) => {
            let message = "name an event or give variables, not both";
            Err(Refusal::invalid_at(format!("{path}variables"), "EVENT_AMBIGUOUS", message))
        }
        (Some(id), None) => recorded(api, key, path, &id).await.map(Chosen::Recorded),
        (None, variables) => made_up(api, key, path, variables).map(Box::new).map(Chosen::MadeUp),
    }
}

async fn recorded(api: &ApiContext, key: &EventTypeKey, path: &str, id: &ID) -> Result<Arc<Event>, Refusal> {
    let event = api.may::<EventsRead>()?.event(required("event", id)?).await?;
    let event = event.ok_or_else(|| Refusal::not_found("event", id))?;
    if event.event_type == *key {
        return Ok(event);
    }
    let message = format!("that event is {}, the webhook is called on {key}", event.event_type);
    Err(Refusal::invalid_at(format!("{path}eventId"), "EVENT_TYPE_MISMATCH", message))
}

fn made_up(api: &ApiContext, key: &EventTypeKey, path: &str, given: Option<JsonValue>) -> Result<NewEvent, Refusal> {
    let unknown = || Refusal::not_found("event type", &key.to_string());
    let event_type = catalogue::find(&key.concern, &key.event).ok_or_else(unknown)?;
    let path = format!("{path}variables");
    let example = event_type.example_payload();
    let mut given = given.map_or_else(|| Ok(example.clone()), |given| variables_object(given, &path)).map_err(one)?;
    let is_example = given == example;
    // The tenant and user of the example are nobody's: the caller's are filled in. A caller who sends the payload of
    // `exampleDefaultPayload` back sends the example's `webhookId` along, which is dropped.
    given.retain(|name, value| match name.as_str() {
        "tenantId" | "userId" => !is_example,
        "webhookId" => example.get(name) != Some(&*value),
        _ => true,
    });
    let mut problems = Vec::new();
    let variables = checked_variables(&api.caller, event_type, &path, given, &mut problems);
    if !problems.is_empty() {
        return Err(Refusal::invalid(problems));
    }
    let subject = ["id", "orderId", "identifier", "taskId"].into_iter().find_map(|name| variables.get(name));
    let record_label = format!("test:{}", subject.and_then(Value::as_str).unwrap_or_default());
    Ok(NewEvent {
        id: EventId(api.new_id()),
        tenant_id: api.tenant_id(),
        event_type: key.clone(),
        variables,
        changed_fields: Vec::new(),
        tombstone: None,
        record_label,
    })
}

fn one(problem: Problem) -> Refusal {
    Refusal::invalid(vec![problem])
}
