//! Customers: kept by identifier.

mod body;
mod inputs;
mod mutations;
mod queries;

pub(crate) use body::CustomerBody;
pub(crate) use mutations::CustomerMutations;
pub(crate) use queries::CustomerQueries;

use crate::common::property;
use crate::paging::connection;
use crate::stored::Stored;
use async_graphql::{ComplexObject, ID, SimpleObject};
use hookgraph_domain::ids::TenantId;

/// A customer.
#[derive(Clone, SimpleObject)]
#[graphql(complex)]
pub struct Customer {
    #[graphql(flatten)]
    body: CustomerBody,
    #[graphql(skip)]
    stored_tenant_id: String,
}

impl From<Stored<CustomerBody>> for Customer {
    fn from(stored: Stored<CustomerBody>) -> Self {
        Self { stored_tenant_id: stored.tenant_id.to_string(), body: stored.body }
    }
}

impl Customer {
    /// A customer whose body another record keeps.
    pub(crate) fn within(tenant_id: TenantId, body: CustomerBody) -> Self {
        Self { stored_tenant_id: tenant_id.to_string(), body }
    }
}

#[ComplexObject]
impl Customer {
    /// The owner.
    async fn tenant_id(&self) -> Option<ID> {
        Some(ID(self.stored_tenant_id.clone()))
    }

    /// The id in one other system.
    async fn external_reference(&self, key: String) -> Option<&str> {
        property(self.body.external_references.as_deref(), &key)
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.body.meta.as_deref(), &key)
    }
}

connection!(CustomerConnection, CustomerConnectionEdge, Customer, CustomerBody);
