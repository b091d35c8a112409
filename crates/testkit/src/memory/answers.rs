//! Answers kept under idempotency keys.

use super::MemoryStore;
use super::state::State;
use async_trait::async_trait;
use hookgraph_domain::change::CommitError;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::limits::IDEMPOTENCY_KEPT_MS;
use hookgraph_domain::ports::{AnswerReader, StoreError};
use hookgraph_domain::time::{Timestamp, plus_ms};

fn is_stale(kept_at: Timestamp, now: Timestamp) -> bool {
    plus_ms(kept_at, IDEMPOTENCY_KEPT_MS) <= now
}

impl State {
    pub(super) fn keep_answer(&mut self, answer: KeptAnswer, at: Timestamp) -> Result<(), CommitError> {
        let key = answer.key.clone();
        let collides = |(of, (kept_at, kept)): (&AnswerKey, &(Timestamp, KeptAnswer))| {
            let is_foreign = kept.request_sha256 != answer.request_sha256;
            of.tenant_id == key.tenant_id && of.key == key.key && (*of == key || is_foreign) && !is_stale(*kept_at, at)
        };
        if self.answers.iter().any(collides) {
            return Err(CommitError::Conflict(format!("idempotency key {:?}", key.key)));
        }
        self.answers.retain(|_, (kept_at, _)| !is_stale(*kept_at, at));
        self.answers.insert(key, (at, answer));
        Ok(())
    }
}

#[async_trait]
impl AnswerReader for MemoryStore {
    async fn kept_answers(
        &self,
        key: &AnswerKey,
        request_sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        let state = self.state.lock();
        let of_key = state.answers.iter().filter(|(of, _)| of.tenant_id == key.tenant_id && of.key == key.key);
        let fresh = of_key.filter(|(_, (kept_at, _))| !is_stale(*kept_at, now)).map(|(_, (_, answer))| answer);
        let told = fresh.filter(|answer| answer.key == *key || answer.request_sha256 != request_sha256);
        Ok(told.take(2).cloned().collect())
    }
}
