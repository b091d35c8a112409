//! Replays in the API: `webhook { replay }` begins one, and this module lists and cancels them.

mod following;
mod object;
mod starting;

pub(crate) use following::follow_replay;
pub(crate) use object::ReplayObject;
pub(crate) use starting::{ReplayWebhookInput, start_replay};

use crate::access::{DeliveriesRead, DeliveriesWrite, Managed};
use crate::connection::{FIRST_DEFAULT, PageRequest, history_connection};
use crate::context::ApiContext;
use crate::ids::{parsed, required};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::replay::{Replay, ReplayState};
use hookgraph_pim::{IntoGraphql, PermissionName, PimContext, requires, until_committed};
use std::sync::Arc;

history_connection!(ReplayConnection, ReplayEdge, ReplayObject);

#[derive(Default)]
pub(crate) struct ReplayQueryRoot;

#[Object]
impl ReplayQueryRoot {
    /// Past deliveries that are sent again.
    async fn replay(&self) -> ReplayQueries {
        ReplayQueries
    }
}

pub(crate) struct ReplayQueries;

/// Replays.
#[Object]
impl ReplayQueries {
    /// The replay of that id.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<ReplayObject>> {
        let api = ApiContext::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        let replay = api.may::<DeliveriesRead>().graphql()?.replay(id).await.graphql()?;
        Ok(replay.map(|replay| ReplayObject(Arc::new(replay))))
    }

    /// Replays, newest first.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of this webhook.")] webhook_id: Option<ID>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<ReplayConnection> {
        replay_page(ApiContext::of(ctx)?, webhook_id.as_ref(), first, after.as_deref()).await.graphql()
    }
}

async fn replay_page(
    api: &ApiContext,
    webhook_id: Option<&ID>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<ReplayConnection, Refusal> {
    let page = PageRequest::read(first, after)?;
    let webhook_id = webhook_id.map(|id| required("webhook", id)).transpose()?;
    let before = page.before.map(Into::into);
    let mut replays = api.may::<DeliveriesRead>()?.replay_page(webhook_id, before, page.limit()).await?;
    let page_info = page.cut(&mut replays, |replay| replay.id.0);
    let nodes: Vec<_> = replays.into_iter().map(|replay| ReplayObject(Arc::new(replay))).collect();
    let edges = nodes.iter().map(|node| ReplayEdge { cursor: node.0.id.to_string(), node: node.clone() }).collect();
    Ok(ReplayConnection { edges, nodes, page_info })
}

#[derive(Default)]
pub(crate) struct ReplayMutationRoot;

#[Object]
impl ReplayMutationRoot {
    /// What can be done to replays; `webhook { replay }` begins one. None of it takes an idempotency key: list what is there
    /// before you try again.
    async fn replay(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<ReplayMutations>> {
        PimContext::of(ctx)?.require_no_idempotency().graphql()?;
        Ok(Some(ReplayMutations))
    }
}

pub(crate) struct ReplayMutations;

/// What can be done to replays. None of it takes an idempotency key: list what is there before you try again.
#[Object(serial)]
impl ReplayMutations {
    /// Ends a replay. What it has made until then stays: `delivery { cancelMany(filter: { replayId }) }` ends
    /// that too.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesWrite))]
    async fn cancel(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<ReplayObject> {
        cancel(ApiContext::of(ctx)?, &id).await.graphql()
    }
}

async fn cancel(api: &ApiContext, id: &ID) -> Result<ReplayObject, Refusal> {
    until_committed(async || {
        let read = known_replay(api, id).await?;
        match read.state {
            ReplayState::Running => {}
            ReplayState::Cancelled => return Ok(ReplayObject(Arc::new(read))),
            ended => {
                let message = format!("the replay is {}: it has ended already", ended.as_str());
                return Err(Refusal::new(RefusalCode::Conflict, message).into());
            }
        }
        let replay = read.ended(ReplayState::Cancelled, Some("cancelled by a person".to_owned()), api.now());
        let mut change = Change::at(api.now());
        change.writes.push(Write::PutReplay { replay: replay.clone(), expected: Expected::Version(read.version) });
        let subject = format!("replay:{}", replay.id);
        let managed = Managed { action: "replay.cancel", subject, before: None, after: None };
        api.may::<DeliveriesWrite>()?.commit(change, managed).await?;
        Ok(ReplayObject(Arc::new(replay)))
    })
    .await
}

/// The tenant's replay of that id; an unknown id is refused.
pub(crate) async fn known_replay(api: &ApiContext, id: &ID) -> Result<Replay, Refusal> {
    let replay = api.may::<DeliveriesRead>()?.replay(required("replay", id)?).await?;
    replay.ok_or_else(|| Refusal::not_found("replay", id))
}
