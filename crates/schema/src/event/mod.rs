//! Events in the API.

mod matches;
mod mutations;
mod object;
mod publish;
mod variables;

pub(crate) use mutations::EventMutationRoot;
pub(crate) use object::EventObject;
pub(crate) use variables::{checked_variables, object as variables_object};

use crate::access::EventsRead;
use crate::connection::{FIRST_DEFAULT, PageRequest, history_connection, require_range};
use crate::context::ApiContext;
use crate::event_type::require_known_type;
use crate::ids::parsed;
use crate::subscription::latest_cursor;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::EventQuery;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{DateTime, IntoGraphql, PermissionName, requires};
use std::sync::Arc;

history_connection!(EventConnection, EventEdge, EventObject);

#[derive(Default)]
pub(crate) struct EventQueryRoot;

#[Object]
impl EventQueryRoot {
    /// What happened, and which webhooks were called for it.
    async fn event(&self) -> EventQueries {
        EventQueries
    }
}

pub(crate) struct EventQueries;

/// Events.
#[Object]
impl EventQueries {
    /// The event of that id.
    #[graphql(directive = requires::apply(PermissionName::EventsRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<EventObject>> {
        let api = ApiContext::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        Ok(api.may::<EventsRead>().graphql()?.event(id).await.graphql()?.map(EventObject))
    }

    /// Where the feed of changes stands now. Who reads this first, then a list, and then subscribes after it, misses
    /// nothing between the two.
    #[graphql(directive = requires::apply(PermissionName::EventsRead))]
    async fn feed_cursor(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        latest_cursor::<EventsRead>(ApiContext::of(ctx)?).await.graphql()
    }

    /// Events, newest first; tests are left out.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the API")]
    #[graphql(directive = requires::apply(PermissionName::EventsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        concern: Option<String>,
        event: Option<String>,
        #[graphql(desc = "Recorded at or after.")] recorded_from: Option<DateTime>,
        #[graphql(desc = "Recorded before.")] recorded_before: Option<DateTime>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<EventConnection> {
        let api = ApiContext::of(ctx)?;
        let page = PageRequest::read(first, after.as_deref()).graphql()?;
        require_known_type(concern.as_deref(), event.as_deref()).graphql()?;
        require_range(recorded_from, recorded_before, "recordedBefore").graphql()?;
        let query = EventQuery {
            tenant_id: api.tenant_id(),
            concern,
            event,
            recorded_from: recorded_from.map(Into::into),
            recorded_before: recorded_before.map(Into::into),
            before: page.before,
            limit: page.limit(),
        };
        read_page(api, page, &query).await.graphql()
    }
}

async fn read_page(api: &ApiContext, page: PageRequest, query: &EventQuery) -> Result<EventConnection, Refusal> {
    let mut events = api.may::<EventsRead>()?.event_page(query).await?;
    let page_info = page.cut(&mut events, |event| event.id.0);
    let nodes: Vec<_> = events.into_iter().map(|event| EventObject(Arc::new(event))).collect();
    let edges = nodes.iter().map(|node| EventEdge { cursor: node.0.id.to_string(), node: node.clone() }).collect();
    Ok(EventConnection { edges, nodes, page_info })
}
