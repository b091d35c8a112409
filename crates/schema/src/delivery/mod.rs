//! Deliveries in the API.

mod attempt;
mod many;
mod mutations;
mod object;

pub(crate) use attempt::{OutcomeCodeName, RequestObject};
pub(crate) use mutations::DeliveryMutationRoot;
pub(crate) use object::{DeliveryObject, DeliveryStateName, distinct_states};

use crate::access::DeliveriesRead;
use crate::connection::{PageAsked, history_connection, require_range};
use crate::context::Asked;
use crate::ids::parsed;
use crate::subscription::latest_cursor;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::DeliveryQuery;
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
        let asked = Asked::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        Ok(asked.may::<DeliveriesRead>().graphql()?.delivery(id).await.graphql()?.map(DeliveryObject))
    }

    /// Where the feed of changes stands now. Who reads this first, then a list, and then subscribes after it, misses
    /// nothing between the two.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn feed_cursor(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        latest_cursor::<DeliveriesRead>(Asked::of(ctx)?).await.graphql()
    }

    /// Deliveries, newest first; tests too.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the API")]
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        webhook_id: Option<ID>,
        event_id: Option<ID>,
        #[graphql(desc = "In one of these states; any where none is named.")] states: Option<Vec<DeliveryStateName>>,
        #[graphql(desc = "Created at or after.")] created_from: Option<DateTime>,
        #[graphql(desc = "Created before.")] created_before: Option<DateTime>,
        #[graphql(desc = "At most so many; 20 where none is named.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveryConnection> {
        let asked = Asked::of(ctx)?;
        let webhook_id = webhook_id.map(|id| crate::ids::required("webhook", &id)).transpose().graphql()?;
        let event_id = event_id.map(|id| crate::ids::required("event", &id)).transpose().graphql()?;
        require_range(created_from, created_before, "createdBefore").graphql()?;
        let query = DeliveryQuery {
            tenant_id: asked.tenant_id(),
            webhook_id,
            event_id,
            states: distinct_states(states.unwrap_or_default()),
            created_from: created_from.map(Into::into),
            created_before: created_before.map(Into::into),
            before: None,
            limit: 0,
        };
        delivery_page(asked, query, first, after.as_deref()).await.graphql()
    }
}

/// One page of the query's deliveries.
pub(crate) async fn delivery_page(
    asked: &Asked,
    mut query: DeliveryQuery,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<DeliveryConnection, Refusal> {
    let page = PageAsked::read(first, after)?;
    query.before = page.before;
    query.limit = page.limit();
    let mut deliveries = asked.may::<DeliveriesRead>()?.delivery_page(&query).await?;
    let page_info = page.cut(&mut deliveries, |delivery| delivery.id.0);
    let nodes: Vec<_> = deliveries.into_iter().map(|delivery| DeliveryObject(Arc::new(delivery))).collect();
    let edges = nodes.iter().map(|node| DeliveryEdge { cursor: node.0.id.to_string(), node: node.clone() }).collect();
    Ok(DeliveryConnection { edges, nodes, page_info })
}
