//! Queries on webhooks.

use super::object::WebhookObject;
use super::preview::{PayloadPreview, PreviewPayloadInput, preview};
use crate::access::WebhooksRead;
use crate::connection::list_size;
use crate::context::ApiContext;
use crate::event_type::require_known_type;
use crate::ids::{parsed, required};
use crate::limits::WEBHOOKS_LIST_MAX;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_pim::{IntoGraphql, PermissionName, requires};
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct WebhookQueryRoot;

#[Object]
impl WebhookQueryRoot {
    /// What is called on which events.
    async fn webhook(&self) -> WebhookQueries {
        WebhookQueries
    }
}

pub(crate) struct WebhookQueries;

/// Webhooks.
#[Object]
impl WebhookQueries {
    /// The webhook of that id.
    #[graphql(directive = requires::apply(PermissionName::WebhooksRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<WebhookObject>> {
        let api = ApiContext::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        let webhook = api.may::<WebhooksRead>().graphql()?.webhook(id).await.graphql()?;
        Ok(webhook.filter(|webhook| webhook.deleted_at.is_none()).map(WebhookObject))
    }

    /// The tenant's webhooks, oldest first: up to 1000, and `after` the last of them goes on.
    #[graphql(directive = requires::apply(PermissionName::WebhooksRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        concern: Option<String>,
        event: Option<String>,
        #[graphql(desc = "Your own.")] tenant_id: ID,
        #[graphql(desc = "At most so many, 1 to 100; up to 1000 where none is named.")] first: Option<i32>,
        #[graphql(desc = "After the webhook of this id.")] after: Option<ID>,
    ) -> async_graphql::Result<Option<Vec<WebhookObject>>> {
        let api = ApiContext::of(ctx)?;
        api.require_own_tenant(Some(&tenant_id)).graphql()?;
        require_known_type(concern.as_deref(), event.as_deref()).graphql()?;
        let limit = list_size(first, WEBHOOKS_LIST_MAX).graphql()?;
        let after = after.map(|id| required::<WebhookId>("webhook", &id)).transpose().graphql()?.map(|id| id.0);
        let query = WebhookQuery { tenant_id: api.tenant_id(), concern, event, after, limit };
        let webhooks = api.may::<WebhooksRead>().graphql()?.webhook_page(query).await.graphql()?;
        Ok(Some(webhooks.into_iter().map(|webhook| WebhookObject(Arc::new(webhook))).collect()))
    }

    /// The exact request that a webhook, saved or drafted, would make for an event, past or made up. Nothing is sent. Up
    /// to five in one request.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksRead),
        directive = requires::apply(PermissionName::EventsRead)
    )]
    async fn preview_payload(
        &self,
        ctx: &Context<'_>,
        input: PreviewPayloadInput,
    ) -> async_graphql::Result<PayloadPreview> {
        preview(ApiContext::of(ctx)?, input).await.graphql()
    }
}
