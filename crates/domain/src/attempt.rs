//! Attempts: one HTTP request each, and how it ended.

use crate::delivery::Delivery;
use crate::ids::{AttemptId, DeliveryId};
use crate::time::{Timestamp, plus_ms};
use std::sync::Arc;

/// How an attempt ended, or why there was none: stable codes, shown in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeCode {
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
    /// The answer is not HTTP, or beyond what we read of headers.
    ProtocolError,
    /// The request could not be built from what is configured.
    InvalidRequest,
    /// The payload query yielded errors, or no longer fits the schema.
    RenderFailed,
    /// The payload query went over its time or byte budget.
    RenderBudgetExceeded,
    /// Ours: the database or the resolver failed. Retried, and no attempt is spent.
    ServerFault,
}

impl OutcomeCode {
    /// Every code.
    pub const ALL: [OutcomeCode; 15] = [
        Self::Delivered,
        Self::HttpStatus,
        Self::Redirect,
        Self::Gone,
        Self::Timeout,
        Self::DnsFailed,
        Self::AddressRefused,
        Self::ConnectFailed,
        Self::TlsFailed,
        Self::ConnectionClosed,
        Self::ProtocolError,
        Self::InvalidRequest,
        Self::RenderFailed,
        Self::RenderBudgetExceeded,
        Self::ServerFault,
    ];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            OutcomeCode::Delivered => "DELIVERED",
            OutcomeCode::HttpStatus => "HTTP_STATUS",
            OutcomeCode::Redirect => "REDIRECT",
            OutcomeCode::Gone => "GONE",
            OutcomeCode::Timeout => "TIMEOUT",
            OutcomeCode::DnsFailed => "DNS_FAILED",
            OutcomeCode::AddressRefused => "ADDRESS_REFUSED",
            OutcomeCode::ConnectFailed => "CONNECT_FAILED",
            OutcomeCode::TlsFailed => "TLS_FAILED",
            OutcomeCode::ConnectionClosed => "CONNECTION_CLOSED",
            OutcomeCode::ProtocolError => "PROTOCOL_ERROR",
            OutcomeCode::InvalidRequest => "INVALID_REQUEST",
            OutcomeCode::RenderFailed => "RENDER_FAILED",
            OutcomeCode::RenderBudgetExceeded => "RENDER_BUDGET_EXCEEDED",
            OutcomeCode::ServerFault => "SERVER_FAULT",
        }
    }

    /// The code of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }
}

/// A request as it goes out.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// Upper case.
    pub method: String,
    /// The whole URL, parameters included.
    pub url: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The exact body; none for GET. It shares the text of the payload.
    pub body: Option<Arc<str>>,
}

impl std::fmt::Debug for OutgoingRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} headers)", self.method, self.url, self.headers.len())
    }
}

/// The part of an answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Names in lower case; capped in number and bytes.
    pub headers: Vec<(String, String)>,
}

/// How one HTTP exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The code.
    pub code: OutcomeCode,
    /// In plain words, what happened, where the code alone does not say. Never holds a secret.
    pub detail: Option<String>,
    /// The answer's head, where one came.
    pub response: Option<ResponseHead>,
    /// The first bytes of the answer's body, up to the cap, made text.
    pub response_body: Option<String>,
    /// Whether the answer's body was longer than what is kept.
    pub response_truncated: bool,
    /// `Retry-After`, parsed, in milliseconds from now, where the answer had one that is understood.
    pub retry_after_ms: Option<u64>,
    /// The address that was dialled.
    pub remote_address: Option<String>,
    /// From before the dial to the end of the body or of the attempt.
    pub duration_ms: u64,
}

impl Exchange {
    /// An exchange that ended as `code` before a request was sent. It took no time.
    pub fn unsent(code: OutcomeCode, detail: String) -> Self {
        Self {
            code,
            detail: Some(detail),
            response: None,
            response_body: None,
            response_truncated: false,
            retry_after_ms: None,
            remote_address: None,
            duration_ms: 0,
        }
    }
}

/// An attempt as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// 1 for the first of its delivery.
    pub number: u32,
    /// How it ended.
    pub code: OutcomeCode,
    /// In plain words.
    pub detail: Option<String>,
    /// What was sent, secrets redacted; none where the payload could not be rendered.
    pub request: Option<OutgoingRequest>,
    /// The answer's head, where one came.
    pub response: Option<ResponseHead>,
    /// The first bytes of the answer's body.
    pub response_body: Option<String>,
    /// Whether the answer's body was longer than what is kept.
    pub response_truncated: bool,
    /// The address that was dialled.
    pub remote_address: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

impl Attempt {
    /// The next attempt of `delivery`, with the end of its exchange. `request` has its secrets redacted; it is none
    /// where nothing was sent.
    pub fn of(
        delivery: &Delivery,
        id: AttemptId,
        request: Option<OutgoingRequest>,
        exchange: Exchange,
        started_at: Timestamp,
    ) -> Self {
        Self {
            id,
            delivery_id: delivery.id,
            number: delivery.attempt_count + 1,
            code: exchange.code,
            detail: exchange.detail,
            request,
            response: exchange.response,
            response_body: exchange.response_body,
            response_truncated: exchange.response_truncated,
            remote_address: exchange.remote_address,
            started_at,
            // The exchange measured how long it took: the clock may have been set meanwhile.
            ended_at: plus_ms(started_at, exchange.duration_ms),
        }
    }
}
