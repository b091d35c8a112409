//! Deleted tenants: their rows are removed in portions, and each tenant's own row last.
//!
//! The flow loop removes the due deliveries of their webhooks (`commit::stopping`). A tenant's row stays while it owns
//! any other row: a later round finds the rows that were still being written as the tenant was deleted.

use crate::batch::{IDS, Id, execute, ids, query};
use crate::commit::NOTE_DUE;
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits::{PRUNE_OWNERS_MAX, REMOVED_WITH_BODIES_MAX};
use crate::store::SqlStore;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

/// The next deleted tenant after $1.
const NEXT: &str = "SELECT id FROM tenant WHERE deleted_at_us IS NOT NULL AND id > $1 ORDER BY id LIMIT 1";

/// The next webhook of the tenant $1, from the id $2 on, that has attempts.
const NEXT_WITH_ATTEMPTS: &str = "SELECT webhook.id FROM webhook WHERE webhook.tenant_id = $1 AND webhook.id >= $2 \
     AND EXISTS (SELECT 1 FROM attempt WHERE attempt.webhook_id = webhook.id) ORDER BY webhook.id LIMIT 1";

const NOTE_OF_FEED: &str = "DELETE FROM feed_pruned WHERE tenant_id = $1";

/// A table without partitions that has an index on its tenant, and by whose rows no other rows are found.
struct Plain {
    name: &'static str,
    tenant: &'static str,
    /// The other columns of the primary key.
    key: &'static str,
}

/// The plain tables, in the order in which their rows are removed: links and names before the records that bear them.
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
    /// The statement that removes rows of the tenant $1. PostgreSQL names them by `ctid`: by keys, its planner may
    /// compare all rows of the tenant with each of them. A row that moves meanwhile is left for a later portion.
    ///
    /// Each portion begins at the tenant's first index entry, since keys of these kinds fit in no [`PrunePosition`]. It
    /// skips the dead entries of earlier portions until the index is vacuumed. Skipping dead index entries reads no
    /// rows; a million of them cost milliseconds.
    fn delete_sql(&self, backend: DbBackend, rows_max: u32) -> String {
        let Self { name, tenant, key } = self;
        let some = |what: &str| format!("SELECT {what} FROM {name} WHERE {tenant} = $1 LIMIT {rows_max}");
        match backend {
            DbBackend::Postgres => format!("DELETE FROM {name} WHERE ctid = ANY (ARRAY({}))", some("ctid")),
            _ => format!("DELETE FROM {name} WHERE {tenant} = $1 AND ({key}) IN ({})", some(key)),
        }
    }
}

/// A stage of a tenant's removal.
#[derive(Clone, Copy)]
enum Stage {
    /// Looks for the next deleted tenant.
    NextTenant,
    Attempts,
    Deliveries,
    Events,
    Plain(&'static Plain),
    Webhooks,
    Tenant,
    /// Every stage of the tenant is done.
    Done,
}

/// [`PrunePosition::stage`] of the first stage that removes rows.
const FIRST_STAGE: u32 = 1;

impl Stage {
    /// The stage of that number, as [`PrunePosition::stage`] has it.
    fn of(number: u32) -> Self {
        let after_plain = 4 + PLAIN.len();
        match number as usize {
            0 => Self::NextTenant,
            1 => Self::Attempts,
            2 => Self::Deliveries,
            3 => Self::Events,
            number if number < after_plain => Self::Plain(&PLAIN[number - 4]),
            number if number == after_plain => Self::Webhooks,
            number if number == after_plain + 1 => Self::Tenant,
            _ => Self::Done,
        }
    }
}

/// How far a stage has come.
#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The webhook whose rows are being removed, or from which on the next one is looked for.
    within: Uuid,
    /// The id behind which rows are left; none where nothing is removed yet.
    after: Option<Uuid>,
}

impl Cursor {
    fn after(after: Uuid) -> Self {
        Self { after: Some(after), ..Self::default() }
    }

    /// The cursor of a position, in which the nil UUID stands for none.
    fn of(position: PrunePosition) -> Self {
        Self { within: position.within, after: Some(position.after).filter(|after| !after.is_nil()) }
    }

    fn at(self, position: PrunePosition) -> PrunePosition {
        PrunePosition { within: self.within, after: self.lowest(), ..position }
    }

    /// The id that every row left is above.
    fn lowest(self) -> Uuid {
        self.after.unwrap_or_default()
    }
}

/// The outcome of one portion of a stage.
struct Portion {
    rows: u64,
    /// Where the stage goes on; none once it is done.
    more: Option<Cursor>,
}

impl Portion {
    /// A portion of a stage without a cursor: a full one may leave rows.
    fn of(rows: u64, rows_max: u32) -> Self {
        Self { rows, more: (rows >= u64::from(rows_max)).then(Cursor::default) }
    }
}

