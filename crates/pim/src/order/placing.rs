//! Orders and the stages of pipelines: placing, moving, leaving, and the events of each.

use super::body::{OrderBody, Placement};
use super::inputs::OrderPipelineInput;
use crate::draft::{ChangedFields, Draft, Raised};
use crate::pipeline::{PLACES_NEW_ORDERS, PipelineBody, YES};
use crate::stored::Stored;
use hookgraph_domain::refusal::Refusal;
use serde_json::{Value, json};

/// The placements of a new order: the stages that the input names, and of every other pipeline the stage that takes new
/// orders, where there is one.
pub(super) async fn first_placements(
    draft: &mut Draft<'_>,
    asked: &[OrderPipelineInput],
) -> Result<Vec<Placement>, Refusal> {
    let pipelines = draft.pim().deciding::<PipelineBody>(draft);
    let ids: Vec<_> = asked.iter().map(|place| place.pipeline_id.0.clone()).collect();
    let named = pipelines.many(&ids).await?;
    let entered = pipelines.linked(PLACES_NEW_ORDERS, YES).await?;
    let mut placements: Vec<Placement> = Vec::new();
    for (index, place) in asked.iter().enumerate() {
        let path = format!("input.pipelines[{index}]");
        let pipeline = named.iter().find(|pipeline| pipeline.key == place.pipeline_id.as_str()).ok_or_else(|| {
            let message = format!("no pipeline {:?}", place.pipeline_id.as_str());
            Refusal::invalid_at(format!("{path}.pipelineId"), "NOT_FOUND", message)
        })?;
        if pipeline.body.stage(&place.stage_id).is_none() {
            let message = format!("the pipeline has no stage {:?}", place.stage_id.as_str());
            return Err(Refusal::invalid_at(format!("{path}.stageId"), "NOT_FOUND", message));
        }
        if placements.iter().any(|placement| placement.pipeline_id == pipeline.key) {
            let message = "an order is in one stage of a pipeline";
            return Err(Refusal::invalid_at(format!("{path}.pipelineId"), "DUPLICATE", message));
        }
        placements.push(Placement { pipeline_id: pipeline.key.clone(), stage_id: place.stage_id.0.clone() });
    }
    for pipeline in &entered {
        let is_placed = placements.iter().any(|placement| placement.pipeline_id == pipeline.key);
        if let (false, Some(stage)) = (is_placed, pipeline.body.entry_stage()) {
            placements.push(Placement { pipeline_id: pipeline.key.clone(), stage_id: stage.id.clone() });
        }
    }
    for placement in &placements {
        draft.require::<PipelineBody>(placement.pipeline_id.as_str());
    }
    Ok(placements)
}

/// Moves an order into a stage. Raises `orders/pipelineStageChanged`, unless the order is in that stage already.
pub(super) fn enter(
    draft: &mut Draft<'_>,
    order: &Stored<OrderBody>,
    to: Placement,
) -> Result<Stored<OrderBody>, Refusal> {
    let mut body = order.body.clone();
    let previous = match body.pipelines.iter_mut().find(|placement| placement.pipeline_id == to.pipeline_id) {
        Some(placement) => Some(std::mem::replace(placement, to.clone())),
        None => {
            body.pipelines.push(to.clone());
            None
        }
    };
    let (stored, changed) = draft.update(order, body)?;
    if !changed.is_empty() {
        let previous = ("previousStageId", json!(previous.map(|placement| placement.stage_id)));
        raise(draft, "pipelineStageChanged", &stored, &to, vec![previous], changed)?;
    }
    Ok(stored)
}

/// Takes an order out of a pipeline. Raises `orders/pipelineRemoved`, unless the order is not in that pipeline.
pub(crate) fn leave(
    draft: &mut Draft<'_>,
    order: &Stored<OrderBody>,
    pipeline_id: &str,
) -> Result<Stored<OrderBody>, Refusal> {
    let mut body = order.body.clone();
    let Some(position) = body.pipelines.iter().position(|placement| placement.pipeline_id == pipeline_id) else {
        return Ok(order.clone());
    };
    let left = body.pipelines.remove(position);
    let (stored, changed) = draft.update(order, body)?;
    raise(draft, "pipelineRemoved", &stored, &left, Vec::new(), changed)?;
    Ok(stored)
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    order: &Stored<OrderBody>,
    placement: &Placement,
    more: Vec<(&'static str, Value)>,
    changed_fields: ChangedFields,
) -> Result<(), Refusal> {
    let mut variables = vec![
        ("orderId", json!(order.key)),
        ("pipelineId", json!(placement.pipeline_id)),
        ("stageId", json!(placement.stage_id)),
    ];
    variables.extend(more);
    draft.raise(Raised { variables, changed_fields, ..Raised::of("orders", event, order) })
}
