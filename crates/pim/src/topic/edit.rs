//! Creates, changes and deletes topics, and raises their events.

use super::ancestors;
use super::body::{PARENT, PATH, TopicBody, TopicTexts, path_name};
use super::inputs::{BulkCreateTopicInput, CreateChildTopicInput, UpdateTopicInput};
use crate::context::PimContext;
use crate::descendants::{all_linked_keys, descendants, height};
use crate::draft::{ChangedFields, Draft, Raised, changed_fields, mutate};
use crate::item::{self, ItemBody, appended_rank, check_text};
use crate::limits::{SLUG_CHARS_MAX, SLUG_TRIES_MAX, TEXT_CHARS_MAX, TREE_DEPTH_MAX};
use crate::slug;
use crate::stored::Stored;
use crate::version::check_language;
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Creates topics with the topics below them, and returns the top ones. Raises `topics/create` for each.
pub(super) async fn create(
    pim: &PimContext,
    inputs: Vec<BulkCreateTopicInput>,
    language: &str,
) -> Result<Vec<Stored<TopicBody>>, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let mut claimed = BTreeSet::new();
        let mut created = Vec::with_capacity(inputs.len());
        for input in inputs.clone() {
            let mut depth = 1;
            if let Some(parent_id) = &input.parent_id {
                depth += parent_depth(&mut draft, parent_id).await?;
            }
            let parent_id = input.parent_id.map(|id| id.0);
            let top = CreateChildTopicInput {
                children: input.children,
                name: input.name,
                path_identifier: input.path_identifier,
            };
            let top_at = created.len();
            let mut left = vec![(parent_id, depth, top, false)];
            while let Some((parent_id, depth, input, is_below_new)) = left.pop() {
                check_size(depth, left.len())?;
                let stored = create_one(&mut draft, parent_id, &input, language, is_below_new, &mut claimed).await?;
                let children = input.children.into_iter().flatten().rev();
                left.extend(children.map(|child| (Some(stored.key.clone()), depth + 1, child, true)));
                if created.len() == top_at {
                    created.push(stored);
                }
            }
        }
        Ok((draft, created))
    })
    .await
}

fn check_size(depth: usize, count: usize) -> Result<(), Refusal> {
    let message = match (depth > TREE_DEPTH_MAX, count > CHANGE_ROWS_MAX) {
        (true, _) => format!("more than {TREE_DEPTH_MAX} topics above each other"),
        (_, true) => format!("more than {CHANGE_ROWS_MAX} topics at once: do it in parts"),
        _ => return Ok(()),
    };
    Err(Refusal::new(RefusalCode::LimitExceeded, message))
}

async fn create_one(
    draft: &mut Draft<'_>,
    parent_id: Option<String>,
    input: &CreateChildTopicInput,
    language: &str,
    is_below_new: bool,
    claimed: &mut BTreeSet<String>,
) -> Result<Stored<TopicBody>, Refusal> {
    check_text("input.name", &input.name, TEXT_CHARS_MAX)?;
    let id = draft.pim().new_id().to_string();
    let at = PathScope { language, parent_id: parent_id.as_deref(), own_id: &id, is_new: is_below_new };
    let path_identifier = at.identifier(draft.pim(), input.path_identifier.as_deref(), &input.name, claimed).await?;
    claimed.insert(path_name(language, parent_id.as_deref(), &path_identifier));
    let texts = TopicTexts { name: input.name.clone(), path_identifier };
    // Topics of one change are created at one time: their ids, which rise, keep their order.
    let rank = appended_rank(draft.at());
    let body = TopicBody { parent_id, rank, languages: BTreeMap::from([(language.to_owned(), texts)]) };
    let stored = draft.create(id, body)?;
    raise(draft, "create", &stored, language, Vec::new(), None)?;
    Ok(stored)
}

/// Changes a topic in one language. Raises `topics/update` if anything changed.
pub(super) async fn update(
    pim: &PimContext,
    id: &str,
    input: UpdateTopicInput,
    language: &str,
) -> Result<Stored<TopicBody>, Refusal> {
    check_language(language)?;
    mutate(pim, async |mut draft| {
        let old = pim.read::<TopicBody>()?.existing(id).await?;
        let mut body = old.body.clone();
        if let Some(parent_id) = input.parent_id.as_deref().filter(|id| Some(*id) != old.body.parent_id.as_ref()) {
            move_below(&mut draft, &old, &mut body, parent_id).await?;
        }
        let before = body.languages.get(language).cloned();
        let name = input.name.clone().or(before.as_ref().map(|texts| texts.name.clone()));
        if let Some(name) = name {
            check_text("input.name", &name, TEXT_CHARS_MAX)?;
            let kept = before.filter(|before| before.name == name).map(|before| before.path_identifier);
            let path_identifier = match (&input.path_identifier, kept) {
                (None, Some(kept)) => kept,
                (wanted, _) => {
                    let at = PathScope { language, parent_id: body.parent_id.as_deref(), own_id: id, is_new: false };
                    at.identifier(pim, wanted.as_deref(), &name, &BTreeSet::new()).await?
                }
            };
            body.languages.insert(language.to_owned(), TopicTexts { name, path_identifier });
        }
        let changed = changed_fields(&facets(&old.body, language), &facets(&body, language));
        if changed.is_empty() {
            return Ok((draft, old));
        }
        let (stored, _) = draft.update(&old, body)?;
        raise(&mut draft, "update", &stored, language, changed, None)?;
        Ok((draft, stored))
    })
    .await
}

