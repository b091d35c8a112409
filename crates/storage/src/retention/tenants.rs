//! Deleted tenants: what they own goes in portions, and then they do.
//!
//! What is due for their webhooks is removed by the flow loop (`commit::stopping`). A tenant stays for as long as anything of it is
//! left: what was still under way as it was deleted is found by a later round.

use crate::batch::{IDS, execute, ids, query};
use crate::commit::NOTE_DUE;
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits::{PRUNE_OWNERS_MAX, REMOVED_WITH_BODIES_MAX};
use crate::store::SqlStore;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// The next deleted tenant after $1.
const NEXT: &str = "SELECT id FROM tenant WHERE deleted_at_us IS NOT NULL AND id > $1 ORDER BY id LIMIT 1";

/// The next webhook of a tenant, $1, from $2 on, that has attempts.
const NEXT_WITH_ATTEMPTS: &str = "SELECT webhook.id FROM webhook WHERE webhook.tenant_id = $1 AND webhook.id >= $2 \
     AND EXISTS (SELECT 1 FROM attempt WHERE attempt.webhook_id = webhook.id) ORDER BY webhook.id LIMIT 1";

const NOTE_OF_FEED: &str = "DELETE FROM feed_pruned WHERE tenant_id = $1";

/// A table without partitions, of which an index begins with the tenant, and whose rows nothing else is found by.
struct Plain {
    name: &'static str,
    tenant: &'static str,
    /// The rest of its primary key.
    key: &'static str,
}

/// In the order in which they go: links and names before the records that bear them.
static PLAIN: [Plain; 9] = [
    Plain { name: "feed", tenant: "tenant_id", key: "seq_last" },
    Plain { name: "record_link", tenant: "tenant_id", key: "kind, relation, target, rank, key" },
    Plain { name: "record_name", tenant: "tenant_id", key: "scope, value" },
    Plain { name: "record", tenant: "tenant_id", key: "kind, key" },
    Plain { name: "audit_entry", tenant: "tenant_id", key: "id" },
    Plain { name: "idempotency", tenant: "tenant_id", key: "key, step" },
    Plain { name: "replay", tenant: "tenant_id", key: "id" },
    Plain { name: "copy_task", tenant: "source_tenant_id", key: "id" },
    Plain { name: "access_token", tenant: "tenant_id", key: "id" },
];

impl Plain {
    /// Of the tenant $1. By the places of its rows where the database has such: by keys it may compare all that the tenant has with
    /// each of them. One that moves meanwhile is left for a later portion.
    ///
    /// From the beginning each time, since keys of these kinds have no place in a position. A portion passes over the entries of
    /// what the earlier ones removed until the index is swept: without a look at a row, but of a million rows for milliseconds.
    fn delete_sql(&self, backend: DbBackend, rows_max: u32) -> String {
        let Self { name, tenant, key } = self;
        let some = |what: &str| format!("SELECT {what} FROM {name} WHERE {tenant} = $1 LIMIT {rows_max}");
        match backend {
            DbBackend::Postgres => format!("DELETE FROM {name} WHERE ctid = ANY (ARRAY({}))", some("ctid")),
            _ => format!("DELETE FROM {name} WHERE {tenant} = $1 AND ({key}) IN ({})", some(key)),
        }
    }
}

