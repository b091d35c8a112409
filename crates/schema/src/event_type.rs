//! The event catalogue in the API.

use crate::context::ApiContext;
use async_graphql::{Context, Object, SimpleObject};
use hookgraph_domain::catalogue::{self, EventType};
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{IntoGraphql, JsonValue};
use serde_json::Value;

#[derive(Default)]
pub(crate) struct EventTypeQueryRoot;

#[Object]
impl EventTypeQueryRoot {
    /// The types of event that webhooks may be called on.
    async fn event_type(&self) -> EventTypeQueries {
        EventTypeQueries
    }
}

pub(crate) struct EventTypeQueries;

/// The event catalogue.
#[Object]
impl EventTypeQueries {
    /// Every event type, by category; those of one concern where one is named.
    async fn get_many(&self, concern: Option<String>) -> async_graphql::Result<Vec<EventTypeObject>> {
        require_known_type(concern.as_deref(), None).graphql()?;
        let known = catalogue::all().iter();
        let asked = known.filter(|known| concern.as_deref().is_none_or(|concern| concern == known.concern));
        Ok(asked.map(EventTypeObject).collect())
    }

    /// The event type of that pair.
    async fn get(&self, concern: String, event: String) -> Option<EventTypeObject> {
        catalogue::find(&concern, &event).map(EventTypeObject)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct EventTypeObject(pub &'static EventType);

/// A type of event: what a webhook is called on, and which variables its payload query may declare.
#[Object(name = "EventType")]
impl EventTypeObject {
    /// `concern/event`, e.g. `orders/create`.
    async fn id(&self) -> async_graphql::ID {
        format!("{}/{}", self.0.concern, self.0.event).into()
    }

    /// 1 to 9.
    async fn category(&self) -> i32 {
        i32::from(self.0.category)
    }

    /// What the category is about.
    async fn category_name(&self) -> &'static str {
        catalogue::category_name(self.0.category)
    }

    /// What the event is about, e.g. `orders`.
    async fn concern(&self) -> &'static str {
        self.0.concern
    }

    /// What happened, e.g. `create`.
    async fn event(&self) -> &'static str {
        self.0.event
    }

    /// When it is raised.
    async fn description(&self) -> &'static str {
        self.0.description
    }

    /// What a payload query may declare, in the order of the default payload.
    async fn variables(&self) -> Vec<EventVariable> {
        let variable = |variable: &catalogue::Variable| EventVariable {
            name: variable.name,
            graphql_type: variable.graphql_type(),
            is_required: variable.is_required,
            description: variable.description,
        };
        self.0.variables.iter().map(variable).collect()
    }

    /// The body of a webhook without a payload query, with made-up values but for your tenant's id.
    async fn example_default_payload(&self, ctx: &Context<'_>) -> async_graphql::Result<JsonValue> {
        let mut payload = self.0.example_payload();
        if let Some(tenant_id) = payload.get_mut("tenantId") {
            *tenant_id = Value::from(ApiContext::of(ctx)?.tenant_id().to_string());
        }
        Ok(JsonValue(Value::Object(payload)))
    }
}

/// A variable that an event type supplies.
#[derive(SimpleObject)]
pub(crate) struct EventVariable {
    /// Its name, without the dollar sign.
    name: &'static str,
    /// Its type as a document declares it, e.g. `ID!`.
    #[graphql(name = "type")]
    graphql_type: String,
    /// Whether it always has a value.
    is_required: bool,
    /// What it holds.
    description: &'static str,
}

/// Refuses a filter that fits no event type: its answer would look as if nothing had happened.
pub(crate) fn require_known_type(concern: Option<&str>, event: Option<&str>) -> Result<(), Refusal> {
    let concern_fits = |known: &&catalogue::EventType| concern.is_none_or(|concern| concern == known.concern);
    let fits = |known: &&catalogue::EventType| concern_fits(known) && event.is_none_or(|event| event == known.event);
    if catalogue::all().iter().any(|known| fits(&known)) {
        return Ok(());
    }
    let path = if catalogue::all().iter().any(|known| concern_fits(&known)) { "event" } else { "concern" };
    let (what, nearest) = match (concern, event) {
        (Some(concern), None) => ("concern", catalogue::nearest_concerns(concern)),
        _ => ("event type", catalogue::nearest(concern.unwrap_or_default(), event.unwrap_or_default())),
    };
    let message = format!("there is no such {what}, the nearest are {}", nearest.join(", "));
    Err(Refusal::invalid_at(path, "EVENT_TYPE_UNKNOWN", message))
}
