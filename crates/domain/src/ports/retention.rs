//! The port of retention: history that is too old, and everything that deleted tenants owned, is removed in steps
//! that nobody waits for.

use super::StoreError;
use crate::retention::{HistoryCut, WorkCut};
use crate::time::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

/// How far a round has come. Only the store knows what the parts mean; the default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrunePosition {
    /// The part of the work.
    pub stage: u32,
    /// The owner of the rows.
    pub owner: Uuid,
    /// The part of the owner's rows, where they go part by part.
    pub within: Uuid,
    /// The id after which the rows follow.
    pub after: Uuid,
}

impl PrunePosition {
    /// The position from which [`Retention::prune_tenants`] looks for the tenant after `owner`.
    pub fn behind(owner: Uuid) -> Self {
        Self { owner, ..Self::default() }
    }

    /// The position from which [`Retention::prune_tenants`] looks for the tenant `owner`, or for the one after it
    /// where `owner` is gone by then.
    pub fn at(owner: Uuid) -> Self {
        Self::behind(Uuid::from_u128(owner.as_u128().saturating_sub(1)))
    }
}

/// The result of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneStep {
    /// The rows that the step removed, or the deliveries that it ended.
    pub rows: u64,
    /// The partitions that the step dropped.
    pub partitions: u64,
    /// Something that stays for now, and why.
    pub put_off: Option<String>,
    /// The position of the next step; none where nothing is left, or another process takes steps.
    pub next: Option<PrunePosition>,
    /// Whether [`Retention::prune_tenants`] did nothing because another process takes steps: more may be left.
    pub is_others: bool,
}

/// The extent of the history that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryKept {
    /// When the oldest event or delivery of the history was created.
    pub oldest_at: Option<Timestamp>,
    /// The bytes that history occupies. On SQLite they are the whole database but for its free pages.
    pub bytes: u64,
}

/// Removes history that is too old. Every step is a short transaction of its own and may be repeated; on one database
/// one process at a time takes steps.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Ends deliveries that have been owed since before `owed_before` and are not in flight, as `EXPIRED` for
    /// `reason`. A step looks at `rows_max` rows at most.
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError>;

    /// Removes history: deliveries that ended, with their payloads and attempts; and events of which no delivery is
    /// left, with everything that belongs to them. A step looks at `rows_max` rows at most, or drops one partition.
    async fn prune_history(
        &self,
        cut: &HistoryCut,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError>;

    /// Removes feed entries of before `before`. In the same transaction each tenant's oldest cursor moves on
    /// ([`super::Feed::feed_page`]).
    async fn prune_feed(&self, before: Timestamp, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Removes replays and tenant copies that ended, and entries of the audit log. A step looks at `rows_max` rows at
    /// most.
    async fn prune_work(&self, cut: &WorkCut, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Removes the rows of deleted tenants, except those of due deliveries, which [`crate::change::Write::StopMore`]
    /// removes; a tenant itself is removed once nothing of it is left. A step removes rows of one tenant, a few times
    /// `rows_max` at most. The next position names that tenant as its owner until the tenant's turn is over.
    async fn prune_tenants(&self, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError>;

    /// Measures the history.
    async fn history_kept(&self) -> Result<HistoryKept, StoreError>;
}
