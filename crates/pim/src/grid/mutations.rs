//! `grid { create update delete publish unpublish }`.

use super::Grid;
use super::body::{GridBody, GridContent};
use super::inputs::{CreateGridInput, UpdateGridInput, row_bodies};
use crate::common::converted;
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, changed_fields, mutate};
use crate::error::IntoGraphql;
use crate::item::check_text;
use crate::limits::TEXT_CHARS_MAX;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use crate::version::{Edition, Version, VersionLabel, check_language};
use async_graphql::{Context, ID, Object, SimpleObject};
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde_json::{Map, Value, json};

/// What was published or unpublished.
#[derive(Clone, Debug, SimpleObject)]
pub struct GridPublishInfo {
    /// The grid.
    pub id: ID,
    /// Which version.
    pub version_id: ID,
}

/// Mutations of grids.
pub struct GridMutations;

#[Object(serial)]
impl GridMutations {
    /// Creates a grid in one language. Raises `grids/create`.
    #[graphql(directive = requires::apply(PermissionName::GridsWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateGridInput, language: String) -> async_graphql::Result<Grid> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        check_language(&language).graphql()?;
        let patch = UpdateGridInput { meta: input.meta, name: Some(input.name), rows: input.rows };
        let created = mutate(pim, async |mut draft| {
            let mut body = GridBody { updated_at: draft.at(), ..GridBody::default() };
            let content = patched(GridContent::default(), patch.clone())?;
            put_draft(&draft, &mut body, &language, content);
            let stored = draft.create(pim.new_id().to_string(), body)?;
            raise(&mut draft, "create", &stored, &language, Vec::new(), None)?;
            Ok((draft, stored))
        });
        shown(created.await.graphql()?, language)
    }

    /// Deletes a grid, and answers how many that were. Raises `grids/delete`.
    #[graphql(directive = requires::apply(PermissionName::GridsWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        let language = pim.default_language().await.graphql()?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<GridBody>()?.one(&id).await? else { return Ok((draft, 0)) };
            let tombstone = draft.delete(&stored)?;
            raise(&mut draft, "delete", &stored, &language, Vec::new(), Some(tombstone))?;
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Publishes the draft of a language. Raises `grids/publish` unless it is published as it is.
    #[graphql(directive = requires::apply(PermissionName::GridsWrite))]
    async fn publish(&self, ctx: &Context<'_>, id: ID, language: String) -> async_graphql::Result<GridPublishInfo> {
        let pim = PimContext::of(ctx)?;
        let published = mutate(pim, async |mut draft| {
            let old = pim.read::<GridBody>()?.existing(&id).await?;
            let mut body = old.body.clone();
            let no_draft = || {
                let message = format!("grid {:?} has no draft in {language:?}", id.as_str());
                Refusal::new(RefusalCode::NotFound, message)
            };
            let versions = body.languages.get_mut(&language).ok_or_else(no_draft)?;
            let edited = versions.draft.clone().ok_or_else(no_draft)?;
            match versions.published.as_ref().filter(|published| published.content == edited.content) {
                Some(published) => {
                    let version_id = published.id.clone();
                    Ok((draft, version_id))
                }
                None => {
                    let version_id = edited.id.clone();
                    versions.published = Some(Version { created_at: draft.at(), ..edited });
                    body.updated_at = draft.at();
                    let (stored, _) = draft.update(&old, body)?;
                    raise(&mut draft, "publish", &stored, &language, Vec::new(), None)?;
                    Ok((draft, version_id))
                }
            }
        });
        let version_id = published.await.graphql()?;
        Ok(GridPublishInfo { version_id: ID(version_id), id })
    }

    /// Takes back what is published of a language. Raises `grids/unpublish`. Null when it was not published.
    #[graphql(directive = requires::apply(PermissionName::GridsWrite))]
    async fn unpublish(
        &self,
        ctx: &Context<'_>,
        id: ID,
        language: String,
    ) -> async_graphql::Result<Option<GridPublishInfo>> {
        let pim = PimContext::of(ctx)?;
        let unpublished = mutate(pim, async |mut draft| {
            let old = pim.read::<GridBody>()?.existing(&id).await?;
            let mut body = old.body.clone();
            let published = body.languages.get_mut(&language).and_then(|versions| versions.published.take());
            let Some(published) = published else { return Ok((draft, None)) };
            body.updated_at = draft.at();
            let (stored, _) = draft.update(&old, body)?;
            raise(&mut draft, "unpublish", &stored, &language, Vec::new(), None)?;
            Ok((draft, Some(published.id)))
        });
        let version_id = unpublished.await.graphql()?;
        Ok(version_id.map(|version_id| GridPublishInfo { version_id: ID(version_id), id }))
    }

    /// Changes a grid in one language. Raises `grids/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::GridsWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: UpdateGridInput,
        language: String,
    ) -> async_graphql::Result<Grid> {
        let pim = PimContext::of(ctx)?;
        check_language(&language).graphql()?;
        let updated = mutate(pim, async |mut draft| {
            let old = pim.read::<GridBody>()?.existing(&id).await?;
            let before = draft_content(&old.body, &language);
            let content = patched(before.clone(), input.clone())?;
            let changed = changed_fields(&facets(&before), &facets(&content));
            if changed.is_empty() {
                return Ok((draft, old));
            }
            let mut body = old.body.clone();
            body.updated_at = draft.at();
            put_draft(&draft, &mut body, &language, content);
            let (stored, _) = draft.update(&old, body)?;
            raise(&mut draft, "update", &stored, &language, changed, None)?;
            Ok((draft, stored))
        });
        shown(updated.await.graphql()?, language)
    }
}

fn shown(stored: Stored<GridBody>, language: String) -> async_graphql::Result<Grid> {
    let grid = Grid::of(stored, &Edition { language, label: VersionLabel::Current });
    grid.ok_or_else(|| async_graphql::Error::new("the grid has no current version"))
}

fn draft_content(body: &GridBody, language: &str) -> GridContent {
    let draft = body.languages.get(language).and_then(|versions| versions.draft.as_ref());
    draft.map(|draft| draft.content.clone()).unwrap_or_default()
}

fn patched(mut content: GridContent, patch: UpdateGridInput) -> Result<GridContent, Refusal> {
    if let Some(name) = patch.name {
        check_text("input.name", &name, TEXT_CHARS_MAX)?;
        content.name = Some(name);
    }
    if let Some(rows) = patch.rows {
        content.rows = row_bodies(rows)?;
    }
    content.meta = converted(patch.meta).or(content.meta);
    Ok(content)
}

fn put_draft(draft: &Draft<'_>, body: &mut GridBody, language: &str, content: GridContent) {
    let id = draft.pim().new_id().to_string();
    let versions = body.languages.entry(language.to_owned()).or_default();
    versions.draft = Some(Version { id, created_at: draft.at(), content });
}

/// The grid as a reader sees it, by the field names of the API.
fn facets(content: &GridContent) -> Map<String, Value> {
    Map::from_iter([
        ("name".to_owned(), json!(content.name)),
        ("rows".to_owned(), json!(content.rows)),
        ("meta".to_owned(), json!(content.meta)),
    ])
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<GridBody>,
    language: &str,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    draft.raise(Raised {
        concern: "grids",
        event,
        variables: vec![("id", json!(stored.key)), ("language", json!(language))],
        changed_fields,
        tombstone,
        record: RecordRef::new(RecordKind::Grid, stored.key.as_str()),
    })
}
