//! Publishes and unpublishes an item, alone or with the items below it.

use super::body::{Content, ItemBody, ItemType};
use super::cascade::descendants;
use super::edit::{existing, raise};
use crate::context::PimContext;
use crate::draft::{Draft, mutate};
use crate::stored::Stored;
use crate::version::{Version, check_language};
use async_graphql::{ID, SimpleObject};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde::{Deserialize, Serialize};

/// What was published or unpublished.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub struct PublishInfo {
    /// The item.
    pub id: ID,
    /// In which language.
    pub language: Option<String>,
    /// Which version.
    pub version_id: Option<ID>,
}

fn info(id: &str, language: &str, version_id: String) -> PublishInfo {
    PublishInfo { id: ID(id.to_owned()), language: Some(language.to_owned()), version_id: Some(ID(version_id)) }
}

/// Publishes an item's draft of a language, and with descendants the drafts of the items below it that have one. Raises
/// `items/publish` for each whose published version changed.
pub(super) async fn publish(
    pim: &PimContext,
    item_type: ItemType,
    id: &str,
    language: &str,
    with_descendants: bool,
) -> Result<PublishInfo, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let item = existing(pim, item_type, id).await?;
        let Some(version_id) = publish_one(&mut draft, &item, language)? else {
            let message = format!("{} {id:?} has no draft in {language:?}", item_type.as_str());
            return Err(Refusal::new(RefusalCode::NotFound, message));
        };
        if with_descendants {
            for below in descendants(pim, id).await? {
                publish_one(&mut draft, &below, language)?;
            }
        }
        Ok((draft, info(id, language, version_id)))
    })
    .await
}

/// Publishes one item. Returns the id of the published version; none without a draft.
fn publish_one(draft: &mut Draft<'_>, item: &Stored<ItemBody>, language: &str) -> Result<Option<String>, Refusal> {
    let mut body = item.body.clone();
    let Some(versions) = body.languages.get_mut(language) else { return Ok(None) };
    let Some(edited) = &versions.draft else { return Ok(None) };
    let content = Content { texts: edited.content.clone(), shared: body.shared.clone() };
    if let Some(published) = versions.published.as_ref().filter(|published| published.content == content) {
        return Ok(Some(published.id.clone()));
    }
    let id = edited.id.clone();
    versions.published = Some(Version { id: id.clone(), created_at: draft.at(), content });
    body.updated_at = draft.at();
    let (stored, _) = draft.update(item, body)?;
    raise(draft, "publish", &stored, language, Vec::new(), None)?;
    Ok(Some(id))
}

/// Removes an item's published version of a language, and with descendants those of the items below it. Raises
/// `items/unpublish` for each that had one. Returns none if the item itself had none.
pub(super) async fn unpublish(
    pim: &PimContext,
    item_type: ItemType,
    id: &str,
    language: &str,
    with_descendants: bool,
) -> Result<Option<PublishInfo>, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let item = existing(pim, item_type, id).await?;
        let version_id = unpublish_one(&mut draft, &item, language)?;
        if with_descendants {
            for below in descendants(pim, id).await? {
                unpublish_one(&mut draft, &below, language)?;
            }
        }
        Ok((draft, version_id.map(|version_id| info(id, language, version_id))))
    })
    .await
}

fn unpublish_one(draft: &mut Draft<'_>, item: &Stored<ItemBody>, language: &str) -> Result<Option<String>, Refusal> {
    let mut body = item.body.clone();
    let published = body.languages.get_mut(language).and_then(|versions| versions.published.take());
    let Some(published) = published else { return Ok(None) };
    body.updated_at = draft.at();
    let (stored, _) = draft.update(item, body)?;
    raise(draft, "unpublish", &stored, language, Vec::new(), None)?;
    Ok(Some(published.id))
}
