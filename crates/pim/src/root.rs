//! The roots: one namespace per noun.

use crate::customer::{CustomerMutations, CustomerQueries};
use crate::flow::{FlowMutations, FlowQueries};
use crate::grid::{GridMutations, GridQueries};
use crate::item::{
    DocumentMutations, DocumentQueries, FolderMutations, FolderQueries, ItemMutations, ItemQueries, ProductMutations,
    ProductQueries,
};
use crate::market::{MarketMutations, MarketQueries};
use crate::order::{OrderMutations, OrderQueries};
use crate::pipeline::{PipelineMutations, PipelineQueries};
use crate::price_list::{PriceListMutations, PriceListQueries};
use crate::subscription_contract::{SubscriptionContractMutations, SubscriptionContractQueries};
use crate::tenant::{TenantMutations, TenantQueries};
use crate::topic::{TopicMutations, TopicQueries};
use async_graphql::Object;

/// The queries on records: the root of payload queries, and a part of the management API's.
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

    /// Documents.
    async fn document(&self) -> DocumentQueries {
        DocumentQueries
    }

    /// Folders.
    async fn folder(&self) -> FolderQueries {
        FolderQueries
    }

    /// Flows of items through stages.
    async fn flow(&self) -> FlowQueries {
        FlowQueries
    }

    /// Grids of items.
    async fn grid(&self) -> GridQueries {
        GridQueries
    }

    /// Products, documents and folders.
    async fn item(&self) -> ItemQueries {
        ItemQueries
    }

    /// Products.
    async fn product(&self) -> ProductQueries {
        ProductQueries
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

    /// Topics.
    async fn topic(&self) -> TopicQueries {
        TopicQueries
    }
}

/// The mutations of records.
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

    /// Documents.
    async fn document(&self) -> Option<DocumentMutations> {
        Some(DocumentMutations)
    }

    /// Folders.
    async fn folder(&self) -> Option<FolderMutations> {
        Some(FolderMutations)
    }

    /// Flows of items through stages.
    async fn flow(&self) -> Option<FlowMutations> {
        Some(FlowMutations)
    }

    /// Grids of items.
    async fn grid(&self) -> Option<GridMutations> {
        Some(GridMutations)
    }

    /// Products, documents and folders.
    async fn item(&self) -> Option<ItemMutations> {
        Some(ItemMutations)
    }

    /// Products.
    async fn product(&self) -> Option<ProductMutations> {
        Some(ProductMutations)
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

    /// Tenants. Of these mutations `createCopyTask` alone takes an idempotency key: list what is there before you try one of
    /// the others again.
    async fn tenant(&self) -> Option<TenantMutations> {
        Some(TenantMutations)
    }

    /// Topics.
    async fn topic(&self) -> Option<TopicMutations> {
        Some(TopicMutations)
    }
}
