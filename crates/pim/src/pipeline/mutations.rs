//! `pipeline { create update delete addStage updateStage moveStage removeStage }`.

use super::{Pipeline, PipelineBody, StageBody};
use crate::context::PimContext;
use crate::draft::{Draft, mutate};
use crate::error::IntoGraphql;
use crate::limits::STAGES_MAX;
use crate::order::{OrderBody, PIPELINE, STAGE, leave};
use crate::paging::all_linked;
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, InputObject, Object};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;

/// A new pipeline.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePipelineInput {
    /// What it is called.
    pub name: String,
    /// Its stages, in order.
    pub stages: Option<Vec<CreatePipelineStageInput>>,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a pipeline.
#[derive(Clone, Debug, InputObject)]
pub struct UpdatePipelineInput {
    /// What it is called.
    pub name: String,
}

/// A new stage.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePipelineStageInput {
    /// What it is called.
    pub name: String,
    /// Whether new orders are placed in it; of several such stages the first takes them.
    pub place_new_orders: Option<bool>,
}

/// What shall change of a stage: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdatePipelineStageInput {
    /// What it is called.
    pub name: Option<String>,
    /// Whether new orders are placed in it.
    pub place_new_orders: Option<bool>,
}

/// Mutations of pipelines.
pub struct PipelineMutations;

#[Object(serial)]
impl PipelineMutations {
    /// Creates a pipeline.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreatePipelineInput) -> async_graphql::Result<Pipeline> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            let stages = input.stages.clone().unwrap_or_default();
            let stages: Vec<_> = stages.into_iter().map(|stage| new_stage(pim, stage, draft.at())).collect();
            check_stage_count(&stages)?;
            let stored = draft.create(pim.new_id().to_string(), PipelineBody { name: input.name.clone(), stages })?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes a pipeline's name.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: Option<UpdatePipelineInput>,
    ) -> async_graphql::Result<Pipeline> {
        let rename = |body: &mut PipelineBody, _| {
            if let Some(input) = &input {
                body.name.clone_from(&input.name);
            }
            Ok(())
        };
        change(PimContext::of(ctx)?, &id, rename).await
    }

    /// Deletes a pipeline, and answers how many that were. While orders are in it, only with `force`: that takes them out
    /// and raises `orders/pipelineRemoved` for each.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(false)")] force: Option<bool>,
        id: ID,
    ) -> async_graphql::Result<Option<i32>> {
        let pim = PimContext::of(ctx)?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<PipelineBody>()?.one(&id).await? else { return Ok((draft, 0)) };
            empty(&mut draft, (PIPELINE, &stored.key), &stored.key, force).await?;
            draft.delete(&stored)?;
            Ok((draft, 1))
        });
        deleted.await.graphql().map(Some)
    }

    /// Adds a stage, at the end or at a position counted from 0.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn add_stage(
        &self,
        ctx: &Context<'_>,
        input: CreatePipelineStageInput,
        pipeline_id: ID,
        position: Option<i32>,
    ) -> async_graphql::Result<Pipeline> {
        let pim = PimContext::of(ctx)?;
        let add = |body: &mut PipelineBody, at| {
            let position = match position {
                Some(position) => checked_position("position", position, body.stages.len())?,
                None => body.stages.len(),
            };
            body.stages.insert(position, new_stage(pim, input.clone(), at));
            check_stage_count(&body.stages)
        };
        change(pim, &pipeline_id, add).await
    }

    /// Changes a stage.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn update_stage(
        &self,
        ctx: &Context<'_>,
        input: UpdatePipelineStageInput,
        pipeline_id: ID,
        stage_id: ID,
    ) -> async_graphql::Result<Pipeline> {
        let replace = |body: &mut PipelineBody, _| {
            let position = stage_position(body, &stage_id)?;
            let stage = &mut body.stages[position];
            if let Some(name) = &input.name {
                stage.name.clone_from(name);
            }
            stage.place_new_orders = input.place_new_orders.unwrap_or(stage.place_new_orders);
            Ok(())
        };
        change(PimContext::of(ctx)?, &pipeline_id, replace).await
    }

    /// Moves a stage to another position, counted from 0.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn move_stage(
        &self,
        ctx: &Context<'_>,
        new_position: i32,
        pipeline_id: ID,
        stage_id: ID,
    ) -> async_graphql::Result<Pipeline> {
        let shift = |body: &mut PipelineBody, _| {
            let position = stage_position(body, &stage_id)?;
            let stage = body.stages.remove(position);
            let position = checked_position("newPosition", new_position, body.stages.len())?;
            body.stages.insert(position, stage);
            Ok(())
        };
        change(PimContext::of(ctx)?, &pipeline_id, shift).await
    }

    /// Removes a stage. While orders are in it, only with `force`: that takes them out of the pipeline and raises
    /// `orders/pipelineRemoved` for each.
    #[graphql(directive = requires::apply(PermissionName::PipelinesWrite))]
    async fn remove_stage(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(false)")] force: Option<bool>,
        pipeline_id: ID,
        stage_id: ID,
    ) -> async_graphql::Result<Pipeline> {
        let pim = PimContext::of(ctx)?;
        let removed = mutate(pim, async |mut draft| {
            let old = pim.read::<PipelineBody>()?.existing(&pipeline_id).await?;
            let mut body = old.body.clone();
            body.stages.remove(stage_position(&body, &stage_id)?);
            empty(&mut draft, (STAGE, &stage_id), &old.key, force).await?;
            let (stored, _) = draft.update(&old, body)?;
            Ok((draft, stored))
        });
        Ok(removed.await.graphql()?.into())
    }
}

