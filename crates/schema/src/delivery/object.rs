//! A delivery as the API shows it.

use super::attempt::AttemptObject;
use crate::access::{DeliveriesRead, EventsRead, WebhooksRead};
use crate::context::ApiContext;
use crate::event::EventObject;
use crate::loaders::Bodies;
use crate::webhook::WebhookObject;
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_pim::{DateTime, IntoGraphql, JsonValue, PermissionName, requires};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct DeliveryObject(pub Arc<Delivery>);

/// One event owed to one webhook.
#[Object(name = "Delivery")]
impl DeliveryObject {
    /// Its id: the `webhook-id` header of its requests, the same over retries.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn webhook_id(&self) -> ID {
        self.0.webhook_id.to_string().into()
    }

    /// The webhook; a deleted one too, until its history goes.
    #[graphql(directive = requires::apply(PermissionName::WebhooksRead))]
    async fn webhook(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookObject>> {
        Ok(ApiContext::of(ctx)?
            .may::<WebhooksRead>()
            .graphql()?
            .webhook(self.0.webhook_id)
            .await
            .graphql()?
            .map(WebhookObject))
    }

    async fn event_id(&self) -> ID {
        self.0.event_id.to_string().into()
    }

    /// The event.
    #[graphql(directive = requires::apply(PermissionName::EventsRead))]
    async fn event(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<EventObject>> {
        Ok(ApiContext::of(ctx)?.may::<EventsRead>().graphql()?.event(self.0.event_id).await.graphql()?.map(EventObject))
    }

    /// Where it stands.
    async fn state(&self) -> DeliveryStateName {
        self.0.state.into()
    }

    /// Why it is in its `state`, where that alone does not say.
    async fn reason(&self) -> Option<&str> {
        self.0.state_reason.as_deref()
    }

    /// Whether it is a test: it counts in no health and no event feed.
    async fn is_test(&self) -> bool {
        self.0.is_test
    }

    /// The replay that made it.
    async fn replay_id(&self) -> Option<ID> {
        self.0.replay_id.map(|id| id.to_string().into())
    }

    /// When it is to be sent next; none while it is held and once it has ended.
    async fn due_at(&self) -> Option<DateTime> {
        self.0.due_at.map(DateTime)
    }

    /// How many attempts were made in all: those from before a `retry` too, and those that spent none, which are probes of a
    /// suspended webhook and faults of this server.
    async fn attempt_count(&self) -> u32 {
        self.0.attempt_count
    }

    /// How many of the attempts that its webhook's `retryDelaysS` allow are spent since it was made or last retried.
    async fn attempts_spent(&self) -> u32 {
        self.0.attempts_spent
    }

    /// Its attempts, the first one first.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn attempts(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<AttemptObject>> {
        let bodies = Bodies::selected_in(&ctx.look_ahead());
        let attempts =
            ApiContext::of(ctx)?.may::<DeliveriesRead>().graphql()?.attempts(self.0.id, bodies).await.graphql()?;
        Ok(attempts.into_iter().map(AttemptObject).collect())
    }

    /// What is sent, as frozen before the first attempt; none until it is rendered.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn payload(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<JsonValue>> {
        let api = ApiContext::of(ctx)?;
        let payload = api.may::<DeliveriesRead>().graphql()?.payload(self.0.id).await.graphql()?;
        let text = payload.as_ref().map(|payload| api.shown(&payload.json)).transpose().graphql()?;
        let json = text.map(serde_json::from_str);
        json.transpose().map(|json| json.map(JsonValue)).map_err(|error| {
            tracing::error!(delivery_id = %self.0.id, %error, "a frozen payload is no JSON");
            async_graphql::Error::new("the server failed: its log says why")
        })
    }

    /// As of when the payload was read; none until it is rendered.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn rendered_at(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DateTime>> {
        let rendered_at =
            ApiContext::of(ctx)?.may::<DeliveriesRead>().graphql()?.rendered_at(self.0.id).await.graphql()?;
        Ok(rendered_at.map(DateTime))
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Where a delivery stands. `DELIVERED`, `FAILED`, `RENDER_FAILED`, `CANCELLED` and `EXPIRED` are final; `retry` makes a
/// final one due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "DeliveryState", remote = "DeliveryState")]
pub(crate) enum DeliveryStateName {
    /// Due; no attempt is spent since it was made or last retried.
    Pending,
    /// Being rendered or sent.
    InFlight,
    /// A 2xx came back.
    Delivered,
    /// Due again, at a later time.
    Retrying,
    /// Kept without being sent, because its webhook is.
    Held,
    /// Every attempt is spent.
    Failed,
    /// The payload query cannot be rendered.
    RenderFailed,
    /// Ended by a person, or with its webhook.
    Cancelled,
    /// Too old to be sent.
    Expired,
}

/// The states that an argument names, each once: a list may name one many times, and each name becomes a value of a
/// statement.
pub(crate) fn distinct_states(named: impl IntoIterator<Item = DeliveryStateName>) -> Vec<DeliveryState> {
    let states: BTreeSet<DeliveryState> = named.into_iter().map(Into::into).collect();
    states.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_named_over_and_over_counts_once() {
        use DeliveryStateName::{Failed, Held, Pending};
        let named = [Failed, Held, Failed, Pending].repeat(10_000);
        assert_eq!(distinct_states(named), [DeliveryState::Pending, DeliveryState::Held, DeliveryState::Failed]);
        assert!(distinct_states([]).is_empty());
    }
}
