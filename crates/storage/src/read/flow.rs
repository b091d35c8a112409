//! What waits for the flow loop, and how far behind webhooks are.

use super::{left, rows as page_rows};
use crate::batch::{self, IDS, execute, query};
use crate::entities::delivery::ENDED_COLUMNS;
use crate::entities::{delivery, replay, webhook};
use crate::error::store_error;
use crate::limits::{ID_AHEAD_MS_MAX, ID_BEHIND_MS_MAX, PAGE_REFILLS_MAX, PAGE_ROWS_MAX, PROBE_ROWS_LOOKED_AT_MAX};
use crate::micros::{from_time, to_optional_time};
use crate::queue::{BEHIND, IS_FIRST_IN_LINE};
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::limits::SET_ASIDE_MS;
use hookgraph_domain::ports::{Backlog, FlowReader, RowKind, StoreError};
use hookgraph_domain::replay::{Replay, ReplayState};
use hookgraph_domain::retention::lowest_id;
use hookgraph_domain::time::{Timestamp, minus_ms, plus_ms};
use hookgraph_domain::webhook::Webhook;
use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, IdenStatic, QueryFilter, QueryOrder, QuerySelect, Select,
};
use std::collections::HashSet;
use uuid::Uuid;

/// The statement for what is held, oldest first: $1 the webhook, $2 rows at most.
pub const HELD_SQL: &str = "SELECT id FROM due WHERE webhook_id = $1 AND state = 'HELD' ORDER BY id LIMIT $2";

/// The statement for those of them that are first in their line, or in none: the same parameters.
pub fn held_to_probe_sql() -> String {
    format!(
        "SELECT id FROM (SELECT id, webhook_id, order_key FROM due WHERE webhook_id = $1 AND state = 'HELD' \
         ORDER BY id LIMIT {PROBE_ROWS_LOOKED_AT_MAX}) AS seen WHERE {IS_FIRST_IN_LINE} \
         ORDER BY id LIMIT CAST($2 AS BIGINT)"
    )
}

/// The statement that counts what is owed to a webhook: $1 the webhook, $2 rows at most. What is out of the way in a
/// line has been due since before.
pub fn backlog_sql() -> String {
    format!(
        "SELECT count(*) AS count, \
         min(CASE WHEN state_reason = '{BEHIND}' THEN due_since_us ELSE due_at_us END) AS oldest_due_at_us \
         FROM (SELECT state_reason, due_since_us, due_at_us FROM due WHERE webhook_id = $1 AND NOT is_test \
         ORDER BY id LIMIT $2) AS owed"
    )
}

/// The statement for webhooks with more to hold, to cancel or to put in order, longest waiting first: $1 rows at most,
/// none of those that are given. Those of deleted tenants, which are noted as of their deletion and may be thousands,
/// come behind those that someone looks at. How each stands is looked up: a join could read all webhooks there are.
fn stopping_sql(backend: DbBackend) -> String {
    format!(
        "SELECT noted.webhook_id FROM (SELECT webhook_id, max(since_us) AS since_us FROM (\
         SELECT webhook_id, since_us FROM stopping UNION ALL SELECT webhook_id, since_us FROM lining\
         ) AS either GROUP BY webhook_id) AS noted WHERE noted.webhook_id NOT IN (SELECT id FROM {} AS given) \
         ORDER BY (SELECT tenant.deleted_at_us IS NOT NULL FROM webhook JOIN tenant ON tenant.id = webhook.tenant_id \
         WHERE webhook.id = noted.webhook_id), noted.since_us, noted.webhook_id LIMIT CAST($1 AS BIGINT)",
        IDS.source(backend, 2)
    )
}

#[derive(FromQueryResult)]
struct Stopping {
    webhook_id: Uuid,
}

