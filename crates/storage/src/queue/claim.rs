//! Claim: which due deliveries are leased next, fairly over webhooks.

use super::parts::Parts;
use super::{apply_next, due_again, locked_webhooks, may_be_sent, under, write_row};
use crate::commit::feed::FeedLog;
use crate::entities::delivery;
use crate::error::store_error;
use crate::limits::PAGE_ROWS_MAX;
use crate::micros::from_time;
use crate::store::{CLAIM_LOCK, SqlStore};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ports::{ClaimRequest, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement,
};
use std::collections::HashMap;
use uuid::Uuid;

/// One claim is decided at a time, over all processes (SQLite has one writer; PostgreSQL an advisory lock): two that
/// decide at once would each fill a webhook's slots. `SKIP LOCKED` keeps a claim from waiting for a row that a settle or a
/// cancel holds.
pub(super) async fn claim(store: &SqlStore, request: &ClaimRequest) -> Result<Vec<ClaimedDelivery>, StoreError> {
    if !anything_due(store, request).await? {
        return Ok(Vec::new());
    }
    let transaction = store.begin().await?;
    if store.backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({CLAIM_LOCK})");
        transaction.execute_unprepared(&lock).await.map_err(store_error)?;
    }
    let candidates = candidates(&transaction, request).await?;
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let webhook_ids = candidates.iter().map(|(_, webhook_id)| *webhook_id);
    let webhooks = locked_webhooks(store, &transaction, webhook_ids, LockType::Share).await?;
    let rows = locked_rows(&transaction, request, &candidates).await?;

    let mut feed = FeedLog::at(request.now);
    let mut sendable = Vec::with_capacity(rows.len());
    for mut row in rows {
        let Some(webhook) = webhooks.get(&row.webhook_id) else { continue };
        if row.cancel_requested || !may_be_sent(&row, webhook) {
            let next = under(&row, due_again(&row, request.now)?, webhook);
            if !matches!(next.state, DeliveryState::Pending | DeliveryState::Retrying) {
                apply_next(&mut row, next, request.now);
                feed.delivery(&row);
                write_row(&transaction, row).await?;
                continue;
            }
        }
        sendable.push(row);
    }
    let parts = Parts::load(store, &transaction, &sendable, webhooks).await?;
    sendable.retain(|row| parts.are_whole(row));
    let mut leased = lease(&transaction, request, &sendable).await?;
    let claimed = sendable
        .iter()
        .filter_map(|row| leased.remove(&row.id))
        .map(|row| {
            feed.delivery(&row);
            parts.claimed(row, request.leased_until)
        })
        .collect::<Result<Vec<_>, _>>()?;
    feed.append(&transaction).await?;
    transaction.commit().await.map_err(store_error)?;
    Ok(claimed)
}

/// A look without a lock: an idle worker costs the writers nothing.
async fn anything_due(store: &SqlStore, request: &ClaimRequest) -> Result<bool, StoreError> {
    let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM delivery WHERE state IN ('PENDING', 'RETRYING') AND due_at_us <= $1) \
               OR EXISTS (SELECT 1 FROM delivery WHERE state = 'IN_FLIGHT' AND leased_until_us <= $1)";
    let statement = Statement::from_sql_and_values(store.backend(), sql, [from_time(request.now).into()]);
    Ok(store.reader.query_one_raw(statement).await.map_err(store_error)?.is_some())
}

