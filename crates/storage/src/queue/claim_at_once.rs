//! A claim at once: due deliveries whose webhook sends are picked, leased and read with their events, by PostgreSQL in
//! one statement, by SQLite in two. The other due deliveries are left to `claim`, which holds or cancels them.

use super::hand_out::{Leases, Reached, hand_out};
use super::heads::{Asked, PICKED_NEXT, Retries, Told, beside_one_of, candidates_values, picked_sql};
use super::parts::Parts;
use crate::batch::query_with;
use crate::commit::feed::FeedLog;
use crate::connections::DatabaseTransaction;
use crate::entities::delivery::{DUE_COLUMNS, Model, PAYLOAD_DEFAULT, PAYLOAD_NONE};
use crate::entities::event;
use crate::micros::from_time;
use crate::standing::Standing;
use crate::store::SqlStore;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ports::{ClaimRequest, Left, StoreError};
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, DbErr, FromQueryResult, QueryResult, TryGetError};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The result of a claim at once.
pub struct AtOnce {
    pub claimed: Vec<ClaimedDelivery>,
    /// How many deliveries were picked and not leased, because their webhook must be looked at first.
    pub unsure_count: usize,
    /// What the claim left for want of room.
    pub left: Left,
    /// Whether the claim passed over a webhook because too many of its first deliveries stand behind others.
    pub is_crowded: bool,
    /// Whether the claim wrote anything.
    has_written: bool,
}

/// A leased delivery, with how its webhook and its tenant stood, and its event.
struct Leased {
    row: Model,
    webhook_version: i64,
    tenant_version: i64,
    was_orphaned: bool,
    /// The event, if no delivery read before is of the same one.
    event: Option<event::Model>,
}

/// The ids of the events that were read: an event of many deliveries is read with the first of them.
#[derive(Default)]
struct EventsRead(HashSet<Uuid>);

impl EventsRead {
    fn read(&mut self, row: &QueryResult) -> Result<Option<event::Model>, DbErr> {
        let id: Option<Uuid> = row.try_get("event_", "id")?;
        if id.is_none_or(|id| !self.0.insert(id)) {
            return Ok(None);
        }
        event::Model::from_query_result_optional(row, "event_")
    }
}

/// A row that [`claim_sql`] answers with.
struct Answer {
    told: Told,
    /// How many rows the statement locked; the same in every answer.
    locked_count: i64,
    /// None in the only answer of a statement that leased nothing.
    leased: Option<Leased>,
}

impl Answer {
    fn read(row: &QueryResult, events: &mut EventsRead) -> Result<Self, DbErr> {
        let told = Told::from_query_result(row, "")?;
        let locked_count = row.try_get("", "locked_count")?;
        let leased = match model_if_any(row)? {
            Some(leased) => Some(Leased {
                row: leased,
                webhook_version: row.try_get("", "webhook_version")?,
                tenant_version: row.try_get("", "tenant_version")?,
                was_orphaned: row.try_get("", "was_orphaned")?,
                event: events.read(row)?,
            }),
            None => None,
        };
        Ok(Self { told, locked_count, leased })
    }
}

/// The delivery of a row, if the outer join found one. A delivery that cannot be read is an error.
fn model_if_any(row: &QueryResult) -> Result<Option<Model>, DbErr> {
    match Model::from_query_result_nullable(row, "") {
        Ok(model) => Ok(Some(model)),
        Err(TryGetError::Null(_)) => Ok(None),
        Err(TryGetError::DbErr(error)) => Err(error),
    }
}

/// A row that [`look_sql`] answers with.
struct Looked {
    told: Told,
    /// Whether the row has a candidate.
    is_picked: bool,
    /// The candidate, if its webhook sends.
    sendable: Option<Leased>,
}

impl Looked {
    fn read(row: &QueryResult, events: &mut EventsRead) -> Result<Self, DbErr> {
        let delivery = model_if_any(row)?;
        let is_picked = delivery.is_some();
        let versions: (Option<i64>, Option<i64>) =
            (row.try_get("", "webhook_version")?, row.try_get("", "tenant_version")?);
        let sendable = match (delivery, versions) {
            (Some(delivery), (Some(webhook_version), Some(tenant_version))) => Some(Leased {
                was_orphaned: delivery.leased_until_us.is_some(),
                row: delivery,
                webhook_version,
                tenant_version,
                // The event is read here only, because nobody needs it of a delivery that is not sent.
                event: events.read(row)?,
            }),
            _ => None,
        };
        Ok(Self { told: Told::from_query_result(row, "")?, is_picked, sendable })
    }
}

