//! Live status: the feed of changes as subscriptions, resumable by cursor.

pub mod cursor;
mod feed;
mod payloads;
mod signals;
#[cfg(test)]
mod tests;

pub(crate) use cursor::latest as latest_cursor;
pub use signals::{FeedSignals, Following};

use crate::access::{DeliveriesRead, EventsRead, WebhooksRead};
use crate::context::ApiContext;
use crate::delivery::{DeliveryStateName, distinct_states};
use crate::event_type::require_known_type;
use crate::ids::required;
use crate::replay::{ReplayObject, follow_replay, known_replay};
use async_graphql::{Context, ID};
use feed::follow;
use futures::stream::{Stream, StreamExt};
use hookgraph_domain::feed::{FeedFilter, FeedKind};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{IntoGraphql, PermissionName, requires};
use payloads::{DeliveryUpdate, RecordedEvent};

pub(crate) struct Subscription;

/// What happens, as it happens. Answers of `deliveryUpdated` and `eventRecorded` have a cursor: who reconnects with the last
/// one as `after` misses nothing and sees nothing twice. Where what follows it was removed meanwhile the answer is the error
/// `CURSOR_TOO_OLD`, with the oldest cursor that may be used in `extensions.oldestCursor`. `replayUpdated` has none: it begins
/// with the replay as it stands.
#[async_graphql::Subscription]
impl Subscription {
    /// Each change of a delivery, in the order in which they were committed.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn delivery_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Deliveries to this webhook.")] webhook_id: Option<ID>,
        #[graphql(desc = "Changes into one of these states; any where none is named.")] states: Option<
            Vec<DeliveryStateName>,
        >,
        #[graphql(desc = "The cursor of the last answer that was seen; from now on where none is named.")]
        after: Option<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<DeliveryUpdate>> + use<>> {
        let api = ApiContext::of(ctx)?.clone();
        let webhook_id = known_webhook(&api, webhook_id).await.graphql()?;
        let filter = FeedFilter {
            only: Some(FeedKind::Deliveries),
            webhook_id,
            states: distinct_states(states.unwrap_or_default()),
            ..FeedFilter::default()
        };
        let after_seq = cursor::start::<DeliveriesRead>(&api, after.as_deref()).await.graphql()?;
        Ok(follow::<DeliveryUpdate>(api, filter, after_seq).map(IntoGraphql::graphql))
    }

    /// A replay as it goes on: as it stands now, then after each of its batches, until it has ended.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn replay_updated(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<ReplayObject>> + use<>> {
        let api = ApiContext::of(ctx)?.clone();
        let replay = known_replay(&api, &id).await.graphql()?;
        Ok(follow_replay(api, replay).map(Ok))
    }

    /// Each event as it is recorded; tests are left out.
    #[graphql(directive = requires::apply(PermissionName::EventsRead))]
    async fn event_recorded(
        &self,
        ctx: &Context<'_>,
        concern: Option<String>,
        event: Option<String>,
        #[graphql(desc = "The cursor of the last answer that was seen; from now on where none is named.")]
        after: Option<String>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<RecordedEvent>> + use<>> {
        let api = ApiContext::of(ctx)?.clone();
        require_known_type(concern.as_deref(), event.as_deref()).graphql()?;
        let filter = FeedFilter { only: Some(FeedKind::Events), concern, event, ..FeedFilter::default() };
        let after_seq = cursor::start::<EventsRead>(&api, after.as_deref()).await.graphql()?;
        Ok(follow::<RecordedEvent>(api, filter, after_seq).map(IntoGraphql::graphql))
    }
}

async fn known_webhook(api: &ApiContext, id: Option<ID>) -> Result<Option<WebhookId>, Refusal> {
    let Some(id) = id else { return Ok(None) };
    let webhook_id = required("webhook", &id)?;
    match api.may::<WebhooksRead>()?.webhook(webhook_id).await? {
        Some(_) => Ok(Some(webhook_id)),
        None => Err(Refusal::not_found("webhook", &id)),
    }
}