/// The statement that picks candidates: $1 now, $2 in flight per webhook at most, $3 rows at most.
///
/// It hops over the index of due work from webhook to webhook and looks at no more rows of each than it may have in flight,
/// so that a long backlog of one costs the others nothing. The databases differ in how a query with a limit is run once
/// per webhook.
pub fn candidates_sql(backend: DbBackend) -> String {
    const HEAD_OF_WEBHOOK: &str = "FROM delivery AS head WHERE head.state IN ('PENDING', 'RETRYING') \
         AND head.webhook_id = due_webhook.webhook_id AND head.due_at_us <= $1 \
         ORDER BY head.due_at_us, head.id LIMIT $2";
    let heads = if backend == DbBackend::Postgres {
        format!(
            "SELECT head.id, due_webhook.webhook_id, head.due_at_us FROM due_webhook \
             CROSS JOIN LATERAL (SELECT head.id, head.due_at_us {HEAD_OF_WEBHOOK}) AS head"
        )
    } else {
        format!(
            "SELECT row.id, row.webhook_id, row.due_at_us FROM due_webhook \
             CROSS JOIN delivery AS row ON row.id IN (SELECT head.id {HEAD_OF_WEBHOOK})"
        )
    };
    format!(
        "WITH RECURSIVE due_webhook (webhook_id) AS (
    SELECT webhook_id FROM (SELECT webhook_id FROM delivery WHERE state IN ('PENDING', 'RETRYING')
        ORDER BY webhook_id LIMIT 1) AS lowest
    UNION ALL
    SELECT (SELECT next.webhook_id FROM delivery AS next WHERE next.state IN ('PENDING', 'RETRYING')
        AND next.webhook_id > due_webhook.webhook_id ORDER BY next.webhook_id LIMIT 1)
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
), taken (webhook_id, slot_count) AS (
    SELECT webhook_id, count(*) FROM delivery WHERE state = 'IN_FLIGHT' AND leased_until_us > $1 GROUP BY webhook_id
), candidate (id, webhook_id, due_at_us) AS (
    {heads}
    UNION ALL
    SELECT id, webhook_id, due_at_us FROM delivery WHERE state = 'IN_FLIGHT' AND leased_until_us <= $1
), ranked (id, webhook_id, due_at_us, place) AS (
    SELECT id, webhook_id, due_at_us, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at_us, id) FROM candidate
)
SELECT ranked.id, ranked.webhook_id FROM ranked LEFT JOIN taken ON taken.webhook_id = ranked.webhook_id
WHERE ranked.place + coalesce(taken.slot_count, 0) <= $2
ORDER BY ranked.place, ranked.due_at_us, ranked.id LIMIT $3"
    )
}

async fn candidates(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let backend = transaction.get_database_backend();
    let values = [
        from_time(request.now).into(),
        i64::from(request.in_flight_per_webhook_max).into(),
        i64::from(Ord::min(request.limit, PAGE_ROWS_MAX)).into(),
    ];
    let statement = Statement::from_sql_and_values(backend, candidates_sql(backend), values);
    let rows = transaction.query_all_raw(statement).await.map_err(store_error)?;
    rows.iter().map(|row| Ok((row.try_get_by(0)?, row.try_get_by(1)?))).collect::<Result<_, _>>().map_err(store_error)
}

/// The candidates that are still free, in their order.
async fn locked_rows(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    candidates: &[(Uuid, Uuid)],
) -> Result<Vec<delivery::Model>, StoreError> {
    let now_us = from_time(request.now);
    let due = delivery::Column::State
        .is_in([DeliveryState::Pending.as_str(), DeliveryState::Retrying.as_str()])
        .and(delivery::Column::DueAtUs.lte(now_us));
    let ended =
        delivery::Column::State.eq(DeliveryState::InFlight.as_str()).and(delivery::Column::LeasedUntilUs.lte(now_us));
    let rows = delivery::Entity::find()
        .filter(delivery::Column::Id.is_in(candidates.iter().map(|(id, _)| *id)))
        .filter(due.or(ended))
        .order_by_asc(delivery::Column::Id)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(transaction)
        .await
        .map_err(store_error)?;
    let mut by_id: HashMap<Uuid, delivery::Model> = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(candidates.iter().filter_map(|(id, _)| by_id.remove(id)).collect())
}

async fn lease(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    rows: &[delivery::Model],
) -> Result<HashMap<Uuid, delivery::Model>, StoreError> {
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let mut update = Query::update();
    update
        .table(delivery::Entity)
        .value(delivery::Column::State, DeliveryState::InFlight.as_str())
        .value(delivery::Column::StateReason, Option::<String>::None)
        .value(delivery::Column::LeasedUntilUs, from_time(request.leased_until))
        .value(delivery::Column::FencingToken, Expr::col(delivery::Column::FencingToken).add(1))
        .value(delivery::Column::UpdatedAtUs, from_time(request.now))
        .and_where(delivery::Column::Id.is_in(rows.iter().map(|row| row.id)))
        .returning_all();
    let updated = transaction.query_all(&update).await.map_err(store_error)?;
    updated
        .iter()
        .map(|row| delivery::Model::from_query_result(row, "").map(|row| (row.id, row)))
        .collect::<Result<_, _>>()
        .map_err(store_error)
}
