//! Requests with an idempotency key: each change that one makes is kept with its answer, and a request that comes again
//! gets those answers instead of changing anything.

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
    place: Mutex<Place>,
}

/// Where a request is. Its changes are numbered by the fields that make them and one after the other, so that each has its number
/// whether those before it succeed or not.
#[derive(Debug, Default)]
struct Place {
    /// The fields of the namespace that it is in, by their names in the response.
    fields: Vec<String>,
    /// How many the namespaces before it have.
    before: usize,
    /// Which of them it is in.
    field: usize,
    /// The changes that this field has made.
    steps: u32,
}

/// More changes than one field makes.
const STEPS_OF_FIELD_MAX: i64 = 1 << 16;

impl Place {
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
    /// The key of a request with that hash, which covers all that the request says.
    pub fn new(key: String, request_sha256: [u8; 32]) -> Self {
        Self { key, request_sha256, place: Mutex::default() }
    }
}

impl PimContext {
    /// The request comes to a namespace with fields of those names in the response. Mutations run one after another.
    pub fn enters_namespace(&self, fields: impl FnOnce() -> Vec<String>) {
        if let Some(asked) = &self.idempotency {
            let mut place = asked.place.lock();
            let before = place.before.saturating_add(place.fields.len());
            *place = Place { fields: fields(), before, field: 0, steps: 0 };
        }
    }

    /// The request comes to that field of the namespace.
    pub fn enters_field(&self, name: &str) {
        if let Some(asked) = &self.idempotency {
            let mut place = asked.place.lock();
            let field = place.fields.iter().position(|field| field == name).unwrap_or(place.fields.len());
            (place.field, place.steps) = (field, 0);
        }
    }

    /// The change that is next in this request; none where the request has no idempotency key.
    pub fn next_step(&self) -> Option<Step> {
        let asked = self.idempotency.as_ref()?;
        let step = asked.place.lock().next_step();
        let key = AnswerKey { tenant_id: self.caller().tenant_id, key: asked.key.clone(), step };
        Some(Step { key, request_sha256: asked.request_sha256 })
    }

    /// What that step answered before.
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

    /// Refuses an idempotency key where nothing would heed it.
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
