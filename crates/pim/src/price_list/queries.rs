//! `priceList { get getMany }`.

use super::{PriceList, PriceListBody, PriceListConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::page::RecordSort;

/// Queries on price lists.
pub struct PriceListQueries;

#[Object]
impl PriceListQueries {
    /// One price list.
    #[graphql(directive = requires::apply(PermissionName::PriceListsRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<PriceList>> {
        let pim = PimContext::of(ctx)?;
        if pim.tenant(Some(&tenant_id)).is_err() {
            return Ok(None);
        }
        Ok(pim.read::<PriceListBody>().graphql()?.one(&identifier).await.graphql()?.map(PriceList::from))
    }

    /// Price lists, the latest first.
    #[graphql(directive = requires::apply(PermissionName::PriceListsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<PriceListConnection>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let list = ListOf { linked: Vec::new(), sort: RecordSort::CreatedAt, direction: SortDirection::Desc };
        let arguments = PageArguments { after, before, first, last };
        Ok(Some(page::<PriceListBody>(pim, list, arguments).await.graphql()?.into()))
    }
}
