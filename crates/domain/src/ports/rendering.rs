//! Ports to the payload renderer and to the network.

use crate::attempt::{Exchange, OutgoingRequest};
use crate::event::Event;
use crate::payload::FrozenPayload;
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
}
