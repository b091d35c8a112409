//! Settle: the attempt and the next state together, under the webhook as it stands in this transaction.

use super::settle_delivered::{has_arrived, settle_delivered, tried};
use super::{apply_next, due_again, is_under, under};
use crate::batch::{Collision, IDS, ids, query};
use crate::commit::feed::FeedLog;
use crate::commit::stopping::{Budget, Stop};
use crate::connections::DatabaseTransaction;
use crate::deliveries::{end, locked_due, update_due};
use crate::entities::{delivery, webhook};
use crate::error::store_error;
use crate::rows;
use crate::standing::{Opened, Standing, WebhookLock};
use crate::statements::whole;
use crate::store::SqlStore;
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::{Failpoint, Fenced, StoreError};
use hookgraph_domain::settle::{self, NextState, Settlement};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct OfWebhook {
    webhook_id: Uuid,
}

/// The locked rows of a settle or a release.
struct Rows {
    /// Rows that are not decided yet, by id.
    by_id: HashMap<Uuid, delivery::Model>,
    /// Rows whose delivery has ended.
    ended: Vec<delivery::Model>,
    /// Rows that stay in the queue.
    due: Vec<delivery::Model>,
}

impl Rows {
    async fn locked(transaction: &DatabaseTransaction, ids: impl Iterator<Item = Uuid>) -> Result<Self, StoreError> {
        let ids: BTreeSet<Uuid> = ids.collect();
        let rows = if ids.is_empty() { Vec::new() } else { locked_due(transaction, ids).await? };
        Ok(Self { by_id: rows.into_iter().map(|row| (row.id, row)).collect(), ended: Vec::new(), due: Vec::new() })
    }

    /// Takes the row that is under that claim. A second settlement of the same claim finds none.
    fn take(&mut self, id: DeliveryId, fencing_token: i64) -> Option<delivery::Model> {
        self.by_id.get(&id.0).filter(|row| is_under(row, fencing_token))?;
        self.by_id.remove(&id.0)
    }

    fn put(&mut self, row: delivery::Model, has_ended: bool) {
        if has_ended { self.ended.push(row) } else { self.due.push(row) }
    }

    async fn write(&self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        end(transaction, &self.ended).await?;
        update_due(transaction, &self.due).await
    }
}

