//! The records below one of a tree, for changes that cascade over them.

use crate::context::PimContext;
use crate::stored::{RecordBody, Stored};
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use std::collections::{BTreeMap, BTreeSet};

/// The records below one, level by level. More records than one change can write are refused.
pub(crate) async fn descendants<B: RecordBody>(
    pim: &PimContext,
    parent_relation: &str,
    id: &str,
) -> Result<Vec<Stored<B>>, Refusal> {
    let mut seen = BTreeSet::from([id.to_owned()]);
    let mut all = Vec::new();
    let mut level = vec![id.to_owned()];
    while !level.is_empty() {
        let below = all_linked_keys::<B>(pim, parent_relation, &level).await?;
        level = below.into_iter().filter(|key| seen.insert(key.clone())).collect();
        check_count(all.len() + level.len())?;
        all.extend(pim.read::<B>()?.many(&level).await?);
    }
    Ok(all)
}

/// How many levels of records are below the one of that id. `below` yields the key and parent of each such record,
/// level by level.
pub(crate) fn height<'a>(id: &'a str, below: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> usize {
    let mut depths = BTreeMap::from([(id, 0)]);
    for (key, parent) in below {
        let above = parent.and_then(|parent| depths.get(parent)).copied().unwrap_or(0);
        depths.insert(key, above + 1);
    }
    depths.into_values().max().unwrap_or(0)
}

/// The keys of all records that link to one of the targets, each once. More records than one change can write are
/// refused.
pub(crate) async fn all_linked_keys<B: RecordBody>(
    pim: &PimContext,
    relation: &str,
    targets: &[String],
) -> Result<Vec<String>, Refusal> {
    let limit = u32::try_from(CHANGE_ROWS_MAX).unwrap_or(u32::MAX).saturating_add(1);
    let pairs = pim.linked_pairs::<B>(relation, targets, limit).await?;
    let mut seen = BTreeSet::new();
    let keys: Vec<_> = pairs.into_iter().map(|(_, key)| key).filter(|key| seen.insert(key.clone())).collect();
    check_count(keys.len())?;
    Ok(keys)
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if count <= CHANGE_ROWS_MAX {
        return Ok(());
    }
    let message = format!("this touches more than {CHANGE_ROWS_MAX} records at once: do it in parts");
    Err(Refusal::new(RefusalCode::LimitExceeded, message))
}
