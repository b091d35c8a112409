//! An event as the API shows it.

use super::matches::{EventMatch, matches_of};
use crate::connection::FIRST_DEFAULT;
use crate::context::ApiContext;
use crate::delivery::{DeliveryConnection, delivery_page};
use crate::event_type::EventTypeObject;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::catalogue;
use hookgraph_domain::event::Event;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_pim::{DateTime, IntoGraphql, JsonValue, PermissionName, requires};
use serde_json::Value;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct EventObject(pub Arc<Event>);

/// One occurrence. It never changes.
#[Object(name = "Event")]
impl EventObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// What it is about, e.g. `orders`.
    async fn concern(&self) -> &str {
        &self.0.event_type.concern
    }

    /// What happened, e.g. `create`.
    async fn event(&self) -> &str {
        &self.0.event_type.event
    }

    /// Its type in the catalogue.
    async fn event_type(&self) -> Option<EventTypeObject> {
        catalogue::find(&self.0.event_type.concern, &self.0.event_type.event).map(EventTypeObject)
    }

    /// The values of its type's variables; all but `webhookId`, which is the called webhook's.
    async fn variables(&self) -> JsonValue {
        JsonValue(Value::Object(self.0.variables.clone()))
    }

    /// Which top-level fields of the record an update changed.
    async fn changed_fields(&self) -> &[String] {
        &self.0.changed_fields
    }

    /// The record it is about, e.g. `order:0198…`.
    async fn record(&self) -> &str {
        &self.0.record_label
    }

    /// Whether it was made up for a test.
    async fn is_test(&self) -> bool {
        self.0.is_test
    }

    async fn recorded_at(&self) -> DateTime {
        DateTime(self.0.recorded_at)
    }

    /// Its deliveries, newest first; tests too.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveryConnection> {
        let api = ApiContext::of(ctx)?;
        let query = DeliveryQuery { event_id: Some(self.0.id), ..DeliveryQuery::of(api.tenant_id(), 0) };
        delivery_page(api, query, first, after.as_deref()).await.graphql()
    }

    /// Each webhook of its type, with the delivery that it got, or why it got none.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksRead),
        directive = requires::apply(PermissionName::DeliveriesRead)
    )]
    async fn matches(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<EventMatch>> {
        matches_of(ApiContext::of(ctx)?, &self.0).await.graphql()
    }
}
