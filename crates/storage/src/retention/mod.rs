//! Retention: whole days as partitions where the database has them, the rest in small batches of rows.
//!
//! A step is one transaction. History goes in an order in which nothing that is left points at what is gone: deliveries
//! first, then what no delivery is of any more.

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
use crate::micros::{from_time, to_optional_time};
use crate::store::{RETENTION_LOCK, SqlStore};
use async_trait::async_trait;
use hookgraph_domain::ports::{HistoryKept, PrunePosition, PruneStep, Retention, StoreError};
use hookgraph_domain::retention::{HistoryCut, WorkCut};
use hookgraph_domain::time::Timestamp;
use sea_orm::{DbBackend, FromQueryResult};

/// The stages from which on rows are removed; those before drop the partitions of one table each.
const ROWS_FIRST: u32 = 16;

#[derive(FromQueryResult)]
struct From {
    history_from_us: Option<i64>,
}

#[derive(FromQueryResult)]
struct Turn {
    is_ours: bool,
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
        let found: Vec<From> =
            query(&self.reader, "SELECT history_from_us FROM retention WHERE id = 1", vec![]).await?;
        to_optional_time(found.first().and_then(|row| row.history_from_us))
    }

    /// Written before anything goes, so that whoever finds less than there was can tell why.
    async fn note_history_from(&self, before: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE retention SET history_from_us = $1 \
                   WHERE id = 1 AND (history_from_us IS NULL OR history_from_us < $1)";
        execute(&self.writer, sql, vec![from_time(before).into()]).await.map(|_| ())
    }

    /// A transaction for a step, if no other process is taking one.
    async fn begin_step(&self) -> Result<Option<DatabaseTransaction>, StoreError> {
        let transaction = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            let sql = format!("SELECT pg_try_advisory_xact_lock({RETENTION_LOCK}) AS is_ours");
            let turn: Vec<Turn> = query(&transaction, &sql, vec![]).await?;
            if !turn.first().is_some_and(|turn| turn.is_ours) {
                transaction.rollback().await.map_err(store_error)?;
                return Ok(None);
            }
        }
        Ok(Some(transaction))
    }
}
