//! Claim: which due deliveries are leased next, fairly over webhooks.

use super::aside::{Aside, Unread, set_aside};
use super::claim_at_once::{AtOnce, claim_at_once};
use super::heads::{Retries, Told};
use super::lines::{MovedUp, make_way, move_up};
use super::parts::Parts;
use super::{apply_next, candidates_sql, candidates_values, due_again, under};
use crate::batch::{self, Cell, IDS, Kind, Table, execute_ahead, query};
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
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Candidate {
    id: Uuid,
    webhook_id: Uuid,
}

#[derive(FromQueryResult)]
struct Looked {
    #[sea_orm(nested)]
    told: Told,
    #[sea_orm(nested)]
    picked: Option<Candidate>,
}

/// What may be claimed, what else could be if there were room, and the webhooks that are crowded.
struct Candidates {
    picked: Vec<Candidate>,
    left: Left,
    crowded: Vec<WebhookId>,
}

/// One claim is decided at a time, over all processes (SQLite has one writer; PostgreSQL an advisory lock): two that
/// decide at once would each fill a webhook's slots. `SKIP LOCKED` keeps a claim from waiting for a row that a settle or a
/// cancel holds.
pub(super) async fn claim(store: &SqlStore, request: &ClaimRequest) -> Result<Claims, StoreError> {
    let expects_due = store.expects_due.swap(false, Ordering::Relaxed);
    // A look without a lock: an idle worker costs the writers nothing. After a full claim there is more, and what this process
    // just recorded is due.
    if store.is_crowded.swap(false, Ordering::Relaxed) || !expects_due {
        let one = ClaimRequest { limit: 1, ..request.clone() };
        let Candidates { picked, mut left, crowded } = candidates(store.road_reader(), &one).await?;
        match make_way(store, &crowded, request.now).await {
            Ok(made_way) => left.has_more |= made_way,
            Err(error) if picked.is_empty() => return Err(error),
            // What can be claimed goes; the next look meets the rest again.
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
        // The next one looks, whatever is recorded until then, and makes way: what is leased does not wait for it.
        store.is_crowded.store(true, Ordering::Relaxed);
        claims.left.has_more = true;
    } else if is_full || claims.left.has_more {
        store.expects_due.store(true, Ordering::Relaxed);
    }
    Ok(claims)
}

/// First what can simply be sent, then what wants a look; and whether a webhook is crowded.
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
        // What is leased already goes; the next claim meets the rest again.
        Err(error) => tracing::warn!(%error, "what is due for webhooks that stopped was not held or cancelled"),
    }
    Ok((claims, is_crowded))
}

/// What may still be claimed after that was.
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

/// Claims with a look at how each webhook stands: what shall not be sent is held or cancelled. What is due of a deleted tenant goes,
/// and nobody is told, as `commit::stopping` does it.
async fn claim_one_by_one(store: &SqlStore, request: &ClaimRequest) -> Result<Claims, StoreError> {
    let transaction = store.begin_claiming().await?;
    let mut candidates = candidates(&transaction, request).await?.picked;
    let standings = standings(&transaction, &mut candidates).await?;
    if candidates.is_empty() {
        return Ok(Claims::default());
    }
    let webhooks = store.opened.webhooks(&transaction, &standings, &*store.vault).await?;
    let rows = locked_rows(&transaction, request, &candidates).await?;

    let mut feed = FeedLog::at(request.now);
    let (mut sendable, mut ended, mut held, mut orphans) = (Vec::with_capacity(rows.len()), vec![], vec![], vec![]);
    let mut asides = Vec::new();
    for mut row in rows {
        let Some(standing) = standings.get(&row.webhook_id).filter(|standing| !standing.is_of_deleted_tenant) else {
            // The rest is met by the next claim.
            if orphans.len() < REMOVED_WITH_BODIES_MAX as usize {
                orphans.push(row);
            }
            continue;
        };
        let Some(webhook) = webhooks.get(&row.webhook_id) else {
            asides.push(Aside::new(&row, Unread::Webhook));
            continue;
        };
        if row.cancel_requested || !(standing.sends() || row.is_test && !standing.is_deleted) {
            let Ok(due_again) = due_again(&row, request.now) else {
                asides.push(Aside::new(&row, Unread::Delivery));
                continue;
            };
            let next = under(&row, due_again, webhook);
            if !matches!(next.state, DeliveryState::Pending | DeliveryState::Retrying) {
                let list = if apply_next(&mut row, next, request.now) { &mut ended } else { &mut held };
                feed.delivery(&row)?;
                list.push(row);
                continue;
            }
        }
        sendable.push(row);
    }
    let mut made_way = !(ended.is_empty() && held.is_empty() && orphans.is_empty());
    end(&transaction, &ended).await?;
    update_due(&transaction, &held).await?;
    if !orphans.is_empty() {
        remove_payloads(&transaction, orphans.iter().map(|row| row.id)).await?;
        remove_due(&transaction, orphans.iter().map(|row| row.id)).await?;
        move_up(&transaction, orphans.iter().filter_map(Model::line), MovedUp::AsBefore).await?;
    }
    let parts = Parts::load(store, &transaction, &sendable, &standings, webhooks).await?;
    sendable.retain(|row| {
        let unread = parts.unread(row);
        asides.extend(unread.map(|unread| Aside::new(row, unread)));
        unread.is_none()
    });
    parts.freeze_defaults(&mut sendable, request.now);
    let orphaned: HashSet<Uuid> =
        sendable.iter().filter(|row| row.leased_until_us.is_some()).map(|row| row.id).collect();
    lease(&transaction, request, &mut sendable).await?;
    let mut claimed = Vec::with_capacity(sendable.len());
    for row in sendable {
        let was_orphaned = orphaned.contains(&row.id);
        claimed.extend(parts.claimed_or_aside(store, row, request, was_orphaned, &mut asides));
    }
    claimed.iter().for_each(|claim: &ClaimedDelivery| feed.claimed(claim));
    made_way |= !asides.is_empty();
    set_aside(&transaction, asides, request.now, &mut feed).await?;
    feed.commit(transaction, &*store.observer).await?;
    Ok(Claims { deliveries: claimed, left: Left { has_more: made_way, ..Left::default() } })
}

