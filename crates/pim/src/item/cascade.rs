//! Changes of an item that cascade over the items below it.

use super::body::{ItemBody, ItemType, PARENT};
use super::edit::{existing, raise};
use crate::context::PimContext;
use crate::descendants;
use crate::draft::mutate;
use crate::stored::Stored;
use hookgraph_domain::refusal::{Refusal, RefusalCode};

/// The items below an item.
pub(super) async fn descendants(pim: &PimContext, id: &str) -> Result<Vec<Stored<ItemBody>>, Refusal> {
    descendants::descendants(pim, PARENT, id).await
}

/// Deletes an item with the items below it, and returns how many were deleted. Raises `items/delete` for each, and
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
