//! Answers kept under idempotency keys, written with their change.

use super::Work;
use crate::entities::idempotency;
use crate::error::store_error;
use crate::limits::STALE_ANSWERS_PER_WRITE_MAX;
use crate::locks::lock_sql;
use crate::micros::{from_time, stale_before_us};
use crate::statements::whole;
use hookgraph_domain::change::CommitError;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, Insert, QueryFilter, QuerySelect};
use sha2::{Digest, Sha256};

/// The advisory lock of a key. Two keys with the same lock wait for each other, which does no other harm.
fn lock_of(key: &AnswerKey) -> i64 {
    let hash = Sha256::new().chain_update(key.tenant_id.0.as_bytes()).chain_update(&key.key).finalize();
    hash.iter().take(8).fold(0, |lock: i64, byte| (lock << 8) | i64::from(*byte))
}

impl Work<'_> {
    pub(super) async fn keep_answer(&self, kept: KeptAnswer) -> Result<(), CommitError> {
        use idempotency::Column;
        let label = format!("idempotency key {:?}", kept.key.key);
        if self.is_of_another_request(&kept).await? {
            return Err(CommitError::Conflict(label));
        }
        let row: idempotency::ActiveModel = whole(idempotency::Model {
            tenant_id: kept.key.tenant_id.0,
            key: kept.key.key,
            step: kept.key.step,
            request_sha256: kept.request_sha256.to_vec(),
            answer: kept.answer,
            created_at_us: from_time(self.at),
        });
        let mut replaced = OnConflict::columns([Column::TenantId, Column::Key, Column::Step]);
        replaced.update_columns([Column::RequestSha256, Column::Answer, Column::CreatedAtUs]);
        let created_at = Expr::col((idempotency::Entity, Column::CreatedAtUs));
        replaced.action_and_where(created_at.lte(stale_before_us(self.at)));
        let inserted = Insert::one(row).on_conflict(replaced).exec_without_returning(self.transaction).await;
        match inserted {
            Ok(0) | Err(DbErr::RecordNotInserted) => Err(CommitError::Conflict(label)),
            Ok(_) => Ok(self.sweep_answers().await?),
            Err(error) => Err(store_error(error).into()),
        }
    }

    /// Whether another request has an answer under that key. The lock keeps any other transaction from adding one until
    /// this one ends: two requests that came at the same instant may have begun with different steps.
    async fn is_of_another_request(&self, kept: &KeptAnswer) -> Result<bool, StoreError> {
        use idempotency::Column;
        if self.transaction.get_database_backend() == DbBackend::Postgres {
            // The lock is a statement of its own before the query, whose snapshot would otherwise be older than the
            // wait.
            self.transaction.execute_unprepared(&lock_sql(lock_of(&kept.key))).await.map_err(store_error)?;
        }
        let foreign = idempotency::Entity::find()
            .select_only()
            .column(Column::Step)
            .filter(Column::TenantId.eq(kept.key.tenant_id.0))
            .filter(Column::Key.eq(kept.key.key.as_str()))
            .filter(Column::RequestSha256.ne(kept.request_sha256.to_vec()))
            .filter(Column::CreatedAtUs.gt(stale_before_us(self.at)))
            .into_tuple::<i64>()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(foreign.is_some())
    }

    /// Removes a few answers that are past their time with every new answer, so that no other job has to.
    async fn sweep_answers(&self) -> Result<(), StoreError> {
        use idempotency::Column;
        let mut stale = Query::select();
        stale.columns([Column::TenantId, Column::Key, Column::Step]).from(idempotency::Entity);
        stale.and_where(Column::CreatedAtUs.lte(stale_before_us(self.at)));
        stale.order_by(Column::CreatedAtUs, sea_orm::Order::Asc).limit(STALE_ANSWERS_PER_WRITE_MAX);
        if self.transaction.get_database_backend() == DbBackend::Postgres {
            stale.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        }
        let keys = [Column::TenantId, Column::Key, Column::Step].map(Expr::col);
        let mut delete = Query::delete();
        delete.from_table(idempotency::Entity).and_where(Expr::tuple(keys).in_subquery(stale));
        self.transaction.execute(&delete).await.map_err(store_error)?;
        Ok(())
    }
}