async fn candidates<C: ConnectionTrait>(connection: &C, request: &ClaimRequest) -> Result<Candidates, StoreError> {
    let backend = connection.get_database_backend();
    let sql = candidates_sql(backend, Retries::of(request));
    let looked: Vec<Looked> = query(connection, &sql, candidates_values(backend, request)).await?;
    let (told, picked): (Vec<_>, Vec<_>) = looked.into_iter().map(|one| (one.told, one.picked)).unzip();
    let told = Told::of(told);
    Ok(Candidates { picked: picked.into_iter().flatten().collect(), left: told.left(false)?, crowded: told.crowded()? })
}

/// How the webhooks stand. Where one does not send, its deliveries may come to be held, so it is locked: a resume misses
/// none of them. One that another transaction has locked leaves the candidates, and waits for the next claim: all claims would wait
/// with this one. (A row whose webhook is missing was recorded while its tenant was being deleted.)
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

/// The candidates that are still free, in their order.
async fn locked_rows(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    candidates: &[Candidate],
) -> Result<Vec<Model>, StoreError> {
    let backend = transaction.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " FOR NO KEY UPDATE SKIP LOCKED" } else { "" };
    // Coalesced, because a planner that believes the queue to be empty would go through the index of times for each id.
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

/// What a lease writes of each row.
const LEASES: Table = Table {
    name: "leases",
    columns: &[("id", Kind::Uuid), ("payload_kind", Kind::Text), ("default_frozen_at_us", Kind::IntOrNull)],
};

/// The rows are locked.
pub(super) async fn lease(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    rows: &mut [Model],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let backend = transaction.get_database_backend();
    let (now_us, leased_until_us) = (from_time(request.now), from_time(request.leased_until));
    let sql = format!(
        "UPDATE due SET state = 'IN_FLIGHT', state_reason = NULL, leased_until_us = $1, \
         fencing_token = fencing_token + 1, updated_at_us = $2, payload_kind = given.payload_kind, \
         default_frozen_at_us = given.default_frozen_at_us FROM {} AS given WHERE due.id = given.id",
        LEASES.source(backend, 3)
    );
    let mut values = vec![leased_until_us.into(), now_us.into()];
    let leases = rows.iter().map(|row| {
        vec![Cell::Uuid(row.id), Cell::Text(row.payload_kind.clone()), Cell::IntOrNull(row.default_frozen_at_us)]
    });
    values.extend(LEASES.parameters(backend, leases.collect()));
    execute_ahead(transaction, &sql, values).await?;
    for row in rows {
        row.state = DeliveryState::InFlight.as_str().to_owned();
        row.state_reason = None;
        row.leased_until_us = Some(leased_until_us);
        row.fencing_token += 1;
        row.updated_at_us = now_us;
    }
    Ok(())
}
