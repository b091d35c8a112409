//! What waits for the flow loop, and how far behind webhooks are.

use super::rows as page_rows;
use crate::entities::{delivery, replay, webhook};
use crate::error::{corrupt, store_error};
use crate::micros::{from_time, to_optional_time};
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::ports::{Backlog, FlowReader, StoreError};
use hookgraph_domain::replay::{Replay, ReplayState};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Statement};
use uuid::Uuid;

/// The statement that counts what is owed to a webhook: $1 the webhook, $2 rows at most.
const BACKLOG_SQL: &str = "SELECT count(*), min(due_at_us) FROM (SELECT due_at_us FROM delivery \
    WHERE webhook_id = $1 AND state IN ('PENDING', 'RETRYING', 'IN_FLIGHT', 'HELD') AND NOT is_test LIMIT $2) AS owed";

/// How far an id's time may be ahead of the row's, in milliseconds: a clock may be set back between the two.
const ID_SLACK_MS: i64 = 3_600_000;

/// Below the ids (UUID v7) of all that was created from then on: the page begins there in the index.
fn floor(from: Timestamp) -> Uuid {
    let millis = u64::try_from(from.timestamp_millis() - ID_SLACK_MS).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

impl SqlStore {
    /// The live webhooks for which the time in that column has come, longest waiting first.
    async fn webhooks_waiting(
        &self,
        column: webhook::Column,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let found = webhook::Entity::find()
            .filter(column.lte(from_time(now)))
            .filter(webhook::Column::DeletedAtUs.is_null())
            .order_by_asc(column)
            .order_by_asc(webhook::Column::Id)
            .limit(page_rows(limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        self.opened(found)
    }

    async fn replays(&self, select: Select<replay::Entity>) -> Result<Vec<Replay>, StoreError> {
        let found = select.all(&self.reader).await.map_err(store_error)?;
        found.into_iter().map(rows::replay::from_row).collect()
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

    async fn held(&self, webhook_id: WebhookId, limit: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let ids: Vec<Uuid> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .filter(delivery::Column::WebhookId.eq(webhook_id.0))
            .filter(delivery::Column::State.eq(DeliveryState::Held.as_str()))
            .order_by_asc(delivery::Column::Id)
            .limit(page_rows(limit))
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        Ok(ids.into_iter().map(DeliveryId).collect())
    }

    async fn backlog(&self, webhook_id: WebhookId, count_max: u32) -> Result<Backlog, StoreError> {
        let values = [webhook_id.0.into(), i64::from(count_max).into()];
        let statement = Statement::from_sql_and_values(self.backend(), BACKLOG_SQL, values);
        let Some(row) = self.reader.query_one_raw(statement).await.map_err(store_error)? else {
            return Ok(Backlog::default());
        };
        let (count, due_at_us): (i64, Option<i64>) =
            (row.try_get_by(0).map_err(store_error)?, row.try_get_by(1).map_err(store_error)?);
        let count = u32::try_from(count).map_err(|error| corrupt("backlog", error))?;
        Ok(Backlog { count, oldest_due_at: to_optional_time(due_at_us)? })
    }

    async fn replays_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Replay>, StoreError> {
        let due = replay::Entity::find()
            .filter(replay::Column::State.eq(ReplayState::Running.as_str()))
            .filter(replay::Column::NextAtUs.lte(from_time(now)))
            .order_by_asc(replay::Column::NextAtUs)
            .order_by_asc(replay::Column::Id)
            .limit(page_rows(limit));
        self.replays(due).await
    }

    async fn deliveries_to_replay(&self, replay: &Replay, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let wanted = replay.wanted_states();
        let mut select = delivery::Entity::find()
            .filter(delivery::Column::TenantId.eq(replay.tenant_id.0))
            .filter(delivery::Column::WebhookId.eq(replay.webhook_id.0))
            .filter(delivery::Column::CreatedAtUs.gte(from_time(replay.from)))
            .filter(delivery::Column::CreatedAtUs.lt(from_time(replay.before)))
            .filter(delivery::Column::State.is_in(wanted.iter().map(|state| state.as_str())))
            .filter(delivery::Column::IsTest.eq(false))
            .filter(delivery::Column::ReplayId.is_null());
        let after = replay.position.map_or_else(|| floor(replay.from), |position| position.0);
        select = select.filter(delivery::Column::Id.gt(after));
        let found = select
            .order_by_asc(delivery::Column::Id)
            .limit(page_rows(limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::delivery::from_row).collect()
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