/// Changes a pipeline's body.
async fn change(
    pim: &PimContext,
    id: &ID,
    edit: impl Fn(&mut PipelineBody, Timestamp) -> Result<(), Refusal> + Sync,
) -> async_graphql::Result<Pipeline> {
    let updated = mutate(pim, async |mut draft| {
        let old = pim.read::<PipelineBody>()?.existing(id).await?;
        let mut body = old.body.clone();
        edit(&mut body, draft.at())?;
        let (stored, _) = draft.update(&old, body)?;
        Ok((draft, stored))
    });
    Ok(updated.await.graphql()?.into())
}

/// Takes the orders with that link out of the pipeline. Without `force`, it refuses where there are any.
async fn empty(
    draft: &mut Draft<'_>,
    (relation, target): (&'static str, &str),
    pipeline_id: &str,
    force: Option<bool>,
) -> Result<(), Refusal> {
    let orders = all_linked::<OrderBody>(draft.pim(), relation, target).await?;
    if !orders.is_empty() && force != Some(true) {
        let message = format!("{} orders are in it: force takes them out", orders.len());
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    for order in &orders {
        leave(draft, order, pipeline_id)?;
    }
    Ok(())
}

fn new_stage(pim: &PimContext, input: CreatePipelineStageInput, at: Timestamp) -> StageBody {
    let place_new_orders = input.place_new_orders.unwrap_or(false);
    StageBody { created_at: at, id: pim.new_id().to_string(), name: input.name, place_new_orders }
}

fn stage_position(body: &PipelineBody, id: &str) -> Result<usize, Refusal> {
    let position = body.stages.iter().position(|stage| stage.id == id);
    position.ok_or_else(|| Refusal::not_found("stage of that pipeline", id))
}

fn checked_position(argument: &str, position: i32, max: usize) -> Result<usize, Refusal> {
    usize::try_from(position)
        .ok()
        .filter(|position| *position <= max)
        .ok_or_else(|| Refusal::invalid_at(argument, "POSITION", format!("{position} is not from 0 to {max}")))
}

fn check_stage_count(stages: &[StageBody]) -> Result<(), Refusal> {
    if stages.len() <= STAGES_MAX {
        return Ok(());
    }
    let message = format!("a pipeline has at most {STAGES_MAX} stages");
    Err(Refusal::new(RefusalCode::LimitExceeded, message))
}