async fn move_below(
    draft: &mut Draft<'_>,
    topic: &Stored<TopicBody>,
    body: &mut TopicBody,
    parent_id: &str,
) -> Result<(), Refusal> {
    let pim = draft.pim();
    let depth = parent_depth(draft, parent_id).await?;
    let parent = pim.read::<TopicBody>()?.existing(parent_id).await?;
    let above = ancestors(pim, &parent.body).await?;
    if parent_id == topic.key || above.iter().any(|ancestor| ancestor.key == topic.key) {
        let message = "a topic cannot be below itself";
        return Err(Refusal::invalid_at("input.parentId", "CYCLE", message));
    }
    let below = descendants::<TopicBody>(pim, PARENT, &topic.key).await?;
    let height = height(&topic.key, below.iter().map(|topic| (topic.key.as_str(), topic.body.parent_id.as_deref())));
    check_size(depth + 1 + height, 0)?;
    body.parent_id = Some(parent_id.to_owned());
    body.rank = appended_rank(draft.at());
    for (language, texts) in &mut body.languages {
        let at = PathScope { language, parent_id: Some(parent_id), own_id: &topic.key, is_new: false };
        texts.path_identifier = at.free(pim, &texts.path_identifier, &BTreeSet::new()).await?;
    }
    Ok(())
}

/// Deletes a topic with the topics below it, and returns how many were deleted. Raises `topics/delete` for each, and
/// `items/update` for each item that belonged to one of them.
pub(super) async fn delete(pim: &PimContext, id: &str) -> Result<i32, Refusal> {
    let language = pim.default_language().await?;
    mutate(pim, async |mut draft| {
        let Some(topic) = pim.read::<TopicBody>()?.one(id).await? else { return Ok((draft, 0)) };
        let mut topics = descendants::<TopicBody>(pim, PARENT, id).await?;
        topics.push(topic);
        let ids: Vec<String> = topics.iter().map(|topic| topic.key.clone()).collect();
        for topic in &topics {
            let tombstone = draft.delete(topic)?;
            raise(&mut draft, "delete", topic, &language, Vec::new(), Some(tombstone))?;
        }
        let item_ids = all_linked_keys::<ItemBody>(pim, item::TOPIC, &ids).await?;
        let ids: BTreeSet<String> = ids.into_iter().collect();
        for item in pim.read::<ItemBody>()?.many(&item_ids).await? {
            let mut body = item.body.clone();
            body.shared.topic_ids.retain(|id| !ids.contains(id));
            item::save(&mut draft, &item, body, &language)?;
        }
        Ok((draft, i32::try_from(topics.len()).unwrap_or(i32::MAX)))
    })
    .await
}

/// The depth of a parent: how many topics it and the topics above it are.
async fn parent_depth(draft: &mut Draft<'_>, parent_id: &str) -> Result<usize, Refusal> {
    let parent = draft.pim().read::<TopicBody>()?.existing(parent_id).await?;
    draft.require::<TopicBody>(parent_id);
    Ok(ancestors(draft.pim(), &parent.body).await?.len() + 1)
}

/// The scope in which a topic's part of the path must be unique: its siblings, in one language.
struct PathScope<'a> {
    language: &'a str,
    parent_id: Option<&'a str>,
    own_id: &'a str,
    /// Whether the parent is created by the same change: it has no siblings in the store then.
    is_new: bool,
}

impl PathScope<'_> {
    /// The wanted part of the path if it is free, or a free one made from the name.
    async fn identifier(
        &self,
        pim: &PimContext,
        wanted: Option<&str>,
        name: &str,
        claimed: &BTreeSet<String>,
    ) -> Result<String, Refusal> {
        let Some(wanted) = wanted else { return self.free(pim, &slug::slug(name), claimed).await };
        if slug::slug(wanted) != wanted {
            let message =
                format!("{wanted:?} is not made of at most {SLUG_CHARS_MAX} lower-case letters, digits, dashes");
            return Err(Refusal::invalid_at("input.pathIdentifier", "PATH_IDENTIFIER", message));
        }
        if !self.is_free(pim, wanted, claimed).await? {
            let message = format!("another topic beside it has the path identifier {wanted:?}");
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
        Ok(wanted.to_owned())
    }

    async fn free(&self, pim: &PimContext, slug: &str, claimed: &BTreeSet<String>) -> Result<String, Refusal> {
        for candidate in slug::candidates(slug).take(SLUG_TRIES_MAX) {
            if self.is_free(pim, &candidate, claimed).await? {
                return Ok(candidate);
            }
        }
        Ok(format!("{slug}-{}", self.own_id))
    }

    async fn is_free(&self, pim: &PimContext, identifier: &str, claimed: &BTreeSet<String>) -> Result<bool, Refusal> {
        let name = path_name(self.language, self.parent_id, identifier);
        if claimed.contains(&name) || self.is_new {
            return Ok(!claimed.contains(&name));
        }
        let bearer = pim.read::<TopicBody>()?.named(PATH, &name).await?;
        Ok(bearer.is_none_or(|topic| topic.key == self.own_id))
    }
}

/// The topic as a reader sees it in one language, by the field names of the API.
fn facets(body: &TopicBody, language: &str) -> Map<String, Value> {
    let texts = body.languages.get(language);
    Map::from_iter([
        ("name".to_owned(), json!(texts.map(|texts| &texts.name))),
        ("parentId".to_owned(), json!(body.parent_id)),
        ("path".to_owned(), json!([body.parent_id.as_deref(), texts.map(|texts| texts.path_identifier.as_str())])),
    ])
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<TopicBody>,
    language: &str,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    draft.raise(Raised {
        concern: "topics",
        event,
        variables: vec![("id", json!(stored.key)), ("language", json!(language))],
        changed_fields,
        tombstone,
        record: RecordRef::new(RecordKind::Topic, stored.key.as_str()),
    })
}