#[derive(FromQueryResult)]
struct Held {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct Owed {
    count: i64,
    oldest_due_at_us: Option<i64>,
}

/// The statement for the next deliveries that a replay makes again. They have ended: they are in the history.
pub fn deliveries_to_replay(replay: &Replay, limit: u32) -> (String, Vec<Value>) {
    let wanted: Vec<String> = replay.wanted_states().iter().map(|state| format!("'{}'", state.as_str())).collect();
    let after = replay.position.map_or_else(|| id_floor(replay.from), |position| position.0);
    let sql = format!(
        "SELECT {ENDED_COLUMNS} FROM delivery WHERE tenant_id = $1 AND webhook_id = $2 AND id > $3 AND id < $4 \
         AND created_at_us >= $5 AND created_at_us < $6 AND NOT is_test AND replay_id IS NULL AND state IN ({}) \
         ORDER BY id LIMIT {}",
        wanted.join(", "),
        page_rows(limit)
    );
    let (from_us, before_us) = (from_time(replay.from), from_time(replay.before));
    let ids = [replay.tenant_id.0, replay.webhook_id.0, after, id_ceiling(replay.before)].map(Value::from);
    (sql, ids.into_iter().chain([from_us.into(), before_us.into()]).collect())
}

/// Below the ids (UUID v7) of all that was created from then on: a page begins or ends there in the index.
pub(super) fn id_floor(from: Timestamp) -> Uuid {
    lowest_id(minus_ms(from, ID_BEHIND_MS_MAX))
}

/// Above the ids of all that was created before then.
pub(super) fn id_ceiling(before: Timestamp) -> Uuid {
    // To the end of its millisecond.
    lowest_id(plus_ms(before, ID_AHEAD_MS_MAX + 1))
}

impl SqlStore {
    /// The live webhooks for which the time in that column has come, longest waiting first. What cannot be read is set
    /// aside, so that no number of them stands before the others.
    async fn webhooks_waiting(
        &self,
        column: webhook::Column,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        for _ in 0..PAGE_REFILLS_MAX {
            let found = self.webhook_rows_waiting(column, now, limit).await?;
            let ids: Vec<Uuid> = found.iter().map(|row| row.id).collect();
            let opened = self.opened(found);
            if opened.len() == ids.len() {
                return Ok(opened);
            }
            let read: HashSet<Uuid> = opened.iter().map(|webhook| webhook.id.0).collect();
            let unread = ids.into_iter().filter(|id| !read.contains(id)).collect();
            self.set_waiting_aside(("webhook", column.as_str()), unread, now).await?;
        }
        Ok(self.opened(self.webhook_rows_waiting(column, now, limit).await?))
    }

    async fn webhook_rows_waiting(
        &self,
        column: webhook::Column,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<webhook::Model>, StoreError> {
        webhook::Entity::find()
            .filter(column.lte(from_time(now)))
            .filter(webhook::Column::DeletedAtUs.is_null())
            .order_by_asc(column)
            .order_by_asc(webhook::Column::Id)
            .limit(page_rows(limit))
            .all(&self.reader)
            .await
            .map_err(store_error)
    }

    /// Looks at those again later. That their version stays is no harm: whoever replaces them has read them.
    async fn set_waiting_aside(
        &self,
        (table, column): (&str, &str),
        unread: Vec<Uuid>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let backend = self.backend();
        let source = IDS.source(backend, 3);
        let sql = format!(
            "UPDATE {table} SET {column} = $1 WHERE {column} <= $2 AND id IN (SELECT id FROM {source} AS given)"
        );
        let mut values = vec![from_time(plus_ms(now, SET_ASIDE_MS)).into(), from_time(now).into()];
        values.extend(batch::ids(backend, unread));
        execute(&self.writer, &sql, values).await.map(|_| ())
    }

    async fn replays(&self, select: Select<replay::Entity>) -> Result<Vec<Replay>, StoreError> {
        let found = select.all(&self.reader).await.map_err(store_error)?;
        Ok(found.into_iter().filter_map(|row| self.read_replay(row)).collect())
    }

    fn read_replay(&self, row: replay::Model) -> Option<Replay> {
        let id = row.id;
        self.unreadable.passed_over(RowKind::Replay, id, rows::replay::from_row(row))
    }
}

#[async_trait]
impl FlowReader for SqlStore {
    async fn webhooks_to_probe(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.webhooks_waiting(webhook::Column::ProbeAtUs, now, limit).await
    }

    async fn webhooks_to_drain(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.webhooks_waiting(webhook::Column::DrainAtUs, now, limit).await
    }

    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError> {
        let backend = self.backend();
        let mut values = vec![i64::from(limit).into()];
        values.extend(batch::ids(backend, but_not.iter().map(|id| id.0)));
        let found: Vec<Stopping> = query(&self.reader, &stopping_sql(backend), values).await?;
        Ok(found.into_iter().map(|row| WebhookId(row.webhook_id)).collect())
    }

    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let values = vec![webhook_id.0.into(), i64::from(Ord::min(limit, PAGE_ROWS_MAX)).into()];
        let found: Vec<Held> = query(&self.reader, HELD_SQL, values).await?;
        Ok(found.into_iter().map(|row| DeliveryId(row.id)).collect())
    }

