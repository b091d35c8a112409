//! `pipeline { get getMany }`.

use super::{Pipeline, PipelineBody, PipelineConnection};
use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::page::RecordSort;

/// By what pipelines are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(rename_items = "camelCase")]
pub enum PipelineSortField {
    /// When they were created.
    CreatedAt,
}

/// Queries on pipelines.
pub struct PipelineQueries;

#[Object]
impl PipelineQueries {
    /// One pipeline.
    #[graphql(directive = requires::apply(PermissionName::PipelinesRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<Pipeline>> {
        let found = PimContext::of(ctx)?.read::<PipelineBody>().graphql()?.one(&id).await.graphql()?;
        Ok(found.map(Pipeline::from))
    }

    /// Pipelines, the latest first.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::PipelinesRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        #[graphql(default_with = "Some(SortDirection::Desc)")] sort: Option<SortDirection>,
        #[graphql(default_with = "Some(PipelineSortField::CreatedAt)")] sort_field: Option<PipelineSortField>,
        tenant_id: ID,
    ) -> async_graphql::Result<PipelineConnection> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let sorted_by = match sort_field {
            Some(PipelineSortField::CreatedAt) | None => RecordSort::CreatedAt,
        };
        let direction = sort.unwrap_or(SortDirection::Desc);
        let list = ListOf { linked: Vec::new(), sort: sorted_by, direction };
        let arguments = PageArguments { after, before, first, last };
        Ok(page::<PipelineBody>(pim, list, arguments).await.graphql()?.into())
    }
}
