//! Attempts as the API shows them.

use async_graphql::{Enum, ID, Object, SimpleObject};
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest};
use hookgraph_pim::DateTime;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct AttemptObject(pub Arc<Attempt>);

/// One HTTP request of a delivery, and how it ended.
#[Object(name = "Attempt")]
impl AttemptObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// 1 for the first of its delivery.
    async fn number(&self) -> u32 {
        self.0.number
    }

    /// How it ended.
    async fn outcome(&self) -> OutcomeCodeName {
        self.0.code.into()
    }

    /// In plain words, where the code alone does not say.
    async fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What was sent, secrets redacted; none where nothing could be.
    async fn request(&self) -> Option<RequestObject> {
        self.0.request.as_ref().map(RequestObject::from)
    }

    /// What came back.
    async fn response(&self) -> Option<ResponseObject> {
        let head = self.0.response.as_ref()?;
        Some(ResponseObject {
            status: i32::from(head.status),
            headers: headers(&head.headers),
            body: self.0.response_body.clone(),
            is_truncated: self.0.response_truncated,
        })
    }

    async fn started_at(&self) -> DateTime {
        DateTime(self.0.started_at)
    }

    async fn ended_at(&self) -> DateTime {
        DateTime(self.0.ended_at)
    }

    /// How long it took, in milliseconds.
    async fn duration_ms(&self) -> i32 {
        let duration_ms = (self.0.ended_at - self.0.started_at).num_milliseconds();
        i32::try_from(duration_ms).unwrap_or(i32::MAX)
    }

    /// The address that was dialled.
    async fn remote_address(&self) -> Option<&str> {
        self.0.remote_address.as_deref()
    }
}

/// An HTTP request.
#[derive(Clone, SimpleObject)]
#[graphql(name = "HttpRequest")]
pub(crate) struct RequestObject {
    /// Upper case.
    pub method: String,
    /// The whole URL, parameters included.
    pub url: String,
    /// In the order sent.
    pub headers: Vec<HeaderObject>,
    /// The exact body; none for GET.
    pub body: Option<String>,
}

impl From<&OutgoingRequest> for RequestObject {
    fn from(request: &OutgoingRequest) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: headers(&request.headers),
            body: request.body.clone(),
        }
    }
}

/// The answer to an HTTP request.
#[derive(Clone, SimpleObject)]
#[graphql(name = "HttpResponse")]
pub(crate) struct ResponseObject {
    /// The status code.
    status: i32,
    /// Capped in number and bytes.
    headers: Vec<HeaderObject>,
    /// The first bytes of the body, as text.
    body: Option<String>,
    /// Whether the body was longer than what is kept.
    is_truncated: bool,
}

/// A header.
#[derive(Clone, SimpleObject)]
#[graphql(name = "HttpHeader")]
pub(crate) struct HeaderObject {
    /// Lower case.
    pub name: String,
    /// The value.
    pub value: String,
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
