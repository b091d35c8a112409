//! `subscriptionContract { get getMany }`.

use super::body::CUSTOMER;
use super::{SubscriptionContract, SubscriptionContractBody, SubscriptionContractConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::page::RecordSort;

/// By what subscription contracts are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SubscriptionContractSortField {
    /// By id, which follows their creation.
    #[graphql(name = "_id")]
    Id,
    /// When they were last changed.
    #[graphql(name = "updatedAt")]
    UpdatedAt,
}

/// Queries on subscription contracts.
pub struct SubscriptionContractQueries;

#[Object]
impl SubscriptionContractQueries {
    /// One subscription contract.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<SubscriptionContract>> {
        let found = PimContext::of(ctx)?.read::<SubscriptionContractBody>().graphql()?.one(&id).await.graphql()?;
        Ok(found.map(SubscriptionContract::from))
    }

    /// Subscription contracts, the latest first.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        customer_identifier: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        #[graphql(default_with = "Some(SortDirection::Desc)")] sort: Option<SortDirection>,
        #[graphql(default_with = "Some(SubscriptionContractSortField::Id)")] sort_field: Option<
            SubscriptionContractSortField,
        >,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<SubscriptionContractConnection>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let linked = customer_identifier.map(|identifier| (CUSTOMER.to_owned(), identifier)).into_iter().collect();
        let sorted_by = match sort_field {
            Some(SubscriptionContractSortField::UpdatedAt) => RecordSort::UpdatedAt,
            Some(SubscriptionContractSortField::Id) | None => RecordSort::Key,
        };
        let list = ListOf { linked, sort: sorted_by, direction: sort.unwrap_or(SortDirection::Desc) };
        let arguments = PageArguments { after, before, first, last };
        Ok(Some(page::<SubscriptionContractBody>(pim, list, arguments).await.graphql()?.into()))
    }
}
