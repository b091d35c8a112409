//! Building: from a webhook and a frozen payload to the request that goes out.

use crate::attempt::OutgoingRequest;
use crate::catalogue;
use crate::delivery::{Delivery, Signer};
use crate::event::Event;
use crate::payload::FrozenPayload;
use crate::time::Timestamp;
use crate::webhook::Webhook;
use serde_json::{Map, Value};

/// Builds and signs one attempt's request: pure, and the same for a first try, a retry, a preview and a test.
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
    let _ = (webhook, event, delivery, payload, signer, now);
    todo!()
}

/// The request as the log keeps it: values of headers that bear secrets are replaced by `[redacted]`.
pub fn redacted(request: &OutgoingRequest) -> OutgoingRequest {
    let _ = request;
    todo!()
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
