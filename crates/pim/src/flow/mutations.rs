//! `flow { create update delete addStage removeStage addItem moveItem removeItem }`.

use super::Flow;
use super::body::{FlowBody, StageBody};
use super::inputs::{CreateFlowInput, CreateFlowStageInput, UpdateFlowInput};
use super::stages::{Step, clear, step};
use crate::context::PimContext;
use crate::draft::{Draft, mutate};
use crate::error::IntoGraphql;
use crate::item::check_text;
use crate::limits::{IDENTIFIER_CHARS_MAX, STAGES_MAX};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::refusal::{Refusal, RefusalCode};

/// Mutations of flows.
pub struct FlowMutations;

#[Object(serial)]
impl FlowMutations {
    /// Puts an item into a stage. Raises `flows/itemAddedToStage`, unless it is in it. Refused when it is in another
    /// stage of the flow. The events bear the tenant's default language where none is named.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn add_item(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        item_id: ID,
        language: Option<String>,
        stage_id: ID,
    ) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let flow = step(pim, &flow_id, &item_id, Step::Add(&stage_id), language.as_deref()).await;
        Ok(flow.graphql()?.into())
    }

    /// Adds a stage: last, or at a position counted from 0.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn add_stage(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        input: CreateFlowStageInput,
        position: Option<i32>,
    ) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let changed = mutate(pim, async |mut draft| {
            let old = pim.read::<FlowBody>()?.existing(&flow_id).await?;
            let mut body = old.body.clone();
            let stage = new_stage(&draft, &input)?;
            let last = body.stages.len();
            let at = position.map_or(last, |position| usize::try_from(position).unwrap_or(0).min(last));
            body.stages.insert(at, stage);
            check_stages(&body)?;
            let (stored, _) = draft.update(&old, body)?;
            Ok((draft, stored))
        });
        Ok(changed.await.graphql()?.into())
    }

    /// Creates a flow.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateFlowInput) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            check_text("input.name", &input.name, IDENTIFIER_CHARS_MAX)?;
            let stages = input.stages.iter().flatten().map(|stage| new_stage(&draft, stage));
            let body = FlowBody { name: input.name.clone(), stages: stages.collect::<Result<_, _>>()? };
            check_stages(&body)?;
            let stored = draft.create(pim.new_id().to_string(), body)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Deletes a flow, and answers how many that were. Raises `flows/itemRemovedFromStage` for each item in it.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<FlowBody>()?.one(&id).await? else { return Ok((draft, 0)) };
            let stage_ids: Vec<_> = stored.body.stages.iter().map(|stage| stage.id.clone()).collect();
            clear(&mut draft, &id, &stage_ids).await?;
            draft.delete(&stored)?;
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Puts an item from its stage into another one of the flow. Raises `flows/itemRemovedFromStage`, then
    /// `flows/itemAddedToStage`, unless it is in it. The events bear the tenant's default language where none is named.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn move_item(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        item_id: ID,
        language: Option<String>,
        stage_id: ID,
    ) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let flow = step(pim, &flow_id, &item_id, Step::Move(&stage_id), language.as_deref()).await;
        Ok(flow.graphql()?.into())
    }

    /// Takes an item out of the flow. Raises `flows/itemRemovedFromStage` if it was in it. The event bears the tenant's
    /// default language where none is named.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn remove_item(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        item_id: ID,
        language: Option<String>,
    ) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let flow = step(pim, &flow_id, &item_id, Step::Remove, language.as_deref()).await;
        Ok(flow.graphql()?.into())
    }

    /// Removes a stage. Raises `flows/itemRemovedFromStage` for each item in it.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn remove_stage(&self, ctx: &Context<'_>, flow_id: ID, stage_id: ID) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let changed = mutate(pim, async |mut draft| {
            let old = pim.read::<FlowBody>()?.existing(&flow_id).await?;
            if !old.body.has_stage(&stage_id) {
                return Err(Refusal::not_found("stage", &stage_id));
            }
            let mut body = old.body.clone();
            body.stages.retain(|stage| stage.id != *stage_id);
            clear(&mut draft, &flow_id, std::slice::from_ref(&stage_id.0)).await?;
            let (stored, _) = draft.update(&old, body)?;
            Ok((draft, stored))
        });
        Ok(changed.await.graphql()?.into())
    }

    /// Changes a flow.
    #[graphql(directive = requires::apply(PermissionName::FlowsWrite))]
    async fn update(&self, ctx: &Context<'_>, id: ID, input: UpdateFlowInput) -> async_graphql::Result<Flow> {
        let pim = PimContext::of(ctx)?;
        let changed = mutate(pim, async |mut draft| {
            let old = pim.read::<FlowBody>()?.existing(&id).await?;
            let mut body = old.body.clone();
            if let Some(name) = &input.name {
                check_text("input.name", name, IDENTIFIER_CHARS_MAX)?;
                body.name.clone_from(name);
            }
            let (stored, _) = draft.update(&old, body)?;
            Ok((draft, stored))
        });
        Ok(changed.await.graphql()?.into())
    }
}

fn new_stage(draft: &Draft<'_>, input: &CreateFlowStageInput) -> Result<StageBody, Refusal> {
    check_text("input.stages.name", &input.name, IDENTIFIER_CHARS_MAX)?;
    Ok(StageBody { id: draft.pim().new_id().to_string(), name: input.name.clone(), created_at: draft.at() })
}

fn check_stages(body: &FlowBody) -> Result<(), Refusal> {
    if body.stages.len() <= STAGES_MAX {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::LimitExceeded, format!("a flow has at most {STAGES_MAX} stages")))
}