pub(super) async fn settle(store: &SqlStore, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
    let Some(last) = settlements.iter().map(|settlement| settlement.now).max() else { return Ok(Vec::new()) };
    let tried = tried(settlements)?;
    let transaction = store.begin_on_road().await?;
    let AsTheyStand { standings, mut webhooks, locked } = webhooks(store, &transaction, settlements).await?;
    let at_once: Vec<bool> = ends_at_once(settlements, &standings, &locked);
    let mut feed = FeedLog::at(last);
    let mut attempts = Vec::new();
    let mut answers = Vec::with_capacity(settlements.len());
    let mut changed_webhooks: Vec<(WebhookStatus, Webhook, Timestamp)> = Vec::new();
    let mut arrived: Vec<&Settlement> =
        settlements.iter().zip(&at_once).filter_map(|(one, at_once)| at_once.then_some(one)).collect();
    // Rows are locked in the order of their ids, as changes of an ordering lock them.
    arrived.sort_unstable_by_key(|one| one.delivery_id.0);
    let ended = settle_delivered(&transaction, &arrived, tried, &mut feed).await?;
    let others = settlements.iter().zip(&at_once).filter(|(_, at_once)| !**at_once);
    let mut rows = Rows::locked(&transaction, others.map(|(one, _)| one.delivery_id.0)).await?;
    // A delivery whose end was asked for while this transaction waited for its row: the change that asked is committed
    // by now, and may be of its webhook, which is read again.
    let asked_to_end = rows.by_id.values().filter(|row| row.cancel_requested && !locked.contains_key(&row.webhook_id));
    let again = Opened::standings(&transaction, asked_to_end.map(|row| row.webhook_id), WebhookLock::None).await?;
    webhooks.extend(store.opened.webhooks(&transaction, &again, &*store.vault).await?);
    for (settlement, at_once) in settlements.iter().zip(&at_once) {
        if *at_once {
            let is_done = ended.contains(&settlement.delivery_id.0);
            answers.push(if is_done { Fenced::Done } else { Fenced::LeaseLost });
            continue;
        }
        let standing = standings.get(&settlement.webhook_id.0);
        let row = standing.and_then(|_| rows.take(settlement.delivery_id, settlement.fencing_token));
        let (Some(standing), Some(mut row)) = (standing, row) else {
            answers.push(Fenced::LeaseLost);
            continue;
        };
        if let Some(attempt) = &settlement.attempt {
            attempts.push(rows::attempt::cells(attempt, WebhookId(row.webhook_id))?);
            row.attempt_count = row.attempt_count.max(i64::from(attempt.number));
        }
        let (next, changed) = match webhooks.get(&row.webhook_id) {
            Some(webhook) => {
                // A webhook that is not locked was not to change; whatever it has become meanwhile, another transaction
                // wrote.
                let signal = settlement.health.filter(|_| !row.is_test && locked.contains_key(&row.webhook_id));
                let changed = signal.and_then(|signal| settle::apply_health(webhook, signal, settlement.now));
                let next = under(&row, settlement.next.clone(), changed.as_ref().unwrap_or(webhook));
                (next, changed.map(|changed| (webhook.status, changed)))
            }
            None => (under_unread(settlement.next.clone(), standing), None),
        };
        let has_ended = apply_next(&mut row, next, settlement.now);
        feed.delivery(&row)?;
        if let Some((before, changed)) = changed {
            changed_webhooks.push((before, changed.clone(), settlement.now));
            webhooks.insert(row.webhook_id, Arc::new(changed));
        }
        rows.put(row, has_ended);
        answers.push(Fenced::Done);
    }
    rows::attempt::ATTEMPTS.insert(&transaction, attempts, Collision::Fails).await?;
    rows.write(&transaction).await?;
    let mut budget = Budget::default();
    for (before, changed, now) in &changed_webhooks {
        write_health(store, &transaction, *before, changed, *now, &mut feed, &mut budget).await?;
    }
    store.hit(Failpoint::InSettle);
    feed.commit(transaction, &*store.observer).await?;
    changed_webhooks.iter().for_each(|(before, changed, _)| log_status(*before, changed));
    Ok(answers)
}

/// Reads the webhooks of the settlements. A webhook that sends, and that no settlement changes, is not locked: if it
/// stops meanwhile, the deliveries that become due for it here are held or cancelled when they are claimed. Every other
/// webhook is locked, before its deliveries are, and read again.
async fn webhooks(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    settlements: &[Settlement],
) -> Result<AsTheyStand, StoreError> {
    let ids = settlements.iter().map(|settlement| settlement.webhook_id.0);
    let mut standings = Opened::standings(transaction, ids, WebhookLock::None).await?;
    let mut webhooks = store.opened.webhooks(transaction, &standings, &*store.vault).await?;
    let stopped = |id: &Uuid| standings.get(id).is_some_and(|standing| !standing.sends());
    let changes = |one: &Settlement, webhook: &Webhook| {
        one.health.is_some_and(|signal| settle::apply_health(webhook, signal, one.now).is_some())
    };
    let to_lock: BTreeSet<Uuid> = settlements
        .iter()
        .filter(|one| {
            let id = one.webhook_id.0;
            stopped(&id) || webhooks.get(&id).is_some_and(|webhook| changes(one, webhook))
        })
        .map(|one| one.webhook_id.0)
        .collect();
    let locked = Opened::standings(transaction, to_lock, WebhookLock::Update).await?;
    // The state from before the lock is dropped even where the new one cannot be read: it must not be written again.
    webhooks.retain(|id, _| !locked.contains_key(id));
    webhooks.extend(store.opened.webhooks(transaction, &locked, &*store.vault).await?);
    standings.extend(locked.iter().map(|(id, standing)| (*id, *standing)));
    Ok(AsTheyStand { standings, webhooks, locked })
}

