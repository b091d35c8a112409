//! Claim: which due deliveries are leased next, fairly over webhooks.

use super::aside::{Aside, Unread};
use super::claim_at_once::{AtOnce, claim_at_once};
use super::hand_out::{Leases, Reached, hand_out};
use super::heads::{Retries, Told};
use super::lines::{MovedUp, make_way, move_up};
use super::parts::Parts;
use super::{apply_next, candidates_sql, candidates_values, due_again, under};
use crate::batch::{self, IDS, query};
use crate::commit::feed::FeedLog;
use crate::connections::DatabaseTransaction;
use crate::deliveries::{end, remove_due, remove_payloads, update_due};
use crate::entities::delivery::{DUE_COLUMNS, Model};
use crate::limits::REMOVED_WITH_BODIES_MAX;
use crate::micros::from_time;
use crate::standing::{Opened, Standing, WebhookLock};
use crate::store::SqlStore;
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::{ClaimRequest, Claims, Left, StoreError};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Candidate {
    id: Uuid,
    webhook_id: Uuid,
}

#[derive(FromQueryResult)]
struct CandidateAnswer {
    #[sea_orm(nested)]
    told: Told,
    #[sea_orm(nested)]
    picked: Option<Candidate>,
}

/// The answer of a look at the heads of the queue.
struct Candidates {
    /// The deliveries that may be claimed.
    picked: Vec<Candidate>,
    /// The webhooks whose further deliveries have no room.
    left: Left,
    /// The webhooks too many of whose first due deliveries stand behind others of their record.
    crowded: Vec<WebhookId>,
}

/// Claims due deliveries.
///
/// One claim is decided at a time over all processes, because two at once would each fill a webhook's slots: SQLite has
/// one writer, PostgreSQL an advisory lock. `SKIP LOCKED` keeps a claim from waiting for a row that a settle or a
/// cancel has locked.
pub(super) async fn claim(store: &SqlStore, request: &ClaimRequest) -> Result<Claims, StoreError> {
    let expects_due = store.expects_due.swap(false, Ordering::Relaxed);
    // A look takes no lock, so an idle worker costs the writers nothing. It is left out after a full claim, which
    // leaves more to claim, and after this process recorded something that is due.
    if store.is_crowded.swap(false, Ordering::Relaxed) || !expects_due {
        let one = ClaimRequest { limit: 1, ..request.clone() };
        let Candidates { picked, mut left, crowded } = candidates(store.road_reader(), &one).await?;
        match make_way(store, &crowded, request.now).await {
            Ok(made_way) => left.has_more |= made_way,
            Err(error) if picked.is_empty() => return Err(error),
            // The picked deliveries are claimed all the same; the next look meets the crowded webhooks again.
            Err(error) => tracing::warn!(%error, "what is due behind others of its record stays in the way of claims"),
        }
        if picked.is_empty() {
            return Ok(Claims { deliveries: Vec::new(), left });
        }
    }
    let (mut claims, is_crowded) = claim_all(store, request).await?;
    store.observer.orphans_found(claims.orphan_count());
    let is_full = request.limit > 0 && claims.deliveries.len() >= request.limit as usize;
    if is_crowded {
        // The next claim begins with a look, whatever is recorded until then, and makes way there: the deliveries
        // leased here do not wait for that.
        store.is_crowded.store(true, Ordering::Relaxed);
        claims.left.has_more = true;
    } else if is_full || claims.left.has_more {
        store.expects_due.store(true, Ordering::Relaxed);
    }
    Ok(claims)
}

/// Claims first the deliveries whose webhook sends, then the others one by one. Returns also whether a webhook is
/// crowded.
async fn claim_all(store: &SqlStore, request: &ClaimRequest) -> Result<(Claims, bool), StoreError> {
    let AtOnce { claimed, unsure_count, left, is_crowded, .. } = claim_at_once(store, request).await?;
    let mut claims = Claims { deliveries: claimed, left };
    let rest = what_is_left_of(request, &claims.deliveries);
    if unsure_count == 0 || rest.limit == 0 {
        return Ok((claims, is_crowded));
    }
    match claim_one_by_one(store, &rest).await {
        Ok(more) => {
            claims.left.has_more |= more.left.has_more;
            claims.deliveries.extend(more.deliveries);
        }
        Err(error) if claims.deliveries.is_empty() => return Err(error),
        // The deliveries leased already are sent all the same; the next claim meets the others again.
        Err(error) => tracing::warn!(%error, "what is due for webhooks that stopped was not held or cancelled"),
    }
    Ok((claims, is_crowded))
}

