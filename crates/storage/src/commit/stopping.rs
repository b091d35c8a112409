//! Stopping: when a webhook stops, its due deliveries are held or cancelled. A transaction changes a bounded number of
//! rows, because a long backlog would take longer than a transaction may; if more are left, the webhook is noted as
//! stopping, and the flow loop goes on.
//!
//! The remaining deliveries are not sent meanwhile: a claim that meets one holds or cancels it. A webhook that sends
//! again before all are held sends the remaining ones at once; a webhook that was disabled can be enabled only once all
//! are cancelled. The due deliveries of a webhook whose tenant was deleted are removed in the same way, without a feed
//! entry.

use super::Work;
use super::deliveries::cancel;
use super::feed::FeedLog;
use crate::batch::{Id, execute, query};
use crate::connections::DatabaseTransaction;
use crate::deliveries::{keep_ended, remove_payloads};
use crate::entities::delivery::{DUE_COLUMNS, Model};
use crate::error::store_error;
use crate::limits::{REMOVED_WITH_BODIES_MAX, STOP_LOCK_MS_MAX};
use crate::locks::{STOP_LOCK, try_lock};
use crate::micros::from_time;
use crate::standing::{Opened, WebhookLock};
use hookgraph_domain::change::CommitError;
use hookgraph_domain::fan_out::{cancelled_reason, held_reason};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// What becomes of the due deliveries of a webhook that stops.
pub enum Stop<'a> {
    /// They are cancelled; deliveries in flight are cancelled as they settle.
    Cancel { reason: &'a str },
    /// They are held; deliveries in flight are held as they settle.
    Hold { reason: &'a str },
}

/// Whether rows are left after a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    More,
}

impl Rest {
    /// The rest after a batch of up to `most` rows: one that is not full is the last.
    fn after(rows: &[Model], most: usize) -> Self {
        if rows.len() < most { Self::Nothing } else { Self::More }
    }
}

/// The statements of a stop, with the index that each must use.
pub fn stop_statements(backend: DbBackend) -> [(String, Vec<Value>, &'static str); 4] {
    let (id, most) = (Value::from(Uuid::nil()), Value::from(i64::from(STOPPED_AT_ONCE_MAX)));
    [
        (flag_sql(backend), vec![id.clone(), 0_i64.into(), true.into()], "due_by_time"),
        (take_sql(backend), vec![id.clone(), true.into(), most.clone()], "due_by_webhook"),
        (discard_sql(backend), vec![id.clone()], "due_by_webhook"),
        (hold_sql(backend), vec![id, 0_i64.into(), "".into(), most], "due_by_time"),
    ]
}

/// The condition that `id` is among the ids that the query `rows` selects. PostgreSQL locks the rows in that query, so
/// that rows which another transaction takes meanwhile are not in the batch.
pub(super) fn among(backend: DbBackend, id: &str, rows: &str, lock: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("{id} = ANY (ARRAY({rows} {lock}))"),
        _ => format!("{id} IN ({rows})"),
    }
}

/// Asks for the end of deliveries in flight, which are at the head of the webhook's due rows: $1 the webhook, $2 the
/// time, $3 whether tests too. A row that is just being settled is passed over, so that the statement waits for no
/// lock.
fn flag_sql(backend: DbBackend) -> String {
    let head = format!(
        "SELECT head.id FROM due AS head WHERE head.webhook_id = $1 AND head.due_at_us IS NOT NULL \
         ORDER BY head.due_at_us, head.id LIMIT {STOPPED_AT_ONCE_MAX}"
    );
    let in_flight = format!(
        "SELECT leased.id FROM due AS leased WHERE {} AND leased.state = 'IN_FLIGHT' AND NOT leased.cancel_requested \
         AND (NOT leased.is_test OR $3)",
        among(backend, "leased.id", &head, "")
    );
    let in_flight = among(backend, "id", &in_flight, "ORDER BY leased.id FOR NO KEY UPDATE SKIP LOCKED");
    format!("UPDATE due SET cancel_requested = TRUE, updated_at_us = $2 WHERE {in_flight}")
}