/// The parts of the work, in their order.
#[derive(Clone, Copy)]
enum Part {
    Attempts,
    Deliveries,
    Events,
    Plain(&'static Plain),
    Webhooks,
    Tenant,
}

/// The part of a stage. The stage before them looks for the next tenant.
fn part(stage: u32) -> Option<Part> {
    let first = [Part::Attempts, Part::Deliveries, Part::Events].into_iter();
    let mut all = first.chain(PLAIN.iter().map(Part::Plain)).chain([Part::Webhooks, Part::Tenant]);
    all.nth((stage as usize).checked_sub(1)?)
}

/// The stage that looks for the next tenant.
const NEXT_TENANT: u32 = 0;

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

/// How far a part has come: within what of the tenant's, and after which id.
#[derive(Clone, Copy, Default)]
struct Cursor {
    within: Uuid,
    after: Uuid,
}

impl Cursor {
    fn after(after: Uuid) -> Self {
        Self { after, ..Self::default() }
    }
}

/// What a part did.
struct Done {
    rows: u64,
    /// Where it goes on, unless it is done.
    more: Option<Cursor>,
}

impl Done {
    /// Where the rows say it: as long as there are as many as may go at once, there may be more.
    fn of(rows: u64, rows_max: u32) -> Self {
        Self { rows, more: (rows >= u64::from(rows_max)).then(Cursor::default) }
    }
}

/// Removes a portion of the next deleted tenant, the stage being the part's. What fails for one tenant keeps no other from its turn.
pub(super) async fn prune(store: &SqlStore, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else {
        return Ok(PruneStep { is_others: true, ..PruneStep::default() });
    };
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(BY_INDEX).await.map_err(store_error)?;
    }
    let mut position = from;
    if position.stage == NEXT_TENANT {
        let next: Vec<Id> = query(&transaction, NEXT, vec![from.owner.into()]).await?;
        let Some(next) = next.first() else {
            transaction.rollback().await.map_err(store_error)?;
            return Ok(PruneStep::default());
        };
        position = PrunePosition { stage: NEXT_TENANT + 1, owner: next.id, ..PrunePosition::default() };
    }
    let tenant_id = position.owner;
    let tried = portion(&transaction, position, rows_max).await;
    // Waited for, or the next step would find its lock taken.
    let done = match tried {
        Ok(step) => transaction.commit().await.map_err(store_error).map(|()| step),
        Err(error) => transaction.rollback().await.map_err(store_error).and(Err(error)),
    };
    Ok(done.unwrap_or_else(|error| {
        let put_off = Some(format!("the rows of the deleted tenant {tenant_id} stay for now: {error}"));
        PruneStep { put_off, next: Some(PrunePosition::behind(tenant_id)), ..PruneStep::default() }
    }))
}

/// By an index and no further than a portion, whatever the planner believes of tables that grew or shrank a moment ago: a bitmap
/// would be of all that a tenant has, for each portion. For the rest of the transaction, which is the portion.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; \
     SET LOCAL enable_mergejoin = off";

/// The first rows that the parts from that one on have, no more than one portion.
async fn portion(
    transaction: &DatabaseTransaction,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let (mut position, mut step) = (from, PruneStep::default());
    while let Some(part) = part(position.stage) {
        let Done { rows, more } = part.portion(transaction, position, rows_max).await?;
        if matches!(part, Part::Tenant) {
            let left = || format!("something of the deleted tenant {} is left for a later round", position.owner);
            step.put_off = (rows == 0).then(left);
        }
        step.rows += rows;
        position = match more {
            Some(Cursor { within, after }) => PrunePosition { within, after, ..position },
            None => PrunePosition { stage: position.stage + 1, ..PrunePosition::behind(position.owner) },
        };
        if step.rows > 0 {
            break;
        }
    }
    step.next = Some(if part(position.stage).is_some() { position } else { PrunePosition::behind(position.owner) });
    Ok(step)
}

impl Part {
    async fn portion(
        self,
        transaction: &DatabaseTransaction,
        PrunePosition { owner, within, after, .. }: PrunePosition,
        rows_max: u32,
    ) -> Result<Done, StoreError> {
        match self {
            Self::Attempts => attempts(transaction, owner, Cursor { within, after }, rows_max).await,
            Self::Deliveries => deliveries(transaction, owner, after, rows_max).await,
            Self::Events => events(transaction, owner, after, rows_max).await,
            Self::Plain(table) => {
                let sql = table.delete_sql(transaction.get_database_backend(), rows_max);
                let rows = execute(transaction, &sql, vec![owner.into()]).await?;
                Ok(Done::of(rows, rows_max))
            }
            Self::Webhooks => webhooks(transaction, owner, rows_max).await,
            Self::Tenant => {
                execute(transaction, NOTE_OF_FEED, vec![owner.into()]).await?;
                Ok(Done { rows: execute(transaction, &tenant_sql(), vec![owner.into()]).await?, more: None })
            }
        }
    }
}

/// Attempts of a webhook, $1, after $2: what goes before was removed.
fn attempts_sql(rows_max: u32) -> String {
    format!("SELECT id FROM attempt WHERE webhook_id = $1 AND id > $2 ORDER BY id LIMIT {rows_max}")
}

/// Those of the owner $1 whose ids are given: each is looked up, whatever the planner believes of the owner.
fn remove_of_owner_sql(backend: DbBackend, table: &str, owner: &str) -> String {
    let given = format!("SELECT id FROM {} AS given", IDS.source(backend, 2));
    match backend {
        DbBackend::Postgres => format!("DELETE FROM {table} WHERE {owner} = $1 AND id = ANY (ARRAY({given}))"),
        _ => format!("DELETE FROM {table} WHERE {owner} = $1 AND id IN ({given})"),
    }
}

