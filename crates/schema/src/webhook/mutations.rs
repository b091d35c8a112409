//! Mutations of webhooks.

use super::input::{CreateWebhookInput, UpdateWebhookInput};
use super::object::WebhookObject;
use super::sample::{EventChoice, chosen_event};
use super::saving::{created, deleted, paused, resumed, updated};
use crate::context::Asked;
use crate::delivery::DeliveryObject;
use crate::ids::required;
use crate::limits::CONFLICT_RETRIES_MAX;
use crate::replay::{ReplayObject, ReplayWebhookInput, start_replay};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, NewDelivery};
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{IntoGraphql, JsonValue, PimContext};
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct WebhookMutationRoot;

#[Object]
impl WebhookMutationRoot {
    /// What can be done to webhooks.
    async fn webhook(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookMutations>> {
        PimContext::of(ctx)?.require_no_idempotency().graphql()?;
        Ok(Some(WebhookMutations))
    }
}

pub(crate) struct WebhookMutations;

/// What can be done to webhooks.
#[Object(serial)]
impl WebhookMutations {
    /// Creates a webhook. Events recorded from then on are delivered to it.
    async fn create(&self, ctx: &Context<'_>, input: CreateWebhookInput) -> async_graphql::Result<WebhookObject> {
        create(Asked::of(ctx)?, input).await.graphql()
    }

    /// Changes what is given of a webhook. What is due is sent as the webhook then stands; payloads stay as frozen.
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: UpdateWebhookInput,
    ) -> async_graphql::Result<WebhookObject> {
        update(Asked::of(ctx)?, &id, &input).await.graphql()
    }

    /// Deletes a webhook: what is due is cancelled, its history stays. Answers how many were deleted.
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        delete(Asked::of(ctx)?, &id).await.graphql()
    }

    /// Holds what is due for a webhook, and what comes, until it is resumed.
    async fn pause(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<WebhookObject> {
        let asked = Asked::of(ctx)?;
        changed(asked, &id, |saved| paused(saved, asked.now())).await.graphql()
    }

    /// Sets a webhook to work again that a person paused, the breaker suspended, or that was disabled automatically. What is
    /// held is sent oldest first, slowly at first and then faster and faster.
    async fn resume(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<WebhookObject> {
        let asked = Asked::of(ctx)?;
        changed(asked, &id, |saved| resumed(&asked.core, saved, asked.now())).await.graphql()
    }

    /// Begins to send past deliveries of a webhook again: new deliveries of the same events, made at a rate. Two replays of
    /// one webhook may not overlap while both run.
    async fn replay(&self, ctx: &Context<'_>, input: ReplayWebhookInput) -> async_graphql::Result<ReplayObject> {
        start_replay(Asked::of(ctx)?, &input).await.graphql()
    }

    /// Really sends one delivery to a webhook, marked as a test: for an event that was recorded, for one made up of the
    /// given variables, or for one with example values where neither is given.
    async fn test(
        &self,
        ctx: &Context<'_>,
        id: ID,
        event_id: Option<ID>,
        #[graphql(
            desc = "Values of the event type's variables; yours are filled in for tenantId, userId and webhookId."
        )]
        variables: Option<JsonValue>,
    ) -> async_graphql::Result<DeliveryObject> {
        test(Asked::of(ctx)?, &id, EventChoice { path: "", event_id, variables }).await.graphql()
    }
}

async fn create(asked: &Asked, input: CreateWebhookInput) -> Result<WebhookObject, Refusal> {
    asked.require_own_tenant(input.tenant_id.as_deref().map(String::as_str))?;
    let ids = (WebhookId(asked.new_id()), asked.tenant_id());
    let webhook = created(&asked.core, &input, "input", ids, asked.now())?;
    require_room(asked, &webhook.event_type).await?;
    let mut change = Change::at(webhook.created_at);
    change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Absent });
    asked.commit(change).await?;
    Ok(WebhookObject(Arc::new(webhook)))
}

