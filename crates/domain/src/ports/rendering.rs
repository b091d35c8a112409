//! Ports to the payload renderer and to the network.

use crate::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use crate::event::Event;
use crate::payload::FrozenPayload;
use crate::time::Timestamp;
use crate::tls::TlsSettings;
use crate::webhook::Webhook;
use async_trait::async_trait;
use std::sync::Arc;

/// A payload to be rendered: one webhook's, for one event.
#[derive(Clone, Debug)]
pub struct RenderRequest {
    /// The event.
    pub event: Arc<Event>,
    /// The webhook: its document, `preserve_default_payload`, id.
    pub webhook: Arc<Webhook>,
}

/// Why there is no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// The document yields errors, or does not fit the schema: final. The text names the errors and their paths.
    Refused(String),
    /// The render went over its time or byte budget: final.
    BudgetExceeded(String),
    /// The fault is ours (the database, a panic): the render is tried again, and no attempt is spent.
    Unavailable(String),
}

/// Runs payload queries against the resolver tree.
#[async_trait]
pub trait PayloadRenderer: Send + Sync {
    /// Renders a claimed batch; the answers are in the order of the asks. Requests of one tenant and one set of
    /// permissions share their loaders; equal (document, variables, permissions) are run once.
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>>;
}

/// Sends one HTTP request.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends the request within the deadline and reads the answer up to its caps. The call never fails: the exchange
    /// says how it ended.
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange;

    /// Sends as [`Transport::send`] does, under the webhook's own TLS settings. A transport that knows no TLS
    /// settings refuses the request rather than sending it under others.
    async fn send_under(&self, request: &OutgoingRequest, timeout_ms: u32, tls: Option<&TlsSettings>) -> Exchange {
        match tls {
            None => self.send(request, timeout_ms).await,
            Some(_) => Exchange {
                code: OutcomeCode::ServerFault,
                detail: Some("this transport knows no TLS settings".to_owned()),
                response: None,
                response_body: None,
                response_truncated: false,
                retry_after_ms: None,
                remote_address: None,
                duration_ms: 0,
            },
        }
    }
}

/// Judges the texts of TLS settings.
pub trait TlsJudge: Send + Sync {
    /// Judges whether the settings can be used at the time `now`.
    ///
    /// # Errors
    /// The fault of the settings.
    fn judge(&self, tls: &TlsSettings, now: Timestamp) -> Result<(), TlsFault>;

    /// When the client's certificate expires; none without a certificate, or where it cannot be read.
    fn expires_at(&self, tls: &TlsSettings) -> Option<Timestamp>;
}

/// A fault of TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// The field of the input, e.g. `clientKey`.
    pub field: &'static str,
    /// A stable code, e.g. `CLIENT_KEY_MISMATCH`.
    pub code: &'static str,
    /// The fault, and what would be right instead; never a part of the text.
    pub message: String,
}
