//! Answers kept under idempotency keys.

use crate::entities::idempotency;
use crate::error::{corrupt, store_error};
use crate::micros::stale_before_us;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ports::{AnswerReader, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};

#[async_trait]
impl AnswerReader for SqlStore {
    async fn kept_answers(
        &self,
        key: &AnswerKey,
        request_sha256: [u8; 32],
        now: Timestamp,
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        let is_step = idempotency::Column::Step.eq(key.step);
        let is_foreign = idempotency::Column::RequestSha256.ne(request_sha256.to_vec());
        let found = idempotency::Entity::find()
            .filter(idempotency::Column::TenantId.eq(key.tenant_id.0))
            .filter(idempotency::Column::Key.eq(key.key.as_str()))
            .filter(Condition::any().add(is_step).add(is_foreign))
            .filter(idempotency::Column::CreatedAtUs.gt(stale_before_us(now)))
            .limit(2)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let kept = |row: idempotency::Model| {
            let request_sha256 = row.request_sha256.try_into().map_err(|_| corrupt("request_sha256", &row.key))?;
            let key = AnswerKey { tenant_id: key.tenant_id, key: row.key, step: row.step };
            Ok(KeptAnswer { key, request_sha256, answer: row.answer })
        };
        found.into_iter().map(kept).collect()
    }
}
