//! Changes of items: every change goes through this module, which raises its events.

use super::body::{ItemBody, ItemType, Shared, Texts};
use super::inputs::{ItemPatch, NewItem};
use super::place::{self, free_slug};
use super::variant_edit::replace_variants;
use crate::component::component_bodies;
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, changed_fields, mutate};
use crate::limits::{IDENTIFIER_CHARS_MAX, INPUT_LIST_MAX, TEXT_CHARS_MAX};
use crate::stored::Stored;
use crate::topic::TopicBody;
use crate::version::{Version, VersionLabel, check_language};
use async_graphql::ID;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::refusal::Refusal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Creates an item in one language. Raises `items/create`.
pub(super) async fn create(pim: &PimContext, new: NewItem, language: &str) -> Result<Stored<ItemBody>, Refusal> {
    pim.tenant(Some(&new.tenant_id))?;
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let new = new.clone();
        let id = pim.new_id().to_string();
        let place = place::of_new(&mut draft, new.tree.as_ref()).await?;
        let mut body = ItemBody {
            item_type: new.item_type,
            parent_id: place.parent_id,
            rank: place.rank,
            shared: Shared { shape_identifier: new.shape_identifier, ..Shared::default() },
            stock: BTreeMap::new(),
            flows: BTreeMap::new(),
            languages: BTreeMap::new(),
            created_at: draft.at(),
            updated_at: draft.at(),
        };
        apply(&mut draft, &id, &mut body, new.patch, language).await?;
        let stored = draft.create(id, body)?;
        raise(&mut draft, "create", &stored, language, ChangedFields::new(), None)?;
        Ok((draft, stored))
    })
    .await
}

/// Changes an item in one language. Raises `items/update` if anything changed.
pub(super) async fn update(
    pim: &PimContext,
    item_type: ItemType,
    id: &str,
    patch: ItemPatch,
    language: &str,
) -> Result<Stored<ItemBody>, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let old = existing(pim, item_type, id).await?;
        let mut body = old.body.clone();
        apply(&mut draft, id, &mut body, patch.clone(), language).await?;
        let stored = save(&mut draft, &old, body, language)?;
        Ok((draft, stored))
    })
    .await
}

/// Changes the texts of an item in one language and the fields that its languages share. Raises `items/update` if
/// anything changed.
pub(super) async fn change(
    pim: &PimContext,
    item_type: ItemType,
    id: &str,
    language: &str,
    edit: impl Fn(&mut ItemBody, &mut Texts) -> Result<(), Refusal> + Sync,
) -> Result<Stored<ItemBody>, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let old = existing(pim, item_type, id).await?;
        let mut body = old.body.clone();
        let mut texts = draft_texts(&body, language);
        edit(&mut body, &mut texts)?;
        put_texts(&draft, &mut body, language, texts);
        let stored = save(&mut draft, &old, body, language)?;
        Ok((draft, stored))
    })
    .await
}

/// Writes the new body of an item and raises `items/update`, if a facet that a reader sees changed.
pub(crate) fn save(
    draft: &mut Draft<'_>,
    old: &Stored<ItemBody>,
    mut body: ItemBody,
    language: &str,
) -> Result<Stored<ItemBody>, Refusal> {
    let changed = changed_fields(&facets(&old.body, language), &facets(&body, language));
    if changed.is_empty() {
        return Ok(old.clone());
    }
    let renews_all = body.shared != old.body.shared;
    let at = draft.at();
    for (other, versions) in &mut body.languages {
        let before = old.body.languages.get(other).and_then(|versions| versions.draft.as_ref());
        if let Some(version) = &mut versions.draft
            && (renews_all || before.is_none_or(|before| before.content != version.content))
        {
            version.id = draft.pim().new_id().to_string();
            version.created_at = at;
        }
    }
    body.updated_at = at;
    let (stored, _) = draft.update(old, body)?;
    raise(draft, "update", &stored, language, changed, None)?;
    Ok(stored)
}

/// The item as a reader sees it in one language, by the field names of the API.
fn facets(body: &ItemBody, language: &str) -> Map<String, Value> {
    let content = body.content(language, VersionLabel::Current).unwrap_or_default();
    let Shared { external_reference, shape_identifier, topic_ids, vat_type_id, variants } = content.shared;
    let facets = json!({
        "components": content.texts.components,
        "createdAt": body.created_at,
        "externalReference": external_reference,
        "name": content.texts.name,
        "shapeIdentifier": shape_identifier,
        "topics": topic_ids,
        "tree": { "parentId": body.parent_id, "rank": body.rank, "slug": content.texts.slug },
        "variants": { "shared": variants, "texts": content.texts.variants, "stock": body.stock },
        "vatTypeId": vat_type_id,
    });
    match facets {
        Value::Object(facets) => facets,
        _ => Map::new(),
    }
}

