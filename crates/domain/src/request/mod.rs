//! Building: from a webhook and a frozen payload to the request that goes out.

mod query;
mod redaction;

pub use redaction::{masked, redacted, redacted_exchange, without_signatures};

use crate::attempt::{OutcomeCode, OutgoingRequest};
use crate::catalogue;
use crate::delivery::{Delivery, Signer};
use crate::event::Event;
use crate::payload::FrozenPayload;
use crate::signing::{SignAs, SignedParts, sign};
use crate::time::Timestamp;
use crate::trace::{TRACEPARENT_HEADER, TraceContext};
use crate::webhook::{HttpMethod, Webhook};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;
use url::Url;

/// What requests call themselves, unless the webhook has a `user-agent` of its own.
pub const USER_AGENT: &str = concat!("hookgraph/", env!("CARGO_PKG_VERSION"));
/// The type of every body.
pub const CONTENT_TYPE: &str = "application/json";
/// The header that a test bears, and nothing else: its value is `true`.
pub const TEST_HEADER: &str = "webhook-test";

/// Builds and signs one attempt's request: pure, and the same for a first try, a retry, a preview and, but for its header
/// that says so, a test.
///
/// Headers are in this order: `user-agent`, `content-type` where there is a body, `traceparent`, the webhook's own,
/// `webhook-test` where it is a test, the signatures. None but the signatures' own are signed.
///
/// # Errors
/// [`BuildError`], e.g. a GET whose URL grows over [`crate::limits::URL_BYTES_MAX`].
pub fn build(
    webhook: &Webhook,
    event: &Event,
    delivery: &Delivery,
    payload: &FrozenPayload,
    signer: &Signer,
    now: Timestamp,
) -> Result<OutgoingRequest, BuildError> {
    let configured = Url::parse(&webhook.url)
        .map_err(|error| BuildError::Invalid(format!("the webhook's URL cannot be read: {error}")))?;
    let (url, body_json, body) = match webhook.method {
        HttpMethod::Get => {
            let (url, parameters_json) = query::append(&configured, &payload.json)?;
            (url, parameters_json.map(Cow::Owned), None)
        }
        HttpMethod::Post | HttpMethod::Put | HttpMethod::Patch | HttpMethod::Delete => {
            (configured.clone(), Some(Cow::Borrowed(&*payload.json)), Some(Arc::clone(&payload.json)))
        }
    };
    let method = webhook.method.as_str();
    let parts = SignedParts { method, url: configured.as_str(), body_json: body_json.as_deref() };
    let user_id = event.variables.get("userId").and_then(Value::as_str);
    let trace = TraceContext::of_attempt(event.id, delivery.id, delivery.attempt_count.saturating_add(1));
    let mut headers = own_headers(webhook, body.is_some(), &trace);
    if delivery.is_test {
        headers.push((TEST_HEADER.to_owned(), "true".to_owned()));
    }
    let sign_as = SignAs { signer, own_keys: webhook.own_keys.as_ref(), scheme: webhook.signing, user_id };
    headers.extend(sign(parts, sign_as, delivery.id, now));
    Ok(OutgoingRequest { method: method.to_owned(), url: url.into(), headers, body })
}

/// The headers before the signatures.
fn own_headers(webhook: &Webhook, has_body: bool, trace: &TraceContext) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(webhook.headers.len() + 8);
    let has_own = |name: &str| webhook.headers.iter().any(|header| header.name == name);
    if !has_own("user-agent") {
        headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
    }
    if has_body {
        headers.push(("content-type".to_owned(), CONTENT_TYPE.to_owned()));
    }
    if !has_own(TRACEPARENT_HEADER) {
        headers.push((TRACEPARENT_HEADER.to_owned(), trace.traceparent()));
    }
    headers.extend(webhook.headers.iter().map(|header| (header.name.clone(), header.value.clone())));
    headers
}

/// The payload that a webhook without a payload query gets: every variable of the event's type, in the catalogue's
/// order, `webhookId` included.
pub fn default_payload(event: &Event, webhook_id: crate::ids::WebhookId) -> Map<String, Value> {
    let value_of = |name: &str| match name {
        "webhookId" => Value::from(webhook_id.to_string()),
        name => event.variables.get(name).cloned().unwrap_or_default(),
    };
    match catalogue::find(&event.event_type.concern, &event.event_type.event) {
        Some(event_type) => {
            event_type.variables.iter().map(|variable| (variable.name.to_owned(), value_of(variable.name))).collect()
        }
        // An event of a type that the catalogue no longer has still says what it was recorded with.
        None => event
            .variables
            .keys()
            .map(String::as_str)
            .chain(["webhookId"])
            .map(|name| (name.to_owned(), value_of(name)))
            .collect(),
    }
}

/// A request that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The parameters make the URL too long.
    #[error("the URL with its parameters is {bytes} bytes, {max} are allowed: use POST, or select fewer fields")]
    UrlTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The stored URL or payload cannot be read.
    #[error("{0}")]
    Invalid(String),
}

impl BuildError {
    /// How an attempt ends for which no request can be built: a payload that does not fit a URL is a render failure.
    pub const fn code(&self) -> OutcomeCode {
        match self {
            BuildError::UrlTooLong { .. } => OutcomeCode::RenderFailed,
            BuildError::Invalid(_) => OutcomeCode::InvalidRequest,
        }
    }
}

#[cfg(test)]
mod tests;
