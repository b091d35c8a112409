//! What can be left out of a tenant copy.

use async_graphql::Enum;
use hookgraph_domain::record::RecordKind;
use serde::{Deserialize, Serialize};

/// What can be left out of a tenant copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "camelCase")]
#[serde(rename_all = "camelCase")]
pub enum TenantCopyExcludeableTypes {
    /// Files: none are kept here.
    Assets,
    /// Customers.
    Customers,
    /// Orders.
    Orders,
    /// Subscription contracts.
    SubscriptionContracts,
    /// Webhooks.
    Webhooks,
}

impl TenantCopyExcludeableTypes {
    /// Whether it leaves out the records of that kind.
    pub(super) const fn covers(self, kind: RecordKind) -> bool {
        match self {
            Self::Customers => matches!(kind, RecordKind::Customer),
            Self::Orders => matches!(kind, RecordKind::Order),
            Self::SubscriptionContracts => matches!(kind, RecordKind::SubscriptionContract),
            Self::Assets | Self::Webhooks => false,
        }
    }
}
