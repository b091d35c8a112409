//! Records: the PIM entities that a tenant keeps here, as a store sees them: a versioned JSON body, the links by which
//! other records find it, and the names that only one record may bear.
//!
//! What is inside a body belongs to `pim`; nothing else reads it.

use crate::ids::TenantId;
use crate::time::Timestamp;

/// The kinds of record. Each has one shape of key: an id, or for customers, price lists and markets their identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A product, document or folder.
    Item,
    /// A node of a topic map.
    Topic,
    /// A grid of items.
    Grid,
    /// An order.
    Order,
    /// An order fulfilment pipeline with its stages.
    Pipeline,
    /// A flow of items with its stages.
    Flow,
    /// A customer, by identifier.
    Customer,
    /// A price list, by identifier.
    PriceList,
    /// A market, by identifier.
    Market,
    /// A subscription contract.
    SubscriptionContract,
}

impl RecordKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [RecordKind; 10] = [
        RecordKind::Item,
        RecordKind::Topic,
        RecordKind::Grid,
        RecordKind::Order,
        RecordKind::Pipeline,
        RecordKind::Flow,
        RecordKind::Customer,
        RecordKind::PriceList,
        RecordKind::Market,
        RecordKind::SubscriptionContract,
    ];

    /// The name in tables and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordKind::Item => "item",
            RecordKind::Topic => "topic",
            RecordKind::Grid => "grid",
            RecordKind::Order => "order",
            RecordKind::Pipeline => "pipeline",
            RecordKind::Flow => "flow",
            RecordKind::Customer => "customer",
            RecordKind::PriceList => "priceList",
            RecordKind::Market => "market",
            RecordKind::SubscriptionContract => "subscriptionContract",
        }
    }

    /// The kind of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Which record: unique within its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordRef {
    /// The kind of record.
    pub kind: RecordKind,
    /// Its id or identifier, as text.
    pub key: String,
}

impl RecordRef {
    /// The record of that kind and key.
    pub fn new(kind: RecordKind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }
}

/// A record as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its owner.
    pub tenant_id: TenantId,
    /// Which record.
    pub reference: RecordRef,
    /// 1 when created, one more with every write; writes name the version that they replace.
    pub version: i64,
    /// The JSON text of the body.
    pub body: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A pointer from a record to something it can be found by, e.g. from an order to its customer's identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// What the pointer means, e.g. `customer`.
    pub relation: String,
    /// What it points at, e.g. the customer's identifier.
    pub target: String,
    /// The order among the records with the same target, ascending.
    pub rank: i64,
}

/// A text that only one record of the tenant may bear, e.g. a stock keeping unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What the text is, e.g. `sku`.
    pub scope: String,
    /// The text.
    pub value: String,
}
