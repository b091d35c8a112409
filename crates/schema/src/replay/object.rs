//! A replay as the API shows it.

use crate::access::WebhooksRead;
use crate::connection::FIRST_DEFAULT;
use crate::context::ApiContext;
use crate::delivery::{DeliveryConnection, DeliveryStateName, delivery_page, distinct_states};
use crate::webhook::WebhookObject;
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::page::{DeliveryQuery, MadeByReplay};
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_pim::{DateTime, IntoGraphql, PermissionName, requires};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct ReplayObject(pub Arc<Replay>);

/// Past deliveries of a webhook that are sent again, as new deliveries of the same events.
#[Object(name = "Replay")]
impl ReplayObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn webhook_id(&self) -> ID {
        self.0.webhook_id.to_string().into()
    }

    /// The webhook; a deleted one too, until its history goes.
    #[graphql(directive = requires::apply(PermissionName::WebhooksRead))]
    async fn webhook(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookObject>> {
        let may = ApiContext::of(ctx)?.may::<WebhooksRead>().graphql()?;
        Ok(may.webhook(self.0.webhook_id).await.graphql()?.map(WebhookObject))
    }

    /// Deliveries created at or after.
    async fn from(&self) -> DateTime {
        DateTime(self.0.from)
    }

    /// Deliveries created before.
    async fn to(&self) -> DateTime {
        DateTime(self.0.before)
    }

    /// Deliveries in one of these states as it comes to them.
    async fn states(&self) -> Vec<DeliveryStateName> {
        self.0.wanted_states().into_iter().map(Into::into).collect()
    }

    /// How many deliveries it makes per second.
    async fn rate_per_second(&self) -> u32 {
        self.0.rate_per_second
    }

    /// Which payload the deliveries bear that it makes.
    async fn payload(&self) -> ReplayPayloadName {
        self.0.payload.into()
    }

    /// Where it stands.
    async fn state(&self) -> ReplayStateName {
        self.0.state.into()
    }

    /// Why it waits, or why it ended.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// How many deliveries it has made.
    async fn made_count(&self) -> u64 {
        self.0.made_count
    }

    /// The last delivery that it replayed: it goes on after this one. None as long as it has replayed none.
    async fn position(&self) -> Option<ID> {
        self.0.position.map(|id| id.to_string().into())
    }

    /// When the delivery at `position` was made: it has come as far as (positionAt - from) / (to - from) of its range, and is
    /// through with all of it where it is `FINISHED`. None where there is no `position`.
    async fn position_at(&self) -> Option<DateTime> {
        self.0.position_at().map(DateTime)
    }

    /// The deliveries that it made, newest first.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In one of these states; any where none is named.")] states: Option<Vec<DeliveryStateName>>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveryConnection> {
        let api = ApiContext::of(ctx)?;
        let query = DeliveryQuery {
            webhook_id: Some(self.0.webhook_id),
            replay: Some(MadeByReplay::from(&*self.0)),
            states: distinct_states(states.unwrap_or_default()),
            ..DeliveryQuery::of(api.tenant_id(), 0)
        };
        delivery_page(api, query, first, after.as_deref()).await.graphql()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last went on.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Which payload the deliveries of a replay bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ReplayPayload", remote = "ReplayPayload")]
pub(crate) enum ReplayPayloadName {
    /// The one that was frozen then; rendered now where none was.
    Frozen,
    /// One rendered now, by the webhook's payload query as it stands.
    Fresh,
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ReplayState", remote = "ReplayState")]
pub(crate) enum ReplayStateName {
    /// Under way; it waits while its webhook does not send.
    Running,
    /// Everything in its range is made.
    Finished,
    /// Ended by a person; what it made until then stays.
    Cancelled,
    /// It cannot go on: its webhook was deleted or switched off.
    Failed,
}
