//! Assembles the frozen payload from data: merged with the default payload, canonical and bounded.

use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{RenderError, RenderRequest};
use hookgraph_domain::request::default_payload;
use hookgraph_domain::time::Timestamp;
use serde_json::{Map, Value};

/// The payload of a request: the data, merged over the default payload where the webhook wants both; without data, the
/// default payload.
pub(super) fn assemble(
    request: &RenderRequest,
    data: Option<&Map<String, Value>>,
    rendered_at: Timestamp,
) -> Result<FrozenPayload, RenderError> {
    let with_default = data.is_none() || request.webhook.preserve_default_payload;
    let mut payload = if with_default { default_payload(&request.event, request.webhook.id) } else { Map::new() };
    for (key, value) in data.into_iter().flatten() {
        payload.insert(key.clone(), value.clone());
    }
    FrozenPayload::of(payload, rendered_at).map_err(|error| RenderError::BudgetExceeded(error.to_string()))
}
