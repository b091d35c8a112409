//! Requests with an idempotency key: each change of such a request is kept with its answer, and a request that comes
//! again gets the kept answers and changes nothing.

use crate::context::PimContext;
use hookgraph_domain::change::Write;
use hookgraph_domain::idempotency::{AnswerKey, IDEMPOTENCY_EXTENSION, KeptAnswer};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The idempotency key of one request, and how far the request has come.
#[derive(Debug)]
pub struct Idempotency {
    key: String,
    request_sha256: [u8; 32],
    progress: Mutex<Progress>,
}

/// How far a request has come. Its changes are numbered by the field that makes them, then one after the other, so that
/// a change has the same number whether the changes before it succeed or fail.
#[derive(Debug, Default)]
struct Progress {
    /// The fields of the current namespace, by their names in the response.
    fields: Vec<String>,
    /// How many fields the earlier namespaces have.
    before: usize,
    /// The index of the current field in `fields`.
    field: usize,
    /// How many changes the current field has made.
    steps: u32,
}

/// How far apart the numbers of two fields' first changes are: more than one field makes.
const STEPS_OF_FIELD_MAX: i64 = 1 << 16;

impl Progress {
    fn next_step(&mut self) -> i64 {
        let field = i64::try_from(self.before.saturating_add(self.field)).unwrap_or(i64::MAX);
        let step = i64::from(self.steps);
        self.steps += 1;
        field.saturating_mul(STEPS_OF_FIELD_MAX).saturating_add(step)
    }
}

/// One change of a request with an idempotency key.
#[derive(Debug)]
pub struct Step {
    key: AnswerKey,
    request_sha256: [u8; 32],
}

impl Idempotency {
    /// The key of a request. `request_sha256` covers everything that makes it the same request.
    pub fn new(key: String, request_sha256: [u8; 32]) -> Self {
        Self { key, request_sha256, progress: Mutex::default() }
    }
}

impl PimContext {
    /// Notes that the request enters a namespace; `fields` are the names of its fields in the response. Mutations run
    /// one after another.
    pub fn enters_namespace(&self, fields: impl FnOnce() -> Vec<String>) {
        if let Some(idempotency) = &self.idempotency {
            let mut progress = idempotency.progress.lock();
            let before = progress.before.saturating_add(progress.fields.len());
            *progress = Progress { fields: fields(), before, field: 0, steps: 0 };
        }
    }

    /// Notes that the request enters the field of that name in its current namespace.
    pub fn enters_field(&self, name: &str) {
        if let Some(idempotency) = &self.idempotency {
            let mut progress = idempotency.progress.lock();
            let field = progress.fields.iter().position(|field| field == name).unwrap_or(progress.fields.len());
            (progress.field, progress.steps) = (field, 0);
        }
    }

    /// The next change of this request; none where the request has no idempotency key.
    pub fn next_step(&self) -> Option<Step> {
        let idempotency = self.idempotency.as_ref()?;
        let step = idempotency.progress.lock().next_step();
        let key = AnswerKey { tenant_id: self.caller().tenant_id, key: idempotency.key.clone(), step };
        Some(Step { key, request_sha256: idempotency.request_sha256 })
    }

    /// The kept answer of the step; none where the request has not come before.
    ///
    /// # Errors
    /// `CONFLICT` when the key belongs to another request.
    pub async fn answered<T: DeserializeOwned>(&self, step: &Step) -> Result<Option<T>, Refusal> {
        let kept = self.kept_answers(&step.key, step.request_sha256).await?;
        if kept.iter().any(|kept| kept.request_sha256 != step.request_sha256) {
            let message = format!(
                "the idempotency key {:?} was used for another request within the last day: take a new key, or send \
                 what was sent then",
                step.key.key
            );
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
        let Some(kept) = kept.into_iter().find(|kept| kept.key == step.key) else { return Ok(None) };
        serde_json::from_str(&kept.answer).map(Some).map_err(|error| fault(&error))
    }

    /// Refuses an idempotency key in front of a mutation that keeps no answers.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`.
    pub fn require_no_idempotency(&self) -> Result<(), Refusal> {
        if self.idempotency.is_none() {
            return Ok(());
        }
        let message = "this mutation raises no event, and is not kept under an idempotency key: leave the key out, and \
                       look at what is there before you try again";
        Err(Refusal::invalid_at(format!("extensions.{IDEMPOTENCY_EXTENSION}"), "IDEMPOTENCY_KEY_UNUSED", message))
    }
}

impl Step {
    /// The write that keeps the answer, to be committed with the change.
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
