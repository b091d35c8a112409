//! The port of retention: what is too old goes, and what deleted tenants owned, in steps that nobody waits for.

use super::StoreError;
use crate::retention::{HistoryCut, WorkCut};
use crate::time::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

/// How far a round has come; what it means is the store's. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunePosition {
    /// Which part of the work.
    pub stage: u32,
    /// Whose rows.
    pub owner: Uuid,
    /// Of what among the owner's, where the owner's rows go by it.
    pub within: Uuid,
    /// After which id.
    pub after: Uuid,
}

impl PrunePosition {
    /// Where [`Retention::prune_tenants`] looks for the tenant after that one.
    pub fn behind(owner: Uuid) -> Self {
        Self { owner, ..Self::default() }
    }

    /// Where [`Retention::prune_tenants`] looks for that tenant, or for the one after it where it is gone by then.
    pub fn at(owner: Uuid) -> Self {
        Self::behind(Uuid::from_u128(owner.as_u128().saturating_sub(1)))
    }
}

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneStep {
    /// Rows that it removed, or deliveries that it ended.
    pub rows: u64,
    /// Partitions that it dropped.
    pub partitions: u64,
    /// Something that stays for now, and why.
    pub put_off: Option<String>,
    /// Where to go on; none where nothing is left, or another process is at it.
    pub next: Option<PrunePosition>,
    /// Whether [`Retention::prune_tenants`] did nothing because another process is at it: more may be left.
    pub is_others: bool,
}

/// What is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryKept {
    /// When the oldest event or delivery of the history was created.
    pub oldest_at: Option<Timestamp>,
    /// What history occupies. On SQLite that is the whole database but for its free pages.
    pub bytes: u64,
}

/// Removes what is too old. Every step is a short transaction of its own and may be repeated; on one database one process
/// at a time takes steps.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Ends what has been owed since before that and is not in flight, as `EXPIRED` with that reason; looks at no more than
    /// so many rows.
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError>;

    /// Removes history: deliveries that ended, with their payloads and attempts; events that no delivery is of any more,
    /// with what belongs to them. Looks at no more than so many rows, or drops one partition.
    async fn prune_history(
        &self,
        cut: &HistoryCut,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError>;

    /// Removes what was fed before that. In the same transaction each tenant's oldest cursor moves on
    /// ([`super::Feed::feed_page`]).
    async fn prune_feed(&self, before: Timestamp, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Removes replays and tenant copies that ended, and entries of the audit log; looks at no more than so many rows.
    async fn prune_work(&self, cut: &WorkCut, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Removes what deleted tenants owned, but for what is due, which [`crate::change::Write::StopMore`] removes; and each of them
    /// once nothing of it is left. Removes rows of one tenant, a few times as many as that at most; the next position has that
    /// tenant as its owner, until its turn is over.
    async fn prune_tenants(&self, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Measures the history.
    async fn history_kept(&self) -> Result<HistoryKept, StoreError>;
}