/// Takes the oldest deliveries that are not in flight out of the queue: $1 the webhook, $2 whether tests too, $3 rows
/// at most. (With the number in its text, a connection would keep one prepared statement per number.)
fn take_sql(backend: DbBackend) -> String {
    let oldest = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 \
         AND first.state IN ('PENDING', 'RETRYING', 'HELD') AND (NOT first.is_test OR $2) \
         ORDER BY first.id LIMIT CAST($3 AS BIGINT)";
    format!("DELETE FROM due WHERE {} RETURNING {DUE_COLUMNS}", among(backend, "id", oldest, "FOR UPDATE"))
}

/// Removes the oldest deliveries from the queue, also those in flight: $1 the webhook. A row that another transaction
/// has locked is passed over, so that the statement waits for no lock.
fn discard_sql(backend: DbBackend) -> String {
    let oldest = format!(
        "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 \
         ORDER BY first.id LIMIT {REMOVED_WITH_BODIES_MAX}"
    );
    format!("DELETE FROM due WHERE {} RETURNING id", among(backend, "id", &oldest, "FOR UPDATE SKIP LOCKED"))
}

/// Holds the deliveries that are due first: $1 the webhook, $2 the time, $3 why, $4 rows at most. A test is sent
/// whatever its webhook's status is, and a probe because the webhook is suspended, so both are left.
fn hold_sql(backend: DbBackend) -> String {
    let first = "SELECT head.id FROM due AS head WHERE head.webhook_id = $1 AND head.due_at_us IS NOT NULL \
         AND head.state IN ('PENDING', 'RETRYING') AND NOT head.is_test \
         AND head.id IS DISTINCT FROM (SELECT probe_id FROM webhook WHERE webhook.id = $1) \
         ORDER BY head.due_at_us, head.id LIMIT CAST($4 AS BIGINT)";
    format!(
        "UPDATE due SET state = 'HELD', state_reason = $3, due_at_us = NULL, updated_at_us = $2 WHERE {} \
         RETURNING {DUE_COLUMNS}",
        among(backend, "id", first, "FOR NO KEY UPDATE")
    )
}

/// What becomes of tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    Too,
    /// They are sent although their webhook is disabled.
    Not,
}

#[derive(FromQueryResult)]
struct NoteCount {
    count: i64,
}

/// How many rows a transaction may still hold, cancel or put in order. If several webhooks stop in one transaction,
/// those for which nothing is left are only noted.
pub struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(STOPPED_AT_ONCE_MAX as usize)
    }
}

impl Budget {
    pub(super) fn rows_left(&self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    pub(super) fn spend(&mut self, rows: u64) {
        self.0 = self.0.saturating_sub(usize::try_from(rows).unwrap_or(usize::MAX));
    }
}

impl Stop<'_> {
    /// Stops a first batch. The caller has locked the webhook's row.
    ///
    /// A webhook whose deliveries are cancelled is always noted: only a later transaction sees a delivery that is being
    /// leased at this moment.
    pub async fn begin(
        self,
        transaction: &DatabaseTransaction,
        webhook_id: WebhookId,
        at: Timestamp,
        feed: &mut FeedLog,
        budget: &mut Budget,
    ) -> Result<(), StoreError> {
        let cancels = matches!(self, Self::Cancel { .. });
        let left = match budget.0 {
            0 => Rest::More,
            _ => self.batch(transaction, webhook_id, at, Tests::Too, feed, budget).await?,
        };
        if cancels || left == Rest::More {
            let note = "INSERT INTO stopping (webhook_id, since_us) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            execute(transaction, note, vec![webhook_id.0.into(), from_time(at).into()]).await?;
        }
        Ok(())
    }