/// The webhooks of settlements, by id.
struct AsTheyStand {
    standings: HashMap<Uuid, Standing>,
    /// The webhooks that can be read.
    webhooks: HashMap<Uuid, Arc<Webhook>>,
    /// The webhooks that this transaction has locked.
    locked: HashMap<Uuid, Standing>,
}

/// A decision under a webhook that cannot be read: it stays as it was made, and the webhook's health is not changed, so
/// that a delivery that was sent is not sent again. If the webhook stopped, a claim that can read it holds or cancels
/// the delivery.
fn under_unread(next: NextState, standing: &Standing) -> NextState {
    // Nobody would make a delivery due again that is held for a webhook that sends.
    if standing.sends() { settle::under_sending_webhook(next) } else { next }
}

/// Whether each settlement needs no look at its row: the delivery arrived, and its webhook stays as it is. Only the
/// first settlement of a delivery is one; a second one finds the row gone.
fn ends_at_once(
    settlements: &[Settlement],
    standings: &HashMap<Uuid, Standing>,
    locked: &HashMap<Uuid, Standing>,
) -> Vec<bool> {
    let mut seen = HashSet::new();
    let ends = |one: &Settlement| {
        has_arrived(one) && standings.contains_key(&one.webhook_id.0) && !locked.contains_key(&one.webhook_id.0)
    };
    settlements.iter().map(|one| ends(one) && seen.insert(one.delivery_id)).collect()
}

/// Logs a line if deliveries changed the status of their webhook.
fn log_status(before: WebhookStatus, webhook: &Webhook) {
    let (webhook_id, status) = (webhook.id, webhook.status.as_str());
    let reason = webhook.status_reason.as_deref().unwrap_or_default();
    match webhook.status {
        status if status == before => {}
        WebhookStatus::Active => tracing::info!(%webhook_id, "the breaker of a webhook closed: a probe was delivered"),
        WebhookStatus::Suspended => tracing::warn!(%webhook_id, reason, "the breaker of a webhook opened"),
        _ => tracing::warn!(%webhook_id, status, reason, "a webhook was taken out of service"),
    }
}

/// Writes a webhook whose health changed. If it was just suspended or auto-disabled, its due deliveries are held.
async fn write_health(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    before: WebhookStatus,
    changed: &Webhook,
    now: Timestamp,
    feed: &mut FeedLog,
    budget: &mut Budget,
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
        Stop::Hold { reason: &reason }.begin(transaction, changed.id, now, feed, budget).await?;
    }
    Ok(())
}

/// Gives leases back: their deliveries are due at once, or are held or cancelled with their webhook.
pub(super) async fn release(store: &SqlStore, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
    if claims.is_empty() {
        return Ok(());
    }
    let backend = store.backend();
    let transaction = store.begin_on_road().await?;
    let sql = format!("SELECT webhook_id FROM due WHERE id IN (SELECT id FROM {} AS given)", IDS.source(backend, 1));
    let found: Vec<OfWebhook> = query(&transaction, &sql, ids(backend, claims.iter().map(|(id, _)| id.0))).await?;
    let standings = Opened::standings(&transaction, found.iter().map(|row| row.webhook_id), WebhookLock::Share).await?;
    let webhooks = store.opened.webhooks(&transaction, &standings, &*store.vault).await?;
    let mut rows = Rows::locked(&transaction, claims.iter().map(|(id, _)| id.0)).await?;
    let mut feed = FeedLog::at(now);
    for (id, fencing_token) in claims {
        let Some(mut row) = rows.take(*id, *fencing_token) else { continue };
        let Some(webhook) = webhooks.get(&row.webhook_id) else { continue };
        let next = under(&row, due_again(&row, now)?, webhook);
        let has_ended = apply_next(&mut row, next, now);
        feed.delivery(&row)?;
        rows.put(row, has_ended);
    }
    rows.write(&transaction).await?;
    feed.commit(transaction, &*store.observer).await
}
