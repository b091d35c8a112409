//! Exclusions from a tenant copy: the kinds of rows that a caller may leave out.

use crate::access::to_read;
use async_graphql::Enum;
use hookgraph_domain::permission::{Permission, PermissionSet};
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
    /// Whether this exclusion leaves out the records of `kind`.
    const fn covers(self, kind: RecordKind) -> bool {
        match self {
            Self::Customers => matches!(kind, RecordKind::Customer),
            Self::Orders => matches!(kind, RecordKind::Order),
            Self::SubscriptionContracts => matches!(kind, RecordKind::SubscriptionContract),
            Self::Assets | Self::Webhooks => false,
        }
    }
}

/// Whether a copy with these exclusions holds the records of `kind`.
pub(super) fn copies(exclude: &[TenantCopyExcludeableTypes], kind: RecordKind) -> bool {
    !exclude.iter().any(|excluded| excluded.covers(kind))
}

/// Whether a copy with these exclusions holds the webhooks.
pub(super) fn copies_webhooks(exclude: &[TenantCopyExcludeableTypes]) -> bool {
    !exclude.contains(&TenantCopyExcludeableTypes::Webhooks)
}

/// The permissions that a caller needs for a copy with these exclusions: every member of the copy may read all the
/// records in it.
///
/// Copied webhooks carry secret headers and client keys, which the copy can send; they need the permission to change
/// webhooks.
pub(super) fn needed(exclude: &[TenantCopyExcludeableTypes]) -> PermissionSet {
    let kinds = RecordKind::ALL.into_iter().filter(|kind| copies(exclude, *kind));
    let of_webhooks = copies_webhooks(exclude).then_some(Permission::WebhooksWrite);
    kinds.map(to_read).chain(of_webhooks).collect()
}
