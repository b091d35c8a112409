//! Permissions: what a token, and a payload query, may read and change.
//!
//! One to read and one to write per noun. Who may write a noun may read it: a change is decided on what is there.

use std::fmt;

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Permission {
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

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionSet(u64);

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 33] = [
        Self::ItemsRead,
        Self::ItemsWrite,
        Self::TopicsRead,
        Self::TopicsWrite,
        Self::GridsRead,
        Self::GridsWrite,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::PipelinesRead,
        Self::PipelinesWrite,
        Self::FlowsRead,
        Self::FlowsWrite,
        Self::CustomersRead,
        Self::CustomersWrite,
        Self::PriceListsRead,
        Self::PriceListsWrite,
        Self::MarketsRead,
        Self::MarketsWrite,
        Self::SubscriptionContractsRead,
        Self::SubscriptionContractsWrite,
        Self::TenantsRead,
        Self::TenantsWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::DeliveriesRead,
        Self::DeliveriesWrite,
        Self::EventsRead,
        Self::EventsWrite,
        Self::SecretsRead,
        Self::SecretsWrite,
        Self::TokensRead,
        Self::TokensWrite,
        Self::AuditRead,
    ];

    /// The name in the API, on the command line, in claims and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Permission::ItemsRead => "ITEMS_READ",
            Permission::ItemsWrite => "ITEMS_WRITE",
            Permission::TopicsRead => "TOPICS_READ",
            Permission::TopicsWrite => "TOPICS_WRITE",
            Permission::GridsRead => "GRIDS_READ",
            Permission::GridsWrite => "GRIDS_WRITE",
            Permission::OrdersRead => "ORDERS_READ",
            Permission::OrdersWrite => "ORDERS_WRITE",
            Permission::PipelinesRead => "PIPELINES_READ",
            Permission::PipelinesWrite => "PIPELINES_WRITE",
            Permission::FlowsRead => "FLOWS_READ",
            Permission::FlowsWrite => "FLOWS_WRITE",
            Permission::CustomersRead => "CUSTOMERS_READ",
            Permission::CustomersWrite => "CUSTOMERS_WRITE",
            Permission::PriceListsRead => "PRICE_LISTS_READ",
            Permission::PriceListsWrite => "PRICE_LISTS_WRITE",
            Permission::MarketsRead => "MARKETS_READ",
            Permission::MarketsWrite => "MARKETS_WRITE",
            Permission::SubscriptionContractsRead => "SUBSCRIPTION_CONTRACTS_READ",
            Permission::SubscriptionContractsWrite => "SUBSCRIPTION_CONTRACTS_WRITE",
            Permission::TenantsRead => "TENANTS_READ",
            Permission::TenantsWrite => "TENANTS_WRITE",
            Permission::WebhooksRead => "WEBHOOKS_READ",
            Permission::WebhooksWrite => "WEBHOOKS_WRITE",
            Permission::DeliveriesRead => "DELIVERIES_READ",
            Permission::DeliveriesWrite => "DELIVERIES_WRITE",
            Permission::EventsRead => "EVENTS_READ",
            Permission::EventsWrite => "EVENTS_WRITE",
            Permission::SecretsRead => "SECRETS_READ",
            Permission::SecretsWrite => "SECRETS_WRITE",
            Permission::TokensRead => "TOKENS_READ",
            Permission::TokensWrite => "TOKENS_WRITE",
            Permission::AuditRead => "AUDIT_READ",
        }
    }

    /// The permission of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name)
    }

    /// The permission to change the same noun; itself where it is that, or where there is none.
    fn to_write(self) -> Self {
        let noun = self.as_str().trim_end_matches("_READ");
        Self::ALL.into_iter().find(|other| other.as_str().strip_suffix("_WRITE") == Some(noun)).unwrap_or(self)
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PermissionSet {
    /// No permission.
    pub const NONE: PermissionSet = PermissionSet(0);

    /// Every permission: an administrator's.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// Whether it allows that: by the permission itself, or by the one to change the same noun.
    pub fn allows(self, permission: Permission) -> bool {
        self.0 & (permission.bit() | permission.to_write().bit()) != 0
    }

    /// The first permission of the other set that this one does not allow.
    pub fn missing(self, needed: PermissionSet) -> Option<Permission> {
        needed.iter().find(|permission| !self.allows(*permission))
    }

    /// With one more.
    #[must_use]
    pub fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    /// Without one.
    #[must_use]
    pub fn without(self, permission: Permission) -> Self {
        Self(self.0 & !permission.bit())
    }

    /// Its permissions, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.0 & permission.bit() != 0)
    }

    /// The names of its permissions.
    pub fn names(self) -> Vec<String> {
        self.iter().map(|permission| permission.as_str().to_owned()).collect()
    }

    /// The set of those names.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        names.into_iter().map(|name| Permission::from_name(name).ok_or_else(|| name.to_owned())).collect()
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<T: IntoIterator<Item = Permission>>(permissions: T) -> Self {
        permissions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_name_and_a_bit_of_its_own() {
        for (place, permission) in Permission::ALL.into_iter().enumerate() {
            assert_eq!(permission as usize, place, "{permission}");
            assert_eq!(Permission::from_name(permission.as_str()), Some(permission));
        }
        assert_eq!(PermissionSet::all().iter().count(), Permission::ALL.len());
    }

    #[test]
    fn who_may_write_may_read_and_not_the_other_way_round() {
        let writer = PermissionSet::NONE.with(Permission::OrdersWrite);
        assert!(writer.allows(Permission::OrdersRead) && writer.allows(Permission::OrdersWrite));
        assert!(!writer.allows(Permission::CustomersRead));
        assert!(!PermissionSet::NONE.with(Permission::OrdersRead).allows(Permission::OrdersWrite));
        assert!(PermissionSet::NONE.with(Permission::AuditRead).allows(Permission::AuditRead));
    }

    #[test]
    fn what_is_missing_is_named() {
        let held = PermissionSet::NONE.with(Permission::OrdersWrite);
        let needed = PermissionSet::NONE.with(Permission::OrdersRead).with(Permission::MarketsRead);
        assert_eq!(held.missing(needed), Some(Permission::MarketsRead));
        assert_eq!(PermissionSet::all().missing(needed), None);
    }

    #[test]
    fn an_unknown_name_is_named() {
        assert_eq!(PermissionSet::from_names(["ORDERS_READ", "orders:read"]), Err("orders:read".to_owned()));
        let all = PermissionSet::all().names();
        assert_eq!(PermissionSet::from_names(all.iter().map(String::as_str)), Ok(PermissionSet::all()));
    }
}
