//! `order { create update delete setPipelineStage removePipeline }`.

use super::body::Placement;
use super::inputs::{CreateOrderInput, UpdateOrderInput, new_body, updated_body};
use super::placing::{enter, first_placements, leave};
use super::{Order, OrderBody};
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, mutate};
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::pipeline::PipelineBody;
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::Refusal;
use serde_json::json;

/// Mutations of orders.
pub struct OrderMutations;

#[Object(serial)]
impl OrderMutations {
    /// Creates an order. Raises `orders/create`, and that alone, also when it starts in pipelines.
    #[graphql(directive = requires::apply(PermissionName::OrdersWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateOrderInput) -> async_graphql::Result<Order> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            let placements = first_placements(&mut draft, input.pipelines.as_deref().unwrap_or_default()).await?;
            let created_at = input.created_at.map_or(draft.at(), Into::into);
            let body = new_body(input.clone(), placements)?;
            let stored = draft.create_dated(pim.new_id().to_string(), body, created_at)?;
            raise(&mut draft, "create", &stored, Vec::new(), None)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes an order. Raises `orders/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::OrdersWrite))]
    async fn update(&self, ctx: &Context<'_>, id: ID, input: UpdateOrderInput) -> async_graphql::Result<Order> {
        let pim = PimContext::of(ctx)?;
        let updated = mutate(pim, async |mut draft| {
            let old = pim.read::<OrderBody>()?.existing(&id).await?;
            let (stored, changed) = draft.update(&old, updated_body(&old.body, input.clone())?)?;
            if !changed.is_empty() {
                raise(&mut draft, "update", &stored, changed, None)?;
            }
            Ok((draft, stored))
        });
        Ok(updated.await.graphql()?.into())
    }

    /// Deletes an order, and answers how many that were. Raises `orders/delete`.
    #[graphql(directive = requires::apply(PermissionName::OrdersWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<OrderBody>()?.one(&id).await? else { return Ok((draft, 0)) };
            let tombstone = draft.delete(&stored)?;
            raise(&mut draft, "delete", &stored, Vec::new(), Some(tombstone))?;
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Places an order in a stage of a pipeline. Raises `orders/pipelineStageChanged`, unless it is there already.
    #[graphql(directive = requires::apply(PermissionName::OrdersWrite))]
    async fn set_pipeline_stage(
        &self,
        ctx: &Context<'_>,
        order_id: ID,
        pipeline_id: ID,
        stage_id: ID,
    ) -> async_graphql::Result<Order> {
        let pim = PimContext::of(ctx)?;
        let placed = mutate(pim, async |mut draft| {
            let order = pim.read::<OrderBody>()?.existing(&order_id).await?;
            let pipeline = pim.deciding::<PipelineBody>(&draft).existing(&pipeline_id).await?;
            if pipeline.body.stage(&stage_id).is_none() {
                return Err(Refusal::not_found("stage of that pipeline", &stage_id));
            }
            draft.require::<PipelineBody>(pipeline.key.as_str());
            let to = Placement { pipeline_id: pipeline.key, stage_id: stage_id.0.clone() };
            let stored = enter(&mut draft, &order, to)?;
            Ok((draft, stored))
        });
        Ok(placed.await.graphql()?.into())
    }

    /// Takes an order out of a pipeline. Raises `orders/pipelineRemoved`, unless it is not in it.
    #[graphql(directive = requires::apply(PermissionName::OrdersWrite))]
    async fn remove_pipeline(&self, ctx: &Context<'_>, order_id: ID, pipeline_id: ID) -> async_graphql::Result<Order> {
        let pim = PimContext::of(ctx)?;
        let removed = mutate(pim, async |mut draft| {
            let order = pim.read::<OrderBody>()?.existing(&order_id).await?;
            let stored = leave(&mut draft, &order, &pipeline_id)?;
            Ok((draft, stored))
        });
        Ok(removed.await.graphql()?.into())
    }
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<OrderBody>,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    let variables = vec![("id", json!(stored.key))];
    draft.raise(Raised { variables, changed_fields, tombstone, ..Raised::of("orders", event, stored) })
}
