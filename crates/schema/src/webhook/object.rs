//! A webhook as the API shows it.

use super::health::{WebhookHealth, health};
use super::invocation::{WebhookInvocation, invocations};
use crate::access::WebhooksRead;
use crate::connection::{FIRST_DEFAULT, page_size};
use crate::context::ApiContext;
use crate::delivery::{DeliveryConnection, DeliveryFilter, DeliveryStateName, delivery_page};
use crate::event_type::EventTypeObject;
use crate::limits::{INVOCATIONS_DEFAULT, INVOCATIONS_MAX};
use crate::loaders::Bodies;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use hookgraph_domain::catalogue;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::signing::{ActiveKeys, OwnKeys, SigningScheme};
use hookgraph_domain::webhook::{Header, HttpMethod, Webhook, WebhookStatus};
use hookgraph_pim::tenant::Tenant;
use hookgraph_pim::{DateTime, IntoGraphql, PermissionName, SignatureKey, requires};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct WebhookObject(pub Arc<Webhook>);

/// What to call, how, with which payload query, on which event type.
#[Object(name = "Webhook")]
impl WebhookObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn tenant_id(&self) -> ID {
        self.0.tenant_id.to_string().into()
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Tenant>> {
        Tenant::own(ctx).await.map(Some)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What its events are about, e.g. `orders`.
    async fn concern(&self) -> &str {
        &self.0.event_type.concern
    }

    /// What happened, e.g. `create`.
    async fn event(&self) -> &str {
        &self.0.event_type.event
    }

    /// Its event type in the catalogue.
    async fn event_type(&self) -> Option<EventTypeObject> {
        catalogue::find(&self.0.event_type.concern, &self.0.event_type.event).map(EventTypeObject)
    }

    async fn method(&self) -> HttpMethodName {
        self.0.method.into()
    }

    /// Normalised as WHATWG says: the text that is signed.
    async fn url(&self) -> &str {
        &self.0.url
    }

    /// Its own headers, names in lower case.
    async fn headers(&self) -> Option<Vec<WebhookHeader>> {
        let headers = self.0.headers.iter();
        Some(headers.map(WebhookHeader::from).collect())
    }

    /// Its payload query; none means the default payload.
    async fn graphql_query(&self) -> Option<&str> {
        self.0.graphql_query.as_deref()
    }

    /// Which API its payload query asks.
    async fn graphql_query_target(&self) -> Option<WebhookPayloadQueryApi> {
        Some(WebhookPayloadQueryApi::Current)
    }

    /// Whether the default payload is merged beneath the query's.
    async fn preserve_default_payload(&self) -> Option<bool> {
        Some(self.0.preserve_default_payload)
    }

    /// What signs its requests.
    async fn signing(&self) -> SigningName {
        self.0.signing.into()
    }

    /// Whether it has a signature secret and key of its own: its tenant's sign where it has none.
    async fn has_own_secrets(&self) -> bool {
        self.0.own_keys.as_ref().is_some_and(OwnKeys::are_in_use)
    }

    /// The public keys that verify what is signed asymmetrically for it, the newest first: its own, or its tenant's.
    async fn signature_keys(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<SignatureKey>> {
        let api = ApiContext::of(ctx)?;
        let signer = api.may::<WebhooksRead>().graphql()?.signer().await.graphql()?;
        Ok(SignatureKey::all(&ActiveKeys::at(api.now(), &signer.keys, self.0.own_keys.as_ref())))
    }

    /// What its connections show and trust, where that is its own.
    async fn tls(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookTls>> {
        let Some(tls) = &self.0.tls else { return Ok(None) };
        let expires_at = ApiContext::of(ctx)?.core.services.tls.expires_at(tls);
        Ok(Some(WebhookTls {
            client_certificate: tls.identity.as_ref().map(|identity| identity.certificate.clone()),
            client_certificate_expires_at: expires_at.map(DateTime),
            ca_certificates: tls.ca_certificates.clone(),
        }))
    }

    /// Whether it is switched on.
    async fn enabled(&self) -> bool {
        self.0.status != WebhookStatus::Disabled
    }

    /// Whether it gets deliveries, and whether they are sent.
    async fn status(&self) -> WebhookStatusName {
        self.0.status.into()
    }

    /// Why the status is what it is, where it is not plain.
    async fn status_reason(&self) -> Option<&str> {
        self.0.status_reason.as_deref()
    }

    /// Since when it has the status.
    async fn status_since(&self) -> DateTime {
        DateTime(self.0.status_since)
    }

    /// The deadline of one attempt, in milliseconds.
    async fn timeout_ms(&self) -> u32 {
        self.0.timeout_ms
    }

    /// The waits before the second and every later attempt, in seconds; empty means one attempt.
    async fn retry_delays_s(&self) -> &[u32] {
        &self.0.retry_delays_s
    }

    /// Requests to it at once, over all processes.
    async fn concurrency(&self) -> u32 {
        self.0.flow.concurrency
    }

    /// Requests to it per second of each process; none for as many as come.
    async fn rate_per_second(&self) -> Option<u32> {
        self.0.flow.rate_per_second
    }

    /// In which order it is called.
    async fn ordering(&self) -> OrderingName {
        self.0.flow.ordering.into()
    }

    /// How it fares: from its newest attempts and what is owed to it.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn health(&self, ctx: &Context<'_>) -> async_graphql::Result<WebhookHealth> {
        health(ApiContext::of(ctx)?, &self.0).await.graphql()
    }

    /// Since when it is called on this event type.
    async fn subscribed_at(&self) -> DateTime {
        DateTime(self.0.subscribed_at)
    }

    /// Since when no attempt has succeeded, while all fail.
    async fn failing_since(&self) -> Option<DateTime> {
        self.0.failing_since.map(DateTime)
    }

    async fn created_at(&self) -> Option<DateTime> {
        Some(DateTime(self.0.created_at))
    }

    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.0.updated_at))
    }

    /// When it was deleted, on a webhook that its history still shows.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.0.deleted_at.map(DateTime)
    }

    /// Its deliveries, newest first; tests too.
    #[allow(clippy::too_many_arguments, reason = "each is an argument of the API")]
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        event_id: Option<ID>,
        #[graphql(desc = "Made by this replay.")] replay_id: Option<ID>,
        #[graphql(desc = "In one of these states; any where none is named.")] states: Option<Vec<DeliveryStateName>>,
        #[graphql(desc = "Created at or after.")] created_from: Option<DateTime>,
        #[graphql(desc = "Created before.")] created_before: Option<DateTime>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveryConnection> {
        let api = ApiContext::of(ctx)?;
        let webhook_id = Some(self.0.id);
        let filter = DeliveryFilter { webhook_id, event_id, replay_id, states, created_from, created_before };
        let query = filter.query(api).await.graphql()?;
        delivery_page(api, query, first, after.as_deref()).await.graphql()
    }

    /// The newest attempt to it.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn last_invocation(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<WebhookInvocation>> {
        let bodies = Bodies::selected_in(&ctx.look_ahead());
        Ok(invocations(ApiContext::of(ctx)?, self.0.id, 1, bodies).await.graphql()?.into_iter().next())
    }

    /// The newest attempts to it, newest first.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesRead))]
    async fn past_invocations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(INVOCATIONS_DEFAULT)")] limit: Option<i32>,
    ) -> async_graphql::Result<Option<Vec<WebhookInvocation>>> {
        let default = u32::try_from(INVOCATIONS_DEFAULT).unwrap_or(INVOCATIONS_MAX);
        let limit = page_size("limit", limit, default, INVOCATIONS_MAX).graphql()?;
        let bodies = Bodies::selected_in(&ctx.look_ahead());
        invocations(ApiContext::of(ctx)?, self.0.id, limit, bodies).await.graphql().map(Some)
    }
}

