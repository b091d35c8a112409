//! Answers kept under idempotency keys.

use crate::entities::idempotency;
use crate::error::{corrupt, store_error};
use crate::micros::stale_before_us;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ports::{AnswerReader, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

#[async_trait]
impl AnswerReader for SqlStore {
    async fn kept_answer(&self, key: &AnswerKey, now: Timestamp) -> Result<Option<KeptAnswer>, StoreError> {
        let found = idempotency::Entity::find_by_id((key.tenant_id.0, key.key.clone(), key.step))
            .filter(idempotency::Column::CreatedAtUs.gt(stale_before_us(now)))
            .one(&self.reader)
            .await
            .map_err(store_error)?;
        let Some(row) = found else { return Ok(None) };
        let request_sha256 = row.request_sha256.try_into().map_err(|_| corrupt("request_sha256", &key.key))?;
        Ok(Some(KeptAnswer { key: key.clone(), request_sha256, answer: row.answer }))
    }
}
