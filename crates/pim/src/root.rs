//! The roots: one namespace per noun.

use crate::customer::{CustomerMutations, CustomerQueries};
use crate::market::{MarketMutations, MarketQueries};
use crate::order::{OrderMutations, OrderQueries};
use crate::pipeline::{PipelineMutations, PipelineQueries};
use crate::price_list::{PriceListMutations, PriceListQueries};
use crate::subscription_contract::{SubscriptionContractMutations, SubscriptionContractQueries};
use crate::tenant::{TenantMutations, TenantQueries};
use async_graphql::Object;

/// What can be asked of records: the root of payload queries, and a part of the management API's.
#[derive(Clone, Copy, Debug, Default)]
pub struct PimQuery;

/// PIM queries.
#[Object]
impl PimQuery {
    /// Customers.
    async fn customer(&self) -> CustomerQueries {
        CustomerQueries
    }

    /// Markets.
    async fn market(&self) -> MarketQueries {
        MarketQueries
    }

    /// Orders.
    async fn order(&self) -> OrderQueries {
        OrderQueries
    }

    /// Pipelines that orders go through.
    async fn pipeline(&self) -> PipelineQueries {
        PipelineQueries
    }

    /// Price lists.
    async fn price_list(&self) -> PriceListQueries {
        PriceListQueries
    }

    /// Subscription contracts.
    async fn subscription_contract(&self) -> SubscriptionContractQueries {
        SubscriptionContractQueries
    }

    /// The caller's tenant.
    async fn tenant(&self) -> TenantQueries {
        TenantQueries
    }
}

/// What can be done to records.
#[derive(Clone, Copy, Debug, Default)]
pub struct PimMutation;

/// PIM mutations.
#[Object]
impl PimMutation {
    /// Customers.
    async fn customer(&self) -> Option<CustomerMutations> {
        Some(CustomerMutations)
    }

    /// Markets.
    async fn market(&self) -> MarketMutations {
        MarketMutations
    }

    /// Orders.
    async fn order(&self) -> Option<OrderMutations> {
        Some(OrderMutations)
    }

    /// Pipelines that orders go through.
    async fn pipeline(&self) -> Option<PipelineMutations> {
        Some(PipelineMutations)
    }

    /// Price lists.
    async fn price_list(&self) -> PriceListMutations {
        PriceListMutations
    }

    /// Subscription contracts.
    async fn subscription_contract(&self) -> SubscriptionContractMutations {
        SubscriptionContractMutations
    }

    /// Tenants.
    async fn tenant(&self) -> Option<TenantMutations> {
        Some(TenantMutations)
    }
}
