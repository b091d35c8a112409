//! Answers kept under idempotency keys, written with their changes.

use super::Work;
use crate::batch::{Cell, Collision, Kind, Table};
use crate::entities::idempotency;
use crate::error::store_error;
use crate::limits::STALE_ANSWERS_PER_WRITE_MAX;
use crate::micros::{from_time, stale_before_us};
use hookgraph_domain::change::CommitError;
use hookgraph_domain::idempotency::KeptAnswer;
use hookgraph_domain::limits::IDEMPOTENCY_KEPT_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend};

const ANSWERS: Table = Table {
    name: "idempotency",
    columns: &[
        ("tenant_id", Kind::Uuid),
        ("key", Kind::Text),
        ("step", Kind::Int),
        ("request_sha256", Kind::Bytes),
        ("answer", Kind::Text),
        ("created_at_us", Kind::Int),
    ],
};

impl Work<'_> {
    /// Keeps answers, each as of a time. All of them are refused where one is not kept: the caller undoes the rest. They are
    /// written in the order of their keys, so that nobody waits in a circle.
    pub(super) async fn keep_answers(&self, mut answers: Vec<(Timestamp, KeptAnswer)>) -> Result<(), CommitError> {
        answers.sort_by(|(_, one), (_, other)| place(one).cmp(&place(other)));
        let Some((_, first)) = answers.first() else { return Ok(()) };
        let label = format!("idempotency key {:?}", first.key.key);
        let count = answers.len() as u64;
        if answers.windows(2).any(|two| place(&two[0].1) == place(&two[1].1)) {
            return Err(CommitError::Conflict(label));
        }
        let rows = answers.into_iter().map(|(at, kept)| {
            vec![
                Cell::Uuid(kept.key.tenant_id.0),
                Cell::Text(kept.key.key),
                Cell::Int(i64::from(kept.key.step)),
                Cell::Bytes(kept.request_sha256.to_vec()),
                Cell::Text(kept.answer),
                Cell::Int(from_time(at)),
            ]
        });
        let replaced = format!(
            " ON CONFLICT (tenant_id, key, step) DO UPDATE SET request_sha256 = excluded.request_sha256, \
             answer = excluded.answer, created_at_us = excluded.created_at_us \
             WHERE idempotency.created_at_us <= excluded.created_at_us - {}",
            IDEMPOTENCY_KEPT_MS * 1_000
        );
        let written = ANSWERS.insert(self.transaction, rows.collect(), Collision::IsDecided(&replaced)).await?;
        if written < count {
            return Err(CommitError::Conflict(label));
        }
        Ok(self.sweep_answers(count).await?)
    }

    /// Takes out what is past its time, a little with every new answer, so that no one else has to.
    async fn sweep_answers(&self, new_count: u64) -> Result<(), StoreError> {
        use idempotency::Column;
        let mut stale = Query::select();
        stale.columns([Column::TenantId, Column::Key, Column::Step]).from(idempotency::Entity);
        stale.and_where(Column::CreatedAtUs.lte(stale_before_us(self.at)));
        stale.order_by(Column::CreatedAtUs, sea_orm::Order::Asc).limit(STALE_ANSWERS_PER_WRITE_MAX * new_count);
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

fn place(kept: &KeptAnswer) -> (uuid::Uuid, &str, u32) {
    (kept.key.tenant_id.0, &kept.key.key, kept.key.step)
}
