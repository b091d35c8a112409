//! What is measured of the database when someone looks: how much is due, since when, and how webhooks stand. Every count is
//! bounded, so that looking costs the same on a backlog of a million.

use crate::bounded::Pool;
use crate::error::store_error;
use crate::limits::GAUGE_ROWS_MAX;
use crate::micros::{from_time, to_time};
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// The gauges of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Deliveries that are due now and not in flight; no more than [`GAUGE_ROWS_MAX`] are counted.
    pub due: u64,
    /// When the oldest of them fell due.
    pub oldest_due_at: Option<Timestamp>,
    /// Deliveries that some process holds a lease of, counted likewise.
    pub in_flight: u64,
    /// Deliveries that wait for their webhook to be resumed, counted likewise.
    pub held: u64,
    /// Webhooks that are not deleted, by status, those with none left out; counted likewise.
    pub webhooks: Vec<(WebhookStatus, u64)>,
}

/// The connections of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGauge {
    /// What it is for: `road` and `others`, or `all` where they are few; `writer` and `reader` on SQLite.
    pub pool: &'static str,
    /// Connections that are open.
    pub open: u32,
    /// Of those, the ones that nobody uses.
    pub idle: u32,
}

impl SqlStore {
    /// Measures the queue and the webhooks.
    ///
    /// # Errors
    /// [`StoreError`], as every read.
    pub async fn gauges(&self, now: Timestamp) -> Result<Gauges, StoreError> {
        let now_us = from_time(now);
        let due = "SELECT 1 FROM due WHERE due_at_us <= $1 AND leased_until_us IS NULL";
        let oldest = "SELECT MIN(due_at_us) FROM due WHERE due_at_us <= $1 AND leased_until_us IS NULL";
        let oldest: Option<i64> = self.number(oldest, vec![now_us.into()]).await?;
        Ok(Gauges {
            due: self.count(due, vec![now_us.into()]).await?,
            oldest_due_at: oldest.map(to_time).transpose()?,
            in_flight: self.count("SELECT 1 FROM due WHERE leased_until_us IS NOT NULL", Vec::new()).await?,
            held: self.count("SELECT 1 FROM due WHERE due_at_us IS NULL", Vec::new()).await?,
            webhooks: self.webhooks_by_status().await?,
        })
    }

    /// The pools as they stand, without asking the database.
    pub fn pools(&self) -> Vec<PoolGauge> {
        match self.backend() {
            DbBackend::Postgres => match &self.road {
                Some(road) => vec![pool_gauge("road", road), pool_gauge("others", &self.writer)],
                None => vec![pool_gauge("all", &self.writer)],
            },
            _ => vec![pool_gauge("writer", &self.writer), pool_gauge("reader", &self.reader)],
        }
    }

    /// `sqlite` or `postgres`.
    pub fn database_kind(&self) -> &'static str {
        match self.backend() {
            DbBackend::Postgres => "postgres",
            _ => "sqlite",
        }
    }

    async fn webhooks_by_status(&self) -> Result<Vec<(WebhookStatus, u64)>, StoreError> {
        let sql = format!(
            "SELECT status, COUNT(*) AS counted FROM (SELECT status FROM webhook WHERE deleted_at_us IS NULL \
             LIMIT {GAUGE_ROWS_MAX}) AS bounded GROUP BY status"
        );
        let statement = Statement::from_string(self.backend(), sql);
        let rows = self.reader.query_all_raw(statement).await.map_err(store_error)?;
        let mut by_status = Vec::with_capacity(rows.len());
        for row in rows {
            let name: String = row.try_get("", "status").map_err(store_error)?;
            let counted: i64 = row.try_get("", "counted").map_err(store_error)?;
            // A status of a newer version is not this one's to name.
            by_status.extend(WebhookStatus::from_name(&name).map(|status| (status, counted.unsigned_abs())));
        }
        Ok(by_status)
    }

    async fn count(&self, rows_sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM ({rows_sql} LIMIT {GAUGE_ROWS_MAX}) AS bounded");
        Ok(self.number(&sql, values).await?.unwrap_or(0).unsigned_abs())
    }

    async fn number(&self, sql: &str, values: Vec<Value>) -> Result<Option<i64>, StoreError> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let row = self.reader.query_one_raw(statement).await.map_err(store_error)?;
        row.map_or(Ok(None), |row| row.try_get_by_index(0).map_err(store_error))
    }
}

fn pool_gauge(pool: &'static str, connection: &Pool) -> PoolGauge {
    let connection = connection.inner();
    let (open, idle) = match connection.get_database_backend() {
        DbBackend::Postgres => {
            let pool = connection.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        }
        _ => {
            let pool = connection.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        }
    };
    PoolGauge { pool, open, idle: u32::try_from(idle).unwrap_or(u32::MAX) }
}
