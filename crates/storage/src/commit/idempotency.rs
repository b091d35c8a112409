//! Answers kept under idempotency keys, written with their change.

use super::Work;
use crate::entities::idempotency;
use crate::error::store_error;
use crate::limits::STALE_ANSWERS_PER_WRITE_MAX;
use crate::micros::{from_time, stale_before_us};
use crate::statements::whole;
use hookgraph_domain::change::CommitError;
use hookgraph_domain::idempotency::KeptAnswer;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, DbErr, Insert};

impl Work<'_> {
    pub(super) async fn keep_answer(&self, kept: KeptAnswer) -> Result<(), CommitError> {
        use idempotency::Column;
        let label = format!("idempotency key {:?}", kept.key.key);
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

    /// Takes out what is past its time, a little with every new answer, so that no one else has to.
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
