//! Publishes events from outside, for platforms that keep their records elsewhere.

use super::EventObject;
use super::variables::{checked_variables, object};
use crate::access::{EventsRead, EventsWrite};
use crate::context::ApiContext;
use async_graphql::InputObject;
use hookgraph_domain::catalogue::{self, record_label};
use hookgraph_domain::change::{Change, CommitError};
use hookgraph_domain::event::{Event, EventTypeKey, NewEvent};
use hookgraph_domain::ids::EventId;
use hookgraph_domain::limits::{CHANGED_FIELD_BYTES_MAX, CHANGED_FIELDS_MAX, EVENTS_PER_PUBLISH_MAX, PROBLEMS_MAX};
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::{JsonValue, PimContext, Step};
use std::collections::HashMap;
use std::sync::Arc;

/// An event that happened elsewhere.
#[derive(Clone, InputObject)]
pub(crate) struct PublishEventInput {
    /// What it is about, e.g. `orders`.
    pub concern: String,
    /// What happened, e.g. `create`.
    pub event: String,
    /// An object with the values of its type's variables, all texts of up to 1 KiB, none that is required empty. The server
    /// sets `tenantId`, and `webhookId` for each webhook that is called: leave them out. It fills in `userId` where you name
    /// nobody.
    pub variables: JsonValue,
    /// Which top-level fields of the record an update changed: up to 100, with names of up to 200 bytes.
    pub changed_fields: Option<Vec<String>>,
}

/// Records the event of the input.
pub(super) async fn publish(
    api: &ApiContext,
    pim: &PimContext,
    input: PublishEventInput,
) -> Result<EventObject, Refusal> {
    let step = pim.next_step();
    let mut problems = Vec::new();
    let event = new_event(api, input, "input", &mut problems);
    require_none(problems)?;
    let mut published = record(api, (pim, step), event.into_iter().collect()).await?;
    published.pop().ok_or_else(|| Refusal::new(RefusalCode::Internal, "the server failed: its log says why"))
}

/// Records the events of the inputs in their order: all of them, or none.
pub(super) async fn publish_many(
    api: &ApiContext,
    pim: &PimContext,
    inputs: Vec<PublishEventInput>,
) -> Result<Vec<EventObject>, Refusal> {
    let step = pim.next_step();
    if inputs.len() > EVENTS_PER_PUBLISH_MAX {
        let message = format!("{} events in one call, {EVENTS_PER_PUBLISH_MAX} are allowed", inputs.len());
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    let mut problems = Vec::new();
    let mut events = Vec::with_capacity(inputs.len());
    for (row, input) in inputs.into_iter().enumerate() {
        events.extend(new_event(api, input, &format!("inputs.{row}"), &mut problems));
        if problems.len() > PROBLEMS_MAX {
            break;
        }
    }
    require_none(problems)?;
    if events.is_empty() {
        return Ok(Vec::new());
    }
    record(api, (pim, step), events).await
}

fn require_none(problems: Vec<Problem>) -> Result<(), Refusal> {
    if problems.is_empty() { Ok(()) } else { Err(Refusal::invalid(problems)) }
}

/// Records the events. A request that comes again under its idempotency key gets the events that it recorded before.
async fn record(
    api: &ApiContext,
    (pim, step): (&PimContext, Option<Step>),
    events: Vec<NewEvent>,
) -> Result<Vec<EventObject>, Refusal> {
    let mut change = Change { events, ..Change::at(api.now()) };
    if let Some(step) = &step {
        if let Some(ids) = pim.answered(step).await? {
            return read_again(api, ids).await;
        }
        let ids: Vec<EventId> = change.events.iter().map(|event| event.id).collect();
        change.writes.push(step.keep(&ids)?);
    }
    let published = change.events.iter().map(|event| EventObject(Arc::new(recorded(event, change.at)))).collect();
    match (api.may::<EventsWrite>()?.publish(change).await, &step) {
        (Ok(_), _) => Ok(published),
        // The same request runs twice at once, and the other run committed first.
        (Err(CommitError::Conflict(what)), Some(step)) => match pim.answered(step).await? {
            Some(ids) => read_again(api, ids).await,
            None => Err(CommitError::Conflict(what).into()),
        },
        (Err(error), _) => Err(error.into()),
    }
}

async fn read_again(api: &ApiContext, ids: Vec<EventId>) -> Result<Vec<EventObject>, Refusal> {
    let found = api.may::<EventsRead>()?.events(&ids).await?;
    let mut found: HashMap<EventId, Event> = found.into_iter().map(|event| (event.id, event)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).map(|event| EventObject(Arc::new(event))).collect())
}

fn new_event(api: &ApiContext, input: PublishEventInput, path: &str, problems: &mut Vec<Problem>) -> Option<NewEvent> {
    let event_type = match catalogue::known(&input.concern, &input.event, path) {
        Ok(event_type) => event_type,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let variables_path = format!("{path}.variables");
    let variables = match object(input.variables, &variables_path) {
        Ok(given) => checked_variables(&api.caller, event_type, &variables_path, given, problems),
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let changed_fields = input.changed_fields.unwrap_or_default();
    problems.extend(changed_fields_problem(&changed_fields, path));
    Some(NewEvent {
        id: EventId(api.new_id()),
        tenant_id: api.tenant_id(),
        event_type: EventTypeKey::new(event_type.concern, event_type.event),
        record_label: record_label(event_type, &variables),
        variables,
        changed_fields,
        tombstone: None,
    })
}

fn changed_fields_problem(changed_fields: &[String], path: &str) -> Option<Problem> {
    let path = format!("{path}.changedFields");
    if changed_fields.len() > CHANGED_FIELDS_MAX {
        let message = format!("{} fields are named, {CHANGED_FIELDS_MAX} are allowed", changed_fields.len());
        return Some(Problem::new(path, "CHANGED_FIELDS_TOO_MANY", message));
    }
    let is_wrong =
        |name: &String| name.is_empty() || name.len() > CHANGED_FIELD_BYTES_MAX || name.contains(char::is_control);
    let place = changed_fields.iter().position(is_wrong)?;
    let message = format!("a field's name has 1 to {CHANGED_FIELD_BYTES_MAX} bytes and no control character");
    Some(Problem::new(format!("{path}.{place}"), "CHANGED_FIELD_INVALID", message))
}

fn recorded(event: &NewEvent, at: Timestamp) -> Event {
    Event {
        id: event.id,
        tenant_id: event.tenant_id,
        event_type: event.event_type.clone(),
        variables: event.variables.clone(),
        changed_fields: event.changed_fields.clone(),
        record_label: event.record_label.clone(),
        is_test: false,
        recorded_at: at,
    }
}