/// The request that is left after `claimed` was claimed of it.
fn what_is_left_of(request: &ClaimRequest, claimed: &[ClaimedDelivery]) -> ClaimRequest {
    let less = |limit: u32, count: usize| limit.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    let mut limits: BTreeMap<WebhookId, u32> = request.limits.iter().copied().collect();
    for claim in claimed {
        let limit = limits.entry(claim.delivery.webhook_id).or_insert(request.limit_per_webhook);
        *limit = less(*limit, 1);
    }
    let retry_count = claimed.iter().filter(|claim| claim.delivery.attempts_spent > 0).count();
    ClaimRequest {
        limit: less(request.limit, claimed.len()),
        limits: limits.into_iter().collect(),
        retries_max: less(request.retries_max, retry_count),
        ..request.clone()
    }
}

/// Claims deliveries with a look at how each webhook stands. A delivery that must not be sent is held or cancelled. A
/// delivery of a deleted tenant is removed without a feed entry, as in `commit::stopping`.
async fn claim_one_by_one(store: &SqlStore, request: &ClaimRequest) -> Result<Claims, StoreError> {
    let transaction = store.begin_claiming().await?;
    let mut candidates = candidates(&transaction, request).await?.picked;
    let standings = standings(&transaction, &mut candidates).await?;
    if candidates.is_empty() {
        return Ok(Claims::default());
    }
    let webhooks = store.opened.webhooks(&transaction, &standings, &*store.vault).await?;
    let rows = locked_rows(&transaction, request, &candidates).await?;
    let reached_count = rows.len();
    let mut sorted = Sorted::of(rows, &standings, &webhooks, request.now);
    let mut feed = FeedLog::at(request.now);
    sorted.write(&transaction, &mut feed).await?;
    let Sorted { sendable, asides, .. } = sorted;
    let parts = Parts::load(store, &transaction, &sendable, &standings, webhooks).await?;
    let orphaned = sendable.iter().filter(|row| row.leased_until_us.is_some()).map(|row| row.id).collect();
    let reached = Reached { rows: sendable, orphaned, asides, leases: Leases::Missing };
    let claimed = hand_out(store, &transaction, request, &parts, reached, &mut feed).await?;
    feed.commit(transaction, &*store.observer).await?;
    let has_more = claimed.len() < reached_count;
    Ok(Claims { deliveries: claimed, left: Left { has_more, ..Left::default() } })
}

/// The rows that a claim locked, by what becomes of each.
#[derive(Default)]
struct Sorted {
    /// Rows that are sent.
    sendable: Vec<Model>,
    /// Rows that ended or are held with their webhook, as they now are.
    stopped: Vec<Model>,
    /// Rows of deleted tenants, which are removed. A claim removes [`REMOVED_WITH_BODIES_MAX`] at most.
    tenantless: Vec<Model>,
    /// Rows that are set aside because they, or their webhooks, cannot be read.
    asides: Vec<Aside>,
}

impl Sorted {
    fn of(
        rows: Vec<Model>,
        standings: &HashMap<Uuid, Standing>,
        webhooks: &HashMap<Uuid, Arc<Webhook>>,
        now: Timestamp,
    ) -> Self {
        let mut sorted = Self::default();
        for mut row in rows {
            let living = standings.get(&row.webhook_id).filter(|standing| !standing.is_of_deleted_tenant);
            let Some(standing) = living else {
                // The next claim meets the rest.
                if sorted.tenantless.len() < REMOVED_WITH_BODIES_MAX as usize {
                    sorted.tenantless.push(row);
                }
                continue;
            };
            let Some(webhook) = webhooks.get(&row.webhook_id) else {
                sorted.asides.push(Aside::new(&row, Unread::Webhook));
                continue;
            };
            if row.cancel_requested || !(standing.sends() || row.is_test && !standing.is_deleted) {
                let Ok(due_again) = due_again(&row, now) else {
                    sorted.asides.push(Aside::new(&row, Unread::Delivery));
                    continue;
                };
                let next = under(&row, due_again, webhook);
                if !matches!(next.state, DeliveryState::Pending | DeliveryState::Retrying) {
                    apply_next(&mut row, next, now);
                    sorted.stopped.push(row);
                    continue;
                }
            }
            sorted.sendable.push(row);
        }
        sorted
    }

