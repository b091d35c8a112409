//! What happens to an item and to all that is below it.

use super::body::{ItemBody, ItemType, PARENT};
use super::edit::{existing, raise};
use crate::context::PimContext;
use crate::draft::mutate;
use crate::stored::Stored;
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::record::RecordKind;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use std::collections::BTreeSet;

/// All that is below an item, level by level. More than one change can write is refused.
pub(super) async fn descendants(pim: &PimContext, id: &str) -> Result<Vec<Stored<ItemBody>>, Refusal> {
    let limit = u32::try_from(CHANGE_ROWS_MAX).unwrap_or(u32::MAX).saturating_add(1);
    let tenant_id = pim.caller.tenant_id;
    let mut seen = BTreeSet::from([id.to_owned()]);
    let mut all = Vec::new();
    let mut level = vec![id.to_owned()];
    while !level.is_empty() {
        let below = pim.store().linked_keys(tenant_id, RecordKind::Item, PARENT, &level, limit).await?;
        level = below.into_iter().map(|(_, key)| key).filter(|key| seen.insert(key.clone())).collect();
        if all.len() + level.len() > CHANGE_ROWS_MAX {
            let message = format!("more than {CHANGE_ROWS_MAX} items are below {id:?}: do it in parts");
            return Err(Refusal::new(RefusalCode::LimitExceeded, message));
        }
        all.extend(pim.loaders.many::<ItemBody>(&level).await?);
    }
    Ok(all)
}

/// Deletes an item with all that is below it, and answers how many items that were. Raises `items/delete` for each, and
/// `flows/itemRemovedFromStage` for each stage that one of them was in.
pub(super) async fn delete(pim: &PimContext, item_type: ItemType, id: &str) -> Result<i32, Refusal> {
    let language = pim.default_language().await?;
    mutate(pim, async |mut draft| {
        let item = match existing(pim, item_type, id).await {
            Err(refusal) if refusal.code == RefusalCode::NotFound => return Ok((draft, 0)),
            other => other?,
        };
        let mut items = descendants(pim, id).await?;
        items.push(item);
        for item in &items {
            crate::flow::raise_removals(&mut draft, item, &language)?;
            let tombstone = draft.delete(item)?;
            raise(&mut draft, "delete", item, &language, Vec::new(), Some(tombstone))?;
        }
        Ok((draft, i32::try_from(items.len()).unwrap_or(i32::MAX)))
    })
    .await
}
