//! Mutations of webhooks.

use super::audited::{audited, subject};
use super::input::{CreateWebhookInput, UpdateWebhookInput};
use super::object::WebhookObject;
use super::sample::{EventChoice, chosen_event};
use super::saving::{created, deleted, paused, resumed, updated};
use super::secrets::{RegenerateWebhookSecretsInput, RegeneratedWebhookSecrets, regenerate, remove};
use crate::access::{DeliveriesRead, Managed, WebhooksRead, WebhooksWrite};
use crate::context::ApiContext;
use crate::delivery::DeliveryObject;
use crate::ids::required;
use crate::replay::{ReplayObject, ReplayWebhookInput, start_replay};
use async_graphql::{Context, ID, Object};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, NewDelivery};
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{IntoGraphql, JsonValue, PermissionName, PimContext, requires, until_committed};
use serde_json::json;
use std::sync::Arc;

#[derive(Default)]
pub(crate) struct WebhookMutationRoot;

#[Object]
impl WebhookMutationRoot {
    /// What can be done to webhooks. None of it takes an idempotency key: list what is there before you try again.
    async fn webhook(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookMutations>> {
        PimContext::of(ctx)?.require_no_idempotency().graphql()?;
        Ok(Some(WebhookMutations))
    }
}

pub(crate) struct WebhookMutations;

/// What can be done to webhooks. None of it takes an idempotency key: list what is there before you try again.
#[Object(serial)]
impl WebhookMutations {
    /// Creates a webhook. Events recorded from then on are delivered to it.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksWrite),
        directive = requires::apply(PermissionName::EventsRead)
    )]
    async fn create(&self, ctx: &Context<'_>, input: CreateWebhookInput) -> async_graphql::Result<WebhookObject> {
        create(ApiContext::of(ctx)?, input).await.graphql()
    }

    /// Changes what is given of a webhook. What is due is sent as the webhook then stands; payloads stay as frozen.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksWrite),
        directive = requires::apply(PermissionName::EventsRead)
    )]
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: UpdateWebhookInput,
    ) -> async_graphql::Result<WebhookObject> {
        update(ApiContext::of(ctx)?, &id, &input).await.graphql()
    }

    /// Deletes a webhook: what is due is cancelled, its history stays. Answers how many were deleted.
    #[graphql(directive = requires::apply(PermissionName::WebhooksWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        delete(ApiContext::of(ctx)?, &id).await.graphql()
    }

    /// Holds what is due for a webhook, and what comes, until it is resumed.
    #[graphql(directive = requires::apply(PermissionName::WebhooksWrite))]
    async fn pause(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<WebhookObject> {
        let api = ApiContext::of(ctx)?;
        changed(api, &id, "webhook.pause", |saved| paused(saved, api.now())).await.graphql()
    }

    /// Sets a webhook to work again that a person paused, the breaker suspended, or that was disabled automatically. What is
    /// held is sent oldest first, slowly at first and then faster and faster.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksWrite),
        directive = requires::apply(PermissionName::EventsRead)
    )]
    async fn resume(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<WebhookObject> {
        let api = ApiContext::of(ctx)?;
        let resume = |saved: &Webhook| {
            require_held(api, saved)?;
            let (webhook, change) = resumed(&api.core, saved, api.now())?;
            require_held(api, &webhook)?;
            Ok((webhook, change))
        };
        changed(api, &id, "webhook.resume", resume).await.graphql()
    }

    /// Makes a webhook's own signature secret and key anew; the first ones take the place of its tenant's. They sign from now
    /// on, beside those before while the overlap lasts. A new secret is shown in this answer alone.
    #[graphql(
        directive = requires::apply(PermissionName::SecretsWrite),
        directive = requires::apply(PermissionName::WebhooksRead)
    )]
    async fn regenerate_secrets(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: Option<RegenerateWebhookSecretsInput>,
    ) -> async_graphql::Result<RegeneratedWebhookSecrets> {
        regenerate(ApiContext::of(ctx)?, &id, input.unwrap_or_default()).await.graphql()
    }

    /// Takes a webhook's own signature secret and key away: its tenant's sign again, and its own beside them while the overlap
    /// lasts.
    #[graphql(
        directive = requires::apply(PermissionName::SecretsWrite),
        directive = requires::apply(PermissionName::WebhooksRead)
    )]
    async fn remove_secrets(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(
            desc = "For how many seconds its own go on signing, up to a week; a day where nothing is said, 0 where they have leaked."
        )]
        overlap_s: Option<i32>,
    ) -> async_graphql::Result<WebhookObject> {
        remove(ApiContext::of(ctx)?, &id, overlap_s).await.graphql()
    }

    /// Begins to send past deliveries of a webhook again: new deliveries of the same events, made at a rate. Two replays of
    /// one webhook may not overlap while both run.
    #[graphql(
        directive = requires::apply(PermissionName::DeliveriesWrite),
        directive = requires::apply(PermissionName::WebhooksRead)
    )]
    async fn replay(&self, ctx: &Context<'_>, input: ReplayWebhookInput) -> async_graphql::Result<ReplayObject> {
        start_replay(ApiContext::of(ctx)?, &input).await.graphql()
    }

    /// Really sends one delivery to a webhook, marked as a test (its requests have the header `webhook-test: true`): for an
    /// event that was recorded, for one made up of the given variables, or for one with example values where neither is given.
    #[graphql(
        directive = requires::apply(PermissionName::WebhooksWrite),
        directive = requires::apply(PermissionName::EventsRead),
        directive = requires::apply(PermissionName::DeliveriesRead)
    )]
    async fn test(
        &self,
        ctx: &Context<'_>,
        id: ID,
        event_id: Option<ID>,
        #[graphql(
            desc = "Values of the event type's variables, but for webhookId, which is the webhook's; yours are filled in for tenantId and userId."
        )]
        variables: Option<JsonValue>,
    ) -> async_graphql::Result<DeliveryObject> {
        test(ApiContext::of(ctx)?, &id, EventChoice { path: "", event_id, variables }).await.graphql()
    }
}