    async fn held_to_probe(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let values = vec![webhook_id.0.into(), i64::from(limit).into()];
        let found: Vec<Held> = query(&self.reader, &held_to_probe_sql(), values).await?;
        Ok(found.into_iter().map(|row| DeliveryId(row.id)).collect())
    }

    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        let values = vec![webhook_id.0.into(), i64::from(count_max).into()];
        let found: Vec<Owed> = query(&self.reader, &backlog_sql(), values).await?;
        let Some(owed) = found.into_iter().next() else { return Ok(Backlog::default()) };
        let count = rows::number("backlog", owed.count)?;
        Ok(Backlog { count, oldest_due_at: to_optional_time(owed.oldest_due_at_us)? })
    }

    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError> {
        let due = replay::Entity::find()
            .filter(replay::Column::State.eq(ReplayState::Running.as_str()))
            .filter(replay::Column::NextAtUs.lte(from_time(now)))
            .order_by_asc(replay::Column::NextAtUs)
            .order_by_asc(replay::Column::Id)
            .limit(page_rows(limit));
        let (mut replays, mut unread) = (Vec::new(), Vec::new());
        for row in due.all(&self.reader).await.map_err(store_error)? {
            let id = row.id;
            match self.read_replay(row) {
                Some(replay) => replays.push(replay),
                None => unread.push(id),
            }
        }
        if !unread.is_empty() {
            // Those behind them have their turn in the next round.
            self.set_waiting_aside(("replay", replay::Column::NextAtUs.as_str()), unread, now).await?;
        }
        Ok(replays)
    }

    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let (mut asked, mut rows, mut batch) = (replay.clone(), limit, Vec::new());
        // A batch that is not full ends a replay: what cannot be read must not make it so.
        for _ in 0..=PAGE_REFILLS_MAX {
            let (sql, values) = deliveries_to_replay(&asked, rows);
            let found: Vec<delivery::Model> = query(&self.reader, &sql, values).await?;
            let is_last = (found.len() as u64) < page_rows(rows);
            asked.position = found.last().map(|row| DeliveryId(row.id)).or(asked.position);
            batch.extend(found.into_iter().filter_map(|row| self.read_delivery(row)));
            rows = left(limit, batch.len());
            if is_last || rows == 0 {
                break;
            }
        }
        Ok(batch)
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read_history_from().await
    }

    async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let one = replay::Entity::find_by_id(id.0).filter(replay::Column::TenantId.eq(tenant_id.0));
        Ok(self.replays(one).await?.into_iter().next())
    }

    async fn replay_page(
        &self,
        tenant_id: TenantId,
        webhook_id: Option<WebhookId>,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        let mut page = replay::Entity::find().filter(replay::Column::TenantId.eq(tenant_id.0));
        if let Some(webhook_id) = webhook_id {
            page = page.filter(replay::Column::WebhookId.eq(webhook_id.0));
        }
        if let Some(before) = before {
            page = page.filter(replay::Column::Id.lt(before.0));
        }
        self.replays(page.order_by_desc(replay::Column::Id).limit(page_rows(limit))).await
    }

    async fn running_replays(&self, tenant_id: TenantId) -> Result<Vec<Replay>, StoreError> {
        let running = replay::Entity::find()
            .filter(replay::Column::TenantId.eq(tenant_id.0))
            .filter(replay::Column::State.eq(ReplayState::Running.as_str()))
            .order_by_asc(replay::Column::Id);
        self.replays(running).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_ids_hold_all_that_was_created_in_a_time() {
        let at: Timestamp = "2026-11-25T13:00:00.123456Z".parse().unwrap();
        assert_eq!(id_floor(at), lowest_id(minus_ms(at, 3_600_000)));
        let last_ahead = Uuid::from_u128(lowest_id(plus_ms(at, 24 * 3_600_000)).as_u128() | u128::from(u64::MAX));
        assert!(last_ahead < id_ceiling(at), "what is created in the millisecond itself may be before that moment");
    }

    #[test]
    fn a_time_that_no_id_can_name_bounds_nothing_that_is_there() {
        let (first, last) = (Timestamp::MIN_UTC, Timestamp::MAX_UTC);
        assert_eq!(id_floor(first), Uuid::nil());
        assert_eq!(id_ceiling(first), Uuid::nil());
        assert!(id_ceiling(last) > lowest_id("9999-12-31T23:59:59Z".parse().unwrap()));
    }
}
