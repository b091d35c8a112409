//! Markets: kept by identifier, they group customers for price lists.

mod body;
mod mutations;
mod queries;

pub(crate) use body::MarketBody;
pub(crate) use mutations::MarketMutations;
pub(crate) use queries::MarketQueries;

use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::connection;
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::tenant::Tenant;
use async_graphql::{Context, ID, Object};

/// A market.
#[derive(Clone)]
pub struct Market {
    stored: Stored<MarketBody>,
}

impl From<Stored<MarketBody>> for Market {
    fn from(stored: Stored<MarketBody>) -> Self {
        Self { stored }
    }
}

/// A group of customers that price lists may be for.
#[Object]
impl Market {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// The customers in it.
    async fn customer_identifiers(&self) -> Option<&[String]> {
        self.stored.body.customer_identifiers.as_deref()
    }

    /// What identifies it within its tenant.
    async fn identifier(&self) -> &str {
        &self.stored.key
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.stored.body.name
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Tenant> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Tenant::from)
    }

    /// The owner's id.
    async fn tenant_id(&self) -> ID {
        ID(self.stored.tenant_id.to_string())
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.updated_at))
    }
}

connection!(MarketConnection, MarketConnectionEdge, Market, MarketBody);
