//! `tenant { get getMany }`: of the caller's own tenant.

use super::Tenant;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::topic::{Topic, topics_below};
use async_graphql::{Context, ID, Object};

/// Queries on tenants.
pub struct TenantQueries;

#[Object]
impl TenantQueries {
    /// The caller's own tenant; null when the arguments name another one.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        id: Option<ID>,
        identifier: Option<String>,
    ) -> async_graphql::Result<Option<Tenant>> {
        let own = PimContext::of(ctx)?.own_tenant().await.graphql()?;
        let is_meant = id.is_none_or(|id| id.parse() == Ok(own.row.id))
            && identifier.is_none_or(|identifier| identifier == own.row.identifier);
        Ok(is_meant.then(|| own.into()))
    }

    /// The tenants that the caller may see: its own.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        identifier: Option<String>,
    ) -> async_graphql::Result<Option<Vec<Tenant>>> {
        let own = PimContext::of(ctx)?.own_tenant().await.graphql()?;
        let is_meant = identifier.is_none_or(|identifier| identifier == own.row.identifier);
        Ok(Some(if is_meant { vec![own.into()] } else { Vec::new() }))
    }

    /// The roots of the caller's topic maps.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn get_root_topics(
        &self,
        ctx: &Context<'_>,
        language: String,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<Vec<Option<Topic>>>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let roots = topics_below(pim, None, &language).await.graphql()?;
        Ok(Some(roots.into_iter().map(Some).collect()))
    }
}
