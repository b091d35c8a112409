//! Settle: the attempt and the next state together, under the webhook as it stands in this transaction.

use super::freeze::locked_deliveries;
use super::{apply_next, due_again, is_under, locked_webhooks, under, write_row};
use crate::commit::deliveries::DueChange;
use crate::commit::feed::FeedLog;
use crate::entities::{attempt, delivery, webhook};
use crate::error::store_error;
use crate::rows;
use crate::statements::{insert_all, whole};
use crate::store::SqlStore;
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::{Failpoint, Fenced, StoreError};
use hookgraph_domain::settle::{self, Settlement};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::collections::HashMap;
use uuid::Uuid;

pub(super) async fn settle(store: &SqlStore, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
    let Some(last) = settlements.iter().map(|settlement| settlement.now).max() else { return Ok(Vec::new()) };
    let transaction = store.begin().await?;
    let webhook_ids = settlements.iter().map(|settlement| settlement.webhook_id.0);
    let mut webhooks = locked_webhooks(store, &transaction, webhook_ids, LockType::NoKeyUpdate).await?;
    let mut rows = locked_deliveries(&transaction, settlements.iter().map(|one| one.delivery_id.0)).await?;
    let mut feed = FeedLog::at(last);
    let mut attempts: Vec<attempt::ActiveModel> = Vec::new();
    let mut answers = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        let row = rows.get_mut(&settlement.delivery_id.0).filter(|row| is_under(row, settlement.fencing_token));
        let (Some(row), Some(webhook)) = (row, webhooks.get(&settlement.webhook_id.0)) else {
            answers.push(Fenced::LeaseLost);
            continue;
        };
        if let Some(attempt) = &settlement.attempt {
            attempts.push(whole(rows::attempt::to_row(attempt, WebhookId(row.webhook_id))?));
            row.attempt_count = row.attempt_count.max(i64::from(attempt.number));
        }
        let changed = changed_by(settlement, row, webhook);
        let next = under(row, settlement.next.clone(), changed.as_ref().unwrap_or(webhook));
        apply_next(row, next, settlement.now);
        feed.delivery(row);
        write_row(&transaction, row.clone()).await?;
        if let Some(changed) = changed {
            write_health(store, &transaction, webhook.status, &changed, settlement.now, &mut feed).await?;
            webhooks.insert(row.webhook_id, changed);
        }
        answers.push(Fenced::Done);
    }
    insert_all(&transaction, attempts).await?;
    feed.append(&transaction).await?;
    store.hit(Failpoint::InSettle);
    transaction.commit().await.map_err(store_error)?;
    Ok(answers)
}

/// The webhook as the attempt leaves it, if it changes it. A test changes nothing.
fn changed_by(settlement: &Settlement, row: &delivery::Model, webhook: &Webhook) -> Option<Webhook> {
    let signal = settlement.health.filter(|_| !row.is_test)?;
    settle::apply_health(webhook, signal, settlement.now)
}

/// What is due for a webhook that was just suspended or auto-disabled is held with it.
async fn write_health(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    before: WebhookStatus,
    changed: &Webhook,
    now: Timestamp,
    feed: &mut FeedLog,
) -> Result<(), StoreError> {
    let row: webhook::ActiveModel = whole(rows::webhook::to_row(changed, &*store.vault)?);
    webhook::Entity::update_many()
        .set(row)
        .filter(webhook::Column::Id.eq(changed.id.0))
        .exec(transaction)
        .await
        .map_err(store_error)?;
    if changed.status != before && changed.status.holds() {
        let reason = held_reason(changed.status);
        DueChange::Hold { reason: &reason }.apply(transaction, changed.id, now, feed).await?;
    }
    Ok(())
}

/// Gives leases back: what they were for is due at once, or goes the way of its webhook.
pub(super) async fn release(store: &SqlStore, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
    if claims.is_empty() {
        return Ok(());
    }
    let transaction = store.begin().await?;
    let ids = claims.iter().map(|(id, _)| id.0);
    let webhook_ids: Vec<Uuid> = delivery::Entity::find()
        .filter(delivery::Column::Id.is_in(ids.clone()))
        .all(&transaction)
        .await
        .map_err(store_error)?
        .into_iter()
        .map(|row| row.webhook_id)
        .collect();
    let webhooks = locked_webhooks(store, &transaction, webhook_ids, LockType::Share).await?;
    let mut rows: HashMap<Uuid, delivery::Model> = locked_deliveries(&transaction, ids).await?;
    let mut feed = FeedLog::at(now);
    for (id, fencing_token) in claims {
        let row = rows.get_mut(&id.0).filter(|row| is_under(row, *fencing_token));
        let Some(row) = row else { continue };
        let Some(webhook) = webhooks.get(&row.webhook_id) else { continue };
        let next = under(row, due_again(row, now)?, webhook);
        apply_next(row, next, now);
        feed.delivery(row);
        write_row(&transaction, row.clone()).await?;
    }
    feed.append(&transaction).await?;
    transaction.commit().await.map_err(store_error)
}
