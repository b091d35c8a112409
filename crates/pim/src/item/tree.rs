//! The tree of items: parents, children, paths. A tenant's root has the tenant's id and no record.

use super::Item;
use super::body::{ItemBody, PARENT, ROOT};
use super::view::{ItemView, view_by_id};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::limits::TREE_DEPTH_MAX;
use crate::loaders::ReadError;
use crate::permission::{PermissionName, requires};
use crate::scalars::PositiveInt;
use crate::stored::Stored;
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object, SimpleObject};
use std::sync::Arc;

/// An item's place in the tree.
#[derive(Clone)]
pub struct TreeNode {
    stored: Arc<Stored<ItemBody>>,
    edition: Edition,
}

/// An item's part of the path in one language.
#[derive(Clone, Debug, SimpleObject)]
pub struct TreeNodeIdentifier {
    /// The part of the path.
    pub identifier: String,
    /// The language.
    pub language: String,
}

impl TreeNode {
    pub(super) fn of(view: &ItemView) -> Self {
        Self { stored: view.stored.clone(), edition: view.edition.clone() }
    }

    fn slug(&self, language: &str) -> String {
        let slug = self.stored.body.slug(language, self.edition.label);
        slug.map_or_else(|| self.stored.key.clone(), str::to_owned)
    }

    fn at(&self, stored: Stored<ItemBody>) -> Self {
        Self { stored: Arc::new(stored), edition: self.edition.clone() }
    }
}

/// The nodes below a parent in an edition, in their order; below the root where no parent is named.
pub(crate) async fn child_nodes(
    pim: &PimContext,
    parent_id: Option<&str>,
    edition: &Edition,
) -> Result<Vec<TreeNode>, ReadError> {
    let children = pim.read::<ItemBody>()?.linked(PARENT, parent_id.unwrap_or(ROOT)).await?;
    let views = children.into_iter().filter_map(|stored| ItemView::of(stored, edition));
    Ok(views.map(|view| TreeNode::of(&view)).collect())
}

/// The items above an item, the nearest first.
pub(super) async fn ancestors(pim: &PimContext, body: &ItemBody) -> Result<Vec<Stored<ItemBody>>, ReadError> {
    let mut ancestors: Vec<Stored<ItemBody>> = Vec::new();
    let mut next = body.parent_id.clone();
    while let Some(id) = next.take().filter(|_| ancestors.len() < TREE_DEPTH_MAX) {
        let Some(parent) = pim.read::<ItemBody>()?.one(&id).await? else { break };
        next.clone_from(&parent.body.parent_id);
        ancestors.push(parent);
    }
    Ok(ancestors)
}

/// An item's place in the tree.
#[Object]
impl TreeNode {
    /// What it is below, from the top down.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn ancestors(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<TreeNode>>> {
        let ancestors = ancestors(PimContext::of(ctx)?, &self.stored.body).await.graphql()?;
        Ok(Some(ancestors.into_iter().rev().map(|stored| self.at(stored)).collect()))
    }

    /// How many items are directly below it, in whichever version.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn child_count(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<i32>> {
        let children = PimContext::of(ctx)?.read::<ItemBody>().graphql()?.linked_keys(PARENT, &self.stored.key).await;
        Ok(i32::try_from(children.graphql()?.len()).ok())
    }

    /// What is directly below it, in order.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn children(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<TreeNode>>> {
        child_nodes(PimContext::of(ctx)?, Some(&self.stored.key), &self.edition).await.graphql().map(Some)
    }

    /// Its part of the path in each language.
    async fn identifiers(&self) -> Option<Vec<TreeNodeIdentifier>> {
        let identifier =
            |language: &String| TreeNodeIdentifier { identifier: self.slug(language), language: language.clone() };
        Some(self.stored.body.languages.keys().map(identifier).collect())
    }

    /// The item, by default in the language that was asked for.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn item(&self, ctx: &Context<'_>, language: Option<String>) -> async_graphql::Result<Option<Item>> {
        let language = language.unwrap_or_else(|| self.edition.language.clone());
        let edition = Edition { language, label: self.edition.label };
        let view = view_by_id(PimContext::of(ctx)?, &self.stored.key, &edition).await.graphql()?;
        Ok(view.map(Item::from))
    }

    /// The item's id.
    async fn item_id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// The language that was asked for.
    async fn language(&self) -> Option<&str> {
        Some(&self.edition.language)
    }

    /// What it is directly below; null at the top.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn parent(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<TreeNode>> {
        let Some(parent_id) = &self.stored.body.parent_id else { return Ok(None) };
        let parent = PimContext::of(ctx)?.read::<ItemBody>().graphql()?.one(parent_id).await.graphql()?;
        Ok(parent.map(|stored| self.at(stored)))
    }

    /// The id of what it is directly below; at the top the tenant's root item's.
    async fn parent_id(&self) -> Option<ID> {
        let root = || self.stored.tenant_id.to_string();
        Some(ID(self.stored.body.parent_id.clone().unwrap_or_else(root)))
    }

    /// Its path, e.g. `/chairs/red-chair`, by default in the language that was asked for.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn path(&self, ctx: &Context<'_>, language: Option<String>) -> async_graphql::Result<Option<String>> {
        let language = language.as_deref().unwrap_or(&self.edition.language);
        let ancestors = ancestors(PimContext::of(ctx)?, &self.stored.body).await.graphql()?;
        let parts = ancestors.into_iter().rev().map(|stored| self.at(stored).slug(language));
        Ok(Some(parts.chain([self.slug(language)]).map(|part| format!("/{part}")).collect()))
    }

    /// Its place among its siblings, counted from 1.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn position(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<PositiveInt>> {
        let parent = self.stored.body.parent_id.as_deref().unwrap_or(ROOT);
        let keys = PimContext::of(ctx)?.read::<ItemBody>().graphql()?.linked_keys(PARENT, parent).await.graphql()?;
        let index = keys.iter().position(|key| *key == self.stored.key);
        Ok(index.and_then(|index| i32::try_from(index + 1).ok()).map(PositiveInt))
    }

    /// What else is directly below its parent, in order.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn siblings(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<TreeNode>>> {
        let parent_id = self.stored.body.parent_id.as_deref();
        let nodes = child_nodes(PimContext::of(ctx)?, parent_id, &self.edition).await.graphql()?;
        Ok(Some(nodes.into_iter().filter(|node| node.stored.key != self.stored.key).collect()))
    }

    /// The version that was asked for.
    async fn version_label(&self) -> VersionLabel {
        self.edition.label
    }
}
