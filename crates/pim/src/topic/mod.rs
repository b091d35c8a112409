//! Topics: nodes of topic maps, to which items belong.

mod body;
mod edit;
mod inputs;
mod mutations;
mod queries;

pub(crate) use body::TopicBody;
pub(crate) use mutations::TopicMutations;
pub(crate) use queries::TopicQueries;

use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::item::{Item, topic_items};
use crate::limits::{LIST_MAX, TREE_DEPTH_MAX};
use crate::loaders::ReadError;
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::tenant::Tenant;
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object};
use futures::future::try_join_all;

/// A topic in one language.
pub struct Topic {
    stored: Stored<TopicBody>,
    language: String,
}

impl Topic {
    pub(crate) fn of(stored: Stored<TopicBody>, language: &str) -> Self {
        Self { stored, language: language.to_owned() }
    }

    async fn children_of(&self, pim: &PimContext) -> Result<Vec<Topic>, ReadError> {
        topics_below(pim, Some(&self.stored.key), &self.language).await
    }
}

/// The topics that exist of those ids, in the order of the ids.
pub(crate) async fn topics_by_ids(pim: &PimContext, ids: &[String], language: &str) -> Result<Vec<Topic>, ReadError> {
    let stored = pim.read::<TopicBody>()?.many(ids).await?;
    Ok(stored.into_iter().map(|stored| Topic::of(stored, language)).collect())
}

/// The topics directly below a parent, in order; the roots of the topic maps where none is named.
pub(crate) async fn topics_below(
    pim: &PimContext,
    parent_id: Option<&str>,
    language: &str,
) -> Result<Vec<Topic>, ReadError> {
    let stored = pim.read::<TopicBody>()?.linked(body::PARENT, parent_id.unwrap_or(body::ROOT)).await?;
    Ok(stored.into_iter().map(|stored| Topic::of(stored, language)).collect())
}

/// The topics above a topic, the nearest first.
pub(super) async fn ancestors(pim: &PimContext, body: &TopicBody) -> Result<Vec<Stored<TopicBody>>, ReadError> {
    let mut ancestors: Vec<Stored<TopicBody>> = Vec::new();
    let mut next = body.parent_id.clone();
    while let Some(id) = next.take().filter(|_| ancestors.len() < TREE_DEPTH_MAX) {
        let Some(parent) = pim.read::<TopicBody>()?.one(&id).await? else { break };
        next.clone_from(&parent.body.parent_id);
        ancestors.push(parent);
    }
    Ok(ancestors)
}

/// A topic.
#[Object]
impl Topic {
    /// What it is below, from the top down.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn ancestors(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Topic>>> {
        let ancestors = ancestors(PimContext::of(ctx)?, &self.stored.body).await.graphql()?;
        Ok(Some(ancestors.into_iter().rev().map(|stored| Topic::of(stored, &self.language)).collect()))
    }

    /// How many topics are directly below it.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn child_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        let keys =
            PimContext::of(ctx)?.read::<TopicBody>().graphql()?.linked_keys(body::PARENT, &self.stored.key).await;
        Ok(i32::try_from(keys.graphql()?.len()).unwrap_or(i32::MAX))
    }

    /// What is directly below it, in order.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn children(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Topic>>> {
        self.children_of(PimContext::of(ctx)?).await.graphql().map(Some)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// All that is below it, level by level, up to the limit of a list.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn descendants(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Topic>>> {
        let pim = PimContext::of(ctx)?;
        let mut descendants = Vec::new();
        let mut level = self.children_of(pim).await.graphql()?;
        while !level.is_empty() && descendants.len() < LIST_MAX as usize {
            let below = try_join_all(level.iter().map(|topic| topic.children_of(pim))).await.graphql()?;
            descendants.append(&mut level);
            level = below.into_iter().flatten().collect();
        }
        descendants.truncate(LIST_MAX as usize);
        Ok(Some(descendants))
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// The items that belong to it, in their current version.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn items(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Item>>> {
        let edition = Edition { language: self.language.clone(), label: VersionLabel::Current };
        topic_items(PimContext::of(ctx)?, &self.stored.key, &edition).await.graphql().map(Some)
    }

    /// The language that was asked for.
    async fn language(&self) -> Option<&str> {
        Some(&self.language)
    }

    /// Its name; null where the language has none.
    async fn name(&self) -> Option<&str> {
        self.stored.body.languages.get(&self.language).map(|texts| texts.name.as_str())
    }

    /// What it is directly below; null for the root of a topic map.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn parent(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Topic>> {
        let Some(parent_id) = &self.stored.body.parent_id else { return Ok(None) };
        let parent = PimContext::of(ctx)?.read::<TopicBody>().graphql()?.one(parent_id).await.graphql()?;
        Ok(parent.map(|stored| Topic::of(stored, &self.language)))
    }

    /// The id of what it is directly below.
    async fn parent_id(&self) -> Option<ID> {
        self.stored.body.parent_id.clone().map(ID)
    }

    /// Its path, e.g. `/colour/red`.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn path(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        let ancestors = ancestors(PimContext::of(ctx)?, &self.stored.body).await.graphql()?;
        let bodies = ancestors.iter().rev().map(|stored| &stored.body).chain([&self.stored.body]);
        let parts = bodies.map(|body| body.path_identifier(&self.language).unwrap_or_default());
        Ok(parts.map(|part| format!("/{part}")).collect())
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Tenant> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Tenant::from)
    }

    /// The owner.
    async fn tenant_id(&self) -> ID {
        ID(self.stored.tenant_id.to_string())
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.updated_at))
    }
}
