//! Requests with an idempotency key: each change that one makes is kept with its answer, and a request that comes again
//! gets those answers instead of changing anything.

use crate::context::PimContext;
use hookgraph_domain::change::Write;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicU32, Ordering};

/// The idempotency key of one request, and how far the request has come.
#[derive(Debug)]
pub struct Idempotency {
    key: String,
    request_sha256: [u8; 32],
    steps: AtomicU32,
}

/// One change of a request with an idempotency key.
#[derive(Debug)]
pub struct Step {
    key: AnswerKey,
    request_sha256: [u8; 32],
}

impl Idempotency {
    /// The key of a request with that hash, which covers all that the request says.
    pub fn new(key: String, request_sha256: [u8; 32]) -> Self {
        Self { key, request_sha256, steps: AtomicU32::new(0) }
    }
}

impl PimContext {
    /// The change that is next in this request; none where the request has no idempotency key. Mutations run one after
    /// another, so the same request takes the same steps again.
    pub fn next_step(&self) -> Option<Step> {
        let asked = self.idempotency.as_ref()?;
        let step = asked.steps.fetch_add(1, Ordering::Relaxed);
        let key = AnswerKey { tenant_id: self.caller().tenant_id, key: asked.key.clone(), step };
        Some(Step { key, request_sha256: asked.request_sha256 })
    }

    /// What that step answered before.
    ///
    /// # Errors
    /// `CONFLICT` when the key belongs to another request.
    pub async fn answered<T: DeserializeOwned>(&self, step: &Step) -> Result<Option<T>, Refusal> {
        let Some(kept) = self.store().kept_answer(&step.key, self.now()).await? else { return Ok(None) };
        if kept.request_sha256 != step.request_sha256 {
            let message = format!(
                "the idempotency key {:?} was used for another request within the last day: take a new key, or send \
                 what was sent then",
                step.key.key
            );
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
        serde_json::from_str(&kept.answer).map(Some).map_err(|error| fault(&error))
    }

    /// Refuses an idempotency key where nothing would heed it.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`.
    pub fn require_no_idempotency(&self) -> Result<(), Refusal> {
        if self.idempotency.is_none() {
            return Ok(());
        }
        let message = "this mutation raises no event, and is not kept under an idempotency key: leave the key out";
        Err(Refusal::new(RefusalCode::BadUserInput, message))
    }
}

impl Step {
    /// What keeps the answer, to be committed with the change.
    ///
    /// # Errors
    /// A fault of ours: an answer that is no JSON.
    pub fn keep<T: Serialize>(&self, answer: &T) -> Result<Write, Refusal> {
        let answer = serde_json::to_string(answer).map_err(|error| fault(&error))?;
        Ok(Write::KeepAnswer(KeptAnswer { key: self.key.clone(), request_sha256: self.request_sha256, answer }))
    }
}

fn fault(error: &serde_json::Error) -> Refusal {
    tracing::error!(%error, "an answer under an idempotency key could not be written or read");
    Refusal::new(RefusalCode::Internal, "the server failed: its log says why")
}
