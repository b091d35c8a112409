//! Lining: when a webhook's ordering changes, its deliveries join the lines of their records, or leave them. A
//! transaction moves a bounded number of rows, as in [`super::stopping`]; if more are left, the webhook is noted as
//! lining, and the flow loop goes on.
//!
//! Meanwhile nothing is claimed of a webhook that keeps order from now on, because a delivery that is in no line yet
//! may belong behind another. Of a webhook that keeps order no more everything may be claimed, whatever lines are left:
//! a claim goes by the webhook's ordering.

use super::Work;
use super::stopping::{IN_ORDER, among, as_ever};
use crate::batch::{Id, execute, query};
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

/// Takes the first deliveries that stand in lines out of them: $1 the webhook, $2 now, $3 rows at most. Deliveries in
/// flight stay as they are. A due delivery becomes due now, behind the deliveries in flight, which claims look for
/// among those due first.
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

/// The next row that [`dissolve_sql`] would change, if any: $1 the webhook.
const LINED: &str = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 AND first.order_key IS NOT NULL \
     AND first.leased_until_us IS NULL ORDER BY first.order_key, first.id LIMIT 1";

/// The last row of a full batch: $1 the webhook, $2 the last row of the batch before, $3 the rows of the batch before
/// its last.
const BATCH_END: &str = "SELECT first.id FROM due AS first WHERE first.webhook_id = $1 AND first.id > $2 \
     ORDER BY first.id LIMIT 1 OFFSET CAST($3 AS BIGINT)";

/// Puts the deliveries of a batch into their lines, also those in flight, for which the others wait: $1 the webhook, $2
/// the last row of the batch before, $3 the last row of the batch, $4 now. Deliveries that still stand in a line keep
/// their place. Those that were taken out of the way of claims are due again, because the deliveries before them may
/// have left the line, and then nobody moves them up.
fn form_sql() -> String {
    format!(
        "UPDATE due SET order_key = coalesce(order_key, (SELECT event.record_label FROM event \
         WHERE event.tenant_id = due.tenant_id AND event.id = due.event_id)), \
         due_at_us = CASE WHEN state_reason = '{BEHIND}' AND state IN ('PENDING', 'RETRYING') \
            THEN $4 ELSE due_at_us END, \
         state_reason = CASE WHEN state_reason = '{BEHIND}' THEN NULL ELSE state_reason END \
         WHERE webhook_id = $1 AND id > $2 AND id <= $3 AND NOT is_test AND replay_id IS NULL \
         AND (order_key IS NULL OR state_reason = '{BEHIND}')"
    )
}

/// The statements of a batch, with the index that each must use.
pub fn lining_statements(backend: DbBackend) -> [(String, Vec<Value>, &'static str); 4] {
    let (id, most) = (Value::from(Uuid::nil()), Value::from(i64::from(STOPPED_AT_ONCE_MAX)));
    [
        (dissolve_sql(backend), vec![id.clone(), 0_i64.into(), most.clone()], "due_by_line"),
        (LINED.to_owned(), vec![id.clone()], "due_by_line"),
        (BATCH_END.to_owned(), vec![id.clone(), id.clone(), most], "due_by_webhook"),
        (form_sql(), vec![id.clone(), id, Uuid::max().into(), 0_i64.into()], "due_by_webhook"),
    ]
}

#[derive(FromQueryResult)]
struct LiningNote {
    position_id: Uuid,
}

impl Work<'_> {
    /// Begins to form or dissolve the lines of a webhook whose ordering changed. The caller has locked the webhook. A
    /// delivery that is recorded at this very moment goes by the ordering before.
    pub(super) async fn begin_lines(&mut self, webhook_id: WebhookId, ordering: Ordering) -> Result<(), StoreError> {
        let left = self.line_some(webhook_id, ordering, Uuid::nil()).await?;
        self.note_lines(webhook_id, left).await
    }

    /// Goes on with the webhook's lines if it is noted as lining.
    pub(super) async fn line_more(&mut self, webhook_id: WebhookId, ordering: Ordering) -> Result<(), StoreError> {
        let sql = "SELECT position_id FROM lining WHERE webhook_id = $1";
        let noted: Vec<LiningNote> = query(self.transaction, sql, vec![webhook_id.0.into()]).await?;
        let Some(LiningNote { position_id }) = noted.into_iter().next() else { return Ok(()) };
        let left = self.line_some(webhook_id, ordering, position_id).await?;
        self.note_lines(webhook_id, left).await
    }

    /// Notes that the webhook's lines are done, or are needed no more.
    pub(super) async fn end_lines(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        execute(self.transaction, "DELETE FROM lining WHERE webhook_id = $1", vec![webhook_id.0.into()])
            .await
            .map(|_| ())
    }

    /// Handles a batch behind `position`. Returns the position behind which more rows follow, if any do.
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
            // The rows are read in the order of an index, whatever the planner believes of this webhook. So rows in
            // flight are locked in the order of their ids, as settlements lock them.
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
        let batch = vec![id, position, end.unwrap_or(Uuid::max()).into(), from_time(self.at).into()];
        let formed = execute(self.transaction, &form_sql(), batch).await?;
        self.stopped.spend(formed);
        Ok(end)
    }

    /// Notes the webhook as lining from `left` on, behind the webhooks that have waited longer.
    async fn note_lines(&self, webhook_id: WebhookId, left: Option<Uuid>) -> Result<(), StoreError> {
        let Some(position) = left else { return self.end_lines(webhook_id).await };
        let sql = "INSERT INTO lining (webhook_id, since_us, position_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (webhook_id) DO UPDATE \
                   SET since_us = excluded.since_us, position_id = excluded.position_id";
        let values = vec![webhook_id.0.into(), from_time(self.at).into(), position.into()];
        execute(self.transaction, sql, values).await.map(|_| ())
    }
}
