//! The idempotency key of a request, and what makes two requests the same.

use async_graphql::{Request, Value};
use hookgraph_domain::idempotency::key_problem;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::Idempotency;
use sha2::{Digest, Sha256};

/// Under which name a request's `extensions` hold the key. Over HTTP the header `idempotency-key` says the same.
pub const IDEMPOTENCY_EXTENSION: &str = "idempotencyKey";

/// The request's key, if it has one; it stands for the document, the operation and the variables as they were sent.
pub(crate) fn of(request: &Request) -> Result<Option<Idempotency>, Refusal> {
    let key = match request.extensions.get(IDEMPOTENCY_EXTENSION) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(key)) => key.clone(),
        Some(_) => return Err(refusal("an idempotency key is a text")),
    };
    if let Some(problem) = key_problem(&key) {
        return Err(refusal(&problem));
    }
    let variables = serde_json::to_string(&request.variables).unwrap_or_default();
    let parts = [request.query.as_str(), request.operation_name.as_deref().unwrap_or_default(), &variables];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ok(Some(Idempotency::new(key, hash.finalize().into())))
}

fn refusal(message: &str) -> Refusal {
    let message = format!("{message} (it is the header idempotency-key, or extensions.{IDEMPOTENCY_EXTENSION})");
    Refusal::invalid_at(format!("extensions.{IDEMPOTENCY_EXTENSION}"), "IDEMPOTENCY_KEY_INVALID", message)
}
