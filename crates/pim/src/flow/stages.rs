//! Moves items into, between and out of the stages of flows, and raises their events.

use super::body::FlowBody;
use crate::context::PimContext;
use crate::descendants::all_linked_keys;
use crate::draft::{Draft, Raised, mutate};
use crate::item::{FLOW_STAGE, FlowPlace, ItemBody, appended_rank};
use crate::stored::Stored;
use crate::version::check_language;
use hookgraph_domain::record::{RecordKind, RecordRef};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde_json::json;

/// How a mutation moves an item in a flow.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// Into this stage; refused if the item is in another stage of the flow.
    Add(&'a str),
    /// From its stage into this one; refused if the item is in no stage of the flow.
    Move(&'a str),
    /// Out of the flow.
    Remove,
}

/// Moves an item by one step. Raises `flows/itemRemovedFromStage` for the stage that it leaves, then
/// `flows/itemAddedToStage` for the stage that it enters; neither if it stays in its stage.
pub(super) async fn step(
    pim: &PimContext,
    flow_id: &str,
    item_id: &str,
    step: Step<'_>,
    language: Option<&str>,
) -> Result<Stored<FlowBody>, Refusal> {
    let language = match language {
        Some(language) => {
            check_language(language)?;
            language.to_owned()
        }
        None => pim.default_language().await?,
    };
    mutate(pim, async |mut draft| {
        let flow = pim.read::<FlowBody>()?.existing(flow_id).await?;
        let item = pim.read::<ItemBody>()?.existing(item_id).await?;
        let old_stage = item.body.flows.get(flow_id).map(|place| place.stage_id.clone());
        let old_stage = old_stage.filter(|stage_id| flow.body.has_stage(stage_id));
        let new_stage = match (step, &old_stage) {
            (Step::Add(stage_id), Some(old)) if old != stage_id => {
                let message = format!("the item is in stage {old:?} of this flow: move it");
                return Err(Refusal::new(RefusalCode::Conflict, message));
            }
            (Step::Move(_), None) => return Err(Refusal::not_found("item in this flow", item_id)),
            (Step::Add(stage_id) | Step::Move(stage_id), _) => Some(stage_id),
            (Step::Remove, _) => None,
        };
        if new_stage == old_stage.as_deref() {
            return Ok((draft, flow));
        }
        let mut body = item.body.clone();
        body.flows.remove(flow_id);
        if let Some(stage_id) = new_stage {
            if !flow.body.has_stage(stage_id) {
                return Err(Refusal::not_found("stage", stage_id));
            }
            draft.require::<FlowBody>(flow_id);
            let place = FlowPlace { stage_id: stage_id.to_owned(), rank: appended_rank(draft.at()) };
            body.flows.insert(flow_id.to_owned(), place);
        }
        let (item, _) = draft.update(&item, body)?;
        if let Some(stage_id) = old_stage {
            raise(&mut draft, "itemRemovedFromStage", &item, flow_id, &stage_id, &language)?;
        }
        if let Some(stage_id) = new_stage {
            raise(&mut draft, "itemAddedToStage", &item, flow_id, stage_id, &language)?;
        }
        Ok((draft, flow))
    })
    .await
}

/// Takes all items out of stages that are about to be removed. Raises `flows/itemRemovedFromStage` for each.
pub(super) async fn clear(draft: &mut Draft<'_>, flow_id: &str, stage_ids: &[String]) -> Result<(), Refusal> {
    let pim = draft.pim();
    let language = pim.default_language().await?;
    let keys = all_linked_keys::<ItemBody>(pim, FLOW_STAGE, stage_ids).await?;
    for item in pim.read::<ItemBody>()?.many(&keys).await? {
        let mut body = item.body.clone();
        let Some(place) = body.flows.remove(flow_id) else { continue };
        let (item, _) = draft.update(&item, body)?;
        raise(draft, "itemRemovedFromStage", &item, flow_id, &place.stage_id, &language)?;
    }
    Ok(())
}

/// Raises `flows/itemRemovedFromStage` for each stage that an item is in.
pub(crate) fn raise_removals(draft: &mut Draft<'_>, item: &Stored<ItemBody>, language: &str) -> Result<(), Refusal> {
    for (flow_id, place) in &item.body.flows {
        raise(draft, "itemRemovedFromStage", item, flow_id, &place.stage_id, language)?;
    }
    Ok(())
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    item: &Stored<ItemBody>,
    flow_id: &str,
    stage_id: &str,
    language: &str,
) -> Result<(), Refusal> {
    draft.raise(Raised {
        concern: "flows",
        event,
        variables: vec![
            ("id", json!(item.key)),
            ("type", json!(item.body.item_type.as_str())),
            ("language", json!(language)),
            ("flowId", json!(flow_id)),
            ("stageId", json!(stage_id)),
        ],
        changed_fields: Vec::new(),
        tombstone: None,
        record: RecordRef::new(RecordKind::Item, item.key.as_str()),
    })
}
