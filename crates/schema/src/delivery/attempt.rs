//! Attempts as the API shows them.

use crate::context::ApiContext;
use crate::loaders::LoadedAttempt;
use async_graphql::{Context, Enum, ID, Object};
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest};
use hookgraph_pim::{DateTime, IntoGraphql};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct AttemptObject(pub LoadedAttempt);

/// One HTTP request of a delivery, and how it ended.
#[Object(name = "Attempt")]
impl AttemptObject {
    async fn id(&self) -> ID {
        self.0.attempt.id.to_string().into()
    }

    /// 1 for the first of its delivery.
    async fn number(&self) -> u32 {
        self.0.attempt.number
    }

    /// How it ended.
    async fn outcome(&self) -> OutcomeCodeName {
        self.0.attempt.code.into()
    }

    /// How it ended in plain words, where `outcome` alone does not say.
    async fn detail(&self) -> Option<&str> {
        self.0.attempt.detail.as_deref()
    }

    /// What was sent, secrets redacted; none where nothing could be.
    async fn request(&self) -> Option<RequestObject> {
        self.0.request.clone().map(RequestObject)
    }

    /// What came back.
    async fn response(&self) -> Option<ResponseObject> {
        let head = self.0.attempt.response.as_ref()?;
        Some(ResponseObject { status: i32::from(head.status), attempt: self.0.attempt.clone() })
    }

    async fn started_at(&self) -> DateTime {
        DateTime(self.0.attempt.started_at)
    }

    async fn ended_at(&self) -> DateTime {
        DateTime(self.0.attempt.ended_at)
    }

    /// How long it took, in milliseconds.
    async fn duration_ms(&self) -> i32 {
        let duration_ms = (self.0.attempt.ended_at - self.0.attempt.started_at).num_milliseconds();
        i32::try_from(duration_ms).unwrap_or(i32::MAX)
    }

    /// The address that was dialled.
    async fn remote_address(&self) -> Option<&str> {
        self.0.attempt.remote_address.as_deref()
    }
}

#[derive(Clone)]
pub(crate) struct RequestObject(Arc<OutgoingRequest>);

/// An HTTP request.
#[Object(name = "HttpRequest")]
impl RequestObject {
    /// Upper case.
    async fn method(&self) -> &str {
        &self.0.method
    }

    /// The whole URL, parameters included.
    async fn url(&self, ctx: &Context<'_>) -> async_graphql::Result<&str> {
        ApiContext::of(ctx)?.shown(&self.0.url).graphql()
    }

    /// In the order sent.
    async fn headers(&self) -> Vec<HeaderObject> {
        headers(&self.0.headers)
    }

    /// The exact body; none for GET.
    async fn body(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        let api = ApiContext::of(ctx)?;
        self.0.body.as_deref().map(|body| api.shown(body)).transpose().graphql()
    }
}

impl From<&OutgoingRequest> for RequestObject {
    fn from(request: &OutgoingRequest) -> Self {
        Self(Arc::new(request.clone()))
    }
}

#[derive(Clone)]
pub(crate) struct ResponseObject {
    status: i32,
    attempt: Arc<Attempt>,
}

/// The answer to an HTTP request.
#[Object(name = "HttpResponse")]
impl ResponseObject {
    /// The status code.
    async fn status(&self) -> i32 {
        self.status
    }

    /// In the order received, as many as fit into 8 KiB.
    async fn headers(&self) -> Vec<HeaderObject> {
        self.attempt.response.as_ref().map(|head| headers(&head.headers)).unwrap_or_default()
    }

    /// The body as text, its first 16 KiB.
    async fn body(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        let api = ApiContext::of(ctx)?;
        self.attempt.response_body.as_deref().map(|body| api.shown(body)).transpose().graphql()
    }

    /// Whether the body was longer than what is kept.
    async fn is_truncated(&self) -> bool {
        self.attempt.response_truncated
    }
}

#[derive(Clone)]
pub(crate) struct HeaderObject {
    name: String,
    value: String,
}

/// A header.
#[Object(name = "HttpHeader")]
impl HeaderObject {
    /// Lower case.
    async fn name(&self, ctx: &Context<'_>) -> async_graphql::Result<&str> {
        ApiContext::of(ctx)?.shown(&self.name).graphql()
    }

    /// The value.
    async fn value(&self, ctx: &Context<'_>) -> async_graphql::Result<&str> {
        ApiContext::of(ctx)?.shown(&self.value).graphql()
    }
}

fn headers(pairs: &[(String, String)]) -> Vec<HeaderObject> {
    pairs.iter().map(|(name, value)| HeaderObject { name: name.clone(), value: value.clone() }).collect()
}

/// How an attempt ended, or why there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "AttemptOutcome", remote = "OutcomeCode")]
pub(crate) enum OutcomeCodeName {
    /// A 2xx.
    Delivered,
    /// A status that is neither 2xx, 3xx nor 410.
    HttpStatus,
    /// A 3xx: redirects are not followed.
    Redirect,
    /// A 410: the receiver asks for no more.
    Gone,
    /// The whole request did not end within its deadline.
    Timeout,
    /// The name did not resolve.
    DnsFailed,
    /// The address is one that may not be called.
    AddressRefused,
    /// No connection.
    ConnectFailed,
    /// The TLS handshake failed, or the certificate is not trusted.
    TlsFailed,
    /// The connection ended before the answer did.
    ConnectionClosed,
    /// The answer is not HTTP, or beyond what is read of headers.
    ProtocolError,
    /// The request could not be built from what is configured.
    InvalidRequest,
    /// The payload query yielded errors, or no longer fits the schema.
    RenderFailed,
    /// The payload query went over its time or byte budget.
    RenderBudgetExceeded,
    /// The server's own fault. Retried, and no attempt is spent.
    ServerFault,
}
