//! The size and the age of the history.

use crate::batch::{Id, query};
use crate::store::SqlStore;
use hookgraph_domain::ports::{HistoryKept, StoreError};
use hookgraph_domain::retention::created_at;
use sea_orm::{DbBackend, FromQueryResult};
use uuid::Uuid;

/// The bytes of the pages in use: SQLite uses a freed page again before the file grows.
const SQLITE_BYTES: &str = "SELECT ((SELECT page_count FROM pragma_page_count) \
     - (SELECT freelist_count FROM pragma_freelist_count)) * (SELECT page_size FROM pragma_page_size) AS bytes";

/// The bytes of partitions with their indexes. In default partitions removed rows count until they are vacuumed and
/// their room is used again.
const POSTGRES_BYTES: &str = "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint AS bytes \
     FROM pg_inherits WHERE inhparent IN ('event'::regclass, 'event_skip'::regclass, 'tombstone'::regclass, \
     'delivery'::regclass, 'payload'::regclass, 'attempt'::regclass)";

/// The oldest delivery that has ended: $1 the lowest id.
pub const OLDEST_DELIVERY: &str = "SELECT id FROM delivery WHERE id > $1 ORDER BY id LIMIT 1";

/// The oldest event of all tenants, $1 being the lowest id. Each tenant's oldest event is at the head of its part of
/// the index.
pub const OLDEST_EVENT: &str = "WITH RECURSIVE owner (tenant_id) AS (
    SELECT tenant_id FROM (SELECT tenant_id FROM event WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1) AS lowest
    UNION ALL
    SELECT (SELECT next.tenant_id FROM event AS next WHERE next.tenant_id > owner.tenant_id
        ORDER BY next.tenant_id LIMIT 1)
    FROM owner WHERE owner.tenant_id IS NOT NULL
)
SELECT oldest.id FROM (SELECT (SELECT first.id FROM event AS first WHERE first.tenant_id = owner.tenant_id
    ORDER BY first.id LIMIT 1) AS id FROM owner WHERE owner.tenant_id IS NOT NULL) AS oldest
WHERE oldest.id IS NOT NULL ORDER BY oldest.id LIMIT 1";

#[derive(FromQueryResult)]
struct Bytes {
    bytes: i64,
}

pub(super) async fn history_kept(store: &SqlStore) -> Result<HistoryKept, StoreError> {
    let sql = if store.backend() == DbBackend::Postgres { POSTGRES_BYTES } else { SQLITE_BYTES };
    let bytes: Vec<Bytes> = query(&store.reader, sql, vec![]).await?;
    let mut oldest: Vec<Id> = query(&store.reader, OLDEST_DELIVERY, vec![Uuid::nil().into()]).await?;
    oldest.extend(query::<Id, _>(&store.reader, OLDEST_EVENT, vec![Uuid::nil().into()]).await?);
    Ok(HistoryKept {
        oldest_at: oldest.into_iter().map(|row| row.id).min().and_then(created_at),
        bytes: bytes.first().map_or(0, |row| row.bytes.unsigned_abs()),
    })
}
