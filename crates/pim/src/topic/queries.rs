//! `topic { get getRootTopics }`.

use super::body::{PATH, TopicBody, path_name};
use super::inputs::GetTopicByPathArguments;
use super::{Topic, topics_below};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::limits::TREE_DEPTH_MAX;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::refusal::Refusal;

/// Queries on topics.
pub struct TopicQueries;

#[Object]
impl TopicQueries {
    /// One topic, by id or by path. In a language that it has no name in, its name is null.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        id: Option<ID>,
        language: String,
        path: Option<GetTopicByPathArguments>,
    ) -> async_graphql::Result<Option<Topic>> {
        let pim = PimContext::of(ctx)?;
        let found = match (id, path) {
            (Some(id), None) => pim.read::<TopicBody>().graphql()?.one(&id).await.graphql()?,
            (None, Some(path)) if pim.tenant(Some(&path.tenant_id)).is_err() => None,
            (None, Some(path)) => by_path(pim, &path.path, &language).await.graphql()?,
            _ => {
                let message = "name the topic by either id or path";
                return Err(Refusal::invalid_at("id", "ONE_OF", message)).graphql();
            }
        };
        Ok(found.map(|stored| Topic::of(stored, &language)))
    }

    /// The roots of the topic maps.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn get_root_topics(
        &self,
        ctx: &Context<'_>,
        language: String,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<Vec<Option<Topic>>>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let roots = topics_below(pim, None, &language).await.graphql()?;
        Ok(Some(roots.into_iter().map(Some).collect()))
    }
}

async fn by_path(pim: &PimContext, path: &str, language: &str) -> Result<Option<Stored<TopicBody>>, Refusal> {
    let mut found: Option<Stored<TopicBody>> = None;
    for (depth, part) in path.trim_matches('/').split('/').enumerate() {
        let name = path_name(language, found.as_ref().map(|topic| topic.key.as_str()), part);
        found = pim.read::<TopicBody>()?.named(PATH, &name).await?;
        if found.is_none() || depth >= TREE_DEPTH_MAX {
            return Ok(None);
        }
    }
    Ok(found)
}
