//! Pipelines: the stages that orders go through.

mod body;
mod mutations;
mod queries;

pub(crate) use body::{PLACES_NEW_ORDERS, PipelineBody, StageBody, YES};
pub(crate) use mutations::PipelineMutations;
pub(crate) use queries::PipelineQueries;

use crate::common::SortDirection;
use crate::context::PimContext;
use crate::order::{OrderConnection, OrderSort, OrderSortField, PIPELINE, STAGE, order_page};
use crate::paging::{PageArguments, connection};
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};

/// A pipeline.
#[derive(Clone)]
pub struct Pipeline {
    stored: Stored<PipelineBody>,
}

impl From<Stored<PipelineBody>> for Pipeline {
    fn from(stored: Stored<PipelineBody>) -> Self {
        Self { stored }
    }
}

/// A pipeline that orders go through.
#[Object]
impl Pipeline {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.stored.body.name
    }

    /// The orders in it.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::OrdersRead))]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        #[graphql(default_with = "Some(SortDirection::Desc)")] sort: Option<SortDirection>,
        #[graphql(default_with = "Some(OrderSortField::UpdatedAt)")] sort_field: Option<OrderSortField>,
    ) -> async_graphql::Result<OrderConnection> {
        let linked = vec![(PIPELINE.to_owned(), self.stored.key.clone())];
        let sort = OrderSort { direction: sort, field: sort_field };
        order_page(PimContext::of(ctx)?, linked, sort, PageArguments { after, before, first, last }).await
    }

    /// Its stages, in order.
    async fn stages(&self) -> Option<Vec<PipelineStage>> {
        Some(self.stored.body.stages.iter().cloned().map(|body| PipelineStage { body }).collect())
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

/// A stage of a pipeline.
pub struct PipelineStage {
    body: StageBody,
}

/// A stage of a pipeline.
#[Object]
impl PipelineStage {
    /// When it was added.
    async fn created_at(&self) -> DateTime {
        DateTime(self.body.created_at)
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.body.id.clone())
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.body.name
    }

    /// The orders in it.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::OrdersRead))]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        last: Option<i32>,
        #[graphql(default_with = "Some(SortDirection::Desc)")] sort: Option<SortDirection>,
        #[graphql(default_with = "Some(OrderSortField::UpdatedAt)")] sort_field: Option<OrderSortField>,
    ) -> async_graphql::Result<OrderConnection> {
        let linked = vec![(STAGE.to_owned(), self.body.id.clone())];
        let sort = OrderSort { direction: sort, field: sort_field };
        order_page(PimContext::of(ctx)?, linked, sort, PageArguments { after, before, first, last }).await
    }

    /// Whether new orders are placed in it.
    async fn place_new_orders(&self) -> bool {
        self.body.place_new_orders
    }
}

connection!(PipelineConnection, PipelineConnectionEdge, Pipeline, PipelineBody);