/// Attempts, with what was sent and answered, a webhook after the other. Each is gone through once; where an older one was written
/// meanwhile, the webhook stays for a later round.
async fn attempts(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Cursor,
    rows_max: u32,
) -> Result<Done, StoreError> {
    let rows_max = rows_max.min(REMOVED_WITH_BODIES_MAX);
    let (backend, mut rows, mut cursor) = (transaction.get_database_backend(), 0_u64, from);
    for _ in 0..PRUNE_OWNERS_MAX {
        let left = rows_max.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        if cursor.after.is_nil() {
            let values = vec![tenant_id.into(), cursor.within.into()];
            let next: Vec<Id> = query(transaction, NEXT_WITH_ATTEMPTS, values).await?;
            let Some(next) = next.first() else { return Ok(Done { rows, more: None }) };
            cursor.within = next.id;
        }
        let values = vec![cursor.within.into(), cursor.after.into()];
        let found: Vec<Id> = query(transaction, &attempts_sql(left), values).await?;
        let Some(last) = found.last().map(|row| row.id) else {
            cursor = Cursor { within: following(cursor.within), after: Uuid::nil() };
            continue;
        };
        cursor.after = last;
        let mut values = vec![cursor.within.into()];
        values.extend(ids(backend, found.into_iter().map(|row| row.id)));
        rows += execute(transaction, &remove_of_owner_sql(backend, "attempt", "webhook_id"), values).await?;
    }
    Ok(Done { rows, more: Some(cursor) })
}

