//! The roots: one namespace per noun.

use crate::customer::{CustomerMutations, CustomerQueries};
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
}
