//! Grids: items in rows and columns. Each language has a draft and a published version.

mod body;
mod inputs;
mod mutations;
mod queries;

pub(crate) use body::GridBody;
pub(crate) use mutations::GridMutations;
pub(crate) use queries::{GridQueries, all_grids};

use crate::common::{KeyValuePair, property};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::item::{Item, ItemBody, view_by_id};
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::version::{Edition, Picked, VersionLabel, VersionedRecordInfo};
use async_graphql::{Context, ID, Object, SimpleObject};
use body::{ColumnBody, GridContent, RowBody};

/// A grid in one language and version.
pub struct Grid {
    stored: Stored<GridBody>,
    content: GridContent,
    edition: Edition,
}

impl Grid {
    /// The grid in an edition; none where it has no such version. The current version of a language without any is
    /// empty.
    pub(crate) fn of(stored: Stored<GridBody>, edition: &Edition) -> Option<Self> {
        let versions = stored.body.languages.get(&edition.language);
        let content = match versions.and_then(|versions| versions.pick(edition.label)) {
            Some(Picked::Draft(version) | Picked::Published(version)) => version.content.clone(),
            None if edition.label == VersionLabel::Current => GridContent::default(),
            None => return None,
        };
        Some(Self { stored, content, edition: edition.clone() })
    }
}

/// A grid.
#[Object]
impl Grid {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// Whether its language has a version of that label, by default of that which was asked for.
    async fn has_version(&self, version_label: Option<VersionLabel>) -> bool {
        let versions = self.stored.body.languages.get(&self.edition.language);
        versions.is_some_and(|versions| versions.has(version_label.unwrap_or(self.edition.label)))
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// The language that was asked for.
    async fn language(&self) -> &str {
        &self.edition.language
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.content.meta.as_deref()
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.content.meta.as_deref(), &key)
    }

    /// Its name; null where the language has none.
    async fn name(&self) -> Option<&str> {
        self.content.name.as_deref()
    }

    /// Its rows.
    async fn rows(&self) -> Vec<GridRow> {
        let row = |body: &RowBody| GridRow { body: body.clone(), edition: self.edition.clone() };
        self.content.rows.iter().map(row).collect()
    }

    /// The owner.
    async fn tenant_id(&self) -> ID {
        ID(self.stored.tenant_id.to_string())
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.body.updated_at))
    }

    /// Which version was read.
    async fn version(&self) -> Option<VersionedRecordInfo> {
        self.stored.body.languages.get(&self.edition.language)?.info(self.edition.label)
    }
}

/// A row of a grid.
pub struct GridRow {
    body: RowBody,
    edition: Edition,
}

/// A row of a grid.
#[Object]
impl GridRow {
    /// Its columns.
    async fn columns(&self) -> Vec<GridColumn> {
        let column = |body: &ColumnBody| GridColumn { body: body.clone(), edition: self.edition.clone() };
        self.body.columns.iter().map(column).collect()
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.body.meta.as_deref()
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.body.meta.as_deref(), &key)
    }
}

/// A column of a grid's row.
pub struct GridColumn {
    body: ColumnBody,
    edition: Edition,
}

/// A column of a grid's row.
#[Object]
impl GridColumn {
    /// The item in it, if it exists in the version that is read.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn item(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Item>> {
        let Some(id) = &self.body.item_id else { return Ok(None) };
        Ok(view_by_id(PimContext::of(ctx)?, id, &self.edition).await.graphql()?.map(Item::from))
    }

    /// The id of the item in it.
    async fn item_id(&self) -> Option<ID> {
        self.body.item_id.clone().map(ID)
    }

    /// The type of the item in it.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn item_type(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&'static str>> {
        let Some(id) = &self.body.item_id else { return Ok(None) };
        let item = PimContext::of(ctx)?.read::<ItemBody>().graphql()?.one(id).await.graphql()?;
        Ok(item.map(|item| item.body.item_type.as_str()))
    }

    /// How far it spreads.
    async fn layout(&self) -> Option<GridColumnLayout> {
        let layout = self.body.layout?;
        Some(GridColumnLayout { colspan: layout.colspan, rowspan: layout.rowspan })
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.body.meta.as_deref()
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.body.meta.as_deref(), &key)
    }
}

/// How far a column spreads.
#[derive(Clone, Debug, SimpleObject)]
pub struct GridColumnLayout {
    /// Over how many columns.
    pub colspan: Option<i32>,
    /// Over how many rows.
    pub rowspan: Option<i32>,
}