async fn create(api: &ApiContext, input: CreateWebhookInput) -> Result<WebhookObject, Refusal> {
    api.require_own_tenant(input.tenant_id.as_deref().map(String::as_str))?;
    let ids = (WebhookId(api.new_id()), api.tenant_id());
    let webhook = created(&api.core, &input, "input", ids, api.now())?;
    require_held(api, &webhook)?;
    let allowed = api.may::<WebhooksWrite>()?;
    require_room(api, &webhook.event_type).await?;
    let mut change = Change::at(webhook.created_at);
    change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Absent });
    let (subject, after) = (subject(webhook.id), Some(audited(&webhook)));
    allowed.commit(change, Managed { action: "webhook.create", subject, before: None, after }).await?;
    Ok(WebhookObject(Arc::new(webhook)))
}

async fn update(api: &ApiContext, id: &ID, input: &UpdateWebhookInput) -> Result<WebhookObject, Refusal> {
    until_committed(async || {
        let allowed = api.may::<WebhooksWrite>()?;
        let saved = live_webhook(api, id).await?;
        require_held(api, &saved)?;
        let (webhook, change) = updated(&api.core, &saved, input, "input.enabled", api.now())?;
        let Some(change) = change else { return Ok(WebhookObject(Arc::new(webhook))) };
        require_held(api, &webhook)?;
        if webhook.event_type != saved.event_type {
            require_room(api, &webhook.event_type).await?;
        }
        let (before, after) = (Some(audited(&saved)), Some(audited(&webhook)));
        let managed = Managed { action: "webhook.update", subject: subject(saved.id), before, after };
        allowed.commit(change, managed).await?;
        Ok(WebhookObject(Arc::new(webhook)))
    })
    .await
}

