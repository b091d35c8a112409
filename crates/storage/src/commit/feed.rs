//! The feed's entries of one transaction.

use crate::batch::{Cell, Kind, Table, execute, query};
use crate::bounded::DatabaseTransaction;
use crate::entities::delivery;
use crate::limits::FEED_BATCH_ENTRIES_MAX;
use crate::micros::from_time;
use crate::rows;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

/// Entries collected while a transaction runs, and appended as its last statement.
///
/// `seq` must follow commit order: a reader that has seen 7 must never meet a 6 that was committed later. So it is taken
/// from the one row of `feed_position`, whose lock holds until the commit. Because this is the last thing that a
/// transaction does, it is held over one insert and the commit, never over a wait for another lock.
pub struct FeedLog {
    at_us: i64,
    changes: Vec<(TenantId, FeedChange)>,
}

/// Batches as they are given to the database: numbers count from 1, as if nothing had been fed before.
const BATCHES: Table = Table {
    name: "feed",
    columns: &[
        ("tenant_id", Kind::Uuid),
        ("seq_last", Kind::Int),
        ("seq_first", Kind::Int),
        ("at_us", Kind::Int),
        ("entries", Kind::Bytes),
    ],
};

#[derive(FromQueryResult)]
struct Position {
    seq: i64,
}

impl FeedLog {
    pub fn at(at: Timestamp) -> Self {
        Self { at_us: from_time(at), changes: Vec::new() }
    }

    pub fn event(&mut self, event: &NewEvent) {
        let change = FeedChange::EventRecorded { event_id: event.id, event_type: event.event_type.clone() };
        self.changes.push((event.tenant_id, change));
    }

    /// Any change.
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
        let change = FeedChange::DeliveryUpdated {
            delivery_id: DeliveryId(row.id),
            webhook_id: WebhookId(row.webhook_id),
            event_id: EventId(row.event_id),
            state: rows::delivery::state(&row.state)?,
            attempt_count: rows::number("attempt count", row.attempt_count)?,
        };
        self.changes.push((TenantId(row.tenant_id), change));
        Ok(())
    }

    /// Appends all of it. To be called last before the commit.
    pub async fn append(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        let Some(count) = i64::try_from(self.changes.len()).ok().filter(|count| *count > 0) else { return Ok(()) };
        let backend = transaction.get_database_backend();
        let sources = BATCHES.source(backend, 2);
        let insert = "INSERT INTO feed (tenant_id, seq_last, seq_first, at_us, entries)";
        let before = if backend == DbBackend::Postgres {
            // The base is not known before the statement that inserts.
            let sql = format!(
                "WITH position AS (UPDATE feed_position SET seq = seq + $1 WHERE id = 1 RETURNING seq - $1 AS base) \
                 {insert} SELECT tenant_id, base + seq_last, base + seq_first, at_us, entries \
                 FROM position, {sources} AS given"
            );
            let mut values: Vec<Value> = vec![count.into()];
            values.extend(BATCHES.parameters(backend, self.batches(0)));
            return execute(transaction, &sql, values).await.map(|_| ());
        } else {
            let sql = "UPDATE feed_position SET seq = seq + $1 WHERE id = 1 RETURNING seq";
            let position: Vec<Position> = query(transaction, sql, vec![count.into()]).await?;
            position.first().map_or(0, |position| position.seq - count)
        };
        BATCHES.insert(transaction, self.batches(before), crate::batch::Collision::Fails).await.map(|_| ())
    }

    /// Every tenant's changes in their order, cut into batches.
    fn batches(self, before: i64) -> Vec<Vec<Cell>> {
        let mut by_tenant: Vec<(TenantId, Vec<FeedChange>)> = Vec::new();
        for (tenant_id, change) in self.changes {
            match by_tenant.iter_mut().find(|(known, _)| *known == tenant_id) {
                Some((_, changes)) => changes.push(change),
                None => by_tenant.push((tenant_id, vec![change])),
            }
        }
        let mut seq = before;
        let mut batches = Vec::new();
        for (tenant_id, changes) in by_tenant {
            for some in changes.chunks(FEED_BATCH_ENTRIES_MAX) {
                let first = seq + 1;
                seq += some.len() as i64;
                batches.push(batch(tenant_id.0, first, seq, self.at_us, rows::feed::pack(some)));
            }
        }
        batches
    }
}

fn batch(tenant_id: Uuid, first: i64, last: i64, at_us: i64, entries: Vec<u8>) -> Vec<Cell> {
    vec![Cell::Uuid(tenant_id), Cell::Int(last), Cell::Int(first), Cell::Int(at_us), Cell::Bytes(entries)]
}
