//! Flows: stages through which items go.

use crate::draft::{Draft, Raised};
use crate::item::ItemBody;
use crate::stored::Stored;
use hookgraph_domain::record::{RecordKind, RecordRef};
use hookgraph_domain::refusal::Refusal;
use serde_json::json;

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
