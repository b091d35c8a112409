//! Previews: the exact request, built by the code that builds requests to send, and not sent.

use super::input::CreateWebhookInput;
use super::mutations::{live_webhook, require_held};
use super::sample::{EventChoice, chosen_event};
use super::saving::created;
use crate::access::WebhooksRead;
use crate::context::ApiContext;
use crate::delivery::{OutcomeCodeName, RequestObject};
use async_graphql::{ID, InputObject, SimpleObject};
use hookgraph_domain::attempt::{OutcomeCode, OutgoingRequest};
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::permission::Permission;
use hookgraph_domain::ports::{RenderError, RenderRequest};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::request::{build, masked, without_signatures};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{DateTime, JsonValue};
use std::sync::Arc;

/// What to preview: a saved webhook or a draft, and an event that was recorded, or variables of one that is made up.
/// Without either event, one with example values.
#[derive(InputObject)]
pub(crate) struct PreviewPayloadInput {
    /// A saved webhook.
    id: Option<ID>,
    /// A draft: nothing of it is saved.
    webhook: Option<CreateWebhookInput>,
    /// An event of the webhook's type.
    event_id: Option<ID>,
    /// Values of the event type's variables, but for webhookId, which is the webhook's; yours are filled in for tenantId and
    /// userId.
    variables: Option<JsonValue>,
}

/// A request as it would be sent, or why there would be none.
#[derive(SimpleObject)]
pub(crate) struct PayloadPreview {
    /// The exact request, signed now; but the values of secret headers, and the signatures where the caller may not change
    /// webhooks (`WEBHOOKS_WRITE`).
    request: Option<RequestObject>,
    /// The payload.
    payload: Option<JsonValue>,
    /// As of when the payload was read.
    rendered_at: Option<DateTime>,
    /// Why there is no request.
    error: Option<PreviewError>,
}

/// Why a webhook would make no request for an event.
#[derive(SimpleObject)]
pub(crate) struct PreviewError {
    /// How an attempt would end.
    outcome: OutcomeCodeName,
    /// In plain words, with the paths of what yielded errors.
    message: String,
}

/// Renders the payload, and builds and signs the request, without sending it.
pub(super) async fn preview(api: &ApiContext, input: PreviewPayloadInput) -> Result<PayloadPreview, Refusal> {
    api.require_preview_left()?;
    let webhook = previewed_webhook(api, input.id, input.webhook).await?;
    require_held(api, &webhook)?;
    let choice = EventChoice { path: "input.", event_id: input.event_id, variables: input.variables };
    let event = chosen_event(api, &webhook.event_type, choice).await?.into_event(api.now());
    let render = RenderRequest { event: event.clone(), webhook: webhook.clone() };
    let payload = match api.core.renderer.preview(render, &api.room).await {
        Ok(payload) => payload,
        Err(RenderError::Refused(message)) => return Ok(failed(OutcomeCode::RenderFailed, message)),
        Err(RenderError::BudgetExceeded(message)) => return Ok(failed(OutcomeCode::RenderBudgetExceeded, message)),
        Err(RenderError::Unavailable(message)) => return Err(Refusal::new(RefusalCode::Unavailable, message)),
    };
    api.text().hold(payload.json.len())?;
    let signer = api.may::<WebhooksRead>()?.signer().await?;
    let delivery = never_sent(&webhook, &event, DeliveryId(api.new_id()), api.now());
    match build(&webhook, &event, &delivery, &payload, &signer, api.now()) {
        Ok(request) => Ok(PayloadPreview {
            request: Some(RequestObject::from(&shown(api, request, &webhook))),
            payload: payload_json(&payload),
            rendered_at: Some(DateTime(payload.rendered_at)),
            error: None,
        }),
        Err(error) => Ok(failed(error.code(), error.to_string())),
    }
}

/// The request as the caller may see it. Only a caller who may change webhooks sees the signatures: such a caller can
/// have any content sent and signed, while a reader would get signatures over content of their own choice.
fn shown(api: &ApiContext, request: OutgoingRequest, webhook: &Webhook) -> OutgoingRequest {
    let request = masked(request, webhook);
    if api.caller.permissions.allows(Permission::WebhooksWrite) { request } else { without_signatures(request) }
}

async fn previewed_webhook(
    api: &ApiContext,
    id: Option<ID>,
    draft: Option<CreateWebhookInput>,
) -> Result<Arc<Webhook>, Refusal> {
    match (id, draft) {
        (Some(id), None) => live_webhook(api, &id).await,
        (None, Some(draft)) => {
            api.require_own_tenant(draft.tenant_id.as_deref().map(String::as_str))?;
            let ids = (WebhookId(api.new_id()), api.tenant_id());
            created(&api.core, &draft, "input.webhook", ids, api.now()).map(Arc::new)
        }
        (id, _) => {
            let both = if id.is_some() { "both are" } else { "none is" };
            let message = format!("{both} named: name a saved webhook by `id`, or a draft in `webhook`");
            Err(Refusal::invalid_at("input.webhook", "WEBHOOK_AMBIGUOUS", message))
        }
    }
}

/// The delivery that the request would be an attempt of. It is no test: a header marks the requests of tests.
fn never_sent(webhook: &Webhook, event: &Event, id: DeliveryId, now: Timestamp) -> Delivery {
    Delivery {
        id,
        tenant_id: webhook.tenant_id,
        webhook_id: webhook.id,
        event_id: event.id,
        is_test: false,
        replay_id: None,
        state: DeliveryState::Pending,
        state_reason: None,
        due_at: Some(now),
        due_since: now,
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 0,
        cancel_requested: false,
        created_at: now,
        updated_at: now,
    }
}

fn payload_json(payload: &FrozenPayload) -> Option<JsonValue> {
    serde_json::from_str(&payload.json).ok().map(JsonValue)
}

fn failed(outcome: OutcomeCode, message: String) -> PayloadPreview {
    let error = PreviewError { outcome: outcome.into(), message };
    PayloadPreview { request: None, payload: None, rendered_at: None, error: Some(error) }
}
