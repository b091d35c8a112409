//! `topic { create bulkCreate update delete addItems removeItems }`.

use super::inputs::{BulkCreateTopicInput, CreateTopicInput, UpdateTopicInput};
use super::{Topic, TopicBody, edit};
use crate::context::PimContext;
use crate::draft::mutate;
use crate::error::IntoGraphql;
use crate::item::{self, ItemBody};
use crate::limits::INPUT_LIST_MAX;
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, Object, SimpleObject};
use hookgraph_domain::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// How many items of a topic changed.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
pub struct TopicItemsModified {
    /// How many items belong to it now that did not, or the other way round.
    pub modified: Option<i32>,
}

/// Mutations of topics.
pub struct TopicMutations;

#[Object(serial)]
impl TopicMutations {
    /// Makes items belong to a topic. Raises `items/update`, with the tenant's default language, for each that did not.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn add_items(
        &self,
        ctx: &Context<'_>,
        item_ids: Vec<ID>,
        topic_id: ID,
    ) -> async_graphql::Result<TopicItemsModified> {
        modify_items(PimContext::of(ctx)?, &item_ids, &topic_id, Membership::Given).await.graphql()
    }

    /// Creates topics with all that shall be below them. Raises `topics/create` for each.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn bulk_create(
        &self,
        ctx: &Context<'_>,
        input: Vec<BulkCreateTopicInput>,
        language: String,
        tenant_id: ID,
    ) -> async_graphql::Result<Vec<Topic>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let created = edit::create(pim, input, &language).await.graphql()?;
        Ok(created.into_iter().map(|stored| Topic::of(stored, &language)).collect())
    }

    /// Creates a topic with all that shall be below it. Raises `topics/create` for each.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn create(
        &self,
        ctx: &Context<'_>,
        input: CreateTopicInput,
        language: String,
    ) -> async_graphql::Result<Topic> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = edit::create(pim, vec![input.into()], &language).await.graphql()?;
        let created = created.into_iter().next().map(|stored| Topic::of(stored, &language));
        created.ok_or_else(|| async_graphql::Error::new("no topic was created"))
    }

    /// Deletes a topic with all that is below it, and answers how many topics that were. Raises `topics/delete` for each,
    /// and `items/update` for each item that belonged to one of them.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        edit::delete(PimContext::of(ctx)?, &id).await.graphql()
    }

    /// Ends that items belong to a topic. Raises `items/update`, with the tenant's default language, for each that did.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn remove_items(
        &self,
        ctx: &Context<'_>,
        item_ids: Vec<ID>,
        topic_id: ID,
    ) -> async_graphql::Result<TopicItemsModified> {
        modify_items(PimContext::of(ctx)?, &item_ids, &topic_id, Membership::Taken).await.graphql()
    }

    /// Changes a topic in one language. Raises `topics/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::TopicsWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: UpdateTopicInput,
        language: String,
    ) -> async_graphql::Result<Topic> {
        let updated = edit::update(PimContext::of(ctx)?, &id, input, &language).await.graphql()?;
        Ok(Topic::of(updated, &language))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    Given,
    Taken,
}

async fn modify_items(
    pim: &PimContext,
    item_ids: &[ID],
    topic_id: &str,
    membership: Membership,
) -> Result<TopicItemsModified, Refusal> {
    if item_ids.len() > INPUT_LIST_MAX {
        let message = format!("{} items, {INPUT_LIST_MAX} are allowed", item_ids.len());
        return Err(Refusal::invalid_at("itemIds", "TOO_MANY", message));
    }
    let mut ids: Vec<String> = item_ids.iter().map(|id| id.0.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let language = pim.default_language().await?;
    mutate(pim, async |mut draft| {
        pim.read::<TopicBody>()?.existing(topic_id).await?;
        draft.require::<TopicBody>(topic_id);
        let items = pim.read::<ItemBody>()?.many(&ids).await?;
        if let Some(missing) = ids.iter().find(|id| !items.iter().any(|item| item.key == **id)) {
            return Err(Refusal::not_found("item", missing));
        }
        let mut modified = 0;
        for item in &items {
            let mut body = item.body.clone();
            body.shared.topic_ids.retain(|id| id != topic_id);
            let belonged = body.shared.topic_ids.len() < item.body.shared.topic_ids.len();
            if belonged == (membership == Membership::Given) {
                continue;
            }
            if membership == Membership::Given {
                body.shared.topic_ids.push(topic_id.to_owned());
            }
            item::save(&mut draft, item, body, &language)?;
            modified += 1;
        }
        Ok((draft, TopicItemsModified { modified: Some(modified) }))
    })
    .await
}
