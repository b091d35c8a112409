//! Positions of items in the tree: parents, the order among siblings, and their parts of the path.

use super::body::{ItemBody, PARENT, PATH, ROOT, path_name};
use super::inputs::TreeNodeInput;
use super::tree::ancestors;
use crate::context::PimContext;
use crate::draft::Draft;
use crate::limits::{SLUG_TRIES_MAX, TREE_DEPTH_MAX};
use crate::slug;
use crate::stored::Stored;
use futures::future::try_join_all;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;

/// How far apart the ranks of two records are that were appended a microsecond apart.
const RANKS_PER_MICROSECOND: i64 = 1024;
/// Candidates for a slug that are looked up at once.
const CANDIDATES_AT_ONCE: usize = 8;

/// A position in the tree: a parent, and a rank among its children.
pub(super) struct TreePosition {
    pub parent_id: Option<String>,
    pub rank: i64,
}

/// The rank of a record that is appended at that time: after every record that was appended before.
pub(crate) fn appended_rank(at: Timestamp) -> i64 {
    at.timestamp_micros().saturating_mul(RANKS_PER_MICROSECOND)
}

/// The position of a new item.
pub(super) async fn of_new(draft: &mut Draft<'_>, tree: Option<&TreeNodeInput>) -> Result<TreePosition, Refusal> {
    let Some(tree) = tree else { return Ok(TreePosition { parent_id: None, rank: appended_rank(draft.at()) }) };
    let parent_id = parent(draft, &tree.parent_id).await?.map(|parent| parent.key);
    let rank = match tree.position {
        Some(position) => rank_at(draft, parent_id.as_deref(), None, position.0).await?,
        None => appended_rank(draft.at()),
    };
    Ok(TreePosition { parent_id, rank })
}

/// The parent of that id; none for the tenant's root item.
pub(super) async fn parent(draft: &mut Draft<'_>, id: &str) -> Result<Option<Stored<ItemBody>>, Refusal> {
    let pim = draft.pim();
    if id == pim.caller.tenant_id.to_string() {
        return Ok(None);
    }
    let Some(parent) = pim.read::<ItemBody>()?.one(id).await? else {
        return Err(Refusal::invalid_at("input.tree.parentId", "NOT_FOUND", format!("no item {id:?}")));
    };
    if ancestors(pim, &parent.body).await?.len() + 2 > TREE_DEPTH_MAX {
        let message = format!("more than {TREE_DEPTH_MAX} items above each other");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    draft.require::<ItemBody>(id);
    Ok(Some(parent))
}

/// The rank for `position` among the children of a parent, from 1; the item `moved` does not count. Where no rank is
/// free there, all siblings get new ranks: their order stays the same, so no event is raised.
pub(super) async fn rank_at(
    draft: &mut Draft<'_>,
    parent_id: Option<&str>,
    moved: Option<&str>,
    position: i32,
) -> Result<i64, Refusal> {
    let siblings = draft.pim().read::<ItemBody>()?.linked(PARENT, parent_id.unwrap_or(ROOT)).await?;
    let siblings: Vec<_> = siblings.into_iter().filter(|sibling| Some(sibling.key.as_str()) != moved).collect();
    let before_count = usize::try_from(position - 1).unwrap_or(0).min(siblings.len());
    let ranks: Vec<i64> = siblings.iter().map(|sibling| sibling.body.rank).collect();
    if let Some(rank) = free_rank(&ranks, before_count, appended_rank(draft.at())) {
        return Ok(rank);
    }
    let start = appended_rank(draft.at());
    for (index, sibling) in siblings.iter().enumerate() {
        let place = i64::try_from(if index < before_count { index } else { index + 1 }).unwrap_or(i64::MAX);
        let rank = start.saturating_add(place.saturating_mul(RANKS_PER_MICROSECOND));
        draft.update(sibling, ItemBody { rank, ..sibling.body.clone() })?;
    }
    let place = i64::try_from(before_count).unwrap_or(i64::MAX);
    Ok(start.saturating_add(place.saturating_mul(RANKS_PER_MICROSECOND)))
}

/// A rank after the first `before_count` siblings and before the others, if there is one.
fn free_rank(ranks: &[i64], before_count: usize, appended: i64) -> Option<i64> {
    match (before_count.checked_sub(1).map(|at| ranks[at]), ranks.get(before_count)) {
        (None, None) => Some(appended),
        (Some(last), None) if appended > last => Some(appended),
        (Some(last), None) => last.checked_add(RANKS_PER_MICROSECOND),
        (None, Some(first)) => first.checked_sub(RANKS_PER_MICROSECOND),
        (Some(before), Some(after)) => {
            let between = before + (after - before) / 2;
            (between != before).then_some(between)
        }
    }
}

/// The first free form of a name's slug below a parent. A slug that the item itself bears is free to it.
pub(super) async fn free_slug(
    pim: &PimContext,
    language: &str,
    parent_id: Option<&str>,
    name: &str,
    own_id: &str,
) -> Result<String, Refusal> {
    let slug = slug::slug(name);
    let candidates: Vec<_> = slug::candidates(&slug).take(SLUG_TRIES_MAX).collect();
    for batch in candidates.chunks(CANDIDATES_AT_ONCE) {
        let names: Vec<_> = batch.iter().map(|slug| path_name(language, parent_id, slug)).collect();
        let items = pim.read::<ItemBody>()?;
        let bearers = names.iter().map(|name| items.named(PATH, name));
        let bearers = try_join_all(bearers).await?;
        let is_free = |bearer: &Option<Stored<ItemBody>>| bearer.as_ref().is_none_or(|item| item.key == own_id);
        if let Some(at) = bearers.iter().position(is_free) {
            return Ok(batch[at].clone());
        }
    }
    Ok(format!("{slug}-{own_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_found_at_the_start_between_and_at_the_end() {
        assert_eq!(free_rank(&[], 0, 500), Some(500));
        assert_eq!(free_rank(&[10, 20], 0, 500), Some(10 - RANKS_PER_MICROSECOND));
        assert_eq!(free_rank(&[10, 20], 1, 500), Some(15));
        assert_eq!(free_rank(&[10, 20], 2, 500), Some(500));
        assert_eq!(free_rank(&[10, 700], 2, 500), Some(700 + RANKS_PER_MICROSECOND));
    }

    #[test]
    fn between_neighbours_there_may_be_none() {
        assert_eq!(free_rank(&[10, 11], 1, 500), None);
        assert_eq!(free_rank(&[10, 10], 1, 500), None);
    }
}
