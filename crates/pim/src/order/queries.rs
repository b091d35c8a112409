//! `order { get getMany }`, and the lists of orders that pipelines and stages have.

use super::body::{CUSTOMER, OrderBody, PIPELINE, STAGE};
use super::{Order, OrderConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::page::RecordSort;

/// By what orders are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(rename_items = "camelCase")]
pub enum OrderSortField {
    /// When they were placed.
    CreatedAt,
    /// When they were last changed.
    UpdatedAt,
}

/// How a list of orders is sorted: by the latest change first where the arguments are not given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OrderSort {
    pub direction: Option<SortDirection>,
    pub field: Option<OrderSortField>,
}

/// One page of the orders with those links.
pub(crate) async fn order_page(
    pim: &PimContext,
    linked: Vec<(String, String)>,
    sort: OrderSort,
    arguments: PageArguments,
) -> async_graphql::Result<OrderConnection> {
    let field = match sort.field {
        Some(OrderSortField::CreatedAt) => RecordSort::CreatedAt,
        Some(OrderSortField::UpdatedAt) | None => RecordSort::UpdatedAt,
    };
    let list = ListOf { linked, sort: field, direction: sort.direction.unwrap_or(SortDirection::Desc) };
    Ok(page::<OrderBody>(pim, list, arguments).await.graphql()?.into())
}

/// Queries on orders.
pub struct OrderQueries;

#[Object]
impl OrderQueries {
    /// One order.
    #[graphql(directive = requires::apply(PermissionName::OrdersRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<Order>> {
        let found = PimContext::of(ctx)?.read::<OrderBody>().graphql()?.one(&id).await.graphql()?;
        Ok(found.map(Order::from))
    }

    /// Orders, the latest change first.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::OrdersRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        customer_identifier: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        pipeline_id: Option<ID>,
        pipeline_stage_id: Option<ID>,
        #[graphql(default_with = "Some(SortDirection::Desc)")] sort: Option<SortDirection>,
        #[graphql(default_with = "Some(OrderSortField::UpdatedAt)")] sort_field: Option<OrderSortField>,
        tenant_id: Option<ID>,
    ) -> async_graphql::Result<Option<OrderConnection>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(tenant_id.as_ref().map(|id| id.as_str())).graphql()?;
        let customer = customer_identifier.map(|identifier| (CUSTOMER.to_owned(), identifier));
        let pipeline = pipeline_id.map(|id| (PIPELINE.to_owned(), id.0));
        let stage = pipeline_stage_id.map(|id| (STAGE.to_owned(), id.0));
        let linked = [customer, pipeline, stage].into_iter().flatten().collect();
        let sort = OrderSort { direction: sort, field: sort_field };
        order_page(pim, linked, sort, PageArguments { after, before, first, last }).await.map(Some)
    }
}
