//! What is measured of the database when someone looks: how much is due, since when, and how webhooks stand. Every
//! count is bounded, so that looking costs the same on a backlog of a million.

use crate::batch::query;
use crate::connections::Pool;
use crate::error::store_error;
use crate::limits::{DUE_HEAD_ROWS, GAUGE_ROWS_MAX};
use crate::micros::{from_time, to_time};
use crate::queue::DUE_WEBHOOK;
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};

/// The gauges of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Deliveries that are due now and not in flight, but for what is out of the way in a long line; no more than
    /// [`GAUGE_ROWS_MAX`] are counted.
    pub due: u64,
    /// When the oldest of them fell due that waits for no other of its record and for no rate.
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
    /// Connections that may be open.
    pub max: u32,
}

#[derive(FromQueryResult)]
struct Heads {
    in_flight: i64,
    oldest_us: Option<i64>,
}

/// What is due, a webhook at a time by the index of due work: $1 now. What is due later and what is held costs nothing.
fn due_sql() -> String {
    format!(
        "{DUE_WEBHOOK}
SELECT COUNT(*) FROM (SELECT 1 FROM due_webhook CROSS JOIN due WHERE due.webhook_id = due_webhook.webhook_id \
 AND due.due_at_us <= $1 AND due.leased_until_us IS NULL LIMIT {GAUGE_ROWS_MAX}) AS bounded"
    )
}

/// What is in flight, and since when the oldest that is not is due, but for what waits on purpose: for another of its
/// record, or for the rate of its webhook. $1 now, $2 rows at the head of each webhook, where all that is in flight is.
fn heads_sql() -> String {
    let head = "FROM (SELECT head.id, head.order_key, head.due_at_us, head.leased_until_us FROM due AS head \
         WHERE head.webhook_id = due_webhook.webhook_id AND head.due_at_us IS NOT NULL \
         ORDER BY head.due_at_us, head.id LIMIT $2) AS few";
    format!(
        "{DUE_WEBHOOK}
SELECT CAST(coalesce(sum(of_webhook.in_flight), 0) AS BIGINT) AS in_flight,
    min(of_webhook.oldest_us) AS oldest_us FROM (
    SELECT (SELECT count(few.leased_until_us) {head}) AS in_flight,
        (SELECT few.due_at_us {head} WHERE few.leased_until_us IS NULL AND few.due_at_us <= $1
            AND (few.order_key IS NULL OR NOT EXISTS (SELECT 1 FROM due AS earlier
                WHERE earlier.webhook_id = due_webhook.webhook_id AND earlier.order_key = few.order_key
                AND earlier.id < few.id))
            AND NOT EXISTS (SELECT 1 FROM webhook AS of
                WHERE of.id = due_webhook.webhook_id AND of.rate_per_second IS NOT NULL)
            ORDER BY few.due_at_us LIMIT 1) AS oldest_us
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL) AS of_webhook"
    )
}

fn held_sql() -> String {
    format!("SELECT COUNT(*) FROM (SELECT 1 FROM due WHERE due_at_us IS NULL LIMIT {GAUGE_ROWS_MAX}) AS bounded")
}

/// Every statement on the queue with the index that it must use, for the test of plans.
pub fn gauge_statements() -> Vec<(String, Vec<Value>, &'static str)> {
    vec![
        (due_sql(), vec![0_i64.into()], "due_by_time"),
        (heads_sql(), vec![0_i64.into(), DUE_HEAD_ROWS.into()], "due_by_time"),
        (held_sql(), Vec::new(), "due_held"),
    ]
}

impl SqlStore {
    /// Measures the queue and the webhooks.
    ///
    /// # Errors
    /// [`StoreError`], as every read.
    pub async fn gauges(&self, now: Timestamp) -> Result<Gauges, StoreError> {
        let now_us = from_time(now);
        let heads: Vec<Heads> = query(&self.reader, &heads_sql(), vec![now_us.into(), DUE_HEAD_ROWS.into()]).await?;
        let (in_flight, oldest_us) = heads.first().map_or((0, None), |heads| (heads.in_flight, heads.oldest_us));
        Ok(Gauges {
            due: self.number(&due_sql(), vec![now_us.into()]).await?.unwrap_or(0).unsigned_abs(),
            oldest_due_at: oldest_us.map(to_time).transpose()?,
            in_flight: in_flight.unsigned_abs(),
            held: self.number(&held_sql(), Vec::new()).await?.unwrap_or(0).unsigned_abs(),
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

    async fn number(&self, sql: &str, values: Vec<Value>) -> Result<Option<i64>, StoreError> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let row = self.reader.query_one_raw(statement).await.map_err(store_error)?;
        row.map_or(Ok(None), |row| row.try_get_by_index(0).map_err(store_error))
    }
}

fn pool_gauge(pool: &'static str, connections: &Pool) -> PoolGauge {
    let opened = connections.inner();
    let (open, unused, max) = match connections.get_database_backend() {
        DbBackend::Postgres => {
            let pool = opened.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
        _ => {
            let pool = opened.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
    };
    let idle = unused + connections.idle_count();
    PoolGauge { pool, open, idle: u32::try_from(idle).unwrap_or(u32::MAX), max }
}
