//! The feed, read by cursor.

use super::rows as page_rows;
use crate::batch::query;
use crate::limits::FEED_SCAN_BATCHES_MAX;
use crate::micros::to_time;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::feed::{FeedEntry, FeedFilter, FeedMoves, FeedPage};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{Feed, RowKind, StoreError};
use sea_orm::FromQueryResult;
use uuid::Uuid;

/// The batches of a page: $1 tenant, $2 after which `seq`, $3 up to which, $4 batches at most.
pub const FEED_BATCHES: &str = "SELECT seq_first, seq_last, at_us, entries FROM feed \
     WHERE tenant_id = $1 AND seq_last > $2 AND seq_last <= $3 ORDER BY seq_last LIMIT CAST($4 AS BIGINT)";

/// Whose feeds moved: $1 after which `seq`, $2 batches at most. It needs no end: since `seq` follows commit order, what
/// one statement sees is all up to the last that it sees.
pub const FEED_MOVES: &str = "SELECT tenant_id, MAX(seq_last) AS seq_last, COUNT(*) AS batch_count FROM \
     (SELECT tenant_id, seq_last FROM feed WHERE seq_last > $1 ORDER BY seq_last LIMIT CAST($2 AS BIGINT)) AS moved \
     GROUP BY tenant_id";

#[derive(FromQueryResult)]
struct StoredBatch {
    seq_first: i64,
    seq_last: i64,
    at_us: i64,
    entries: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Moved {
    tenant_id: Uuid,
    seq_last: i64,
    batch_count: i64,
}

#[derive(FromQueryResult)]
struct Position {
    seq: i64,
}

#[async_trait]
impl Feed for SqlStore {
    async fn feed_page(
        &self,
        tenant_id: TenantId,
        after_seq: i64,
        filter: &FeedFilter,
        limit: u32,
    ) -> Result<FeedPage, StoreError> {
        // The end is read first: whatever is committed after it has a higher number and waits for the next page.
        let latest = self.latest_seq().await?;
        if latest <= after_seq {
            return Ok(FeedPage { entries: Vec::new(), read_to_seq: after_seq, more: false, pruned_to: None });
        }
        let values = vec![tenant_id.0.into(), after_seq.into(), latest.into(), (FEED_SCAN_BATCHES_MAX as i64).into()];
        let batches: Vec<StoredBatch> = query(&self.reader, FEED_BATCHES, values).await?;
        // Read after them: what was removed before they were read is told here.
        let pruned: Vec<Position> =
            query(&self.reader, "SELECT seq FROM feed_pruned WHERE tenant_id = $1", vec![tenant_id.0.into()]).await?;
        if let Some(pruned) = pruned.first().filter(|pruned| pruned.seq > after_seq) {
            let pruned_to = Some(pruned.seq);
            return Ok(FeedPage { entries: Vec::new(), read_to_seq: after_seq, more: false, pruned_to });
        }
        let is_all = (batches.len() as u64) < FEED_SCAN_BATCHES_MAX;
        let end = batches.last().filter(|_| !is_all).map_or(latest, |batch| batch.seq_last);
        let mut entries = Vec::new();
        for batch in batches {
            let read = to_time(batch.at_us).and_then(|at| Ok((at, rows::feed::unpack(&batch.entries)?)));
            let Some((at, changes)) = self.unreadable.passed_over(RowKind::FeedBatch, batch.seq_last, read) else {
                continue;
            };
            for (seq, what) in (batch.seq_first..).zip(changes) {
                if seq <= after_seq || !filter.wants(&what) {
                    continue;
                }
                entries.push(FeedEntry { seq, tenant_id, at, what });
                if entries.len() as u64 >= page_rows(limit) {
                    return Ok(FeedPage { entries, read_to_seq: seq, more: seq < latest, pruned_to: None });
                }
            }
        }
        Ok(FeedPage { entries, read_to_seq: end, more: end < latest, pruned_to: None })
    }

    async fn feed_moves(&self, after_seq: i64, batches_max: u32) -> Result<FeedMoves, StoreError> {
        let batches_max = i64::from(batches_max.max(1));
        let moved: Vec<Moved> = query(&self.reader, FEED_MOVES, vec![after_seq.into(), batches_max.into()]).await?;
        Ok(FeedMoves {
            read_to_seq: moved.iter().map(|tenant| tenant.seq_last).max().unwrap_or(after_seq),
            more: moved.iter().map(|tenant| tenant.batch_count).sum::<i64>() >= batches_max,
            tenants: moved.iter().map(|tenant| (TenantId(tenant.tenant_id), tenant.seq_last)).collect(),
        })
    }

    async fn latest_seq(&self) -> Result<i64, StoreError> {
        let found: Vec<Position> = query(&self.reader, "SELECT seq FROM feed_position WHERE id = 1", vec![]).await?;
        Ok(found.first().map_or(0, |position| position.seq))
    }
}
