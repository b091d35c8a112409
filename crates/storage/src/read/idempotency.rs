//! Answers kept under idempotency keys.

use crate::entities::idempotency;
use crate::error::{corrupt, store_error};
use crate::micros::stale_before_us;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{AnswerReader, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

#[async_trait]
impl AnswerReader for SqlStore {
    async fn kept_answers(
        &self,
        tenant_id: TenantId,
        key: &str,
        now: Timestamp,
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        let found = idempotency::Entity::find()
            .filter(idempotency::Column::TenantId.eq(tenant_id.0))
            .filter(idempotency::Column::Key.eq(key))
            .filter(idempotency::Column::CreatedAtUs.gt(stale_before_us(now)))
            .order_by_asc(idempotency::Column::Step)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let kept = |row: idempotency::Model| {
            let request_sha256 = row.request_sha256.try_into().map_err(|_| corrupt("request_sha256", &row.key))?;
            let key = AnswerKey { tenant_id, key: row.key, step: row.step };
            Ok(KeptAnswer { key, request_sha256, answer: row.answer })
        };
        found.into_iter().map(kept).collect()
    }
}