    async fn batch(
        self,
        transaction: &DatabaseTransaction,
        webhook_id: WebhookId,
        at: Timestamp,
        tests: Tests,
        feed: &mut FeedLog,
        budget: &mut Budget,
    ) -> Result<Rest, StoreError> {
        let (backend, at_us, most) = (transaction.get_database_backend(), from_time(at), budget.0);
        let rows_max = Value::from(budget.rows_left());
        if backend == DbBackend::Postgres {
            // The rows are read in the order of an index, whatever the planner believes of this webhook; otherwise each
            // batch would read and sort them all.
            transaction.execute_unprepared(IN_ORDER).await.map_err(store_error)?;
        }
        let changed: Vec<Model> = match self {
            Self::Cancel { reason } => {
                let with_tests = Value::from(tests == Tests::Too);
                let values = vec![webhook_id.0.into(), with_tests.clone(), rows_max];
                let mut taken: Vec<Model> = query(transaction, &take_sql(backend), values).await?;
                // This statement sees the deliveries that were leased while the one before waited.
                execute(transaction, &flag_sql(backend), vec![webhook_id.0.into(), at_us.into(), with_tests]).await?;
                as_ever(transaction).await?;
                taken.iter_mut().for_each(|row| cancel(row, reason, at_us));
                keep_ended(transaction, &taken).await?;
                taken
            }
            Self::Hold { reason } => {
                let values = vec![webhook_id.0.into(), at_us.into(), reason.into(), rows_max];
                let held = query(transaction, &hold_sql(backend), values).await?;
                as_ever(transaction).await?;
                held
            }
        };
        for row in &changed {
            // A delivery that cannot be read must not keep its webhook from stopping.
            if let Err(error) = feed.delivery(row) {
                tracing::error!(delivery_id = %row.id, %error, "stopped with its webhook, and told to nobody");
            }
        }
        budget.spend(changed.len() as u64);
        Ok(Rest::after(&changed, most))
    }
}

/// The settings for the statements of a batch.
pub(super) const IN_ORDER: &str =
    "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off";
/// Resets [`IN_ORDER`] for the statements that follow in the transaction.
const AS_EVER: &str = "RESET enable_bitmapscan; RESET enable_sort; RESET enable_seqscan";

pub(super) async fn as_ever(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(AS_EVER).await.map_err(store_error)?;
    }
    Ok(())
}

fn is_held(webhook_id: WebhookId) -> CommitError {
    CommitError::Conflict(format!("webhook {webhook_id}"))
}

