//! Permissions in the API: their names, and the directive that says which a field needs.

use async_graphql::{Enum, TypeDirective};
use hookgraph_domain::permission::Permission;

/// What a token, and a payload query, may read and change. Who may write a noun may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "Permission", remote = "Permission")]
pub enum PermissionName {
    /// Read products, documents and folders.
    ItemsRead,
    /// Change products, documents and folders, and read them.
    ItemsWrite,
    /// Read topic maps.
    TopicsRead,
    /// Change topic maps, and read them.
    TopicsWrite,
    /// Read grids.
    GridsRead,
    /// Change grids, and read them.
    GridsWrite,
    /// Read orders.
    OrdersRead,
    /// Change orders, and read them.
    OrdersWrite,
    /// Read order pipelines.
    PipelinesRead,
    /// Change order pipelines, and read them.
    PipelinesWrite,
    /// Read flows and the items in their stages.
    FlowsRead,
    /// Change flows and the items in their stages, and read them.
    FlowsWrite,
    /// Read customers.
    CustomersRead,
    /// Change customers, and read them.
    CustomersWrite,
    /// Read price lists.
    PriceListsRead,
    /// Change price lists, and read them.
    PriceListsWrite,
    /// Read markets.
    MarketsRead,
    /// Change markets, and read them.
    MarketsWrite,
    /// Read subscription contracts.
    SubscriptionContractsRead,
    /// Change subscription contracts, and read them.
    SubscriptionContractsWrite,
    /// Read the tenant and its copies.
    TenantsRead,
    /// Change the tenant and its copies, and read them.
    TenantsWrite,
    /// Read webhooks.
    WebhooksRead,
    /// Change webhooks, and read them.
    WebhooksWrite,
    /// Read deliveries, their attempts and payloads.
    DeliveriesRead,
    /// Change deliveries, their attempts and payloads, and read them.
    DeliveriesWrite,
    /// Read recorded events.
    EventsRead,
    /// Change recorded events, and read them.
    EventsWrite,
    /// Read signature secrets and keys.
    SecretsRead,
    /// Change signature secrets and keys, and read them.
    SecretsWrite,
    /// Read access tokens.
    TokensRead,
    /// Change access tokens, and read them.
    TokensWrite,
    /// Read the log of management actions.
    AuditRead,
}

/// The permission without which a field is refused. A field without it is open to every token, or shows what the field above
/// it has read.
#[TypeDirective(location = "FieldDefinition", repeatable)]
pub fn requires(permission: PermissionName) {}
