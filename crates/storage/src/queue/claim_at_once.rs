//! A claim at once: what is due for webhooks that send is picked, leased and read with its event, by PostgreSQL in one
//! statement, by SQLite in two. What else is due is left to `claim`, which holds and cancels.

use super::aside::{Aside, set_aside};
use super::claim::lease;
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

/// What a claim came to.
pub struct AtOnce {
    pub claimed: Vec<ClaimedDelivery>,
    /// How many were picked, but want a look at how their webhook stands.
    pub unsure_count: usize,
    /// What else it left.
    pub left: Left,
    /// Whether it took nothing of a webhook because too much of what is due stands behind others.
    pub is_crowded: bool,
    /// Whether it wrote anything.
    has_written: bool,
}

/// A leased delivery, with how its webhook and its tenant stood, and its event.
struct Leased {
    row: Model,
    webhook_version: i64,
    tenant_version: i64,
    was_orphaned: bool,
    /// With the first of its deliveries.
    event: Option<event::Model>,
}

/// The events that were read: what many deliveries are of is read with the first.
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

/// An answer of the statement: what is told once, how many rows were locked, and one that was leased, if any.
struct Answer {
    told: Told,
    locked_count: i64,
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

/// The delivery of a row, where an outer join found one: what cannot be read is an error.
fn model_if_any(row: &QueryResult) -> Result<Option<Model>, DbErr> {
    match Model::from_query_result_nullable(row, "") {
        Ok(model) => Ok(Some(model)),
        Err(TryGetError::Null(_)) => Ok(None),
        Err(TryGetError::DbErr(error)) => Err(error),
    }
}

/// What is told once, and a candidate of [`look_sql`], if any; one that shall not simply be sent has no versions.
struct Looked {
    told: Told,
    is_picked: bool,
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
                // Not with one that is not sent: it would be read for nobody.
                event: events.read(row)?,
            }),
            _ => None,
        };
        Ok(Self { told: Told::from_query_result(row, "")?, is_picked, sendable })
    }
}

/// What SQLite picks, with how its webhook and its tenant stand, and its event. The parameters are [`candidates_values`].
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

/// The parameters are [`claim_values`]: those of [`picked_sql`], and until when the leases hold.
///
/// The ids go through an array, so that the planner expects few of them and looks each up; what is coalesced keeps it off the
/// indexes of times and of webhooks, whatever it believes of a queue that was empty a moment ago. How the webhooks stand is
/// read before, and the rows are joined to it: the planner would look for all rows once for every webhook. The answers are in
/// no order: it would look for each of them among all that was picked.
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

/// The parameters of [`claim_sql`].
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

/// A claim at once as a part of a transaction that has claims to itself. It waits for no row, so that transaction may hold any.
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

/// The order in which they go: the first of every webhook, then the second of every webhook, each time by what was due first.
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
    // Stable: those of one turn stay by when they were due.
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
            // Of a test the webhook may have stopped, and it may keep order; nothing below asks.
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
    let (mut claimed, mut asides) = (Vec::with_capacity(rows.len()), Vec::new());
    rows.retain(|row| {
        let unread = parts.unread(row);
        asides.extend(unread.map(|unread| Aside::new(row, unread)));
        unread.is_none()
    });
    if store.backend() == DbBackend::Sqlite {
        parts.freeze_defaults(&mut rows, request.now);
        lease(transaction, request, &mut rows).await?;
    }
    for row in rows {
        let was_orphaned = orphaned.contains(&row.id);
        claimed.extend(parts.claimed_or_aside(store, row, request, was_orphaned, &mut asides));
    }
    claimed.iter().for_each(|claim: &ClaimedDelivery| feed.claimed(claim));
    set_aside(transaction, asides, request.now, feed).await?;
    Ok(claimed)
}
