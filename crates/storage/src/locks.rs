//! The advisory locks of PostgreSQL that this crate takes, always until the end of a transaction. Each number is taken
//! once.

use crate::batch::query;
use crate::connections::DatabaseTransaction;
use hookgraph_domain::ports::StoreError;
use sea_orm::FromQueryResult;

/// Held while the schema is migrated: see `migrate`.
pub const MIGRATE_LOCK: i64 = 0x686f_6f6b_0001;
/// Held while a claim is decided: see `queue::claim`.
pub const CLAIM_LOCK: i64 = 0x686f_6f6b_0002;
/// Held while a partition is made: see `partitions`.
pub const PARTITION_LOCK: i64 = 0x686f_6f6b_0003;
/// Held while a step of retention is taken: see `retention`.
pub const RETENTION_LOCK: i64 = 0x686f_6f6b_0004;
/// Held while a batch of the due deliveries of a stopped webhook is held or cancelled: see `commit::stopping`.
pub const STOP_LOCK: i64 = 0x686f_6f6b_0005;

/// The answer of [`try_lock_sql`].
#[derive(FromQueryResult)]
pub struct TryLock {
    pub is_ours: bool,
}

/// The statement that waits for a lock.
pub fn lock_sql(lock: i64) -> String {
    format!("SELECT pg_advisory_xact_lock({lock})")
}

/// The statement that takes a lock if it is free.
pub fn try_lock_sql(lock: i64) -> String {
    format!("SELECT pg_try_advisory_xact_lock({lock}) AS is_ours")
}

/// Takes a lock of PostgreSQL if it is free, and returns whether it was.
pub async fn try_lock(transaction: &DatabaseTransaction, lock: i64) -> Result<bool, StoreError> {
    let locks: Vec<TryLock> = query(transaction, &try_lock_sql(lock), vec![]).await?;
    Ok(locks.first().is_some_and(|lock| lock.is_ours))
}
