//! Attempts under the name that the PIM API has for them.

use crate::access::DeliveriesRead;
use crate::context::Asked;
use crate::delivery::{DeliveryObject, OutcomeCodeName};
use async_graphql::{Context, ID, Object, SimpleObject};
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{DateTime, IntoGraphql, JsonValue, PermissionName, requires};
use serde_json::Value;

/// The newest attempts to a webhook of the tenant, newest first.
pub(super) async fn invocations(
    asked: &Asked,
    webhook_id: WebhookId,
    limit: u32,
) -> Result<Vec<WebhookInvocation>, Refusal> {
    let attempts = asked.may::<DeliveriesRead>()?.webhook_attempts(webhook_id, limit).await?;
    Ok(attempts.into_iter().map(WebhookInvocation).collect())
}

pub(crate) struct WebhookInvocation(Attempt);

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
        Ok(Asked::of(ctx)?
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
        let payload = Asked::of(ctx)?.may::<DeliveriesRead>().graphql()?.payload(self.0.delivery_id).await.graphql()?;
        Ok(payload.map(|payload| json_or_text(&payload.json)))
    }

    /// What came back.
    async fn response(&self) -> Option<WebhookInvocationResponse> {
        let head = self.0.response.as_ref()?;
        Some(WebhookInvocationResponse {
            status: Some(i32::from(head.status)),
            body: self.0.response_body.as_deref().filter(|body| !body.is_empty()).map(json_or_text),
        })
    }

    async fn start(&self) -> Option<DateTime> {
        Some(DateTime(self.0.started_at))
    }

    async fn end(&self) -> Option<DateTime> {
        Some(DateTime(self.0.ended_at))
    }
}

/// The answer to an invocation.
#[derive(SimpleObject)]
pub(crate) struct WebhookInvocationResponse {
    /// The body: as JSON where it is JSON, else as text.
    body: Option<JsonValue>,
    /// The status code.
    status: Option<i32>,
}

fn json_or_text(text: &str) -> JsonValue {
    JsonValue(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}