/// A header that a webhook's requests bear beside those of the server.
#[derive(Clone, SimpleObject)]
pub(crate) struct WebhookHeader {
    /// Lower case.
    name: String,
    /// As configured; empty where it is secret. Sent back so, it stays as it is.
    value: String,
    /// Whether its value is shown to nobody.
    secret: bool,
}

impl From<&Header> for WebhookHeader {
    fn from(header: &Header) -> Self {
        let value = if header.is_secret { String::new() } else { header.value.clone() };
        Self { name: header.name.clone(), value, secret: header.is_secret }
    }
}

/// TLS settings of a webhook.
#[derive(Clone, SimpleObject)]
pub(crate) struct WebhookTls {
    /// What is shown to a receiver that asks for a certificate, PEM. Its key is shown to nobody.
    client_certificate: Option<String>,
    /// When the client certificate expires: from then on its requests fail with `TLS_FAILED`.
    client_certificate_expires_at: Option<DateTime>,
    /// The authorities that the receiver's certificate must come from, PEM; the server's where there are none.
    ca_certificates: Option<String>,
}

/// The methods by which a webhook may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "HttpMethod", remote = "HttpMethod")]
pub(crate) enum HttpMethodName {
    /// The payload travels as query parameters.
    Get,
    /// JSON body.
    Post,
    /// JSON body.
    Put,
    /// JSON body.
    Patch,
    /// JSON body.
    Delete,
}

/// Whether a webhook gets deliveries, and whether they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "WebhookStatus", remote = "WebhookStatus")]
pub(crate) enum WebhookStatusName {
    /// Gets deliveries, which are sent.
    Active,
    /// Switched off by a person: gets none, and what was due is cancelled.
    Disabled,
    /// Held by a person.
    Paused,
    /// Held because it keeps failing, and probed.
    Suspended,
    /// Held after a 410 or after days of nothing but failure, until a person resumes it.
    AutoDisabled,
    /// Held: its payload query does not fit the schema any more.
    Invalid,
}

/// What signs a webhook's requests. Either way every request bears both the JWT and the Standard Webhooks headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "WebhookSigning", remote = "SigningScheme")]
pub(crate) enum SigningName {
    /// The signature secret: a JWT by HS256, and `v1`.
    Symmetric,
    /// The key pair: a JWT by EdDSA, and `v1a`. Receivers hold no secret.
    Asymmetric,
    /// Both, for receivers that change over: a JWT by HS256, and `v1` beside `v1a`.
    Both,
}

/// In which order a webhook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "WebhookOrdering", remote = "Ordering")]
pub(crate) enum OrderingName {
    /// In none: whatever is due is sent.
    None,
    /// A later event on the same record waits until the earlier one's delivery has ended. Tests and replays do not wait.
    ByRecord,
}

/// Which generation of the PIM API a payload query asks. Only `current` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub(crate) enum WebhookPayloadQueryApi {
    /// The API of this server.
    Current,
    /// Refused.
    Next,
}
