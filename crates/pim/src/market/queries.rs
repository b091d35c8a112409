//! `market { get getMany }`.

use super::{Market, MarketBody, MarketConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::RecordSort;

/// Queries on markets.
pub struct MarketQueries;

#[Object]
impl MarketQueries {
    /// One market.
    #[graphql(directive = requires::apply(PermissionName::MarketsRead))]
    async fn get(&self, ctx: &Context<'_>, identifier: String, tenant_id: ID) -> async_graphql::Result<Option<Market>> {
        let pim = PimContext::of(ctx)?;
        if pim.tenant(Some(&tenant_id)).is_err() {
            return Ok(None);
        }
        Ok(pim.read::<MarketBody>().graphql()?.one(&identifier).await.graphql()?.map(Market::from))
    }

    /// Markets, the latest first.
    #[graphql(directive = requires::apply(PermissionName::MarketsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        tenant_id: ID,
    ) -> async_graphql::Result<MarketConnection> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let list = ListOf { linked: Vec::new(), sort: RecordSort::CreatedAt, direction: SortDirection::Desc };
        let arguments = PageArguments { after, before, first, last };
        Ok(page::<MarketBody>(pim, list, arguments).await.graphql()?.into())
    }
}
