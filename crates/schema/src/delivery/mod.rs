//! Deliveries in the API.

mod attempt;
mod filter;
mod many;
mod mutations;
mod object;

pub(crate) use attempt::{OutcomeCodeName, RequestObject};
pub(crate) use filter::DeliveryFilter;
pub(crate) use mutations::DeliveryMutationRoot;
pub(crate) use object::{DeliveryObject, DeliveryStateName, distinct_states};

use crate::access::DeliveriesRead;
use crate::connection::{FIRST_DEFAULT, PageRequest, history_connection};
use crate::context::ApiContext;
use crate::ids::{parsed, required};
use crate::replay::known_replay;
use crate::subscription::latest_cursor;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::{DeliveryQuery, MadeByReplay};
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{DateTime, IntoGraphql, PermissionName, requires};
use std::sync::Arc;

history_connection!(DeliveryConnection, DeliveryEdge, DeliveryObject);

#[derive(Default)]
pub(crate) struct DeliveryQueryRoot;

#[Object]
impl DeliveryQueryRoot {
    /// What is owed to webhooks, and how it went.
    async fn delivery(&self) -> DeliveryQueries {
        DeliveryQueries
    }
}

pub(crate) struct DeliveryQueries;

/// Deliveries.
#[Object]
impl DeliveryQueries {
    /// The delivery of that id.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<DeliveryObject>> {
        let api = ApiContext::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        Ok(api.may::<DeliveriesRead>().graphql()?.delivery(id).await.graphql()?.map(DeliveryObject))
    }

    /// Where the feed of changes stands now. Who reads this first, then a list, and then subscribes after it, misses
    /// nothing between the two.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn feed_cursor(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        latest_cursor::<DeliveriesRead>(ApiContext::of(ctx)?).await.graphql()
    }

    /// Deliveries, newest first; tests too.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the API")]
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        webhook_id: Option<ID>,
        event_id: Option<ID>,
        #[graphql(desc = "Made by this replay.")] replay_id: Option<ID>,
        #[graphql(desc = "In one of these states; any where none is named.")] states: Option<Vec<DeliveryStateName>>,
        #[graphql(desc = "Created at or after.")] created_from: Option<DateTime>,
        #[graphql(desc = "Created before.")] created_before: Option<DateTime>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveryConnection> {
        let api = ApiContext::of(ctx)?;
        let webhook_id = webhook_id.map(|id| required("webhook", &id)).transpose().graphql()?;
        let filter = DeliveryFilter { webhook_id, event_id, replay_id, states, created_from, created_before };
        let query = filter.query(api).await.graphql()?;
        delivery_page(api, query, first, after.as_deref()).await.graphql()
    }
}

/// Narrows a query to the deliveries of a replay, where one is named: to the replay's webhook, and to the time in which
/// it ran. A replay of another webhook than the query names is not found.
async fn narrow_to_replay(api: &ApiContext, query: &mut DeliveryQuery, replay_id: Option<&ID>) -> Result<(), Refusal> {
    let Some(id) = replay_id else { return Ok(()) };
    let replay = known_replay(api, id).await?;
    if query.webhook_id.is_some_and(|webhook_id| webhook_id != replay.webhook_id) {
        return Err(Refusal::not_found("replay", id));
    }
    query.webhook_id = Some(replay.webhook_id);
    query.replay = Some(MadeByReplay::from(&replay));
    Ok(())
}

/// The page of the query's deliveries that the arguments name.
pub(crate) async fn delivery_page(
    api: &ApiContext,
    mut query: DeliveryQuery,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<DeliveryConnection, Refusal> {
    let page = PageRequest::read(first, after)?;
    query.before = page.before;
    query.limit = page.limit();
    let mut deliveries = api.may::<DeliveriesRead>()?.delivery_page(&query).await?;
    let page_info = page.cut(&mut deliveries, |delivery| delivery.id.0);
    let nodes: Vec<_> = deliveries.into_iter().map(|delivery| DeliveryObject(Arc::new(delivery))).collect();
    let edges = nodes.iter().map(|node| DeliveryEdge { cursor: node.0.id.to_string(), node: node.clone() }).collect();
    Ok(DeliveryConnection { edges, nodes, page_info })
}
