//! Attempts as invocations, which is the PIM API's name for them.

use crate::access::DeliveriesRead;
use crate::context::ApiContext;
use crate::delivery::{DeliveryObject, OutcomeCodeName};
use crate::loaders::Bodies;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{DateTime, IntoGraphql, JsonValue, PermissionName, requires};
use serde_json::Value;
use std::sync::Arc;

/// The newest attempts to a webhook of the tenant, newest first, with the `bodies` that the answer shows.
pub(super) async fn invocations(
    api: &ApiContext,
    webhook_id: WebhookId,
    limit: u32,
    bodies: Bodies,
) -> Result<Vec<WebhookInvocation>, Refusal> {
    let attempts = api.may::<DeliveriesRead>()?.webhook_attempts(webhook_id, limit, bodies).await?;
    Ok(attempts.into_iter().map(|attempt| WebhookInvocation(Arc::new(attempt))).collect())
}

pub(crate) struct WebhookInvocation(Arc<Attempt>);

/// One HTTP request to a webhook: an attempt of a delivery.
#[Object]
impl WebhookInvocation {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn delivery_id(&self) -> ID {
        self.0.delivery_id.to_string().into()
    }

    /// The delivery that it is an attempt of.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn delivery(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DeliveryObject>> {
        Ok(ApiContext::of(ctx)?
            .may::<DeliveriesRead>()
            .graphql()?
            .delivery(self.0.delivery_id)
            .await
            .graphql()?
            .map(DeliveryObject))
    }

    /// 1 for the first attempt of its delivery.
    async fn number(&self) -> u32 {
        self.0.number
    }

    /// How it ended.
    async fn outcome(&self) -> OutcomeCodeName {
        self.0.code.into()
    }

    /// In plain words, where the outcome alone does not say.
    async fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What was sent.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn payload(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<JsonValue>> {
        let api = ApiContext::of(ctx)?;
        let payload = api.may::<DeliveriesRead>().graphql()?.payload(self.0.delivery_id).await.graphql()?;
        let text = payload.as_ref().map(|payload| api.shown(&payload.json)).transpose().graphql()?;
        Ok(text.map(json_or_text))
    }

    /// What came back.
    async fn response(&self) -> Option<WebhookInvocationResponse> {
        let head = self.0.response.as_ref()?;
        Some(WebhookInvocationResponse { status: i32::from(head.status), attempt: self.0.clone() })
    }

    async fn start(&self) -> Option<DateTime> {
        Some(DateTime(self.0.started_at))
    }

    async fn end(&self) -> Option<DateTime> {
        Some(DateTime(self.0.ended_at))
    }
}

pub(crate) struct WebhookInvocationResponse {
    status: i32,
    attempt: Arc<Attempt>,
}

/// The answer to an invocation.
#[Object]
impl WebhookInvocationResponse {
    /// The body, its first 16 KiB: as JSON where that is JSON, else as text.
    async fn body(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<JsonValue>> {
        let api = ApiContext::of(ctx)?;
        let body = self.attempt.response_body.as_deref().filter(|body| !body.is_empty());
        let body = body.map(|body| api.shown(body)).transpose().graphql()?;
        Ok(body.map(json_or_text))
    }

    /// The status code.
    async fn status(&self) -> Option<i32> {
        Some(self.status)
    }
}

fn json_or_text(text: &str) -> JsonValue {
    JsonValue(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}
