//! Retention: PostgreSQL drops whole days as partitions; all other rows are removed in small batches.
//!
//! A step is one transaction. The order of history keeps every reference valid: deliveries are removed first, then the
//! events that no delivery belongs to any more.

mod days;
mod expire;
mod feed;
mod rows;
mod size;
mod tenants;
mod work;

pub use days::day_statements;
pub use expire::expire_statements;
pub use feed::FEED_STATEMENTS;
pub use rows::row_statements;
pub use size::{OLDEST_DELIVERY, OLDEST_EVENT};
pub use tenants::tenant_statements;
pub use work::work_statements;

use crate::batch::{execute, query};
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::locks::{RETENTION_LOCK, try_lock};
use crate::micros::{from_time, to_optional_time};
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::ports::{HistoryKept, PrunePosition, PruneStep, Retention, StoreError};
use hookgraph_domain::retention::{HistoryCut, WorkCut};
use hookgraph_domain::time::Timestamp;
use sea_orm::{DbBackend, FromQueryResult};

/// The first stage that removes rows; each stage before it drops the partitions of one table.
const ROWS_FIRST: u32 = 16;

#[derive(FromQueryResult)]
struct HistoryFrom {
    history_from_us: Option<i64>,
}

#[async_trait]
impl Retention for SqlStore {
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        expire::expire_due(self, expire::Expiry { owed_before, reason, now }, from, rows_max).await
    }

    async fn prune_history(
        &self,
        cut: &HistoryCut,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        if from == PrunePosition::default() {
            self.note_history_from(cut.before).await?;
        }
        if from.stage >= ROWS_FIRST {
            return rows::prune(self, cut, from, rows_max).await;
        }
        match self.backend() {
            DbBackend::Postgres => days::drop_next(self, cut, from).await,
            _ => rows::prune(self, cut, PrunePosition { stage: ROWS_FIRST, ..from }, rows_max).await,
        }
    }

    async fn prune_feed(&self, before: Timestamp, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        feed::prune(self, before, from, rows_max).await
    }

    async fn prune_work(&self, cut: &WorkCut, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        work::prune(self, cut, from, rows_max).await
    }

    async fn prune_tenants(&self, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        tenants::prune(self, from, rows_max).await
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        size::history_kept(self).await
    }
}

impl SqlStore {
    pub(crate) async fn read_history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        let found: Vec<HistoryFrom> =
            query(&self.reader, "SELECT history_from_us FROM retention WHERE id = 1", vec![]).await?;
        to_optional_time(found.first().and_then(|row| row.history_from_us))
    }

    /// Notes up to when history is removed. It is written before anything is removed, so that a reader of a gap can
    /// tell why.
    async fn note_history_from(&self, before: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE retention SET history_from_us = $1 \
                   WHERE id = 1 AND (history_from_us IS NULL OR history_from_us < $1)";
        execute(&self.writer, sql, vec![from_time(before).into()]).await.map(|_| ())
    }

    /// Begins the transaction of a step; none if another process is taking a step.
    async fn begin_step(&self) -> Result<Option<DatabaseTransaction>, StoreError> {
        let transaction = self.begin().await?;
        if self.backend() == DbBackend::Postgres && !try_lock(&transaction, RETENTION_LOCK).await? {
            transaction.rollback().await.map_err(store_error)?;
            return Ok(None);
        }
        Ok(Some(transaction))
    }
}