/// The statement with which SQLite picks deliveries, with the versions of their webhooks and tenants where the webhook
/// sends, and with their events. The parameters are [`candidates_values`].
pub fn look_sql(retries: Retries) -> String {
    format!(
        "{picked}
SELECT {told}, {due}, webhook.version AS webhook_version, tenant.version AS tenant_version, {EVENT_COLUMNS}
FROM (SELECT 1) AS one LEFT JOIN picked ON TRUE LEFT JOIN due ON due.id = picked.id
LEFT JOIN webhook ON webhook.id = due.webhook_id AND webhook.deleted_at_us IS NULL AND NOT due.cancel_requested
    AND (webhook.status = '{active}' OR due.is_test)
LEFT JOIN tenant ON tenant.id = webhook.tenant_id
LEFT JOIN event ON event.tenant_id = due.tenant_id AND event.id = due.event_id",
        picked = picked_sql(DbBackend::Sqlite, retries),
        told = beside_one_of(DbBackend::Sqlite, retries, "picked", "picked"),
        due = qualified("due"),
        active = WebhookStatus::Active.as_str(),
    )
}

fn qualified(alias: &str) -> String {
    DUE_COLUMNS.split(", ").map(|column| format!("{alias}.{}", column.trim())).collect::<Vec<_>>().join(", ")
}

/// The statement with which PostgreSQL claims. The parameters are [`claim_values`]. Its parts, in order:
///
/// - `picked`: the ids of deliveries that the claim may take, fairly over webhooks.
/// - `locked`: the picked rows that are still free, and not locked by another transaction.
/// - `standing`: the webhooks of the picked rows that are not deleted, with the versions that a claim needs.
/// - `leased`: the locked rows whose webhook sends, as the lease leaves them.
///
/// Ids are passed as an array, so that the planner expects few of them and looks each up. A `coalesce` keeps the
/// planner off the indexes on times and on webhooks, whatever it believes of a queue that was empty a moment ago.
/// `standing` is materialized, because the planner would otherwise look for all rows once per webhook. An ORDER BY
/// would make the planner scan all picked rows per answer, so [`in_turns`] sorts.
pub fn claim_sql(retries: Retries) -> String {
    let is_default = format!("due.payload_kind = '{PAYLOAD_NONE}' AND standing.has_no_query");
    format!(
        "{picked}, locked AS MATERIALIZED (
    SELECT due.id, due.leased_until_us IS NOT NULL AS was_orphaned FROM due
    WHERE due.id = ANY (ARRAY(SELECT id FROM picked)) AND coalesce(due.due_at_us, {never}) <= {now_us}
    AND (due.leased_until_us IS NULL OR due.leased_until_us <= {now_us}) FOR NO KEY UPDATE SKIP LOCKED
), standing AS MATERIALIZED (
    SELECT webhook.id, webhook.version AS webhook_version, tenant.version AS tenant_version,
        webhook.graphql_query IS NULL AS has_no_query, webhook.status = '{active}' AS is_active
    FROM webhook JOIN tenant ON tenant.id = webhook.tenant_id
    WHERE webhook.id = ANY (ARRAY(SELECT DISTINCT webhook_id FROM picked)) AND webhook.deleted_at_us IS NULL
), leased AS (
    UPDATE due SET state = 'IN_FLIGHT', state_reason = NULL, leased_until_us = ${leased_until}, updated_at_us = $1,
        fencing_token = due.fencing_token + 1,
        payload_kind = CASE WHEN {is_default} THEN '{PAYLOAD_DEFAULT}' ELSE due.payload_kind END,
        default_frozen_at_us = CASE WHEN {is_default} THEN $1 ELSE due.default_frozen_at_us END
    FROM standing
    WHERE due.id = ANY (ARRAY(SELECT id FROM locked)) AND standing.id = coalesce(due.webhook_id, '{nil}')
        AND NOT due.cancel_requested AND (standing.is_active OR due.is_test)
    RETURNING {due}, standing.webhook_version, standing.tenant_version
)
SELECT {told}, counted.locked_count, {leased}, leased.webhook_version, leased.tenant_version,
    coalesce(leased.id = ANY (counted.orphans), FALSE) AS was_orphaned, {event}
FROM (SELECT count(*) AS locked_count, array_agg(id) FILTER (WHERE was_orphaned) AS orphans FROM locked) AS counted
LEFT JOIN leased ON TRUE
LEFT JOIN event ON event.tenant_id = leased.tenant_id AND event.id = leased.event_id",
        picked = picked_sql(DbBackend::Postgres, retries),
        now_us = Asked::NowUs.sql(DbBackend::Postgres),
        told = beside_one_of(DbBackend::Postgres, retries, "leased", "locked"),
        leased_until = PICKED_NEXT,
        never = i64::MAX,
        nil = Uuid::nil(),
        active = WebhookStatus::Active.as_str(),
        due = qualified("due"),
        leased = qualified("leased"),
        event = EVENT_COLUMNS,
    )
}

const EVENT_COLUMNS: &str = "event.tenant_id AS event_tenant_id, event.id AS event_id, event.concern AS event_concern, \
     event.event AS event_event, event.variables AS event_variables, event.changed_fields AS event_changed_fields, \
     event.record_label AS event_record_label, event.is_test AS event_is_test, \
     event.recorded_at_us AS event_recorded_at_us";

