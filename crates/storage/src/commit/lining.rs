//! Lining: what is owed to a webhook whose ordering changed joins the lines of its records, or leaves them, so many rows at once,
//! as what is due for one that stopped is held or cancelled ([`super::stopping`]). Where there is more the webhook is noted as
//! lining, and the flow loop goes on.
//!
//! Nothing is claimed meanwhile of one that keeps order from now on: what stands in no line yet may be behind another. Of one that
//! keeps none any more all may be claimed, whatever lines are left: a claim asks how the webhook stands.

use super::Work;
use super::stopping::{IN_ORDER, among, as_ever};
use crate::batch::{execute, query};
use crate::error::store_error;
use crate::micros::from_time;
use crate::queue::BEHIND;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// Takes the first of what stands in lines out of them: $1 the webhook, $2 now, $3 rows at most. What is in flight stays as it is.
/// What is due is so from now on: it comes behind what is in flight, which claims look for among what was due first.
fn dissolve_sql(backend: DbBackend) -> String {
    let lined = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 AND first.order_key IS NOT NULL \
         AND first.leased_until_us IS NULL ORDER BY first.order_key, first.id LIMIT CAST($3 AS BIGINT)";
    format!(
        "UPDATE due SET order_key = NULL, \
         due_at_us = CASE WHEN state IN ('PENDING', 'RETRYING') AND (state_reason = '{BEHIND}' OR due_at_us <= $2) \
            THEN $2 ELSE due_at_us END, \
         state_reason = CASE WHEN state_reason = '{BEHIND}' THEN NULL ELSE state_reason END WHERE {}",
        among(backend, "id", lined, "FOR NO KEY UPDATE")
    )
}

/// Whether anything of that is left: $1 the webhook.
const LINED: &str = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 AND first.order_key IS NOT NULL \
     AND first.leased_until_us IS NULL ORDER BY first.order_key, first.id LIMIT 1";

/// The last of a batch of what is owed, if there is more behind it: $1 the webhook, $2 the last of the batch before, $3 how many are
/// passed over.
const BATCH_END: &str = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 AND first.id > $2 ORDER BY first.id \
     LIMIT 1 OFFSET CAST($3 AS BIGINT)";

/// Puts all of a batch into their lines, what is in flight too, which is what the others wait for: $1 the webhook, $2 the last of
/// the batch before, $3 its own last.
const FORM: &str = "UPDATE due SET order_key = (SELECT event.record_label FROM event \
     WHERE event.tenant_id = due.tenant_id AND event.id = due.event_id) \
     WHERE webhook_id = $1 AND id > $2 AND id <= $3 AND order_key IS NULL AND NOT is_test AND replay_id IS NULL";

/// The statements of a batch, with the index that each must use.
pub fn lining_statements(backend: DbBackend) -> [(String, Vec<Value>, &'static str); 4] {
    let (id, most) = (Value::from(Uuid::nil()), Value::from(i64::from(STOPPED_AT_ONCE_MAX)));
    [
        (dissolve_sql(backend), vec![id.clone(), 0_i64.into(), most.clone()], "due_by_line"),
        (LINED.to_owned(), vec![id.clone()], "due_by_line"),
        (BATCH_END.to_owned(), vec![id.clone(), id.clone(), most], "due_by_webhook"),
        (FORM.to_owned(), vec![id.clone(), id, Uuid::max().into()], "due_by_webhook"),
    ]
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Noted {
    position_id: Uuid,
}

impl Work<'_> {
    /// Begins to put what is owed to a webhook in order, or in none, as its ordering is from now on. The webhook is locked by the
    /// caller. What is recorded at this very moment goes by the ordering before.
    pub(super) async fn begin_lines(&mut self, webhook_id: WebhookId, ordering: Ordering) -> Result<(), StoreError> {
        let left = self.line_some(webhook_id, ordering, Uuid::nil()).await?;
        self.note_lines(webhook_id, left).await
    }

    /// Goes on with that, if there is more to do.
    pub(super) async fn line_more(&mut self, webhook_id: WebhookId, ordering: Ordering) -> Result<(), StoreError> {
        let sql = "SELECT position_id FROM lining WHERE webhook_id = $1";
        let noted: Vec<Noted> = query(self.transaction, sql, vec![webhook_id.0.into()]).await?;
        let Some(Noted { position_id }) = noted.into_iter().next() else { return Ok(()) };
        let left = self.line_some(webhook_id, ordering, position_id).await?;
        self.note_lines(webhook_id, left).await
    }

    /// All that was to be put in order is, or need not be any more.
    pub(super) async fn end_lines(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        execute(self.transaction, "DELETE FROM lining WHERE webhook_id = $1", vec![webhook_id.0.into()])
            .await
            .map(|_| ())
    }

    /// A batch of what comes behind that position; the position behind which there is more, if there is.
    async fn line_some(
        &mut self,
        webhook_id: WebhookId,
        ordering: Ordering,
        position: Uuid,
    ) -> Result<Option<Uuid>, StoreError> {
        let rows_max = self.stopped.rows_left();
        if rows_max == 0 {
            return Ok(Some(position));
        }
        if self.store.backend() == DbBackend::Postgres {
            // By the order of an index, whatever its planner believes of this webhook. So what is in flight is locked in the order
            // of its ids too, as settlements lock it.
            self.transaction.execute_unprepared(IN_ORDER).await.map_err(store_error)?;
        }
        let left = match ordering {
            Ordering::None => self.dissolve_some(webhook_id, rows_max).await?,
            Ordering::ByRecord => self.form_some(webhook_id, position, rows_max).await?,
        };
        as_ever(self.transaction).await?;
        Ok(left)
    }

    async fn dissolve_some(&mut self, webhook_id: WebhookId, rows_max: i64) -> Result<Option<Uuid>, StoreError> {
        let id = Value::from(webhook_id.0);
        let values = vec![id.clone(), from_time(self.at).into(), rows_max.into()];
        let dissolved = execute(self.transaction, &dissolve_sql(self.store.backend()), values).await?;
        self.stopped.spend(dissolved);
        let left: Vec<Id> = query(self.transaction, LINED, vec![id]).await?;
        Ok((!left.is_empty()).then(Uuid::nil))
    }

    async fn form_some(
        &mut self,
        webhook_id: WebhookId,
        position: Uuid,
        rows_max: i64,
    ) -> Result<Option<Uuid>, StoreError> {
        let (id, position) = (Value::from(webhook_id.0), Value::from(position));
        let ends = vec![id.clone(), position.clone(), (rows_max - 1).into()];
        let end: Vec<Id> = query(self.transaction, BATCH_END, ends).await?;
        let end = end.into_iter().next().map(|row| row.id);
        let batch = vec![id, position, end.unwrap_or(Uuid::max()).into()];
        let formed = execute(self.transaction, FORM, batch).await?;
        self.stopped.spend(formed);
        Ok(end)
    }

    /// Whoever waited longer has its turn before the rest of this one.
    async fn note_lines(&self, webhook_id: WebhookId, left: Option<Uuid>) -> Result<(), StoreError> {
        let Some(position) = left else { return self.end_lines(webhook_id).await };
        let sql = "INSERT INTO lining (webhook_id, since_us, position_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (webhook_id) DO UPDATE SET since_us = excluded.since_us, position_id = excluded.position_id";
        let values = vec![webhook_id.0.into(), from_time(self.at).into(), position.into()];
        execute(self.transaction, sql, values).await.map(|_| ())
    }
}