/// Decides on a webhook as it is saved, and commits the decision where it changes the webhook.
async fn changed(
    api: &ApiContext,
    id: &ID,
    action: &'static str,
    decide: impl Fn(&Webhook) -> Result<(Webhook, Option<Change>), Refusal>,
) -> Result<WebhookObject, Refusal> {
    until_committed(async || {
        let saved = live_webhook(api, id).await?;
        let (webhook, change) = decide(&saved)?;
        let Some(change) = change else { return Ok(WebhookObject(Arc::new(webhook))) };
        let (before, after) = (Some(audited(&saved)), Some(audited(&webhook)));
        let managed = Managed { action, subject: subject(saved.id), before, after };
        api.may::<WebhooksWrite>()?.commit(change, managed).await?;
        Ok(WebhookObject(Arc::new(webhook)))
    })
    .await
}

async fn delete(api: &ApiContext, id: &ID) -> Result<i32, Refusal> {
    until_committed(async || {
        let saved = live_webhook(api, id).await?;
        let (subject, before) = (subject(saved.id), Some(audited(&saved)));
        let managed = Managed { action: "webhook.delete", subject, before, after: None };
        api.may::<WebhooksWrite>()?.commit(deleted(&saved, api.now()), managed).await?;
        Ok(1)
    })
    .await
}

async fn test(api: &ApiContext, id: &ID, choice: EventChoice) -> Result<DeliveryObject, Refusal> {
    let (allowed, deliveries) = (api.may::<WebhooksWrite>()?, api.may::<DeliveriesRead>()?);
    let webhook = live_webhook(api, id).await?;
    require_held(api, &webhook)?;
    let event = match chosen_event(api, &webhook.event_type, choice).await? {
        super::sample::Chosen::Recorded(event) => DeliveryEvent::Recorded(event.id),
        super::sample::Chosen::MadeUp(event) => DeliveryEvent::Synthetic(event),
    };
    let delivery_id = DeliveryId(api.new_id());
    let mut change = Change::at(api.now());
    change.writes.push(Write::InsertDelivery(NewDelivery {
        id: delivery_id,
        tenant_id: api.tenant_id(),
        webhook_id: webhook.id,
        event,
        purpose: DeliveryPurpose::Test,
    }));
    let after = Some(json!({ "deliveryId": delivery_id }));
    let managed = Managed { action: "webhook.test", subject: subject(webhook.id), before: None, after };
    allowed.commit(change, managed).await?;
    let delivery = deliveries.delivery(delivery_id).await?;
    delivery.map(DeliveryObject).ok_or_else(|| Refusal::not_found("delivery", &delivery_id.to_string()))
}

/// The tenant's webhook of that id; a deleted one is not found.
pub(crate) async fn live_webhook(api: &ApiContext, id: &ID) -> Result<Arc<Webhook>, Refusal> {
    let webhook = api.may::<WebhooksRead>()?.webhook(required("webhook", id)?).await?;
    let live = webhook.filter(|webhook| webhook.deleted_at.is_none());
    live.ok_or_else(|| Refusal::not_found("webhook", id))
}

/// Refuses a caller who lacks a permission that the webhook's payload query needs: the webhook would read in the
/// caller's place.
pub(crate) fn require_held(api: &ApiContext, webhook: &Webhook) -> Result<(), Refusal> {
    let Some(document) = &webhook.document else { return Ok(()) };
    match api.caller.permissions.missing(document.needed()) {
        None => Ok(()),
        Some(permission) => Err(Refusal::forbidden(permission)),
    }
}

/// Refuses a webhook of an event type that has [`WEBHOOKS_PER_EVENT_TYPE_MAX`] webhooks already: an event's fan out
/// reads each of them.
async fn require_room(api: &ApiContext, event_type: &EventTypeKey) -> Result<(), Refusal> {
    let page = api.may::<WebhooksRead>()?.webhook_page(WebhookQuery::of_type(api.tenant_id(), event_type)).await?;
    if page.len() < WEBHOOKS_PER_EVENT_TYPE_MAX as usize {
        return Ok(());
    }
    let message = format!("{event_type} has {WEBHOOKS_PER_EVENT_TYPE_MAX} webhooks, and that is the limit");
    Err(Refusal::new(RefusalCode::LimitExceeded, message))
}