    /// Writes the rows that are not sent, except those to set aside.
    async fn write(&mut self, transaction: &DatabaseTransaction, feed: &mut FeedLog) -> Result<(), StoreError> {
        for row in &self.stopped {
            feed.delivery(row)?;
        }
        let stopped = std::mem::take(&mut self.stopped);
        let (held, ended): (Vec<Model>, Vec<Model>) =
            stopped.into_iter().partition(|row| row.state == DeliveryState::Held.as_str());
        end(transaction, &ended).await?;
        update_due(transaction, &held).await?;
        if !self.tenantless.is_empty() {
            remove_payloads(transaction, self.tenantless.iter().map(|row| row.id)).await?;
            remove_due(transaction, self.tenantless.iter().map(|row| row.id)).await?;
            move_up(transaction, self.tenantless.iter().filter_map(Model::line), MovedUp::AsBefore).await?;
        }
        Ok(())
    }
}

async fn candidates<C: ConnectionTrait>(connection: &C, request: &ClaimRequest) -> Result<Candidates, StoreError> {
    let backend = connection.get_database_backend();
    let sql = candidates_sql(backend, Retries::of(request));
    let looked: Vec<CandidateAnswer> = query(connection, &sql, candidates_values(backend, request)).await?;
    let (told, picked): (Vec<_>, Vec<_>) = looked.into_iter().map(|one| (one.told, one.picked)).unzip();
    let told = Told::of(told);
    Ok(Candidates { picked: picked.into_iter().flatten().collect(), left: told.left(false)?, crowded: told.crowded()? })
}

/// Reads how the candidates' webhooks stand. A webhook that does not send is locked, because its deliveries may be held
/// here and a resume must miss none of them. The candidates of a webhook that another transaction has locked are left
/// to the next claim: waiting for the lock would stop all claims. (A candidate whose webhook is missing was recorded
/// while its tenant was being deleted.)
async fn standings(
    transaction: &DatabaseTransaction,
    candidates: &mut Vec<Candidate>,
) -> Result<HashMap<Uuid, Standing>, StoreError> {
    let ids = candidates.iter().map(|candidate| candidate.webhook_id);
    let mut standings = Opened::standings(transaction, ids, WebhookLock::None).await?;
    let stopped: Vec<Uuid> = standings.iter().filter(|(_, standing)| !standing.sends()).map(|(id, _)| *id).collect();
    let locked = Opened::standings(transaction, stopped.iter().copied(), WebhookLock::ShareIfFree).await?;
    candidates.retain(|one| locked.contains_key(&one.webhook_id) || !stopped.contains(&one.webhook_id));
    standings.extend(locked);
    Ok(standings)
}

/// Locks the candidates that are still free, and returns their rows in the same order.
async fn locked_rows(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    candidates: &[Candidate],
) -> Result<Vec<Model>, StoreError> {
    let backend = transaction.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " FOR NO KEY UPDATE SKIP LOCKED" } else { "" };
    // `coalesce` keeps the planner off the index on times, which it would read once per id if it believes the queue to
    // be empty.
    let sql = format!(
        "SELECT {DUE_COLUMNS} FROM due WHERE id IN (SELECT id FROM {} AS given) AND coalesce(due_at_us, {never}) <= $1 \
         AND (leased_until_us IS NULL OR leased_until_us <= $1) ORDER BY id{lock}",
        IDS.source(backend, 2),
        never = i64::MAX,
    );
    let mut values = vec![from_time(request.now).into()];
    values.extend(batch::ids(backend, candidates.iter().map(|candidate| candidate.id)));
    let rows: Vec<Model> = query(transaction, &sql, values).await?;
    let mut by_id: HashMap<Uuid, Model> = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(candidates.iter().filter_map(|candidate| by_id.remove(&candidate.id)).collect())
}