impl Work<'_> {
    /// Goes on with a webhook that is noted as stopping, or as lining, as it stands now. If another transaction has
    /// locked the webhook or its deliveries, that is a conflict, and the webhook has its turn again. A statement that
    /// takes too long by itself is an error, or nobody would learn that it never ends.
    pub(super) async fn stop_more(&mut self, webhook_id: WebhookId) -> Result<(), CommitError> {
        match self.stop_some(webhook_id).await {
            Ok(()) => {}
            Err(CommitError::Store(StoreError::Locked(_))) => return Err(is_held(webhook_id)),
            Err(error) => return Err(error),
        }
        if self.store.backend() == DbBackend::Postgres {
            // The feed's lock is waited for as long as in other transactions.
            self.transaction.execute_unprepared("RESET lock_timeout").await.map_err(store_error)?;
        }
        Ok(())
    }

    async fn stop_some(&mut self, webhook_id: WebhookId) -> Result<(), CommitError> {
        if self.store.backend() == DbBackend::Postgres {
            // One batch at a time over all processes: otherwise each process would wait here for the others, and other
            // users of the webhook for all of them.
            if !try_lock(self.transaction, STOP_LOCK).await? {
                return Err(is_held(webhook_id));
            }
            let waits = format!("SET LOCAL lock_timeout = {STOP_LOCK_MS_MAX}");
            self.transaction.execute_unprepared(&waits).await.map_err(store_error)?;
        }
        let standings = Opened::standings(self.transaction, [webhook_id.0], WebhookLock::Update).await?;
        // The webhook is gone, and its note with it.
        let Some(standing) = standings.get(&webhook_id.0) else { return Ok(()) };
        if standing.is_deleted && self.is_of_deleted_tenant(standing.tenant_id).await? {
            self.end_lines(webhook_id).await?;
            return Ok(self.discard_more(webhook_id).await?);
        }
        let held = held_reason(standing.status);
        let stop = match standing.status {
            _ if standing.is_deleted => Some((Stop::Cancel { reason: cancelled_reason(true) }, Tests::Too)),
            WebhookStatus::Disabled => Some((Stop::Cancel { reason: cancelled_reason(false) }, Tests::Not)),
            status if status.holds() => Some((Stop::Hold { reason: &held }, Tests::Not)),
            _ => None,
        };
        if let Some((stop, tests)) = stop {
            let (feed, budget) = (&mut self.feed, &mut self.stopped);
            if stop.batch(self.transaction, webhook_id, self.at, tests, feed, budget).await? == Rest::More {
                return Ok(self.goes_behind(webhook_id).await?);
            }
        }
        self.has_stopped(webhook_id).await?;
        if standing.is_deleted {
            return Ok(self.end_lines(webhook_id).await?);
        }
        Ok(self.line_more(webhook_id, standing.ordering).await?)
    }

    /// Whether the tenant is deleted. This is asked once the webhook is locked: the statement that waited for the lock
    /// saw the tenant as it was before.
    async fn is_of_deleted_tenant(&self, tenant_id: Uuid) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM tenant WHERE id = $1 AND deleted_at_us IS NOT NULL";
        let deleted: Vec<Id> = query(self.transaction, sql, vec![tenant_id.into()]).await?;
        Ok(!deleted.is_empty())
    }

    /// Removes a batch of the due deliveries of a webhook whose tenant was deleted, with their payloads. They leave no
    /// history, since everything of the tenant is removed. A worker that has one in flight finds its lease lost.
    async fn discard_more(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        let backend = self.transaction.get_database_backend();
        if backend == DbBackend::Postgres {
            self.transaction.execute_unprepared(IN_ORDER).await.map_err(store_error)?;
        }
        let removed: Vec<Id> = query(self.transaction, &discard_sql(backend), vec![webhook_id.0.into()]).await?;
        as_ever(self.transaction).await?;
        if !removed.is_empty() {
            remove_payloads(self.transaction, removed.into_iter().map(|row| row.id)).await?;
        }
        let left = "SELECT id FROM due WHERE webhook_id = $1 LIMIT 1";
        let left: Vec<Id> = query(self.transaction, left, vec![webhook_id.0.into()]).await?;
        if left.is_empty() { self.has_stopped(webhook_id).await } else { self.goes_behind(webhook_id).await }
    }

    /// Puts the webhook's notes behind the notes that have waited longer.
    async fn goes_behind(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        for note in ["stopping", "lining"] {
            let sql = format!("UPDATE {note} SET since_us = $2 WHERE webhook_id = $1");
            execute(self.transaction, &sql, vec![webhook_id.0.into(), from_time(self.at).into()]).await?;
        }
        Ok(())
    }

    async fn has_stopped(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        execute(self.transaction, "DELETE FROM stopping WHERE webhook_id = $1", vec![webhook_id.0.into()])
            .await
            .map(|_| ())
    }

    /// Cancels the remaining deliveries of a disabled webhook before it is enabled. The change is refused if they are
    /// more than one transaction cancels, because the others would be sent.
    pub(super) async fn require_cancelled(&mut self, webhook_id: WebhookId) -> Result<(), CommitError> {
        self.lock_webhook(webhook_id).await?;
        let sql = "SELECT count(*) AS count FROM stopping WHERE webhook_id = $1";
        let noted: Vec<NoteCount> = query(self.transaction, sql, vec![webhook_id.0.into()]).await?;
        if noted.iter().all(|noted| noted.count == 0) {
            return Ok(());
        }
        let stop = Stop::Cancel { reason: cancelled_reason(false) };
        let (feed, budget) = (&mut self.feed, &mut self.stopped);
        match stop.batch(self.transaction, webhook_id, self.at, Tests::Not, feed, budget).await? {
            Rest::Nothing => Ok(self.has_stopped(webhook_id).await?),
            Rest::More => Err(CommitError::Refused(
                "what was due for the webhook as it was switched off is still being cancelled: switch it on in a moment"
                    .to_owned(),
            )),
        }
    }
}
