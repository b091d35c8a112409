//! `item { move }`: another place in the tree.

use super::body::{ItemBody, PARENT};
use super::edit::save;
use super::inputs::TreeNodeInput;
use super::mutations::shown;
use super::place::{appended_rank, free_slug, parent, rank_at};
use super::tree::ancestors;
use super::{Item, cascade};
use crate::context::PimContext;
use crate::descendants::height;
use crate::draft::{Draft, mutate};
use crate::error::IntoGraphql;
use crate::limits::TREE_DEPTH_MAX;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::refusal::{Refusal, RefusalCode};

/// Mutations of items of any type.
pub struct ItemMutations;

#[Object(serial)]
impl ItemMutations {
    /// Moves an item with all that is below it. Raises `items/update`, for the item alone and with the tenant's default
    /// language, if its place changed.
    #[graphql(name = "move", directive = requires::apply(PermissionName::ItemsWrite))]
    async fn move_to(&self, ctx: &Context<'_>, id: ID, tree: TreeNodeInput) -> async_graphql::Result<Item> {
        let pim = PimContext::of(ctx)?;
        let language = pim.default_language().await.graphql()?;
        let moved = mutate(pim, async |mut draft| {
            let old = pim.read::<ItemBody>()?.existing(&id).await?;
            let body = moved_body(&mut draft, &old, &tree).await?;
            let stored = save(&mut draft, &old, body, &language)?;
            Ok((draft, stored))
        });
        Ok(Item::from(shown(moved.await.graphql()?, language.clone())?))
    }
}

async fn moved_body(draft: &mut Draft<'_>, old: &Stored<ItemBody>, tree: &TreeNodeInput) -> Result<ItemBody, Refusal> {
    let pim = draft.pim();
    let parent = parent(draft, &tree.parent_id).await?;
    let mut body = old.body.clone();
    body.parent_id = parent.as_ref().map(|parent| parent.key.clone());
    if body.parent_id != old.body.parent_id {
        if let Some(parent) = &parent {
            check_line(draft, old, parent).await?;
        }
        rename_in_place(pim, &mut body, &old.key).await?;
        body.rank = appended_rank(draft.at());
    }
    if let Some(position) = tree.position {
        let parent_id = body.parent_id.as_deref();
        let siblings = pim.read::<ItemBody>()?.linked_keys(PARENT, parent_id.unwrap_or(super::body::ROOT)).await?;
        let wanted = usize::try_from(position.0 - 1).unwrap_or(0);
        if siblings.get(wanted).is_none_or(|key| *key != old.key) {
            body.rank = rank_at(draft, parent_id, Some(&old.key), position.0).await?;
        }
    }
    Ok(body)
}

/// Refuses to move an item below itself, or so far down that the tree gets too deep. The parent and the items above it
/// are touched, so that two concurrent moves conflict instead of making a circle.
async fn check_line(draft: &mut Draft<'_>, item: &Stored<ItemBody>, parent: &Stored<ItemBody>) -> Result<(), Refusal> {
    let pim = draft.pim();
    let mut line = ancestors(pim, &parent.body).await?;
    line.insert(0, parent.clone());
    if line.iter().any(|above| above.key == item.key) {
        return Err(Refusal::invalid_at("tree.parentId", "CYCLE", "an item cannot be below itself"));
    }
    let below = cascade::descendants(pim, &item.key).await?;
    let keys = below.iter().map(|item| (item.key.as_str(), item.body.parent_id.as_deref()));
    if line.len() + 1 + height(&item.key, keys) > TREE_DEPTH_MAX {
        let message = format!("more than {TREE_DEPTH_MAX} items above each other");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    line.iter().try_for_each(|above| draft.touch(above))
}

/// Makes the item's parts of the path unique among its new siblings.
async fn rename_in_place(pim: &PimContext, body: &mut ItemBody, id: &str) -> Result<(), Refusal> {
    let parent_id = body.parent_id.clone();
    for (language, versions) in &mut body.languages {
        let draft = versions.draft.as_mut().map(|draft| &mut draft.content);
        let published = versions.published.as_mut().map(|published| &mut published.content.texts);
        for texts in [draft, published].into_iter().flatten() {
            if let Some(slug) = &mut texts.slug {
                *slug = free_slug(pim, language, parent_id.as_deref(), slug, id).await?;
            }
        }
    }
    Ok(())
}
