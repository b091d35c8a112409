//! `grid { get getMany }`.

use super::{Grid, GridBody};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::loaders::ReadError;
use crate::paging::latest;
use crate::permission::{PermissionName, requires};
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object};

/// Queries on grids.
pub struct GridQueries;

#[Object]
impl GridQueries {
    /// One grid. In a language without any version, its current version is empty; draft and published versions that are
    /// not there answer null.
    #[graphql(directive = requires::apply(PermissionName::GridsRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        id: ID,
        language: String,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Grid>> {
        let stored = PimContext::of(ctx)?.read::<GridBody>().graphql()?.one(&id).await.graphql()?;
        Ok(stored.and_then(|stored| Grid::of(stored, &Edition { language, label: version_label })))
    }

    /// The latest grids, up to the limit of a list.
    #[graphql(directive = requires::apply(PermissionName::GridsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        language: String,
        tenant_id: Option<ID>,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Vec<Grid>>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(tenant_id.as_ref().map(|id| id.as_str())).graphql()?;
        all_grids(pim, &Edition { language, label: version_label }).await.graphql().map(Some)
    }
}

/// The latest grids in an edition, up to the limit of a list.
pub(crate) async fn all_grids(pim: &PimContext, edition: &Edition) -> Result<Vec<Grid>, ReadError> {
    let stored = latest::<GridBody>(pim).await?;
    Ok(stored.into_iter().filter_map(|stored| Grid::of(stored, edition)).collect())
}
