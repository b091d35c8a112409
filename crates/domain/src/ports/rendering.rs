//! Ports to the payload renderer and to the network.

use crate::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use crate::event::Event;
use crate::payload::FrozenPayload;
use crate::time::Timestamp;
use crate::tls::TlsSettings;
use crate::webhook::Webhook;
use async_trait::async_trait;
use std::sync::Arc;

/// What shall be rendered: one webhook's payload for one event.
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
    /// The document yields errors, or does not fit the schema: final. With the errors and their paths, in plain words.
    Refused(String),
    /// Over the time or the byte budget: final.
    BudgetExceeded(String),
    /// Ours (the database, a panic): retried, and no attempt is spent.
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
    /// Sends it within the deadline and reads the capped answer. Never fails: how it ended is in the exchange.
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange;

    /// The same under TLS settings of the webhook's own. A transport that knows none refuses it, rather than to send it under
    /// others.
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

/// Judges what is in the texts of TLS settings.
pub trait TlsJudge: Send + Sync {
    /// Whether they can be used at that time.
    ///
    /// # Errors
    /// What is wrong with them.
    fn judge(&self, tls: &TlsSettings, now: Timestamp) -> Result<(), TlsFault>;

    /// When the client's certificate expires; none without one, or where it cannot be read.
    fn expires_at(&self, tls: &TlsSettings) -> Option<Timestamp>;
}

/// What is wrong with TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// The field of the input, e.g. `clientKey`.
    pub field: &'static str,
    /// A stable code, e.g. `CLIENT_KEY_MISMATCH`.
    pub code: &'static str,
    /// What is wrong and what would be right; never a part of the text.
    pub message: String,
}
