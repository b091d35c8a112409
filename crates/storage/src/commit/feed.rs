//! The feed's entries of one transaction.

use crate::batch::{Cell, Kind, Table, hex};
use crate::connections::DatabaseTransaction;
use crate::entities::delivery;
use crate::error::store_error;
use crate::limits::FEED_BATCH_ENTRIES_MAX;
use crate::micros::from_time;
use crate::rows;
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::{Observer, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

/// Entries collected while a transaction runs, and appended as it is committed.
///
/// `seq` must follow commit order: a reader that has seen 7 must never meet a 6 that was committed later. So it is
/// taken from the one row of `feed_position`, whose lock holds until the commit. A transaction takes it last, so the
/// lock is held during one insert and the commit, never while the transaction waits for another lock or, on PostgreSQL,
/// for this process.
pub struct FeedLog {
    at_us: i64,
    changes: Vec<(TenantId, FeedChange)>,
    cancelled_count: usize,
}

/// Batches as SQLite gets them: each names its part of one byte string, in which positions count from 1.
const BATCHES: Table = Table {
    name: "batches",
    columns: &[
        ("tenant_id", Kind::Uuid),
        ("seq_last", Kind::Int),
        ("seq_first", Kind::Int),
        ("byte_first", Kind::Int),
        ("byte_count", Kind::Int),
    ],
};

/// Entries of one tenant that are kept as one row. Its `seq`s count from 1; the insert adds the position before.
struct Batch {
    tenant_id: Uuid,
    seq_last: i64,
    seq_first: i64,
    entries: Vec<u8>,
}

/// The text of PostgreSQL that appends batches and commits. It has no parameters, since PostgreSQL takes values with a
/// single statement only; it is made of numbers, ids and hexadecimal digits.
fn append_and_commit_sql(count: i64, at_us: i64, batches: &[Batch]) -> String {
    let list = |text: fn(&Batch) -> String| batches.iter().map(text).collect::<Vec<_>>().join(",");
    let tenant_ids = list(|batch| format!("'{}'", batch.tenant_id));
    let lasts = list(|batch| batch.seq_last.to_string());
    let firsts = list(|batch| batch.seq_first.to_string());
    let entries = list(|batch| format!("decode('{}', 'hex')", hex(&batch.entries)));
    format!(
        "SELECT feed_append({count}, ARRAY[{tenant_ids}]::uuid[], ARRAY[{lasts}]::bigint[], \
         ARRAY[{firsts}]::bigint[], {at_us}, ARRAY[{entries}]); COMMIT"
    )
}

/// The text of SQLite that appends any number of batches and commits: $1 the number of entries, $2 their time, $3 the
/// bytes of all batches, from $4 on the batches.
fn sqlite_append_and_commit_sql() -> String {
    format!(
        "UPDATE feed_position SET seq = seq + $1 WHERE id = 1; \
         INSERT INTO feed (tenant_id, seq_last, seq_first, at_us, entries) \
         SELECT batch.tenant_id, position.seq - $1 + batch.seq_last, position.seq - $1 + batch.seq_first, $2, \
         substr($3, batch.byte_first, batch.byte_count) \
         FROM {} AS batch CROSS JOIN feed_position AS position WHERE position.id = 1; \
         COMMIT",
        BATCHES.source(DbBackend::Sqlite, 4)
    )
}

fn sqlite_append_and_commit_values(count: i64, at_us: i64, batches: Vec<Batch>) -> Vec<Value> {
    let mut bytes = Vec::with_capacity(batches.iter().map(|batch| batch.entries.len()).sum());
    let mut rows = Vec::with_capacity(batches.len());
    for batch in batches {
        rows.push(vec![
            Cell::Uuid(batch.tenant_id),
            Cell::Int(batch.seq_last),
            Cell::Int(batch.seq_first),
            Cell::Int(bytes.len() as i64 + 1),
            Cell::Int(batch.entries.len() as i64),
        ]);
        bytes.extend(batch.entries);
    }
    let mut values = vec![count.into(), at_us.into(), bytes.into()];
    values.extend(BATCHES.parameters(DbBackend::Sqlite, rows));
    values
}

impl FeedLog {
    pub fn at(at: Timestamp) -> Self {
        Self { at_us: from_time(at), changes: Vec::new(), cancelled_count: 0 }
    }

    pub fn event(&mut self, event: &NewEvent) {
        let change = FeedChange::EventRecorded { event_id: event.id, event_type: event.event_type.clone() };
        self.changes.push((event.tenant_id, change));
    }

    pub fn change(&mut self, tenant_id: TenantId, change: FeedChange) {
        self.changes.push((tenant_id, change));
    }

    /// A delivery that was just claimed.
    pub fn claimed(&mut self, claim: &ClaimedDelivery) {
        let delivery = &claim.delivery;
        let change = FeedChange::DeliveryUpdated {
            delivery_id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            state: delivery.state,
            attempt_count: delivery.attempt_count,
        };
        self.changes.push((delivery.tenant_id, change));
    }

    /// The delivery as it now stands.
    pub fn delivery(&mut self, row: &delivery::Model) -> Result<(), StoreError> {
        let state = rows::delivery::state(&row.state)?;
        self.cancelled_count += usize::from(state == DeliveryState::Cancelled);
        let change = FeedChange::DeliveryUpdated {
            delivery_id: DeliveryId(row.id),
            webhook_id: WebhookId(row.webhook_id),
            event_id: EventId(row.event_id),
            state,
            attempt_count: rows::number("attempt count", row.attempt_count)?,
        };
        self.changes.push((TenantId(row.tenant_id), change));
        Ok(())
    }

    /// Appends the entries and commits in one round trip, so that the lock of the position is held for no longer. The
    /// observer is told how many deliveries the transaction cancelled.
    pub async fn commit(self, transaction: DatabaseTransaction, observer: &dyn Observer) -> Result<(), StoreError> {
        let cancelled_count = self.cancelled_count;
        self.append_and_commit(transaction).await?;
        if cancelled_count > 0 {
            observer.cancelled(cancelled_count);
        }
        Ok(())
    }

    async fn append_and_commit(self, transaction: DatabaseTransaction) -> Result<(), StoreError> {
        let (count, at_us) = (self.changes.len() as i64, self.at_us);
        if count == 0 {
            return transaction.commit().await.map_err(store_error);
        }
        let batches = self.batches();
        if transaction.get_database_backend() == DbBackend::Postgres {
            let text = append_and_commit_sql(count, at_us, &batches);
            return transaction.commit_with(&text).await.map_err(store_error);
        }
        let values = sqlite_append_and_commit_values(count, at_us, batches);
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sqlite_append_and_commit_sql(), values);
        transaction.commit_with_values(statement).await.map_err(store_error)
    }

    /// Cuts the changes of each tenant into batches, in their order.
    fn batches(self) -> Vec<Batch> {
        let mut by_tenant: Vec<(TenantId, Vec<FeedChange>)> = Vec::new();
        for (tenant_id, change) in self.changes {
            match by_tenant.iter_mut().find(|(known, _)| *known == tenant_id) {
                Some((_, changes)) => changes.push(change),
                None => by_tenant.push((tenant_id, vec![change])),
            }
        }
        let mut seq = 0;
        let mut batches = Vec::new();
        for (tenant_id, changes) in by_tenant {
            for some in changes.chunks(FEED_BATCH_ENTRIES_MAX) {
                let seq_first = seq + 1;
                seq += some.len() as i64;
                let entries = rows::feed::pack(some);
                batches.push(Batch { tenant_id: tenant_id.0, seq_last: seq, seq_first, entries });
            }
        }
        batches
    }
}