/// Removes a portion of the next deleted tenant's rows. A tenant whose removal fails keeps no other tenant from its
/// turn.
pub(super) async fn prune(store: &SqlStore, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else {
        return Ok(PruneStep { is_others: true, ..PruneStep::default() });
    };
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(BY_INDEX).await.map_err(store_error)?;
    }
    let mut position = from;
    if matches!(Stage::of(position.stage), Stage::NextTenant) {
        let next: Vec<Id> = query(&transaction, NEXT, vec![from.owner.into()]).await?;
        let Some(next) = next.first() else {
            transaction.rollback().await.map_err(store_error)?;
            return Ok(PruneStep::default());
        };
        position = PrunePosition { stage: FIRST_STAGE, owner: next.id, ..PrunePosition::default() };
    }
    let tenant_id = position.owner;
    let tried = portion(&transaction, position, rows_max).await;
    // The end is waited for, or the next step would find the lock taken.
    let done = match tried {
        Ok(step) => transaction.commit().await.map_err(store_error).map(|()| step),
        Err(error) => transaction.rollback().await.map_err(store_error).and(Err(error)),
    };
    Ok(done.unwrap_or_else(|error| {
        let put_off = Some(format!("the rows of the deleted tenant {tenant_id} stay for now: {error}"));
        PruneStep { put_off, next: Some(PrunePosition::behind(tenant_id)), ..PruneStep::default() }
    }))
}

/// The settings that make every statement of the transaction stop at its portion's last row by reading an index in
/// order, whatever the planner believes of tables that grew or shrank a moment ago. A bitmap scan would read all index
/// entries of the tenant for each portion.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// Removes one portion: the first rows that the stages from `from` on find.
async fn portion(
    transaction: &DatabaseTransaction,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let (mut position, mut step) = (from, PruneStep::default());
    while let Some(Portion { rows, more }) = Stage::of(position.stage).portion(transaction, position, rows_max).await? {
        if matches!(Stage::of(position.stage), Stage::Tenant) {
            let left = || format!("something of the deleted tenant {} is left for a later round", position.owner);
            step.put_off = (rows == 0).then(left);
        }
        step.rows += rows;
        position = match more {
            Some(cursor) => cursor.at(position),
            None => PrunePosition { stage: position.stage + 1, ..PrunePosition::behind(position.owner) },
        };
        if step.rows > 0 {
            break;
        }
    }
    let is_done = matches!(Stage::of(position.stage), Stage::Done);
    step.next = Some(if is_done { PrunePosition::behind(position.owner) } else { position });
    Ok(step)
}

impl Stage {
    /// Removes a portion of the stage's rows; none for a stage that removes no rows.
    async fn portion(
        self,
        transaction: &DatabaseTransaction,
        position: PrunePosition,
        rows_max: u32,
    ) -> Result<Option<Portion>, StoreError> {
        let (owner, cursor) = (position.owner, Cursor::of(position));
        let portion = match self {
            Self::NextTenant | Self::Done => return Ok(None),
            Self::Attempts => attempts(transaction, owner, cursor, rows_max).await?,
            Self::Deliveries => deliveries(transaction, owner, cursor.lowest(), rows_max).await?,
            Self::Events => events(transaction, owner, cursor.lowest(), rows_max).await?,
            Self::Plain(table) => {
                let sql = table.delete_sql(transaction.get_database_backend(), rows_max);
                Portion::of(execute(transaction, &sql, vec![owner.into()]).await?, rows_max)
            }
            Self::Webhooks => webhooks(transaction, owner, rows_max).await?,
            Self::Tenant => {
                execute(transaction, NOTE_OF_FEED, vec![owner.into()]).await?;
                Portion { rows: execute(transaction, &tenant_sql(), vec![owner.into()]).await?, more: None }
            }
        };
        Ok(Some(portion))
    }
}

/// Selects attempts of the webhook $1 behind the id $2; those before it were removed.
fn attempts_sql(rows_max: u32) -> String {
    format!("SELECT id FROM attempt WHERE webhook_id = $1 AND id > $2 ORDER BY id LIMIT {rows_max}")
}

/// Removes the rows of the owner $1 whose ids are given. Each is looked up by its key, whatever the planner believes of
/// the owner.
fn remove_of_owner_sql(backend: DbBackend, table: &str, owner: &str) -> String {
    let given = format!("SELECT id FROM {} AS given", IDS.source(backend, 2));
    match backend {
        DbBackend::Postgres => format!("DELETE FROM {table} WHERE {owner} = $1 AND id = ANY (ARRAY({given}))"),
        _ => format!("DELETE FROM {table} WHERE {owner} = $1 AND id IN ({given})"),
    }
}