/// The first id behind that one.
fn following(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// The ids of a tenant, $1, after $2: what goes before is passed over, or it would be looked at until the database forgets it.
fn ids_sql(table: &str, rows_max: u32) -> String {
    format!("SELECT id FROM {table} WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT {rows_max}")
}

async fn found(
    transaction: &DatabaseTransaction,
    table: &str,
    tenant_id: Uuid,
    from: Uuid,
    rows_max: u32,
) -> Result<Vec<Id>, StoreError> {
    query(transaction, &ids_sql(table, rows_max), vec![tenant_id.into(), from.into()]).await
}

fn remove_by_id_sql(backend: DbBackend, table: &str, id: &str) -> String {
    format!("DELETE FROM {table} WHERE {id} IN (SELECT id FROM {} AS given)", IDS.source(backend, 1))
}

/// Deliveries that ended, with their payloads.
async fn deliveries(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Uuid,
    rows_max: u32,
) -> Result<Done, StoreError> {
    let backend = transaction.get_database_backend();
    let found = found(transaction, "delivery", tenant_id, from, rows_max.min(REMOVED_WITH_BODIES_MAX)).await?;
    let Some(last) = found.last().map(|row| row.id) else { return Ok(Done { rows: 0, more: None }) };
    let mut rows = 0;
    for (table, id) in [("payload", "delivery_id"), ("delivery", "id")] {
        let given = ids(backend, found.iter().map(|row| row.id));
        rows += execute(transaction, &remove_by_id_sql(backend, table, id), given).await?;
    }
    Ok(Done { rows, more: Some(Cursor::after(last)) })
}

/// Of the events given: an event may have as many skips as its type has webhooks.
fn remove_skips_sql(backend: DbBackend, rows_max: u32) -> String {
    format!(
        "DELETE FROM event_skip WHERE (event_id, webhook_id) IN (SELECT skip.event_id, skip.webhook_id \
         FROM event_skip AS skip WHERE skip.event_id IN (SELECT id FROM {} AS given) LIMIT {rows_max})",
        IDS.source(backend, 1)
    )
}

/// Events, with what belongs to them.
async fn events(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Uuid,
    rows_max: u32,
) -> Result<Done, StoreError> {
    let backend = transaction.get_database_backend();
    let found = found(transaction, "event", tenant_id, from, rows_max).await?;
    let Some(last) = found.last().map(|row| row.id) else { return Ok(Done { rows: 0, more: None }) };
    let given = || ids(backend, found.iter().map(|row| row.id));
    let skips = execute(transaction, &remove_skips_sql(backend, rows_max), given()).await?;
    if skips >= u64::from(rows_max) {
        // The events are what the rest of them is found by.
        return Ok(Done { rows: skips, more: Some(Cursor::after(from)) });
    }
    let tombstones = execute(transaction, &remove_by_id_sql(backend, "tombstone", "event_id"), given()).await?;
    let mut values = vec![tenant_id.into()];
    values.extend(given());
    let events = execute(transaction, &remove_of_owner_sql(backend, "event", "tenant_id"), values).await?;
    Ok(Done { rows: skips + tombstones + events, more: Some(Cursor::after(last)) })
}

/// Webhooks of a tenant, $1, of which nothing is left. What a settlement holds at this moment is left to a later round.
fn webhooks_sql(backend: DbBackend, rows_max: u32) -> String {
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    format!(
        "SELECT gone.id FROM webhook AS gone WHERE gone.tenant_id = $1 \
         AND NOT EXISTS (SELECT 1 FROM due WHERE due.webhook_id = gone.id) \
         AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.webhook_id = gone.id) \
         AND NOT EXISTS (SELECT 1 FROM attempt WHERE attempt.webhook_id = gone.id) \
         ORDER BY gone.id LIMIT {rows_max}{lock}"
    )
}

/// Webhooks. Those for which something became due since their tenant was deleted are noted once more.
async fn webhooks(transaction: &DatabaseTransaction, tenant_id: Uuid, rows_max: u32) -> Result<Done, StoreError> {
    let backend = transaction.get_database_backend();
    execute(transaction, NOTE_DUE, vec![tenant_id.into()]).await?;
    let gone: Vec<Id> = query(transaction, &webhooks_sql(backend, rows_max), vec![tenant_id.into()]).await?;
    let given = ids(backend, gone.into_iter().map(|row| row.id));
    let rows = execute(transaction, &remove_by_id_sql(backend, "webhook", "id"), given).await?;
    Ok(Done::of(rows, rows_max))
}

/// The tenant, $1, if nothing of it is left that is found by it. What is written at this moment and refers to it goes with it by the
/// foreign keys.
fn tenant_sql() -> String {
    let road = ["delivery", "event", "webhook"].map(|name| (name, "tenant_id"));
    let owned = road.into_iter().chain(PLAIN.iter().map(|table| (table.name, table.tenant)));
    let nothing: Vec<String> = owned
        .map(|(name, tenant)| format!("AND NOT EXISTS (SELECT 1 FROM {name} WHERE {name}.{tenant} = $1)"))
        .collect();
    let nothing = nothing.join(" ");
    format!("DELETE FROM tenant WHERE id = $1 AND deleted_at_us IS NOT NULL {nothing}")
}

/// Every statement of a step, for the test of plans.
pub fn tenant_statements(backend: DbBackend, rows_max: u32) -> Vec<(String, Vec<Value>)> {
    let id = || Value::from(Uuid::nil());
    let given = || ids(backend, [Uuid::nil()]);
    let id_and_given = || std::iter::once(id()).chain(given()).collect::<Vec<_>>();
    let mut statements = vec![
        (NEXT.to_owned(), vec![id()]),
        (NOTE_DUE.to_owned(), vec![id()]),
        (NEXT_WITH_ATTEMPTS.to_owned(), vec![id(), id()]),
        (attempts_sql(rows_max), vec![id(), id()]),
        (remove_of_owner_sql(backend, "attempt", "webhook_id"), id_and_given()),
        (ids_sql("delivery", rows_max), vec![id(), id()]),
        (remove_by_id_sql(backend, "payload", "delivery_id"), given()),
        (remove_by_id_sql(backend, "delivery", "id"), given()),
        (ids_sql("event", rows_max), vec![id(), id()]),
        (remove_skips_sql(backend, rows_max), given()),
        (remove_by_id_sql(backend, "tombstone", "event_id"), given()),
        (remove_of_owner_sql(backend, "event", "tenant_id"), id_and_given()),
        (webhooks_sql(backend, rows_max), vec![id()]),
        (remove_by_id_sql(backend, "webhook", "id"), given()),
        (NOTE_OF_FEED.to_owned(), vec![id()]),
        (tenant_sql(), vec![id()]),
    ];
    statements.extend(PLAIN.iter().map(|table| (table.delete_sql(backend, rows_max), vec![id()])));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_stage_and_the_tenant_is_the_last() {
        let last = (1..).take_while(|stage| part(*stage).is_some()).last().unwrap_or(NEXT_TENANT);
        assert_eq!(last as usize, 3 + PLAIN.len() + 2);
        assert!(part(NEXT_TENANT).is_none());
        assert!(matches!(part(last), Some(Part::Tenant)));
    }
}