/// Raises an event about an item.
pub(crate) fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<ItemBody>,
    language: &str,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    draft.raise(Raised {
        concern: "items",
        event,
        variables: vec![
            ("id", json!(stored.key)),
            ("type", json!(stored.body.item_type.as_str())),
            ("language", json!(language)),
        ],
        changed_fields,
        tombstone,
        record: RecordRef::new(RecordKind::Item, stored.key.as_str()),
    })
}

/// The item of that type and id.
pub(super) async fn existing(pim: &PimContext, item_type: ItemType, id: &str) -> Result<Stored<ItemBody>, Refusal> {
    let found = pim.read::<ItemBody>()?.one(id).await?;
    let found = found.filter(|stored| stored.body.item_type == item_type);
    found.ok_or_else(|| Refusal::not_found(item_type.as_str(), id))
}

/// The texts of a language's draft.
fn draft_texts(body: &ItemBody, language: &str) -> Texts {
    let draft = body.languages.get(language).and_then(|versions| versions.draft.as_ref());
    draft.map(|draft| draft.content.clone()).unwrap_or_default()
}

/// Makes `texts` the draft of a language; a language without texts gets no draft.
fn put_texts(draft: &Draft<'_>, body: &mut ItemBody, language: &str, mut texts: Texts) {
    let ids: BTreeSet<&str> = body.shared.variants.iter().map(|variant| variant.id.as_str()).collect();
    texts.variants.retain(|id, said| ids.contains(id.as_str()) && *said != Default::default());
    let has_draft = body.languages.get(language).is_some_and(|versions| versions.draft.is_some());
    if !has_draft && texts == Texts::default() {
        return;
    }
    let versions = body.languages.entry(language.to_owned()).or_default();
    match &mut versions.draft {
        Some(version) => version.content = texts,
        None => {
            let id = draft.pim().new_id().to_string();
            versions.draft = Some(Version { id, created_at: draft.at(), content: texts });
        }
    }
}

async fn apply(
    draft: &mut Draft<'_>,
    id: &str,
    body: &mut ItemBody,
    patch: ItemPatch,
    language: &str,
) -> Result<(), Refusal> {
    let pim = draft.pim();
    let mut texts = draft_texts(body, language);
    if let Some(name) = patch.name.filter(|name| texts.name.as_ref() != Some(name)) {
        check_text("input.name", &name, TEXT_CHARS_MAX)?;
        texts.slug = Some(free_slug(pim, language, body.parent_id.as_deref(), &name, id).await?);
        texts.name = Some(name);
    }
    if let Some(components) = patch.components {
        texts.components = component_bodies(components, "input.components")?;
    }
    if let Some(reference) = patch.external_reference {
        check_text("input.externalReference", &reference, IDENTIFIER_CHARS_MAX)?;
        body.shared.external_reference = Some(reference);
    }
    if let Some(created_at) = patch.created_at {
        body.created_at = created_at.into();
    }
    if let Some(topic_ids) = patch.topic_ids {
        body.shared.topic_ids = existing_topics(draft, topic_ids).await?;
    }
    body.shared.vat_type_id = patch.vat_type_id.map(|id| id.0).or(body.shared.vat_type_id.take());
    if let Some(variants) = patch.variants {
        replace_variants(body, &mut texts, variants, || pim.new_id())?;
    }
    put_texts(draft, body, language, texts);
    Ok(())
}

/// The ids of topics, each once. An id of no topic is refused.
async fn existing_topics(draft: &mut Draft<'_>, ids: Vec<ID>) -> Result<Vec<String>, Refusal> {
    let path = "input.topicIds";
    if ids.len() > INPUT_LIST_MAX {
        let message = format!("{} topics, {INPUT_LIST_MAX} are allowed", ids.len());
        return Err(Refusal::invalid_at(path, "TOO_MANY", message));
    }
    let mut seen = BTreeSet::new();
    let ids: Vec<String> = ids.into_iter().map(|id| id.0).filter(|id| seen.insert(id.clone())).collect();
    let found = draft.pim().deciding::<TopicBody>(draft).many(&ids).await?;
    let found: BTreeSet<&str> = found.iter().map(|topic| topic.key.as_str()).collect();
    if let Some(missing) = ids.iter().find(|id| !found.contains(id.as_str())) {
        return Err(Refusal::invalid_at(path, "NOT_FOUND", format!("no topic {missing:?}")));
    }
    ids.iter().for_each(|id| draft.require::<TopicBody>(id));
    Ok(ids)
}

pub(crate) fn check_text(path: &str, text: &str, chars_max: usize) -> Result<(), Refusal> {
    let chars = text.chars().count();
    if (1..=chars_max).contains(&chars) {
        return Ok(());
    }
    Err(Refusal::invalid_at(path, "LENGTH", format!("{chars} characters; 1 to {chars_max} are allowed")))
}