/// Removes attempts, with their requests and answers, one webhook after the other. A round passes each webhook's
/// attempts once; where one with a lower id was written meanwhile, the webhook stays for a later round.
async fn attempts(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Cursor,
    rows_max: u32,
) -> Result<Portion, StoreError> {
    let rows_max = rows_max.min(REMOVED_WITH_BODIES_MAX);
    let (backend, mut rows, mut cursor) = (transaction.get_database_backend(), 0_u64, from);
    for _ in 0..PRUNE_OWNERS_MAX {
        let left = rows_max.saturating_sub(u32::try_from(rows).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        if cursor.after.is_none() {
            let values = vec![tenant_id.into(), cursor.within.into()];
            let next: Vec<Id> = query(transaction, NEXT_WITH_ATTEMPTS, values).await?;
            let Some(next) = next.first() else { return Ok(Portion { rows, more: None }) };
            cursor.within = next.id;
        }
        let values = vec![cursor.within.into(), cursor.lowest().into()];
        let found: Vec<Id> = query(transaction, &attempts_sql(left), values).await?;
        let Some(last) = found.last().map(|row| row.id) else {
            cursor = Cursor { within: following(cursor.within), after: None };
            continue;
        };
        cursor.after = Some(last);
        let mut values = vec![cursor.within.into()];
        values.extend(ids(backend, found.into_iter().map(|row| row.id)));
        rows += execute(transaction, &remove_of_owner_sql(backend, "attempt", "webhook_id"), values).await?;
    }
    Ok(Portion { rows, more: Some(cursor) })
}

/// The first id behind `id`.
fn following(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// Selects ids of the tenant $1 behind the id $2: a search from the beginning would read the dead entries of removed
/// rows until the database forgets them.
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

/// Removes deliveries that ended, with their payloads.
async fn deliveries(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Uuid,
    rows_max: u32,
) -> Result<Portion, StoreError> {
    let backend = transaction.get_database_backend();
    let found = found(transaction, "delivery", tenant_id, from, rows_max.min(REMOVED_WITH_BODIES_MAX)).await?;
    let Some(last) = found.last().map(|row| row.id) else { return Ok(Portion { rows: 0, more: None }) };
    let mut rows = 0;
    for (table, id) in [("payload", "delivery_id"), ("delivery", "id")] {
        let given = ids(backend, found.iter().map(|row| row.id));
        rows += execute(transaction, &remove_by_id_sql(backend, table, id), given).await?;
    }
    Ok(Portion { rows, more: Some(Cursor::after(last)) })
}

/// Removes skips of the events given: an event may have as many as its type has webhooks.
fn remove_skips_sql(backend: DbBackend, rows_max: u32) -> String {
    format!(
        "DELETE FROM event_skip WHERE (event_id, webhook_id) IN (SELECT skip.event_id, skip.webhook_id \
         FROM event_skip AS skip WHERE skip.event_id IN (SELECT id FROM {} AS given) LIMIT {rows_max})",
        IDS.source(backend, 1)
    )
}

/// Removes events, with their skips and tombstones.
async fn events(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    from: Uuid,
    rows_max: u32,
) -> Result<Portion, StoreError> {
    let backend = transaction.get_database_backend();
    let found = found(transaction, "event", tenant_id, from, rows_max).await?;
    let Some(last) = found.last().map(|row| row.id) else { return Ok(Portion { rows: 0, more: None }) };
    let given = || ids(backend, found.iter().map(|row| row.id));
    let skips = execute(transaction, &remove_skips_sql(backend, rows_max), given()).await?;
    if skips >= u64::from(rows_max) {
        // The next portion finds the remaining skips by their events, so the events stay.
        return Ok(Portion { rows: skips, more: Some(Cursor::after(from)) });
    }
    let tombstones = execute(transaction, &remove_by_id_sql(backend, "tombstone", "event_id"), given()).await?;
    let mut values = vec![tenant_id.into()];
    values.extend(given());
    let events = execute(transaction, &remove_of_owner_sql(backend, "event", "tenant_id"), values).await?;
    Ok(Portion { rows: skips + tombstones + events, more: Some(Cursor::after(last)) })
}

/// Selects webhooks of the tenant $1 that have no deliveries and attempts left. A webhook that a settlement has locked
/// at this moment is left to a later round.
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

/// Removes webhooks. Webhooks for which a delivery became due since their tenant was deleted are noted as stopping once
/// more.
async fn webhooks(transaction: &DatabaseTransaction, tenant_id: Uuid, rows_max: u32) -> Result<Portion, StoreError> {
    let backend = transaction.get_database_backend();
    execute(transaction, NOTE_DUE, vec![tenant_id.into()]).await?;
    let gone: Vec<Id> = query(transaction, &webhooks_sql(backend, rows_max), vec![tenant_id.into()]).await?;
    let given = ids(backend, gone.into_iter().map(|row| row.id));
    let rows = execute(transaction, &remove_by_id_sql(backend, "webhook", "id"), given).await?;
    Ok(Portion::of(rows, rows_max))
}

/// Removes the tenant $1 if no row is left that is found by it. A row that is written at this moment and refers to the
/// tenant is removed with it by its foreign key.
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
    fn each_plain_table_has_a_stage_and_the_tenant_is_the_last() {
        let stages: Vec<Stage> =
            (FIRST_STAGE..).map(Stage::of).take_while(|stage| !matches!(stage, Stage::Done)).collect();
        assert_eq!(stages.iter().filter(|stage| matches!(stage, Stage::Plain(_))).count(), PLAIN.len());
        assert!(matches!(stages.first(), Some(Stage::Attempts)) && matches!(stages.last(), Some(Stage::Tenant)));
        assert!(matches!(Stage::of(0), Stage::NextTenant));
    }
}
