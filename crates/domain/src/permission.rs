//! Permissions: what a token, and a payload query, may read and change.
//!
//! One to read and one to write per noun. Who may write a noun may read it: a change is decided on what is there. Nothing asks for
//! [`Permission::SecretsRead`]: it stays because tokens and claims may name it.

use std::fmt;

/// Calls a macro with every permission, each as `Variant "NAME" "What it allows.";`. The one list: the type here and the
/// API's are made of it.
#[macro_export]
macro_rules! for_each_permission {
    ($define:ident) => {
        $define! {
            ItemsRead "ITEMS_READ" "Read products, documents and folders.";
            ItemsWrite "ITEMS_WRITE" "Change products, documents and folders, and read them.";
            TopicsRead "TOPICS_READ" "Read topic maps.";
            TopicsWrite "TOPICS_WRITE" "Change topic maps, and read them.";
            GridsRead "GRIDS_READ" "Read grids.";
            GridsWrite "GRIDS_WRITE" "Change grids, and read them.";
            OrdersRead "ORDERS_READ" "Read orders.";
            OrdersWrite "ORDERS_WRITE" "Change orders, and read them.";
            PipelinesRead "PIPELINES_READ" "Read order pipelines.";
            PipelinesWrite "PIPELINES_WRITE" "Change order pipelines, and read them.";
            FlowsRead "FLOWS_READ" "Read flows and the items in their stages.";
            FlowsWrite "FLOWS_WRITE" "Change flows and the items in their stages, and read them.";
            CustomersRead "CUSTOMERS_READ" "Read customers.";
            CustomersWrite "CUSTOMERS_WRITE" "Change customers, and read them.";
            PriceListsRead "PRICE_LISTS_READ" "Read price lists.";
            PriceListsWrite "PRICE_LISTS_WRITE" "Change price lists, and read them.";
            MarketsRead "MARKETS_READ" "Read markets.";
            MarketsWrite "MARKETS_WRITE" "Change markets, and read them.";
            SubscriptionContractsRead "SUBSCRIPTION_CONTRACTS_READ" "Read subscription contracts.";
            SubscriptionContractsWrite "SUBSCRIPTION_CONTRACTS_WRITE" "Change subscription contracts, and read them.";
            TenantsRead "TENANTS_READ" "Read the tenant, with its rates of value-added tax and its public signature keys.";
            TenantsWrite "TENANTS_WRITE" "Create tenants, change, copy and delete the own one, and read it.";
            WebhooksRead "WEBHOOKS_READ" "Read webhooks.";
            WebhooksWrite "WEBHOOKS_WRITE" "Change webhooks, and read them.";
            DeliveriesRead "DELIVERIES_READ" "Read deliveries, their attempts and payloads.";
            DeliveriesWrite "DELIVERIES_WRITE" "Retry, cancel and replay deliveries, and read them.";
            EventsRead "EVENTS_READ" "Read recorded events.";
            EventsWrite "EVENTS_WRITE" "Publish events, and read them.";
            SecretsRead "SECRETS_READ" "Opens nothing: a secret is shown once, in the answer that made it, and public keys with their tenant or webhook.";
            SecretsWrite "SECRETS_WRITE" "Make signature secrets and keys anew, the secrets shown once, and take those of a webhook away.";
            TokensRead "TOKENS_READ" "Read access tokens.";
            TokensWrite "TOKENS_WRITE" "Change access tokens, and read them.";
            AuditRead "AUDIT_READ" "Read the log of management actions.";
        }
    };
}

macro_rules! define {
    ($($variant:ident $name:literal $meaning:tt;)*) => {
        /// One thing that may be allowed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $(#[doc = $meaning] $variant,)*
        }

        impl Permission {
            /// Every permission.
            pub const ALL: [Permission; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name in the API, on the command line, in claims and in tables.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Permission::$variant => $name,)*
                }
            }
        }
    };
}
for_each_permission!(define);

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermissionSet(u64);

impl Permission {
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