async fn update(asked: &Asked, id: &ID, input: &UpdateWebhookInput) -> Result<WebhookObject, Refusal> {
    let mut tries = 0;
    loop {
        let saved = live_webhook(asked, id).await?;
        let (webhook, change) = updated(&asked.core, &saved, input, asked.now())?;
        let Some(change) = change else { return Ok(WebhookObject(Arc::new(webhook))) };
        if webhook.event_type != saved.event_type {
            require_room(asked, &webhook.event_type).await?;
        }
        match asked.commit(change).await {
            Ok(_) => return Ok(WebhookObject(Arc::new(webhook))),
            Err(CommitError::Conflict(_)) if tries < CONFLICT_RETRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Decides on a webhook and commits that, again where it was changed meanwhile.
async fn changed(
    asked: &Asked,
    id: &ID,
    decide: impl Fn(&Webhook) -> Result<(Webhook, Option<Change>), Refusal>,
) -> Result<WebhookObject, Refusal> {
    let mut tries = 0;
    loop {
        let saved = live_webhook(asked, id).await?;
        let (webhook, change) = decide(&saved)?;
        let Some(change) = change else { return Ok(WebhookObject(Arc::new(webhook))) };
        match asked.commit(change).await {
            Ok(_) => return Ok(WebhookObject(Arc::new(webhook))),
            Err(CommitError::Conflict(_)) if tries < CONFLICT_RETRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn delete(asked: &Asked, id: &ID) -> Result<i32, Refusal> {
    let mut tries = 0;
    loop {
        let saved = live_webhook(asked, id).await?;
        match asked.commit(deleted(&saved, asked.now())).await {
            Ok(_) => return Ok(1),
            Err(CommitError::Conflict(_)) if tries < CONFLICT_RETRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn test(asked: &Asked, id: &ID, choice: EventChoice) -> Result<DeliveryObject, Refusal> {
    let webhook = live_webhook(asked, id).await?;
    let event = match chosen_event(asked, &webhook.event_type, choice).await? {
        super::sample::Chosen::Recorded(event) => DeliveryEvent::Recorded(event.id),
        super::sample::Chosen::MadeUp(event) => DeliveryEvent::Synthetic(event),
    };
    let delivery_id = DeliveryId(asked.new_id());
    let mut change = Change::at(asked.now());
    change.writes.push(Write::InsertDelivery(NewDelivery {
        id: delivery_id,
        tenant_id: asked.tenant_id(),
        webhook_id: webhook.id,
        event,
        purpose: DeliveryPurpose::Test,
    }));
    asked.commit(change).await?;
    let delivery = asked.loaders.delivery(delivery_id).await?;
    delivery.map(DeliveryObject).ok_or_else(|| Refusal::not_found("delivery", &delivery_id.to_string()))
}

/// The tenant's webhook of that id that is not deleted.
pub(crate) async fn live_webhook(asked: &Asked, id: &ID) -> Result<Arc<Webhook>, Refusal> {
    let webhook = asked.loaders.webhook(required("webhook", id)?).await?;
    let live = webhook.filter(|webhook| webhook.deleted_at.is_none());
    live.ok_or_else(|| Refusal::not_found("webhook", id))
}

/// Refuses one more webhook of a type that has as many as one event's fan out may cost.
async fn require_room(asked: &Asked, event_type: &EventTypeKey) -> Result<(), Refusal> {
    let page = asked.store().webhook_page(&WebhookQuery::of_type(asked.tenant_id(), event_type)).await?;
    if page.len() < WEBHOOKS_PER_EVENT_TYPE_MAX as usize {
        return Ok(());
    }
    let message = format!("{event_type} has {WEBHOOKS_PER_EVENT_TYPE_MAX} webhooks, and that is the limit");
    Err(Refusal::new(RefusalCode::LimitExceeded, message))
}
