//! `flow { get getMany }`.

use super::{Flow, FlowBody, FlowConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::RecordSort;

/// Queries on flows.
pub struct FlowQueries;

#[Object]
impl FlowQueries {
    /// One flow.
    #[graphql(directive = requires::apply(PermissionName::FlowsRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<Flow>> {
        let found = PimContext::of(ctx)?.read::<FlowBody>().graphql()?.one(&id).await.graphql()?;
        Ok(found.map(Flow::from))
    }

    /// Flows, the latest first.
    #[graphql(directive = requires::apply(PermissionName::FlowsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        tenant_id: ID,
    ) -> async_graphql::Result<FlowConnection> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let list = ListOf { linked: Vec::new(), sort: RecordSort::CreatedAt, direction: SortDirection::Desc };
        let page = page::<FlowBody>(pim, list, PageArguments { after, before, first, last }).await.graphql()?;
        Ok(page.into())
    }
}