/// The parameters of [`claim_sql`]: those of [`picked_sql`], and the end of the leases.
pub fn claim_values(request: &ClaimRequest) -> Vec<Value> {
    let mut values = candidates_values(DbBackend::Postgres, request);
    values.push(from_time(request.leased_until).into());
    values
}

pub(super) async fn claim_at_once(store: &SqlStore, request: &ClaimRequest) -> Result<AtOnce, StoreError> {
    let transaction = store.begin_claiming().await?;
    let mut feed = FeedLog::at(request.now);
    let at_once = claim_within(store, &transaction, request, &mut feed).await?;
    if at_once.has_written {
        feed.commit(transaction, &*store.observer).await?;
    }
    Ok(at_once)
}

/// Claims at once inside a transaction that holds the lock of claims. The claim waits for no row, so the transaction
/// may have locked any.
pub async fn claim_within(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    feed: &mut FeedLog,
) -> Result<AtOnce, StoreError> {
    let (retries, mut events) = (Retries::of(request), EventsRead::default());
    let (told, reached_count, leased) = if store.backend() == DbBackend::Postgres {
        let read = |row: &_| Answer::read(row, &mut events);
        let answers = query_with(transaction, &claim_sql(retries), claim_values(request), read).await?;
        let locked_count = answers.first().map_or(0, |answer| usize::try_from(answer.locked_count).unwrap_or(0));
        let (told, leased): (Vec<_>, Vec<_>) = answers.into_iter().map(|answer| (answer.told, answer.leased)).unzip();
        (Told::of(told), locked_count, leased.into_iter().flatten().collect::<Vec<_>>())
    } else {
        let values = candidates_values(DbBackend::Sqlite, request);
        let looked = query_with(transaction, &look_sql(retries), values, |row| Looked::read(row, &mut events)).await?;
        let picked_count = looked.iter().filter(|one| one.is_picked).count();
        let (told, sendable): (Vec<_>, Vec<_>) = looked.into_iter().map(|one| (one.told, one.sendable)).unzip();
        (Told::of(told), picked_count, sendable.into_iter().flatten().collect())
    };
    let leased_count = leased.len();
    let has_written = leased_count > 0;
    let claimed =
        if has_written { claimed(store, transaction, request, in_turns(leased), feed).await? } else { Vec::new() };
    let left = told.left(leased_count > claimed.len())?;
    let is_crowded = !told.crowded()?.is_empty();
    let unsure_count = reached_count.saturating_sub(leased_count);
    Ok(AtOnce { claimed, unsure_count, left, is_crowded, has_written })
}

/// Sorts leased deliveries into the order in which they are sent: the first of every webhook, then the second of every
/// webhook, and so on; within a turn, the one that was due first goes first.
fn in_turns(mut leased: Vec<Leased>) -> Vec<Leased> {
    let due = |one: &Leased| (one.row.due_at_us, one.row.id);
    leased.sort_unstable_by_key(due);
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    let place = |one: &Leased| {
        let next = places.entry(one.row.webhook_id).or_default();
        *next += 1;
        *next
    };
    let places: Vec<usize> = leased.iter().map(place).collect();
    let mut placed: Vec<(usize, Leased)> = places.into_iter().zip(leased).collect();
    // The sort is stable, so deliveries of one turn stay in the order of their times.
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, one)| one).collect()
}

async fn claimed(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    leased: Vec<Leased>,
    feed: &mut FeedLog,
) -> Result<Vec<ClaimedDelivery>, StoreError> {
    let (mut rows, mut events) = (Vec::with_capacity(leased.len()), HashMap::with_capacity(leased.len()));
    let mut standings: HashMap<Uuid, Standing> = HashMap::new();
    let mut orphaned = HashSet::new();
    for Leased { row, webhook_version, tenant_version, was_orphaned, event } in leased {
        if was_orphaned {
            orphaned.insert(row.id);
        }
        standings.entry(row.webhook_id).or_insert(Standing {
            tenant_id: row.tenant_id,
            version: webhook_version,
            tenant_version,
            // The webhook of a test may have stopped, and may keep order; nothing below asks for either.
            status: WebhookStatus::Active,
            ordering: Ordering::None,
            is_deleted: false,
            is_of_deleted_tenant: false,
        });
        if let Some(event) = event {
            events.insert(event.id, event);
        }
        rows.push(row);
    }
    let webhooks = store.opened.webhooks(transaction, &standings, &*store.vault).await?;
    let parts = Parts::of(store, transaction, &rows, &standings, webhooks, events.into_values()).await?;
    // The statement of PostgreSQL leased what it picked; SQLite only looked.
    let leases = if store.backend() == DbBackend::Postgres { Leases::Written } else { Leases::Missing };
    let reached = Reached { rows, orphaned, asides: Vec::new(), leases };
    hand_out(store, transaction, request, &parts, reached, feed).await
}
